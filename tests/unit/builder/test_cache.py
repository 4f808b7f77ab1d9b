"""Caches outside the builder: what may be written, and how it reaches buildx."""

import csv
from pathlib import Path

import pytest

from cudaforge.builder.cache import parse_caches, prepare_places
from cudaforge.builder.failures import FailureKind, classify_failure
from cudaforge.errors import InputError, SurroundingsError

GITHUB = {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_RESULTS_URL": "https://results.example.org/"}


def texts(*to: str, images: int = 1) -> list[str]:
    return [one.text("train") for one in parse_caches(to, (), images=images, environment=GITHUB).to]


def test_each_image_has_its_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert texts(
        "type=registry,ref=localhost:5000/cache:{name},mode=max",
        "type=local,dest=caches/{name},compression=zstd",
        "type=gha,scope=cuda-{name},mode=min",
        images=2,
    ) == [
        "type=registry,ref=localhost:5000/cache:train,mode=max",
        f"type=local,dest={tmp_path}/caches/train,compression=zstd",
        "type=gha,scope=cuda-train,mode=min",
    ]


def test_a_reference_alone_is_a_registry_s():
    caches = parse_caches((), ("ghcr.io/acme/cache:{name}", "type=gha"), images=9, environment=GITHUB)
    assert [one.text("train") for one in caches.from_] == [
        "type=registry,ref=ghcr.io/acme/cache:train",
        "type=gha",
    ]


@pytest.mark.parametrize("name", ["a,b", 'with "quotes"', "a b", "x=y", "new'line"])
def test_a_path_arrives_as_it_was(name: str, tmp_path: Path):
    dest = tmp_path / name
    import io

    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(["type=local", f"dest={dest}"])
    (text,) = texts(line.getvalue())
    assert next(csv.reader([text])) == ["type=local", f"dest={dest}"]


def test_images_do_not_write_over_each_other_s():
    with pytest.raises(InputError, match="write over each other's cache"):
        texts("type=registry,ref=localhost:5000/cache", images=2)
    assert texts("type=registry,ref=localhost:5000/cache", images=1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "its type is one of"),
        ("type=s3,bucket=x", "its type is one of registry, local, gha"),
        ("type=registry", "registry needs ref="),
        ("type=local", "local needs dest="),
        ("type=local,src=x", "local has no 'src' here"),
        ("type=registry,ref=Bad Ref", "no image reference"),
        ("type=registry,ref=x,ref=y", "twice"),
        ("type=registry,ref=x,mode=most", "none of min, max"),
        ("type=registry,ref=x,insecure=true", "registry has no 'insecure'"),
        ("type=gha,token=secret", "gha has no 'token'"),
        ("type=gha,url=http://x", "gha has no 'url'"),
        ("type=gha,scope=a;b", "a scope is"),
        ("type=local,dest=x{name}", "a whole part"),
        ("type=local,dest=c/{nme}", "no field {nme}; did you mean {name}? known: {name}"),
        ("type=local,dest={name}/{version}", "no field {version}; known: {name}"),
        ("ghcr.io/acme/cache:{image}", "no field {image}"),
        ("type=gha,scope={}", "no field {}"),
        ("type=local,dest=c/{name", "a brace without its other half"),
        ("type=local,dest=", "key=value"),
        ("type=local,dest=a\nb", "cannot be printed"),
        ('type=local,"dest=x', "quotes are wrong"),
        ("--help", "no image reference"),
        ("type=ünï", "'type=ünï' is no cache"),
        ("type=local,dest=ü,ü", "'ü' is not of the form"),
    ],
)
def test_what_is_no_cache(text: str, word: str):
    with pytest.raises(InputError) as caught:
        texts(text)
    assert word in caught.value.problems[0].what
    assert caught.value.problems[0].where is not None


@pytest.mark.parametrize(
    "text", ["type=local,src=c/{nme}", "ghcr.io/acme/cache:{nme}", "type=gha,scope={nme}"]
)
def test_what_is_read_has_the_same_fields(text: str):
    with pytest.raises(InputError, match=r"no field \{nme\}; did you mean \{name\}"):
        parse_caches((), (text,), images=1, environment=GITHUB)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InputError) as caught:
        parse_caches(("type=x",), ("type=y",), images=1)
    assert [problem.where.key for problem in caught.value.problems if problem.where] == [
        "--cache-to",
        "--cache-from",
    ]


@pytest.mark.parametrize("environment", [{}, {"ACTIONS_RUNTIME_TOKEN": "t"}, {"ACTIONS_CACHE_URL": "u"}])
def test_github_s_cache_is_not_left_out_in_silence(environment: dict[str, str]):
    with pytest.raises(SurroundingsError, match="needs GitHub's runner"):
        parse_caches((), ("type=gha",), images=1, environment=environment)


def test_a_cache_that_cannot_be_written_is_no_base_that_cannot_be_pulled():
    failure = classify_failure(
        error="error writing layer blob: failed to do request: connection refused",
        step="exporting cache to registry",
    )
    assert failure.kind is FailureKind.CACHE
    assert failure.kind.is_surroundings
    assert not failure.kind.stops_all


def places(*, to: tuple[str, ...] = (), from_: tuple[str, ...] = ()) -> tuple[str, ...]:
    return prepare_places(parse_caches(to, from_, images=2), ["one", "two"])


def test_directories_of_caches_are_made_and_those_that_are_not_there_told(tmp_path: Path):
    (tmp_path / "two").mkdir()
    (tmp_path / "two/index.json").write_text("{}")
    told = places(
        to=(f"type=local,dest={tmp_path}/a/{{name}}",), from_=(f"type=local,src={tmp_path}/{{name}}",)
    )
    assert told == (f"there is no cache in {tmp_path}/one (--cache-from): steps are built without it",)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["one", "two"]
    assert not list((tmp_path / "a/one").iterdir())
    assert places(to=("localhost:1/cache:{name}",), from_=("localhost:1/cache",)) == ()


@pytest.mark.parametrize("tail", ["file", "file/below", "x" * 300])
def test_what_can_be_no_directory_is_the_value_s_fault(tmp_path: Path, tail: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        places(to=(f"type=local,dest={tmp_path}/{tail}/{{name}}",))
    (first, _) = caught.value.problems
    assert f"no cache can be written to {tmp_path}/{tail}/one" in first.what
    assert first.where is not None
    assert first.where.key == "--cache-to"
    with pytest.raises(InputError, match="is no directory"):
        places(from_=(f"type=local,src={tmp_path}/file",))


def test_a_directory_that_cannot_be_written_is_the_surroundings_fault():
    with pytest.raises(SurroundingsError, match=r"no cache can be written to /proc/cache/one: No such file"):
        places(to=("type=local,dest=/proc/cache/{name}",))


def test_a_full_disk_while_a_cache_is_written_is_not_the_engine_s():
    failure = classify_failure(
        error="error writing layer blob: write /x: no space left on device",
        step="exporting cache to client directory",
    )
    assert failure.kind is FailureKind.CACHE

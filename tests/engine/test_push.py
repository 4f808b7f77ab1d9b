# ruff: noqa: F811 -- fixtures are another module's
"""Images to real registries and back: Debian's docker-registry, plain, with TLS and with a password."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.test_surroundings import (  # noqa: F401 -- fixtures
    check_message,
    docker,
    index,
    project,
    unique_step,
)
from tests.support.registries import (
    CERTIFICATE,
    PASSWORD,
    DebianRegistry,
    docker_config,
    flaky,
    serving_registry,
)
from tests.support.tiny import TinyProject

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="there is no docker-registry"),
]
WRONG = "not the password"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DebianRegistry]:
    with serving_registry(tmp_path / "registry") as registry:
        yield registry


def lock(project: TinyProject) -> None:
    done = project.run("lock")
    assert done.returncode == 0, done.stderr


def push(project: TinyProject, registry: str, *words: str) -> subprocess.CompletedProcess[str]:
    tag = f"{registry}/{project.name}:{{name}}-{{version}}"
    return project.run("build", "--push", "--tag", tag, "--json", *words)


def pushed_of(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["images"][0]["pushed"]


def test_up_pushes_what_is_proven_alone(project: TinyProject, registry: DebianRegistry):
    project.declare("good", 'bad\nrun = ["rm /opt/venv/lib/python3.11/site-packages/tiny_frame/__init__.py"]')
    tag = f"{registry.host}/{project.name}:{{name}}"
    done = project.run("up", "--push", "--tag", tag, "--json")
    assert done.returncode == 1, done.stderr
    pushed = {image["name"]: image["pushed"] for image in json.loads(done.stdout)["images"]}
    assert pushed["bad"] is None
    assert pushed["good"]["tags"][0]["digest"] == registry.digest(project.name, "good")
    assert "bad: not pushed, as it is not proven" in done.stderr
    assert registry.tags(project.name) == ["good"]


def test_an_image_that_is_larger_than_it_may_be_is_neither_pushed_nor_good(
    project: TinyProject, registry: DebianRegistry
):
    project.declare("good", 'large\nmax_size = "1MiB"')
    lock(project)
    for _ in range(2):  # built, then found
        done = push(project, registry.host, "--keep-going")
        assert done.returncode == 1, done.stderr
        images = {one["name"]: one for one in json.loads(done.stdout)["images"]}
        assert "more than max_size allows (1,048,576)" in images["large"]["reason"]
    assert registry.tags(project.name) == ["good-1.0"]
    verified = project.run("verify", "large", "--json")
    assert verified.returncode == 1
    (verdict,) = json.loads(verified.stdout)["images"]
    (size,) = [check for check in verdict["checks"] if check["state"] == "fail"]
    assert (size["id"], size["detail"]) == ("size", images["large"]["reason"])
    reported = project.run("report", "large")
    assert reported.returncode == 1
    assert "1,048,576" in reported.stdout


@pytest.mark.parametrize(
    ("is_tls", "wants_login"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_push_and_pull_by_digest(project: TinyProject, tmp_path: Path, *, is_tls: bool, wants_login: bool):
    lock(project)
    with serving_registry(tmp_path / "registry", is_tls=is_tls, wants_login=wants_login) as registry:
        if wants_login:
            project.environment["DOCKER_CONFIG"] = str(docker_config(tmp_path / "docker", registry.host))
        if is_tls:
            project.environment["SSL_CERT_FILE"] = str(CERTIFICATE)
        done = push(project, registry.host, "--sbom", "spdx")
        pushed = pushed_of(done)
        (tag,) = pushed["tags"]
        assert tag["reference"] == f"{registry.host}/{project.name}:one-1.0"
        assert tag["digest"] == registry.digest(project.name, "one-1.0")
        record = json.loads((project.root / ".cudaforge/pushes/one.json").read_text())
        assert record["tags"] == pushed["tags"]
        by_digest = f"{registry.host}/{project.name}@{tag['digest']}"
        # The name was for the push: one that is new each day would keep an image for each on the engine.
        assert registry.host not in docker("images", "--format", "{{.Repository}}:{{.Tag}}")
        docker("rmi", "--force", f"{project.name}:one")
        environment = {**os.environ, **project.environment}
        subprocess.run(["docker", "pull", "-q", by_digest], env=environment, check=True, timeout=120)
        found = docker("inspect", "--format", "{{.Id}}", by_digest).strip()
        docker("rmi", "--force", by_digest)
        assert found == pushed["image_id"]
        assert PASSWORD not in done.stdout + done.stderr
        for path in (project.root / ".cudaforge").rglob("*"):
            assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_a_wrong_password_is_one_message_and_no_second_try(project: TinyProject, tmp_path: Path):
    lock(project)
    with serving_registry(tmp_path / "registry", wants_login=True) as registry:
        config = docker_config(tmp_path / "docker", registry.host, password=WRONG)
        project.environment["DOCKER_CONFIG"] = str(config)
        done = push(project, registry.host)
        assert done.returncode == 3
        check_message(done.stderr, "was not pushed", registry.host, "docker login")
        assert "try 2" not in done.stderr
        assert WRONG not in done.stdout + done.stderr
        assert registry.tags(project.name) == []


def dies_in_mid_push(registry: DebianRegistry, *, then_starts: bool) -> threading.Thread:
    """Kill the registry as soon as it has a part of an upload."""

    def watch() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if any(path.stat().st_size for path in registry.storage.rglob("_uploads/*/data")):
                registry.kill()
                if then_starts:
                    time.sleep(1.5)
                    registry.start()
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_registry_that_dies_in_mid_push(project: TinyProject, registry: DebianRegistry):
    lock(project)
    assert project.run("build").returncode == 0
    watcher = dies_in_mid_push(registry, then_starts=False)
    done = push(project, registry.host)
    watcher.join(1)
    assert registry.process is None, "it was not killed"
    assert done.returncode == 3
    check_message(done.stderr, "failed or went away", registry.host, "after 5 tries")
    registry.start()
    assert pushed_of(push(project, registry.host))["tags"][0]["digest"]


def test_a_registry_that_comes_back_is_pushed_to_all_the_same(project: TinyProject, registry: DebianRegistry):
    lock(project)
    assert project.run("build").returncode == 0
    watcher = dies_in_mid_push(registry, then_starts=True)
    done = push(project, registry.host)
    watcher.join(10)
    assert pushed_of(done)["tags"][0]["digest"] == registry.digest(project.name, "one-1.0")
    assert re.search(r"try 2 of 5 in 1 s", done.stderr), done.stderr


@pytest.mark.parametrize(("status", "retry_after", "pause"), [(503, None, 1), (429, 11, 11)])
def test_passing_trouble_is_sat_out(
    project: TinyProject, registry: DebianRegistry, status: int, retry_after: int | None, pause: int
):
    lock(project)
    with flaky(registry, status=status, seconds=2.5, retry_after=retry_after) as way:
        done = push(project, way.host)
        assert pushed_of(done)["tags"][0]["digest"] == registry.digest(project.name, "one-1.0")
        assert way.refused >= 1
        assert f"try 2 of 5 in {pause} s" in done.stderr


@pytest.mark.parametrize(("status", "words"), [(403, "does not allow"), (404, "no such repository")])
def test_a_refusal_is_not_tried_again(
    project: TinyProject, registry: DebianRegistry, status: int, words: str
):
    lock(project)
    with flaky(registry, status=status, seconds=100) as way:
        done = push(project, way.host)
        assert done.returncode == 3
        check_message(done.stderr, "was not pushed", way.host, words)
        assert "try 2" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_full_disk_is_one_message(project: TinyProject, tmp_path: Path):
    lock(project)
    small = tmp_path / "registry" / "storage"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=True)
    try:
        with serving_registry(tmp_path / "registry") as registry:
            done = push(project, registry.host)
            assert done.returncode == 3
            check_message(done.stderr, "was not pushed", registry.host, "disk is full")
            assert registry.tags(project.name) == []
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_no_registry_at_all(project: TinyProject):
    lock(project)
    done = project.run("build", "--push", "--tag", "localhost:1/x:{name}")
    assert done.returncode == 3
    check_message(done.stderr, "localhost:1", "went away")
    assert "localhost:1/x" not in docker("images", "--format", "{{.Repository}}:{{.Tag}}")


def attached(project: TinyProject, reference: str) -> dict[str, dict]:
    done = project.run("report", "--attached", reference, "--json")
    assert done.returncode == 0, done.stderr
    return {one["kind"]: one for one in json.loads(done.stdout)["attached"]}


@pytest.mark.parametrize("form", ["spdx", "cyclonedx"])
def test_sbom_provenance_and_verdict_are_read_back_by_digest(
    project: TinyProject, registry: DebianRegistry, form: str, monkeypatch: pytest.MonkeyPatch
):
    marker = "do-not-tell-4711"
    project.declare('one\nenv = { SETTING = "' + marker + '" }\nrun = ["echo ' + marker + '"]')
    text = (project.root / "cudaforge.toml").read_text()
    named = text.replace("[project]\n", f'[project]\nregistry = "{registry.host}/team"\n')
    (project.root / "cudaforge.toml").write_text(named)
    lock(project)
    url = project.environment["UV_DEFAULT_INDEX"]
    project.environment["UV_DEFAULT_INDEX"] = url.replace("://", "://indexuser:indexpass@")
    done = project.run("build", "--push", "--sbom", form, "--provenance", "--json")
    pushed = pushed_of(done)
    (tag,) = pushed["tags"]
    assert tag["reference"] == f"{registry.host}/team/{project.name}:one"
    by_digest = f"{registry.host}/team/{project.name}@{tag['digest']}"
    assert project.run("verify", "--tier", "static").returncode == 0
    assert project.run("verify").returncode == 0
    assert project.run("report", "--attach").returncode == 0
    found = attached(project, by_digest)
    assert set(found) == {"sbom", "provenance", "verdict"}
    assert all(one["speaks_of_subject"] and one["subject"] == tag["digest"] for one in found.values())
    assert {kind: found[kind]["digest"] for kind in ("sbom", "provenance")} == pushed["attached"]
    check_sbom(project, tag["reference"], form, found["sbom"]["content"])
    check_provenance(project, found["provenance"]["content"])
    told = json.dumps([found["sbom"], found["provenance"]])
    for secret in (
        marker,
        "indexpass",
        "indexuser",
        url.split("/")[2],
        str(project.root),
        os.uname().nodename,
    ):
        assert secret not in told, secret
    again = project.run("build", "--push", "--sbom", form, "--provenance", "--json")
    assert pushed_of(again)["attached"] == pushed["attached"]
    assert len(attached(project, by_digest)) == 3


def check_sbom(project: TinyProject, reference: str, form: str, document: dict) -> None:
    """It has the wheel with its hash as locked, and just the OS packages that dpkg knows in the image."""
    if form == "spdx":
        from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

        assert validate_full_spdx_document(JsonLikeDictParser().parse(document)) == []
        purls = {
            ref["referenceLocator"]: package
            for package in document["packages"]
            for ref in package["externalRefs"]
        }
        wheel = purls["pkg:pypi/tiny-frame@1.0"]["checksums"][0]["checksumValue"]
    else:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
        purls = {one["purl"]: one for one in document["components"]}
        wheel = purls["pkg:pypi/tiny-frame@1.0"]["hashes"][0]["content"]
    assert wheel in (project.root / "cudaforge.lock.d/pylock.one.toml").read_text()
    installed = docker("run", "--rm", reference, "dpkg-query", "-W", "-f", "${Package}=${Version}\\n").split()
    names = {purl.split("/")[-1].split("?")[0] for purl in purls if purl.startswith("pkg:deb/debian/")}
    assert len(names) == len(installed) > 20
    from urllib.parse import unquote

    assert {unquote(name).replace("@", "=", 1) for name in names} == set(installed)


def check_provenance(project: TinyProject, document: dict) -> None:
    definition = document["predicate"]["buildDefinition"]
    lock_text = (project.root / "cudaforge.lock").read_text()
    assert definition["externalParameters"]["lockEntry"] in lock_text
    wheels = [one for one in definition["resolvedDependencies"] if one["uri"].startswith("pkg:pypi/")]
    assert [(one["uri"], one["annotations"]) for one in wheels] == [
        ("pkg:pypi/tiny-frame@1.0", {"index": "default"})
    ]
    assert all("digest" in one for one in definition["resolvedDependencies"][1:])


def stamp_of(reference: str) -> str:
    return docker("run", "--rm", reference, "cat", "/stamp").strip()


def forget(project: TinyProject, marker: str) -> None:
    """Let the engine lose the image, and BuildKit the steps that have the marker."""
    from cudaforge.engine import connect

    docker("rmi", "--force", f"{project.name}:one")
    connected = connect()
    try:
        for record in connected.list_cache():
            if marker in record.description:
                connected.remove_cache(record.id)
    finally:
        connected.close()


@pytest.mark.parametrize("kind", ["registry", "local"])
def test_a_cache_outside_the_builder(
    project: TinyProject, registry: DebianRegistry, tmp_path: Path, kind: str
):
    marker = unique_step().removeprefix(": ")
    step = f"cat /proc/sys/kernel/random/uuid > /stamp; : {marker}"
    project.declare(f"one\nrun = [{json.dumps(step)}]")
    lock(project)
    place = f"{registry.host}/cache:{{name}}" if kind == "registry" else f"{tmp_path}/a, b/{{name}}"
    names = {"registry": ("ref", "ref"), "local": ("dest", "src")}[kind]
    to, source = (f'type={kind},"{name}={place}"' for name in names)
    assert project.run("build").returncode == 0
    assert project.run("build", "--cache-to", f"{to},mode=max").returncode == 0
    first = stamp_of(f"{project.name}:one")
    forget(project, marker)
    assert project.run("build").returncode == 0
    assert stamp_of(f"{project.name}:one") != first, "the engine has kept the step"
    forget(project, marker)
    done = project.run("build", "--cache-from", source)
    assert done.returncode == 0, done.stderr
    assert stamp_of(f"{project.name}:one") == first


def test_a_cache_that_cannot_be_written_is_told_as_one(project: TinyProject):
    lock(project)
    done = project.run("build", "--no-cache", "--cache-to", "localhost:1/cache")
    assert done.returncode == 3
    check_message(
        done.stderr, "could not be written to --cache-to type=registry,ref=localhost:1/cache", "refused"
    )
    done = project.run("build", "--cache-to", "type=gha")
    assert done.returncode == 3
    check_message(done.stderr, "type=gha needs GitHub's runner")


def test_a_cache_in_an_impossible_place_is_told_before_anything_is_built(
    project: TinyProject, tmp_path: Path
):
    lock(project)
    (tmp_path / "file").write_text("")
    for place, code in ((tmp_path / "file/x", 2), (Path("/proc/x"), 3)):
        done = project.run("build", "--cache-to", f"type=local,dest={place}")
        assert done.returncode == code, done.stderr
        check_message(done.stderr, f"no cache can be written to {place}", "--cache-to")
        assert "one:" not in done.stderr


def test_a_cache_that_is_not_there_is_told_and_the_image_is_built(
    project: TinyProject, registry: DebianRegistry, tmp_path: Path
):
    lock(project)
    place = tmp_path / "none"
    words = ("--cache-from", f"type=local,src={place}", "--cache-from", f"{registry.host}/cache")
    done = project.run("build", "--no-cache", "--json", *words)
    assert done.returncode == 0, done.stderr
    assert f"there is no cache in {place} (--cache-from)" in done.stderr
    assert f"one: {registry.host}/cache (--cache-from) is left out:" in done.stderr
    assert "one: failed" not in done.stderr
    missing, unread = json.loads(done.stdout)["images"][0]["caches_unread"]
    assert str(place) in missing
    assert f"{registry.host}/cache" in unread


def test_the_wrong_password_of_a_cache_names_it(project: TinyProject, tmp_path: Path):
    lock(project)
    with serving_registry(tmp_path / "registry", wants_login=True) as registry:
        config = docker_config(tmp_path / "docker", registry.host, password=WRONG)
        project.environment["DOCKER_CONFIG"] = str(config)
        done = project.run("build", "--cache-to", f"{registry.host}/cache")
        assert done.returncode == 3, done.stderr
        check_message(done.stderr, "--cache-to", f"{registry.host}/cache", "401", "docker login")
        done = project.run("build", "--no-cache", "--cache-from", f"{registry.host}/cache")
        assert done.returncode == 0, done.stderr
        assert f"one: {registry.host}/cache (--cache-from) is left out:" in done.stderr
        assert "401" in done.stderr
        assert WRONG not in done.stderr


def test_images_of_two_platforms_share_a_tag(project: TinyProject, registry: DebianRegistry, tmp_path: Path):
    """arm64 is a stand-in: an image for it with the lock's label, made without running anything of it."""
    project.declare("here", 'there\nplatforms = ["linux/arm64"]')
    lock(project)
    tag = f"{registry.host}/both:{{version}}"
    words = ("build", "here", "--push", "--tag", tag, "--json")
    done = project.run(*words)
    (pushed,) = pushed_of(done)["tags"]
    assert pushed == {
        "reference": f"{registry.host}/both:1.0",
        "digest": None,
        "image": f"{registry.host}/both@{registry.digest('both', '1.0-amd64')}",
        "platforms": ["linux/amd64"],
        "missing": ["linux/arm64"],
    }
    assert registry.tags("both") == ["1.0-amd64"]
    other = f"{registry.host}/both:1.0-arm64"
    make_for_arm(other, "sha256:" + "0" * 64, tmp_path)
    assert pushed_of(project.run(*words))["tags"][0]["missing"] == ["linux/arm64"], "another lock entry"
    make_for_arm(other, entry_of(project, "there"), tmp_path)
    (pushed,) = pushed_of(project.run(*words))["tags"]
    assert pushed["platforms"] == ["linux/amd64", "linux/arm64"]
    listed = json.loads(registry.get("both/manifests/1.0", accept="application/vnd.oci.image.index.v1+json"))
    assert pushed["digest"] == registry.digest("both", "1.0")
    assert [(one["platform"]["architecture"], one["digest"]) for one in listed["manifests"]] == [
        ("amd64", registry.digest("both", "1.0-amd64")),
        ("arm64", registry.digest("both", "1.0-arm64")),
    ]
    docker("pull", "-q", "--platform", "linux/amd64", f"{registry.host}/both:1.0")
    assert docker("inspect", "--format", "{{.Architecture}}", f"{registry.host}/both:1.0").strip() == "amd64"
    docker("rmi", "--force", f"{registry.host}/both:1.0", f"{registry.host}/both:1.0-amd64")


def entry_of(project: TinyProject, name: str) -> str:
    from cudaforge.pipeline.decide import load, load_current_lock

    images = load_current_lock(load(project.root / "cudaforge.toml")).images
    return next(image.digest for image in images if image.name == name)


def make_for_arm(reference: str, entry: str, tmp_path: Path) -> None:
    place = tmp_path / "arm"
    place.mkdir(exist_ok=True)
    (place / "Dockerfile").write_text(f'FROM scratch\nLABEL io.cudaforge.lock.entry="{entry}"\nCOPY file /\n')
    (place / "file").write_text(entry)
    output = f"type=image,name={reference},push=true"
    docker(
        *("buildx", "build", "--quiet", "--provenance=false", "--platform", "linux/arm64"),
        *("--output", output, str(place)),
    )


def test_two_images_of_one_platform_do_not_push_over_each_other(project: TinyProject):
    project.declare("one", "two")
    lock(project)
    done = project.run("build", "--push", "--tag", "localhost:1/x:{version}")
    assert done.returncode == 2
    check_message(done.stderr, "one, two would all be pushed as localhost:1/x:1.0")


COSIGN = """#!/bin/sh
printf '%s\\n' "$*" >> "$COSIGN_LOG"
[ -z "$COSIGN_FAILS" ] || { echo "Error: no identity" >&2; exit 1; }
"""


def test_every_image_is_signed_by_its_digest_or_it_is_an_error(
    project: TinyProject, registry: DebianRegistry, tmp_path: Path
):
    """cosign is a stand-in that writes down what it is asked: no package here has the real one."""
    lock(project)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cosign").write_text(COSIGN)
    (tmp_path / "bin/cosign").chmod(0o755)
    project.environment["PATH"] = f"{tmp_path}/bin:{project.environment['PATH']}"
    project.environment["COSIGN_LOG"] = str(tmp_path / "asked")
    done = push(project, registry.host, "--sign")
    pushed = pushed_of(done)
    assert pushed["signed"] is True
    assert (tmp_path / "asked").read_text().split() == ["sign", "--yes", pushed["tags"][0]["image"]]
    project.environment["COSIGN_FAILS"] = "1"
    done = push(project, registry.host, "--sign")
    assert done.returncode == 3
    check_message(done.stderr, pushed["tags"][0]["image"], "is pushed, and is not signed", "no identity")


def test_a_verdict_goes_to_where_the_image_was_pushed(project: TinyProject, registry: DebianRegistry):
    lock(project)
    pushed = pushed_of(push(project, registry.host))
    assert project.run("verify").returncode == 0
    done = project.run("report", "--attach")
    assert done.returncode == 0, done.stderr
    assert set(attached(project, pushed["tags"][0]["image"])) == {"verdict"}


def test_signing_without_cosign_begins_nothing(project: TinyProject):
    lock(project)
    done = project.run("build", "--push", "--sign", "--tag", "localhost:1/x:y")
    assert done.returncode == 3
    check_message(done.stderr, "--sign needs cosign")
    assert docker("images", "-q", f"{project.name}:one") == ""

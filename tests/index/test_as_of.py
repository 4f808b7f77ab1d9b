"""Locks as of a day: by the real program and the real uv, from an index that tells when it got its files."""

from pathlib import Path

import pytest

from cudaforge.errors import NegativeAnswer, SurroundingsError
from cudaforge.packages.closure import resolve_closure
from tests.index.conftest import Serve, request, site
from tests.index.test_packages_choose import FACTS, LINES, RELEASE
from tests.support.tiny import TinyProject, clean_environment
from tests.support.wheels import make_wheel
from tests.unit.registry.server import OCI_INDEX, digest_of, index, serving

TIMES = {
    "tiny_frame-1.0-py3-none-any.whl": "2026-01-01T10:00:00Z",
    "tiny_frame-2.0-py3-none-any.whl": "2026-03-01T10:00:00Z",
    "extra-1.0-py3-none-any.whl": "2026-01-31T23:59:59Z",
    "extra-1.1-py3-none-any.whl": "2026-02-01T00:00:00Z",
}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    files = tmp_path / "shelf"
    for release in ("1.0", "2.0"):
        make_wheel(files, "tiny-frame", release)
    for release in ("1.0", "1.1"):
        make_wheel(files, "extra", release)
    assert {path.name for path in files.iterdir()} == set(TIMES)
    return files


@pytest.fixture
def project(tmp_path: Path, shelf: Path, serve_index: Serve):
    def answer(exchange):
        body = index("linux/amd64")
        exchange.send(200, body, Content_Type=OCI_INDEX, Docker_Content_Digest=digest_of(body))

    with serving(answer) as registry:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=serve_index(shelf, uploaded=TIMES).url)
        made = TinyProject(tmp_path / "project", variables)
        made.root.mkdir()
        dated = (RELEASE % "1.0", (RELEASE % "2.0").replace("2026-01-01", "2026-03-01"))
        (made.root / "facts.toml").write_text(FACTS + "".join(dated))
        made.mirror = f'[registries]\n"docker.io" = "{registry.host}"\n'
        ask(made)
        yield made


def ask(project: TinyProject, framework: str = "tiny") -> None:
    (project.root / "cudaforge.toml").write_text(
        f'schema = 1\n[project]\nname = "{project.name}"\n[matrices]\noverlays = ["facts.toml"]\n'
        f'[images.one]\nframework = "{framework}"\n{LINES}\npackages = ["extra"]\n{project.mirror}'
    )


def versions(project: TinyProject) -> list[str]:
    closure = (project.root / "cudaforge.lock.d" / "pylock.one.toml").read_text()
    return [line.split('"')[1] for line in closure.splitlines() if line.startswith("version")]


def locked(project: TinyProject, *words: str) -> str:
    done = project.run("lock", *words)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_lock_of_a_day_has_what_was_there_and_keeps_the_day(project: TinyProject):
    locked(project)
    assert versions(project) == ["1.1", "2.0"]
    locked(project, "--as-of", "2026-01-31")
    assert versions(project) == ["1.0", "1.0"]
    assert 'as_of = "2026-01-31"' in project.lock.read_text()
    before = project.lock.read_bytes()
    ask(project, "tiny>=1")
    assert "as of 2026-01-31, as the lock was made" in locked(project)
    assert versions(project) == ["1.0", "1.0"]
    ask(project)
    locked(project)
    assert project.lock.read_bytes() == before
    assert project.run("upgrade").returncode == 0
    assert versions(project) == ["1.0", "1.0"]
    locked(project, "--as-of", "2026-02-01")
    assert versions(project) == ["1.1", "1.0"]
    locked(project, "--as-of", "none")
    assert versions(project) == ["1.1", "2.0"]
    assert "as_of" not in project.lock.read_text()


def test_check_tells_the_day(project: TinyProject):
    locked(project, "--as-of", "2026-01-31")
    assert project.run("lock", "--check").returncode == 0
    assert project.run("lock", "--check", "--as-of", "2026-01-31").returncode == 0
    for day in ("2026-02-01", "none"):
        done = project.run("lock", "--check", "--as-of", day)
        assert done.returncode == 1
        assert "made as of 2026-01-31" in done.stderr
        assert f"cudaforge lock --as-of {day}" in done.stderr


def test_a_conflict_says_what_was_not_there_yet(project: TinyProject):
    ask(project, "tiny>=2")
    done = project.run("lock", "--as-of", "2026-02-28")
    assert done.returncode == 1
    assert "as of 2026-02-28, tiny has no 2.0 (2026-03-01)" in " ".join(done.stderr.split())
    assert not project.lock.exists()


@pytest.mark.parametrize(
    "day", ["yesterday", "2026-1-1", "2026-02-30", "9999-01-01", "2026-01-01T00:00:00Z", ""]
)
def test_what_is_no_day_is_wrong_input(project: TinyProject, day: str):
    for words in ((), ("--check",)):
        done = project.run("lock", "--as-of", day, *words)
        assert done.returncode == 2, done.stderr
        assert "--as-of" in done.stderr


def test_an_index_without_dates_is_told(tmp_path: Path, shelf: Path, serve_index: Serve):
    known = site(tmp_path, index=serve_index(shelf).url)
    asked = request("tiny-frame==1.0", packages=("extra",), as_of="2026-01-31")
    with pytest.raises(SurroundingsError, match="does not tell when") as error:
        resolve_closure(asked, known)
    assert error.value.problems[0].because[0].startswith("2 files without a date, such as extra-1.")
    # What the facts date needs no date of the index.
    assert len(resolve_closure(request("tiny-frame==1.0", as_of="2026-01-31"), known)) == 1


def test_a_package_that_came_later_is_told(tmp_path: Path, shelf: Path, serve_index: Serve):
    known = site(tmp_path, index=serve_index(shelf, uploaded=TIMES).url)
    asked = request("tiny-frame==1.0", packages=("extra",), as_of="2025-12-31")
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(asked, known)
    assert "only what the package index had on 2025-12-31 counts" in error.value.problems[0].because[-1]


def test_wheels_that_are_files_have_no_day(tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UV_NO_INDEX", "1")
    known = site(tmp_path, find_links=(str(shelf),))
    asked = request("tiny-frame==1.0", packages=("extra",), as_of="2025-12-31")
    assert [wheel.version for wheel in resolve_closure(asked, known)] == ["1.1", "1.0"]

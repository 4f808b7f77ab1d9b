"""`clean` without an engine: what belongs to a project, what is said, and when nothing is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import cudaforge.cli.host
import cudaforge.engine
from cudaforge.builder.record import BuildRecord, save_record
from cudaforge.cli.main import run_command_line
from cudaforge.doctor.leftovers import Cleaned, Kind, Leftover
from cudaforge.engine import RUN_LABEL, ImageFacts
from cudaforge.engine.usage import CacheRecord, KeptContainer
from cudaforge.pipeline import cleaning
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.report.leftovers import describe_leftovers, shorten

OURS = f'LABEL "io.cudaforge.base"="x" "{ENTRY_LABEL}"="sha256:1"'


class FakeEngine:
    """An engine's answers, and what it was asked to remove."""

    is_podman = False

    def __init__(self) -> None:
        self.bases: list[ImageFacts] = []
        self.images: dict[str, tuple[ImageFacts, str]] = {}
        self.containers: tuple[KeptContainer, ...] = ()
        self.cache: tuple[CacheRecord, ...] = ()
        self.used: set[str] = set()
        self.removed: list[str] = []
        self.bytes = 1000

    def image(self, image_id: str, *tags: str, step: str = OURS) -> None:
        facts = ImageFacts(
            id=image_id,
            tags=tags,
            size=300,
            labels={ENTRY_LABEL: "sha256:1"},
            architecture="amd64",
            created="",
        )
        self.images[image_id] = (facts, step)

    def list_images_by_label(self, label: str) -> Sequence[ImageFacts]:
        assert label == ENTRY_LABEL
        return [facts for facts, _ in self.images.values()]

    def list_images_by_name(self, is_meant: Callable[[str], bool]) -> Sequence[ImageFacts]:
        return [facts for facts in self.bases if any(map(is_meant, facts.tags))]

    def base(self, digest: str, *tags: str) -> None:
        facts = ImageFacts(
            id=f"sha256:{tags[0]}",
            tags=tags,
            size=300,
            labels={},
            architecture="amd64",
            created="",
            digests=(digest,),
        )
        self.bases.append(facts)

    def last_step(self, image_id: str) -> str:
        return self.images[image_id][1]

    def list_containers(self, label: str) -> tuple[KeptContainer, ...]:
        assert label == RUN_LABEL
        return self.containers

    def list_cache(self) -> tuple[CacheRecord, ...]:
        return self.cache

    def stored_bytes(self) -> int:
        return self.bytes

    def remove_unused_image(self, reference: str) -> bool:
        if reference in self.used:
            return False
        self.removed.append(reference)
        self.bytes -= 300
        return True

    def remove_container(self, container: str) -> None:
        self.removed.append(container)

    def remove_cache(self, record_id: str) -> int:
        self.removed.append(record_id)
        self.bytes -= 7
        return 7


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine()
    monkeypatch.setattr(cudaforge.engine, "connect", lambda: made)
    return made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(cleaning, "find_abandoned", lambda _: ())
    monkeypatch.setattr(cleaning, "cache_directory", lambda: tmp_path / "cache")
    (tmp_path / "cudaforge.toml").write_text('schema = 1\n[images.train]\nframework = "pytorch"\n')
    save_record(tmp_path / ".cudaforge/builds/train.json", BuildRecord(image_id="sha256:own", inputs="x"))
    (tmp_path / ".cudaforge/kept-by-the-user").write_text("mine\n")
    return tmp_path


def test_a_project_loses_its_own_and_nothing_of_others(
    engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.image("sha256:own")  # its tag moved on to a newer build
    engine.image("sha256:other", "acme/other:1")
    engine.image("sha256:derived", "acme/derived:1", step="RUN pip install more")
    assert run_command_line(["clean", "--yes"]) == 0
    assert engine.removed == ["sha256:own"]
    assert not (project / ".cudaforge/builds").exists()
    assert (project / ".cudaforge/kept-by-the-user").exists()
    assert "freed" in capsys.readouterr().out


def test_bytes_are_those_of_the_engine_and_of_files(
    engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.image("sha256:own")
    size = (project / ".cudaforge/builds/train.json").stat().st_size
    assert run_command_line(["clean", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["freed"] == 300 + size


def test_all_asks_for_everything_of_ours(engine: FakeEngine, project: Path) -> None:
    engine.image("sha256:own", "acme/a:1", "acme/b:1")
    engine.image("sha256:derived", "acme/derived:1", step="RUN pip install more")
    engine.cache = (
        CacheRecord(id="c1", description='cached mount /x from exec y with id "/cudaforge-uv"', size=7),
        CacheRecord(id="c2", description="mount / from exec sh -c . /run/cudaforge/site", size=7),
        CacheRecord(id="c3", description='cached mount /x from exec y with id "/pip"', size=7),
        CacheRecord(id="c4", description="local source for cudaforge-wheels", size=7),
        CacheRecord(id="c5", description="local source for context", size=7),
    )
    engine.containers = (
        KeptContainer(id="k1", name="one", is_running=False, label="aa"),
        KeptContainer(id="k2", name="two", is_running=True, label="bb"),
    )
    (project / "cache/web").mkdir(parents=True)
    assert run_command_line(["clean", "--all", "--yes"]) == 0
    assert engine.removed == ["k1", "acme/a:1", "acme/b:1", "c1", "c2", "c4"]
    assert engine.bytes == 1000 - 2 * 300 - 3 * 7
    assert not (project / "cache/web").exists()
    assert (project / ".cudaforge/builds").exists()


def test_all_takes_the_bases_that_engines_were_handed(
    engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    taken_in = "localhost/cudaforge-base-0123456789abcdef:latest"
    engine.base(digest, taken_in, "acme/base:1")
    engine.base("sha256:" + "f" * 64, "cudaforge.invalid/bootstrap:0123456789abcdef")
    # Somebody else's: their names look like ours.
    engine.base("sha256:" + "e" * 64, "localhost/cudaforge-base-0123456789abcdef:1")
    engine.base("sha256:" + "d" * 64, "localhost/cudaforge-base-fedcba9876543210:latest")
    engine.base(digest, "acme/cudaforge-base-0123456789abcdef:latest")
    engine.base(digest, "localhost/cudaforge-base-mine:latest")
    assert run_command_line(["clean", "--yes"]) == 0
    assert engine.removed == []
    assert run_command_line(["clean", "--all", "--yes"]) == 0
    assert engine.removed == [taken_in, "cudaforge.invalid/bootstrap:0123456789abcdef"]
    printed = capsys.readouterr().out
    assert "base images" in printed
    assert taken_in in printed


def test_a_step_that_a_later_one_holds_names_what_removes_it(
    engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.cache = (
        CacheRecord(id="c2", description="mount / from exec sh -c . /run/cudaforge/site", size=7),
    )
    monkeypatch.setattr(engine, "remove_cache", lambda _: 0)
    assert run_command_line(["clean", "--all", "--yes"]) == 0
    assert "docker builder prune --all" in capsys.readouterr().out


def test_a_dry_run_removes_nothing(
    engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.image("sha256:own")
    assert run_command_line(["clean", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["dry_run"] is True
    assert {item["kind"] for item in document["items"]} == {"image", "file"}
    assert engine.removed == []


def test_an_image_in_use_stays_and_is_named(
    engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.image("sha256:own")
    engine.used = {"sha256:own"}
    assert run_command_line(["clean", "--yes"]) == 0
    assert "stays, since something uses it: sha256:own" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [True, False])
def test_a_terminal_is_asked(
    engine: FakeEngine,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    answer: bool,
) -> None:
    engine.image("sha256:own")
    monkeypatch.setattr(cudaforge.cli.host, "_is_confirmed", lambda: answer)
    assert run_command_line(["clean"]) == 0
    assert engine.removed == (["sha256:own"] if answer else [])
    assert ("nothing was removed" in capsys.readouterr().err) is not answer


def test_the_inputs_of_bake_go_and_the_digests_of_pushes_stay(engine: FakeEngine, project: Path) -> None:
    for name in ("bake/train", "pushes"):
        (project / ".cudaforge" / name).mkdir(parents=True)
    (project / ".cudaforge/bake/train/pylock.toml").write_text("")
    (project / ".cudaforge/pushes/train.json").write_text("{}")
    assert run_command_line(["clean", "--yes"]) == 0
    assert not (project / ".cudaforge/bake").exists()
    assert (project / ".cudaforge/pushes/train.json").is_file()


def test_nothing_to_remove(engine: FakeEngine, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".cudaforge/builds/train.json").unlink()
    (project / ".cudaforge/builds").rmdir()
    assert run_command_line(["clean"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    assert run_command_line(["clean", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dry_run"] is False


def test_a_state_directory_that_is_a_link_is_left_alone(
    engine: FakeEngine, project: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (project / ".cudaforge").rename(elsewhere)
    (project / ".cudaforge").symlink_to(elsewhere)
    assert run_command_line(["clean", "--yes"]) == 0
    assert (elsewhere / "builds/train.json").exists()


def test_long_lists_and_names_are_cut() -> None:
    items = tuple(
        Leftover(kind=Kind.FILE, name=f"/{'x' * 100}/{number}", id="", bytes=1) for number in range(30)
    )
    text = describe_leftovers(Cleaned(items=items, freed=30), is_done=True)
    assert "and 10 more" in text
    assert max(map(len, text.splitlines())) <= 80
    assert shorten("a" * 76) == "a" * 76


def test_wrong_packages_do_not_stop_it(engine: FakeEngine, project: Path) -> None:
    declaration = project / "cudaforge.toml"
    declaration.write_text(
        declaration.read_text() + '\n[images.b]\nframework = "jax"\npackages = ["a >> 1"]\n'
    )
    (project / ".cudaforge" / "logs").mkdir(parents=True, exist_ok=True)
    assert run_command_line(["clean", "--yes"]) == 0
    assert not (project / ".cudaforge" / "logs").exists()
    declaration.write_text(declaration.read_text() + "nonsense = 1\n")
    assert run_command_line(["clean", "--yes"]) == 2

"""Builds on a real engine: what ends well, what fails, and what is left behind."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

import cudaforge.builder.images
from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.builder import BuildAborted, BuildEvent, BuildRefused, BuildState, EventKind, build_images
from cudaforge.engine import Engine, EngineDied, EngineFrozen, connect, own_builder
from cudaforge.errors import ExitCode, InputError
from cudaforge.files import hash_file
from cudaforge.lockfile.model import Closure, LockedBase, LockedCopy, LockedImage
from cudaforge.packages.model import LockedWheel
from cudaforge.packages.site import DeclaredNetwork, Site, read_site
from cudaforge.records import replace
from tests.support.bases import make_base
from tests.support.closures import make_wheel
from tests.support.locks import CPU_IMAGE
from tests.support.proxy import engine_proxy

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

CODENAME = "bookworm"  # whose Python is CPU_IMAGE's
REPOSITORY = "cudaforge.invalid/test-build"
SLEEP = f"sleep 120 && : {uuid4().hex}"  # of this run alone: an engine may have kept one that ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project whose images install one small wheel that the site has as a file."""

    root: Path
    site: Site
    closure: Closure
    engine: Engine
    events: list[BuildEvent] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / ".cudaforge"

    def image(self, name: str, *run: str, **changes) -> LockedImage:
        tag = f"{REPOSITORY}:{name}-{self.root.name}".lower()
        self.tags.append(tag)
        # Steps that were never run before: BuildKit's cache outlives a test run, and knows a step again
        # behind another one that changed nothing.
        run = tuple(f": {uuid.uuid4()}; {step}" for step in run)
        # The digest of a lock entry follows its content.
        entry = hashlib.sha256(repr((name, run, changes)).encode()).hexdigest()
        return replace(
            CPU_IMAGE,
            name=name,
            digest=entry,
            tags=(tag,),
            closure=self.closure,
            run=run,
            os_packages=(),
            **changes,
        )

    def build(self, *images: LockedImage, engine: Engine | None = None, builders=(), **options):
        self.events.clear()
        settings = {"site": self.site, "on_event": self.events.append, **options}
        return build_images(
            images,
            builders=builders or (own_builder(engine or self.engine),),
            root=self.root,
            state=self.state,
            base_provider=lambda _: make_base(CODENAME),
            **settings,
        )

    def run(self, image: LockedImage, *words: str) -> str:
        argv = ["docker", "run", "--rm", "--network=none", image.tags[0], *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout

    def left_over(self) -> list[str]:
        """Temporary files of builds by this process."""
        places = (Path(tempfile.gettempdir()), self.state / "tmp")
        mine = f"cudaforge-{os.getpid()}-"
        return [
            str(path) for place in places if place.is_dir() for path in place.iterdir() if mine in path.name
        ]


@pytest.fixture
def project(engine, tmp_path: Path) -> Iterator[Project]:
    links = tmp_path / "links"
    links.mkdir()
    wheel = make_wheel(links, "tiny", "1.0", {"tiny.py": b"VALUE = 42\n"})
    locked = LockedWheel(
        package="tiny",
        version="1.0",
        filename=wheel.name,
        index="default",
        sha256=hash_file(wheel),
        size=wheel.stat().st_size,
    )
    root = tmp_path / "project"
    root.mkdir()
    declared = DeclaredNetwork(find_links=(str(links),), indexes={}, registries={}, root=root)
    made = Project(
        root=root,
        site=read_site(declared, environ=os.environ),
        closure=Closure(file="pylock.toml", sha256=locked.sha256, wheels=(locked,)),
        engine=connect(),
    )
    yield made
    for tag in made.tags:
        subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, timeout=60, check=False)
    made.engine.close()
    assert made.left_over() == []


def test_two_images_and_then_nothing_to_do(project: Project):
    images = (project.image("one", "echo made > /one"), project.image("two", "echo made > /two"))
    results = project.build(*images)
    assert [(result.name, result.state) for result in results] == [
        ("one", BuildState.BUILT),
        ("two", BuildState.BUILT),
    ]
    assert project.run(images[1], "python", "-c", "import tiny; print(tiny.VALUE)") == "42\n"
    assert all(result.size and result.size > 50_000_000 for result in results)
    assert "echo made > /one" in Path(results[0].log).read_text()

    started = time.monotonic()
    again = project.build(*images)
    assert time.monotonic() - started < 1.0
    assert [result.state for result in again] == [BuildState.CACHED, BuildState.CACHED]
    assert [result.image_id for result in again] == [result.image_id for result in results]
    assert {event.kind for event in project.events} == {EventKind.IMAGE_STARTED, EventKind.IMAGE_FINISHED}


def test_events_tell_the_whole_story(project: Project):
    project.build(project.image("story", "echo a line; echo another >&2"))
    kinds = [event.kind for event in project.events]
    assert kinds[0] is EventKind.IMAGE_STARTED
    assert kinds[-1] is EventKind.IMAGE_FINISHED
    assert {"a line", "another"} <= {event.line for event in project.events if event.kind is EventKind.LOG}
    assert project.events[-2].fraction == 1.0
    assert project.events[-1].result is not None
    assert project.events[-1].result.state is BuildState.BUILT


def test_no_cache_builds_again(project: Project):
    image = project.image("again")
    project.build(image)
    (result,) = project.build(image, no_cache=True)
    assert result.state is BuildState.BUILT
    assert EventKind.STEP_DONE in {event.kind for event in project.events}


def test_an_image_is_known_by_its_label_when_records_are_lost(project: Project):
    image = project.image("label")
    project.build(image)
    shutil.rmtree(project.state)
    assert project.build(image)[0].state is BuildState.CACHED
    assert project.build(replace(image, digest="f" * 64))[0].state is BuildState.BUILT


def test_a_changed_file_of_the_project_is_built_in(project: Project):
    (project.root / "src").mkdir()
    (project.root / "src" / "main.py").write_text("print('old')\n")
    image = project.image("files", copy=(LockedCopy(source="src", target="/src"),))
    assert project.build(image)[0].state is BuildState.BUILT
    assert project.build(image)[0].state is BuildState.CACHED
    (project.root / "src" / "main.py").write_text("print('newer')\n")
    assert project.build(image)[0].state is BuildState.BUILT
    assert project.run(image, "python", "/src/main.py") == "newer\n"


def test_what_the_project_ignores_is_not_sent(project: Project):
    (project.root / "src").mkdir()
    (project.root / "src" / "main.py").write_text("")
    (project.root / "src" / "notes.private").write_text("mine")
    (project.root / ".dockerignore").write_text("**/*.private\n")
    image = project.image("ignoring", copy=(LockedCopy(source="src", target="/src"),))
    assert project.build(image)[0].state is BuildState.BUILT
    assert project.run(image, "ls", "/src") == "main.py\n"
    (project.root / ".dockerignore").unlink()
    assert project.build(image)[0].state is BuildState.BUILT
    assert project.run(image, "ls", "/src") == "main.py\nnotes.private\n"
    (project.root / ".dockerignore").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        project.build(image)


def test_a_missing_tag_is_set_again(project: Project):
    image = project.image("tagged")
    more = replace(image, tags=(*image.tags, image.tags[0] + "-more"))
    project.tags.append(more.tags[1])
    project.build(image)
    assert project.build(more)[0].state is BuildState.CACHED
    facts = project.engine.find_image(more.tags[1])
    assert facts is not None
    assert facts.id == project.engine.find_image(image.tags[0]).id


def test_a_step_that_fails_is_told_and_others_are_built(project: Project):
    bad = project.image("bad", "echo first; echo what went wrong >&2; exit 3")
    good = project.image("good")
    failed, built = project.build(bad, good, keep_going=True)
    assert built.state is BuildState.BUILT
    assert failed.state is BuildState.FAILED
    assert "what went wrong" in failed.last_lines
    assert "exit 3" in failed.failed_step
    assert "what went wrong" in Path(failed.log).read_text()
    mended = replace(bad, run=("true",))
    assert [result.state for result in project.build(mended, good)] == [BuildState.BUILT, BuildState.CACHED]


def test_secrets_reach_a_step_and_nothing_else(project: Project, tmp_path: Path):
    secret = "hunter2-hunter2"
    image = project.image(
        "secret",
        "test $(wc -c < /run/secrets/TOKEN) = 15; cat /run/secrets/TOKEN; echo",
        secrets=("TOKEN",),
    )
    environment = {**os.environ, "TOKEN": secret}
    (result,) = project.build(image, environment=environment)
    assert result.state is BuildState.BUILT
    assert "***" in Path(result.log).read_text()
    assert secret not in Path(result.log).read_text()
    assert secret not in repr(project.events)
    subprocess.run(["docker", "save", "-o", tmp_path / "i.tar", image.tags[0]], check=True, timeout=120)
    assert secret.encode() not in (tmp_path / "i.tar").read_bytes()
    listed = project.run(image, "sh", "-c", "ls -A /run/secrets /run/cudaforge 2>&1 || true")
    assert listed.count("No such file") == 2


def test_a_secret_without_a_value_is_wrong_input(project: Project):
    with pytest.raises(BuildRefused, match="NO_SUCH_SECRET") as refused:
        project.build(project.image("unset", "true", secrets=("NO_SUCH_SECRET",)))
    assert refused.value.exit_code is ExitCode.INPUT


def test_source_date_epoch_is_checked(project: Project):
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH"):
        project.build(project.image("epoch"), environment={**os.environ, "SOURCE_DATE_EPOCH": "yesterday"})


def test_source_date_epoch_is_the_time_of_creation(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    image = project.image("dated", "true")
    project.build(image)
    assert project.engine.find_image(image.tags[0]).created.startswith("2023-11-14T22:13:20")


def test_an_image_that_is_too_large(project: Project):
    image = project.image("large", max_size=1_000_000)
    (result,) = project.build(image)
    assert result.state is BuildState.FAILED
    assert "max_size" in result.reason
    assert project.build(image)[0].state is BuildState.FAILED
    assert project.build(replace(image, max_size=10**10))[0].state is BuildState.CACHED


def test_a_base_that_cannot_be_pulled(project: Project):
    base = LockedBase(reference="localhost:1/none:1", digest="sha256:" + "0" * 64, codename=CODENAME)
    good = project.image("good")
    with pytest.raises(BuildAborted, match="base image cannot be pulled") as raised:
        project.build(project.image("baseless", base=base), good)
    assert [result.state for result in raised.value.results] == [BuildState.FAILED, BuildState.BUILT]
    assert raised.value.problems[0].remedy


def test_a_base_from_a_mirror(project: Project, registry: str, tmp_path: Path):
    """What stands behind FROM is the public name; what is pulled is the mirror's."""
    mirrored = f"{registry}/mirror/library/test-base:1"
    plain = make_base(CODENAME)
    project.tags.extend((mirrored, loaded_reference(plain)))
    write_archive(plain, tmp_path / "base.tar")
    project.engine.load_image(tmp_path / "base.tar", timeout=120)
    project.engine.tag_image(loaded_reference(plain), mirrored)
    pushed = subprocess.run(
        ["docker", "push", mirrored], check=True, timeout=120, capture_output=True, text=True
    )
    digest = pushed.stdout.split("digest: ")[1].split()[0]
    base = LockedBase(reference="registry.invalid/library/test-base:1", digest=digest, codename=CODENAME)
    site = replace(project.site, registries={"registry.invalid": f"{registry}/mirror"})
    (result,) = project.build(project.image("mirrored", base=base), site=site)
    assert result.state is BuildState.BUILT


def test_a_full_disk_stops_everything(project: Project):
    full = project.image("full", "echo x: No space left on device; exit 1")
    slow = project.image("slow", SLEEP)
    with pytest.raises(BuildAborted, match="disk is full") as raised:
        project.build(full, slow)
    assert [result.state for result in raised.value.results] == [BuildState.FAILED, BuildState.CANCELLED]
    assert "prune" in raised.value.problems[0].remedy


def when_step_starts(project: Project, text: str, act) -> list[BuildEvent]:
    """A listener that acts once, in a thread of its own, when a step with this text starts."""
    seen: list[BuildEvent] = []

    def listen(event: BuildEvent) -> None:
        if event.kind is EventKind.STEP_STARTED and text in event.step and not seen:
            seen.append(event)
            threading.Thread(target=act, daemon=True).start()

    return listen


def test_an_interrupt_leaves_nothing_and_the_next_run_goes_on(project: Project):
    quick, slow = project.image("quick"), project.image("slow", SLEEP)
    interrupt = when_step_starts(project, SLEEP, lambda: os.kill(os.getpid(), signal.SIGINT))
    project.build(quick)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        project.build(quick, slow, on_event=interrupt)
    assert time.monotonic() - started < 60
    assert project.left_over() == []
    assert buildx_children() == []
    assert project.build(quick)[0].state is BuildState.CACHED


def buildx_children() -> list[str]:
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if "buildx" in line]


def test_an_engine_that_dies(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow, quick = project.image("slow", SLEEP), project.image("quick")
    project.build(quick)
    with engine_proxy(tmp_path) as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.address)
        engine = connect()
        listener = when_step_starts(project, SLEEP, proxy.die)
        with pytest.raises(BuildAborted, match="went away") as raised:
            project.build(quick, slow, engine=engine, on_event=listener)
        assert [result.state for result in raised.value.results] == [BuildState.CACHED, BuildState.FAILED]
        with pytest.raises(EngineDied):
            engine.check_alive()
        engine.close()


def test_an_engine_that_freezes(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cudaforge.builder.images, "WATCH_SECONDS", 1.0)
    monkeypatch.setattr("cudaforge.engine.client.PROBE_SECONDS", 1.0)
    slow = project.image("slow", SLEEP)
    with engine_proxy(tmp_path) as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.address)
        engine = connect()
        listener = when_step_starts(project, SLEEP, proxy.freeze)
        with pytest.raises(BuildAborted, match="does not answer") as raised:
            project.build(slow, engine=engine, on_event=listener)
        assert raised.value.results[0].state is BuildState.CANCELLED
        with pytest.raises(EngineFrozen):
            engine.check_alive()
        proxy.close()
        engine.close()


def test_results_as_json(project: Project):
    from cudaforge.builder import result_to_json

    document = json.loads(json.dumps(result_to_json(project.build(project.image("json"))[0])))
    assert document["state"] == "built"
    assert document["image_id"].startswith("sha256:")

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.builder import buildkit
from cudaforge.builder.buildkit import BuildKit
from cudaforge.builder.cache import Caches
from cudaforge.builder.command import BuildInputs
from cudaforge.builder.failures import Failure, FailureKind
from cudaforge.builder.model import BuildEvent, EventKind
from cudaforge.builder.protocol import BuildEnd, BuildOrder, ImageJob, Listener
from cudaforge.engine import EngineRefused
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.renderer import render_image
from tests.support.locks import CPU_IMAGE

TIDIED = Failure(kind=FailureKind.STORE, reason="the engine's store was tidied while it took the image")
FULL = Failure(kind=FailureKind.DISK, reason="the disk is full")
NO_IMAGE = "built, and nobody has it"
EXPORT = "exporting to image"
LOST = (
    'failed to unpack loaded image: failed to prepare extraction snapshot "extract-1 sha256:2": '
    "parent snapshot sha256:3 does not exist: not found"
)


class MadeUpStore:
    """What is built, one way after the other, and what is heard of it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, *ends: Failure | str | None) -> None:
        self.ends = list(ends)
        self.uncached: list[bool] = []
        self.events: list[BuildEvent] = []
        self.questions = 0
        self.on_load: Callable[[], None] = lambda: None
        self._directory = directory
        self._kept: list[object] = []
        monkeypatch.setattr(buildkit, "run_buildx", self._run)
        inputs = BuildInputs(dockerfile=directory / "Dockerfile", context=directory, tags=("x:y",))
        monkeypatch.setattr(buildkit, "prepare_inputs", lambda *_, **__: inputs)

    def build(self, *, is_reproducible: bool = False, is_given_up: bool = False) -> BuildEnd:
        engine = SimpleNamespace(
            require_buildx=lambda: None,
            cli_env={},
            has_containerd_store=True,
            find_image=self._find,
            load_image=lambda *_, **__: self.on_load(),
        )
        named = SimpleNamespace(name="here", engine=engine, is_own=True, builder="default")
        order = BuildOrder(
            state=self._directory,
            is_uncached=True,
            is_reproducible=is_reproducible,
            again=None,
            timeout=1.0,
            caches=Caches(),
            is_given_up=lambda: is_given_up and bool(self.uncached),
        )
        job = ImageJob(image=CPU_IMAGE, rendered=render_image(CPU_IMAGE), clean=str)
        listener = Listener(log=self._directory / "log", clean=str, emit=self.events.append)
        return BuildKit(named, SimpleNamespace(site=None)).build(job, order, listener)

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    def _run(self, name, inputs, *, listener: Listener, **_) -> BuildEnd:
        self.uncached.append(inputs.is_uncached)
        end = self.ends.pop(0)
        listener.emit(BuildEvent(image=name, kind=EventKind.STEP_STARTED, step=EXPORT))
        self._kept = [object()] if end is None else []
        if not isinstance(end, Failure):
            return BuildEnd(failure=None)
        listener.emit(BuildEvent(image=name, kind=EventKind.STEP_FAILED, step=EXPORT))
        return BuildEnd(failure=end)

    def _find(self, _: str) -> object | None:
        self.questions += 1
        return next(iter(self._kept), None)


@pytest.mark.parametrize(
    ("failures", "uncached", "last"),
    [
        ([TIDIED, None], [True, False], None),
        ([TIDIED, TIDIED], [True, False], TIDIED),
        ([FULL], [True], FULL),
        ([None], [True], None),
        ([NO_IMAGE, None], [True, False], None),
        ([NO_IMAGE, NO_IMAGE], [True, False], None),
    ],
)
def test_an_image_that_the_store_dropped_or_a_layer_of_it_is_made_once_more_from_cached_steps(
    failures, uncached, last, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = MadeUpStore(tmp_path, monkeypatch, *failures)
    end = store.build()
    assert (end.failure, store.uncached, store.ends) == (last, uncached, [])
    assert (end.image is not None) == (failures[-1] is None)
    assert store.questions == [*failures].count(None) + [*failures].count(NO_IMAGE)


def test_what_is_tried_again_is_told_as_that_and_not_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    begun, again, failed = EventKind.STEP_STARTED, EventKind.IMAGE_AGAIN, EventKind.STEP_FAILED
    told = {
        (TIDIED, None): [begun, again, begun],
        (TIDIED, TIDIED): [begun, again, begun, failed],
        (FULL,): [begun, failed],
        (NO_IMAGE, None): [begun, again, begun],
    }
    for ends, kinds in told.items():
        store = MadeUpStore(tmp_path, monkeypatch, *ends)
        store.build()
        assert store.kinds == kinds
        if again in kinds:
            assert store.events[1].line == "the engine's store was tidied while it took the image"


def test_a_step_that_is_not_tried_again_since_the_run_is_over_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = MadeUpStore(tmp_path, monkeypatch, TIDIED)
    assert store.build(is_given_up=True).failure == TIDIED
    assert store.kinds == [EventKind.STEP_STARTED, EventKind.STEP_FAILED]


def test_a_step_has_failed_although_buildx_does_not_come_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = MadeUpStore(tmp_path, monkeypatch)

    def run(name, _, *, listener: Listener, **__) -> BuildEnd:
        listener.emit(BuildEvent(image=name, kind=EventKind.STEP_FAILED, step=EXPORT))
        raise SurroundingsError(Problem(what="docker did not end within 1 s and was stopped"))

    monkeypatch.setattr(buildkit, "run_buildx", run)
    with pytest.raises(SurroundingsError, match="did not end"):
        store.build()
    assert store.kinds == [EventKind.STEP_FAILED]


@pytest.mark.parametrize(("times", "last"), [(1, None), (2, FailureKind.STORE)])
def test_an_archive_that_the_store_lost_a_layer_of_is_made_and_loaded_once_more(
    times: int, last: FailureKind | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = MadeUpStore(tmp_path, monkeypatch, None, None)
    refusals = [LOST] * times

    def load() -> None:
        if refusals:
            raise EngineRefused(Problem(what=f"the engine refused to load image.tar: {refusals.pop()}"))

    store.on_load = load
    end = store.build(is_reproducible=True)
    assert (end.failure and end.failure.kind) == last
    assert (store.uncached, refusals) == ([True, False], [])


def test_an_archive_that_the_engine_refuses_is_its_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = MadeUpStore(tmp_path, monkeypatch, None)

    def load() -> None:
        raise EngineRefused(Problem(what="the engine refused to load image.tar: invalid tar header"))

    store.on_load = load
    with pytest.raises(EngineRefused, match="invalid tar header"):
        store.build(is_reproducible=True)

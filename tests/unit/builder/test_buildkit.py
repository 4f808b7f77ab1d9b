from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.builder import buildkit
from cudaforge.builder.buildkit import BuildKit
from cudaforge.builder.cache import Caches
from cudaforge.builder.command import BuildInputs
from cudaforge.builder.failures import Failure, FailureKind
from cudaforge.builder.protocol import BuildEnd, BuildOrder, ImageJob, Listener
from cudaforge.renderer import render_image
from tests.support.locks import CPU_IMAGE

TIDIED = Failure(kind=FailureKind.STORE, reason="the store was tidied")
FULL = Failure(kind=FailureKind.DISK, reason="the disk is full")
NO_IMAGE = "built, and nobody has it"


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
    left, seen, kept = list(failures), [], []

    def run(name, inputs, **_):
        seen.append(inputs.is_uncached)
        failure = left.pop(0)
        kept[:] = [object()] if failure is None else []
        return BuildEnd(failure=None if failure == NO_IMAGE else failure)

    engine = SimpleNamespace(
        require_buildx=lambda: None,
        cli_env={},
        has_containerd_store=True,
        find_image=lambda _: next(iter(kept), None),
    )

    inputs = BuildInputs(dockerfile=tmp_path / "Dockerfile", context=tmp_path, tags=("x:y",))
    monkeypatch.setattr(buildkit, "run_buildx", run)
    monkeypatch.setattr(buildkit, "prepare_inputs", lambda *_, **__: inputs)
    named = SimpleNamespace(name="here", engine=engine, is_own=True, builder="default")
    order = BuildOrder(
        state=tmp_path,
        is_uncached=True,
        is_reproducible=False,
        again=None,
        timeout=1.0,
        caches=Caches(),
        is_given_up=lambda: False,
    )
    job = ImageJob(image=CPU_IMAGE, rendered=render_image(CPU_IMAGE), clean=str)
    listener = Listener(log=tmp_path / "log", clean=str, emit=lambda _: None)
    end = BuildKit(named, SimpleNamespace(site=None)).build(job, order, listener)
    assert (end.failure, seen, left) == (last, uncached, [])

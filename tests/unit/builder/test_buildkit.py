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
ENGINE = SimpleNamespace(require_buildx=lambda: None, cli_env={}, has_containerd_store=True)


@pytest.mark.parametrize(
    ("failures", "uncached", "last"),
    [
        ([TIDIED, None], [True, False], None),
        ([TIDIED, TIDIED], [True, False], TIDIED),
        ([FULL], [True], FULL),
        ([None], [True], None),
    ],
)
def test_an_image_that_the_store_dropped_a_layer_of_is_made_once_more_from_cached_steps(
    failures, uncached, last, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    left, seen = list(failures), []

    def run(name, inputs, **_):
        seen.append(inputs.is_uncached)
        return BuildEnd(failure=left.pop(0))

    inputs = BuildInputs(dockerfile=tmp_path / "Dockerfile", context=tmp_path, tags=("x:y",))
    monkeypatch.setattr(buildkit, "run_buildx", run)
    monkeypatch.setattr(buildkit, "prepare_inputs", lambda *_, **__: inputs)
    named = SimpleNamespace(name="here", engine=ENGINE, is_own=True, builder="default")
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

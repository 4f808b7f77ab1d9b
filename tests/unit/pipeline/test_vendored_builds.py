"""Building from a directory in which something is missing: what is built already needs nothing of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.builder import BuildState
from cudaforge.builder.errors import BuildAborted, BuildRefused
from cudaforge.builder.project import build_images
from cudaforge.engine import ImageFacts
from cudaforge.errors import ExitCode
from cudaforge.packages.collect import wheel_file
from cudaforge.packages.site import Site
from cudaforge.pipeline.store import open_store
from cudaforge.pipeline.vendoring import open_vendored
from cudaforge.renderer.model import ENTRY_LABEL
from tests.support.locks import CPU_IMAGE


@pytest.fixture
def engine() -> SimpleNamespace:
    """An engine that has the image, as a build of this very lock entry left it."""
    facts = ImageFacts(
        id="sha256:1",
        tags=CPU_IMAGE.tags,
        size=1,
        labels={ENTRY_LABEL: CPU_IMAGE.digest},
        architecture="amd64",
        created="",
    )
    return SimpleNamespace(
        is_podman=False,
        has_containerd_store=True,
        architecture="amd64",
        find_image=lambda reference: facts,
        require_buildx=lambda: None,
        check_alive=lambda: None,
    )


def test_what_is_built_is_taken_and_no_cache_says_what_is_missing(
    engine: SimpleNamespace, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    open_store(store)

    def build(*, no_cache: bool) -> BuildState:
        (result,) = build_images(
            [CPU_IMAGE],
            builders=[SimpleNamespace(name="here", builder="here", engine=engine, is_own=True)],
            site=Site(named_indexes={}, proxies={}, registries={}, origins={}, offline=True),
            root=tmp_path,
            state=tmp_path / "state",
            base_provider=lambda image: pytest.fail("no base is wanted before the wheels"),
            vendored=open_vendored(store),
            no_cache=no_cache,
            environment={},
        )
        return result.state

    assert build(no_cache=False) is BuildState.CACHED
    with pytest.raises(BuildAborted) as caught:
        build(no_cache=True)
    (problem,) = caught.value.problems
    wheel = next(one for one in CPU_IMAGE.closure.wheels if not one.is_built)
    assert problem.what.startswith(f"{wheel.package} {wheel.version} ({wheel.filename}) is not in {store}")
    assert problem.remedy == f"collect this lock where there is a network: cudaforge vendor {store}"
    assert [one.state for one in caught.value.results] == [BuildState.FAILED]
    path = wheel_file(store, wheel)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other")
    with pytest.raises(BuildRefused, match="another file here than the one that was locked") as refused:
        build(no_cache=True)
    assert refused.value.exit_code is ExitCode.NEGATIVE
    assert f"cudaforge vendor {store}" in str(refused.value.problems[0].remedy)

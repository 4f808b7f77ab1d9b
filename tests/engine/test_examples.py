"""The examples as a user runs them: the command line, a real engine, real wheels, models that train."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.engine import Engine

EXAMPLES = Path(__file__).parents[2] / "examples"
CACHED_SECONDS = 60

pytestmark = pytest.mark.engine


def cudaforge(*arguments: str, cwd: Path, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cudaforge", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def up(project: Path, *arguments: str, timeout: float = 1800) -> dict:
    done = cudaforge("up", "--relock", "--json", *arguments, cwd=project, timeout=timeout)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    return json.loads(done.stdout)


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the example that the test names."""
    return Path(shutil.copytree(EXAMPLES / request.param, tmp_path / request.param))


@pytest.mark.parametrize("example", ["quickstart"], indirect=True)
def test_the_quickstart_trains_two_models_and_is_cached_then(engine: Engine, example: Path) -> None:
    first = up(example)
    assert {image["name"] for image in first["images"]} == {"jax", "tensorflow"}
    for image in first["images"]:
        assert image["verdict"]["ok"], image["verdict"]
        assert image["verdict"]["summary"].startswith("trained on CPU")
        assert image["base"]["digest"].startswith("sha256:")

    started = time.monotonic()
    second = up(example)
    assert time.monotonic() - started < CACHED_SECONDS
    assert [image["build"]["state"] for image in second["images"]] == ["cached", "cached"]
    assert [image["lock_digest"] for image in second["images"]] == [
        image["lock_digest"] for image in first["images"]
    ]

    shown = cudaforge("run", "jax", "--", "python", "-c", "import jax; print(jax.__version__)", cwd=example)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == first["images"][0]["versions"]["jax"]


@pytest.mark.parametrize("example", ["matrix"], indirect=True)
def test_the_matrix_has_every_point_but_the_excluded(engine: Engine, example: Path) -> None:
    done = cudaforge("resolve", "--json", cwd=example)
    assert done.returncode == 0, done.stderr
    names = [image["name"] for image in json.loads(done.stdout)["images"]]
    assert len(names) == 3
    assert len({name.rpartition("-")[2] for name in names}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("example", ["jax-gpu", "pytorch-gpu"], indirect=True)
def test_real_cuda_images_are_built_and_not_claimed_on_a_gpu(engine: Engine, example: Path) -> None:
    (image,) = up(example, timeout=3600)["images"]
    verdict = image["verdict"]
    assert verdict["ok"]
    assert "not proven on a GPU" in verdict["summary"]
    assert image["versions"]["cuda"]
    assert image["versions"]["cudnn"]

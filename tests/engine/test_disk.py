"""What is known not to fit on the engine's disk is not begun: a real engine on a small disk of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import GOLDEN
from tests.engine.test_engine_script import needs_root
from tests.engine.test_examples import EXAMPLES
from tests.engine.test_many import Victim
from tests.support.engine import Engine

pytestmark = [pytest.mark.engine, needs_root]


@pytest.fixture
def small(engine: Engine) -> Iterator[Victim]:
    """An engine whose images lie on a disk of 1 GiB."""
    made = Victim("small")
    data = made.state / "data"
    data.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", data], check=False)
    if mounted.returncode:
        pytest.skip("this host lets nobody mount")
    made.start()
    yield made
    made.stop()


def test_too_large_an_image_is_refused_before_anything_is_loaded(small: Victim, tmp_path: Path) -> None:
    project = Path(shutil.copytree(EXAMPLES / "pytorch-gpu", tmp_path / "project"))
    shutil.copytree(GOLDEN / "pytorch-gpu" / "locked", project, dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "cudaforge", "build", "--builder", small.address],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    told = " ".join(done.stderr.split())
    assert done.returncode == 3, told
    assert "Traceback" not in told
    assert "the disk is too small" in told
    assert "GB are missing" in told
    assert f"free at {small.state / 'data'}" in told
    assert "--no-disk-check" in told
    assert not (project / ".cudaforge" / "logs").exists()
    images = ["docker", "--host", small.address, "system", "df", "--format", "json"]
    seen = subprocess.run(images, capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(json.loads(line)["Size"] == "0B" for line in seen.splitlines())

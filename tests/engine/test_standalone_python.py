"""An image with a Python of its own: from a mirror into the cache, the build, and through the proof.

The archive is the Python that runs this test: those of python-build-standalone are on GitHub alone.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.engine import Engine
from tests.support.pythons import VERSION, facts_of, is_relocatable, make_archive
from tests.unit.web.servers import answer, serving

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(not is_relocatable(), reason="the Python here is the system's own"),
]

PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
TAG = "standalone-python:alone"
DECLARATION = """\
schema = 1

[project]
name = "standalone-python"

[network]
python_mirror = "{mirror}"

[matrices]
overlays = ["facts.toml"]

[images.alone]
framework = "onnxruntime>=1.28"
cuda = "none"
base = "bootstrap:debian12"
python = "{version}"
python_provider = "standalone"
platforms = ["{platform}"]
"""


def cudaforge(*arguments: str, cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cudaforge", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "UV_PYTHON_INSTALL_MIRROR": "", "XDG_CACHE_HOME": str(cache)},
    )


def inside(*words: str) -> str:
    argv = ["docker", "run", "--rm", "--network=none", TAG, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def project(engine: Engine, tmp_path: Path):
    """A project whose mirror has the archive; the paths that it was asked for."""
    mirror = tmp_path / "mirror"
    archive = make_archive(mirror)
    asked: list[str] = []

    def handle(request) -> None:
        asked.append(request.path)
        file = mirror / unquote(request.path).lstrip("/")
        answer(request, file.read_bytes()) if file.is_file() else answer(request, status=404)

    root = tmp_path / "project"
    root.mkdir()
    (root / "facts.toml").write_text(facts_of(archive, mirror, platform=PLATFORM))
    with serving(handle) as address:
        text = DECLARATION.format(mirror=address, version=VERSION, platform=PLATFORM)
        (root / "cudaforge.toml").write_text(text)
        yield root, asked, archive
    subprocess.run(["docker", "image", "rm", "--force", TAG], check=False, capture_output=True, timeout=60)


def test_it_is_locked_fetched_built_and_proven(project, tmp_path: Path) -> None:
    root, asked, archive = project
    cache = tmp_path / "cache"
    done = cudaforge("up", "--relock", "--json", cwd=root, cache=cache)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    (image,) = json.loads(done.stdout)["images"]
    checks = {check["id"]: check for check in image["verdict"]["checks"]}
    assert image["verdict"]["ok"], image["verdict"]
    assert checks["python"]["detail"] == VERSION
    assert len(asked) == 1

    lock = (root / "cudaforge.lock").read_text()
    assert f'version = "{VERSION}"' in lock
    assert "127.0.0.1" not in lock
    code = "import ctypes, sqlite3, ssl, sys; print(sys.base_prefix, sys.prefix)"
    assert inside("python", "-c", code).split() == ["/opt/python", "/opt/venv"]
    history = ["docker", "history", "--no-trunc", TAG]
    assert "127.0.0.1" not in subprocess.run(history, capture_output=True, text=True, check=True).stdout
    labels = json.loads(
        subprocess.run(
            ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", TAG],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout
    )  # fmt: skip
    assert labels["io.cudaforge.python.release"] == VERSION

    # From the cache: the mirror, which has lost it, is asked for nothing.
    archive.unlink()
    again = cudaforge("build", "--no-cache", cwd=root, cache=cache)
    assert again.returncode == 0, again.stderr[-4000:]
    assert len(asked) == 1

    shutil.rmtree(cache / "cudaforge" / "pythons")
    refused = cudaforge("build", "--no-cache", cwd=root, cache=cache)
    assert refused.returncode == 3
    assert "does not have here/" in refused.stderr

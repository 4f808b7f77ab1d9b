"""Frameworks beside the three that train: one that nobody has heard of, and ONNX Runtime as it really is."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.madeup import make_madeup_wheel, make_source_tree
from tests.support.tiny import TinyProject, clean_environment

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnxruntime"
DECLARATION = """\
schema = 1

[project]
name = "made-up-framework"

[defaults]
framework = "abacus"
cuda = "none"
base = "bootstrap:debian12"

[images.count]

[images.bent]
run = ["sed -i 's/math.exp(bias/math.exp(0 * bias/' /opt/venv/lib/python*/site-packages/abacus/__init__.py"]
"""


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Iterator[TinyProject]:
    """A project of the framework, and a source tree to which its three files were added."""
    tree = make_source_tree(tmp_path / "tree")
    make_madeup_wheel(tmp_path / "wheels")
    with serve(Index(files=tmp_path / "wheels")) as index:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=index.url, PYTHONPATH=str(tree))
        project = TinyProject(root=tmp_path / "project", environment=variables)
        project.root.mkdir()
        (project.root / "cudaforge.toml").write_text(DECLARATION)
        yield project
    for image in ("count", "bent"):
        subprocess.run(["docker", "image", "rm", "--force", f"made-up-framework:{image}"], check=False)


def test_a_made_up_framework_is_built_and_proven(project: TinyProject):
    done = project.run("up", "--json")
    assert done.returncode == 1, done.stderr
    images = {image["name"]: image for image in json.loads(done.stdout)["images"]}

    good = images["count"]["verdict"]
    assert (good["ok"], good["summary"]) == (True, "computed on CPU")
    checks = {check["id"]: check for check in good["checks"]}
    assert checks["abacus.build"]["detail"] == "3.1.0, CPU build"
    assert "of the reference (wood beads)" in checks["abacus.compute_cpu"]["detail"]

    bad = images["bent"]["verdict"]
    assert not bad["ok"]
    assert bad["summary"] == "nothing computed; failed: abacus: computes on the CPU"

    argv = ["docker", "run", "--rm", "made-up-framework:count", "cat", "/etc/abacus"]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout == "none\n"


def test_onnx_runtime_computes_in_its_cpu_twin(engine: Engine, tmp_path: Path):
    """The real framework: the model that the proof writes down byte by byte is one that it reads."""
    project = Path(shutil.copytree(EXAMPLE, tmp_path / "onnxruntime"))
    done = subprocess.run(
        [sys.executable, "-m", "cudaforge", "up", "--relock", "--json", "twin"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    (image,) = json.loads(done.stdout)["images"]
    assert (image["verdict"]["ok"], image["verdict"]["summary"]) == (True, "computed on CPU")
    checks = {check["id"]: check["detail"] for check in image["verdict"]["checks"]}
    assert checks["onnxruntime.compute_cpu"].endswith("of the reference (CPUExecutionProvider)")

"""A new framework takes a file of facts, an install template and a proof, and no line of code elsewhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cudaforge.matrix import load_matrix
from cudaforge.resources import find_resource
from cudaforge.verifier import has_proof
from tests.support import madeup
from tests.support.index import Index, serve
from tests.support.madeup import ADDED, differences, make_madeup_wheel, make_source_tree
from tests.support.tiny import clean_environment

DECLARATION = """\
schema = 1

[project]
name = "made-up"

[images.count]
framework = "abacus"
cuda = "none"
base = "127.0.0.1:1/base:1"
os = "debian12"
python = "3.11"
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source_tree(tmp_path_factory.mktemp("tree"))


@dataclass
class Project:
    """A directory with a declaration, and the changed source tree's program run in it."""

    root: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cudaforge", *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def project(tree: Path, tmp_path: Path) -> Iterator[Project]:
    """A project that uses the framework; an index on loopback has the wheel."""
    make_madeup_wheel(tmp_path / "wheels")
    with serve(Index(files=tmp_path / "wheels")) as index:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=index.url, PYTHONPATH=str(tree))
        project = Project(tmp_path / "project", variables)
        project.root.mkdir()
        (project.root / "cudaforge.toml").write_text(DECLARATION)
        yield project


def test_three_files_are_all_that_is_added(tree: Path):
    assert differences(tree) == set(ADDED)


def test_it_is_resolved_locked_and_rendered(project: Project):
    resolved = project.run("resolve", "--json")
    assert resolved.returncode == 0, resolved.stderr
    (image,) = json.loads(resolved.stdout)["images"]
    frameworks = image["resolution"]["frameworks"]
    assert [(one["name"], one["version"], one["build"]) for one in frameworks] == [
        (madeup.NAME, madeup.VERSION, "cpu")
    ]

    locked = project.run("lock", "--allow-unpinned")
    assert locked.returncode == 0, locked.stderr
    assert (
        "abacus_frame-3.1.0-py3-none-any.whl"
        in (project.root / "cudaforge.lock.d/pylock.count.toml").read_text()
    )

    rendered = project.run("render", "-o", "out")
    assert rendered.returncode == 0, rendered.stderr
    dockerfile = (project.root / "out/count/Dockerfile").read_text()
    assert "# Abacus counts with the beads that it finds here.\nRUN echo none > /etc/abacus\n" in dockerfile


def test_its_facts_are_weighed_like_any_other_s(project: Project):
    good = project.run("resolve", "--json", "abax", "gpu=H100")
    answer = json.loads(good.stdout)["images"][0]["resolution"]
    assert (answer["frameworks"][0]["build"], answer["cuda_provider"]) == ("cuda12", "wheels")

    bad = project.run("resolve", "--json", "abacus==3.1.*", "gpu=RTX 5090")
    assert bad.returncode == 1
    conflict = json.loads(bad.stdout)["images"][0]["conflict"]
    assert conflict["core"] == ["abacus==3.1.*", "gpu=RTX 5090"] or conflict["core"] == [
        "abacus",
        "gpu=RTX 5090",
    ]
    assert "none of it runs on RTX 5090 (sm_120)" in conflict["reasons"][0]["text"]


def test_its_facts_are_checked_and_shown(project: Project):
    checked = project.run("data", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    shown = project.run("data", "show", "abacus", "3.1.0")
    assert "made for a test" in " ".join(shown.stdout.split())


def test_facts_without_a_template_are_a_mistake(tree: Path, project: Project):
    template = tree / f"templates/frameworks/{madeup.NAME}.j2"
    text = template.read_text()
    template.unlink()
    try:
        checked = project.run("data", "check")
        assert checked.returncode == 1
        assert f"there is no frameworks/{madeup.NAME}.j2" in checked.stderr + checked.stdout
    finally:
        template.write_text(text)


def test_every_framework_that_is_chosen_has_its_template_and_its_proof():
    frameworks = load_matrix().frameworks.values()
    chosen = [one for one in frameworks if not one.facts_only]
    assert {"pytorch", "tensorflow", "jax", "onnxruntime", "cupy"} <= {one.name for one in chosen}
    for one in chosen:
        assert has_proof(one.proof), one.name
        assert (find_resource("templates") / "frameworks" / f"{one.template}.j2").is_file(), one.name
    assert {"paddlepaddle", "mxnet"} <= {one.name for one in frameworks if one.facts_only}

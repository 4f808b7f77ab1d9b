"""The same lock built again, here and on another engine: the same image to the digest, or what differs."""

import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.builder import BuildState, Reproducible, result_to_json
from cudaforge.builder.layers import compare_archived, read_archived
from cudaforge.engine import Engine, connect
from cudaforge.lockfile.model import LockedCopy
from cudaforge.records import replace
from cudaforge.report.builds import describe_builds
from tests.engine.test_build import Project, project  # noqa: F401 -- a fixture
from tests.engine.test_engine_script import exports, needs_root, script

pytestmark = pytest.mark.engine

SECOND = {
    "CUDAFORGE_ENGINE_NAME": "second",
    "CUDAFORGE_ENGINE_REGISTRY_PORT": "0",
    "CUDAFORGE_ENGINE_CDI_DIR": "",
}
COMPILE = "/opt/venv/bin/python -m compileall -q /opt/venv/lib"


@pytest.fixture
def second_engine(engine) -> Iterator[Engine]:
    """An engine beside the one that the other tests use: another daemon, with caches of its own."""
    started = script("start", **SECOND)
    assert started.returncode == 0, started.stderr
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOCKER_HOST", exports(started.stdout)["DOCKER_HOST"])
        second = connect()
    yield second
    second.close()
    assert script("stop", **SECOND).returncode == 0


@needs_root
def test_two_engines_make_the_same_image(
    project: Project,  # noqa: F811
    second_engine: Engine,
    tmp_path: Path,
):
    (project.root / "main.py").write_text("print('hello')\n")
    image = replace(
        project.image("twice", COMPILE, "date +%Y > /dev/null; echo 1 > /made"),
        copy=(LockedCopy(source="main.py", target="/app/main.py"),),
        os_packages=("libgomp1",),
    )
    made = []
    for number, engine in enumerate((project.engine, second_engine)):
        os.utime(project.root / "main.py", (1e9 + number, 1e9 + number))
        (result,) = project.build(image, engine=engine, no_cache=True, reproducible=Reproducible.YES)
        assert result.state is BuildState.BUILT, result
        engine.save_image(result.reference, tmp_path / f"{number}.tar", timeout=120)
        made.append(read_archived(tmp_path / f"{number}.tar"))
        assert made[-1].digest == result.image_id
    assert compare_archived(*made) == ()
    assert made[0].digest == made[1].digest
    second_engine.remove_image(image.tags[0])


def test_an_image_that_comes_out_the_same_is_said_to(project: Project):  # noqa: F811
    image = project.image("same", COMPILE)
    (first,) = project.build(image, reproducible=Reproducible.YES)
    (result,) = project.build(image, reproducible=Reproducible.PROVEN)
    assert (result.state, result.is_reproduced, result.image_id) == (BuildState.CACHED, True, first.image_id)
    assert "the same to the digest: same" in describe_builds([result])
    # A compiled module of the image is one that Python takes: its source's time was changed with it.
    assert "matches" in _imported(image.tags[0])


def _imported(tag: str) -> str:
    """What Python says about the compiled form of a module as it imports it."""
    argv = ["docker", "run", "--rm", "--network=none", tag, "python", "-v", "-c", "import tiny"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    return "\n".join(line for line in done.stderr.splitlines() if "tiny" in line)


def test_what_differs_is_listed(project: Project):  # noqa: F811
    image = project.image("luck", "cat /proc/sys/kernel/random/uuid > /luck", "echo same > /kept")
    (result,) = project.build(image, reproducible=Reproducible.PROVEN)
    assert (result.state, result.is_reproduced) == (BuildState.FAILED, False)
    (difference,) = [one for one in result.differences if "layer" in one]
    assert difference.endswith("/luck: other content")
    assert "/luck: other content" in describe_builds([result])
    assert json.loads(json.dumps(result_to_json(result)))["differences"] == list(result.differences)


def test_an_image_made_without_is_made_anew(project: Project, tmp_path: Path):  # noqa: F811
    image = project.image("plain", "echo 1 > /made")
    (plain,) = project.build(image)
    (again,) = project.build(image, reproducible=Reproducible.YES)
    assert again.state is BuildState.BUILT
    assert again.image_id != plain.image_id
    assert project.build(image)[0].image_id == again.image_id
    assert project.build(image, reproducible=Reproducible.YES)[0].state is BuildState.CACHED
    project.engine.save_image(image.tags[0], tmp_path / "i.tar", timeout=60)
    assert read_archived(tmp_path / "i.tar").digest == again.image_id
    with tarfile.open(tmp_path / "i.tar") as saved:
        assert "index.json" in saved.getnames()

"""What an installation carries: built by uv from the source archive, as a package index would give it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv

pytestmark = pytest.mark.network  # the build backend comes from the package index

ROOT = Path(__file__).parents[2]
LOOK = """
import json
from cudaforge import resources
from cudaforge.matrix import load_matrix
matrix = load_matrix()
print(json.dumps({
    "checkout": resources.is_checkout(),
    "compiled": resources.compiled_matrix().is_file() and resources.compiled_errors().is_file(),
    "matrices": sorted(path.name for path in resources.find_resource("matrices").iterdir()),
    "templates": sorted(path.name for path in resources.find_resource("templates").iterdir()),
    "revision": matrix.revision,
    "builds": len(matrix.builds("torch")),
}))
"""


def run(*command, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run(uv.find_uv_bin(), "build", "--out-dir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def look(python, cwd):
    return json.loads(run(python, "-c", LOOK, cwd=cwd))


def make_environment(directory, *install):
    run(uv.find_uv_bin(), "venv", "--python", sys.executable, directory, cwd=directory.parent)
    python = directory / "bin" / "python"
    extra = ["tomli"] if sys.version_info < (3, 11) else []
    # Reading facts needs nothing else, so that the test need not download all dependencies.
    run(
        uv.find_uv_bin(),
        "pip",
        "install",
        "--python",
        python,
        "--no-deps",
        *extra,
        *install,
        cwd=directory.parent,
    )
    return python


def test_a_wheel_carries_matrices_templates_and_the_compiled_form(wheel, tmp_path):
    seen = look(make_environment(tmp_path / "env", wheel), tmp_path)
    assert seen["checkout"] is False
    assert seen["compiled"] is True
    assert seen["matrices"] == sorted(path.name for path in (ROOT / "matrices").iterdir())
    assert seen["templates"] == sorted(path.name for path in (ROOT / "templates").iterdir())
    assert seen["builds"] > 100


def test_an_editable_install_reads_the_checkout(wheel, tmp_path):
    installed = look(make_environment(tmp_path / "a", wheel), tmp_path)
    editable = look(make_environment(tmp_path / "b", "--editable", ROOT), tmp_path)
    assert editable["checkout"] is True
    assert editable["revision"] == installed["revision"]

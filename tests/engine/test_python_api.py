"""The Python of docs/programs.md, run as it stands there, and the JSON of a build and a proof."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.test_surroundings import index, project  # noqa: F401 -- fixtures
from tests.support.tiny import TinyProject

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]
PAGE = Path(__file__).parents[2] / "docs/programs.md"


def test_the_example_goes_from_a_declaration_to_verdicts(project: TinyProject) -> None:  # noqa: F811
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, locked, good = done.stdout.splitlines()
    assert locked.startswith(f"{project.root.resolve()}/cudaforge.lock 1 ")
    assert good == "True"
    assert (project.root / "docker/one/Dockerfile").is_file()
    built = json.loads(project.run("build", "--json").stdout)
    assert [(image["state"], image["pushed"]) for image in built["images"]] == [("cached", None)]
    proven = json.loads(project.run("verify", "--json").stdout)
    assert [image["ok"] for image in proven["images"]] == [True]
    assert built["images"][0]["image_id"] == proven["images"][0]["image_id"]

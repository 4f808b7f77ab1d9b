"""What an audit calls broken does not build or run on a real engine, and what it mends does.

The bases are made from the OS archive and carry the names that the Dockerfiles give: no registry is asked.
They bring pip and the wheels of a real framework, so that builds need no network.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.audit import Asked, Report, audit_dockerfile
from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.engine import connect
from cudaforge.matrix import load_matrix
from cudaforge.pipeline.auditing import apply_fixes
from tests.engine.test_examples import EXAMPLES, up
from tests.support.bases import make_base

pytestmark = [
    pytest.mark.engine,
    pytest.mark.network,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(shutil.which("pip3") is None, reason="this host has no pip to download wheels with"),
]

AS_OF = "2026-11-28"
SYSTEM, PYTHON = "debian:12-slim", "python:3.11-slim-bookworm"
WHEELS = ("pip", "onnxruntime==1.18.0", "onnxruntime==1.32.0", "numpy==1.26.4", "numpy==2.2.6")
BASE = """\
FROM {base}
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
RUN python3 $(ls /wheels/pip-*.whl)/pip install --break-system-packages pip
"""
AS_PYTHON = BASE + "RUN rm /usr/lib/python3.11/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python\n"


def docker(*words: str, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=600, check=False, **options
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def bases(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Images under the names of the public ones, of what the OS archive and the package index have."""
    del engine
    context = tmp_path_factory.mktemp("base")
    for wheel in WHEELS:
        subprocess.run(
            [
                "pip3",
                "download",
                "--quiet",
                "--only-binary=:all:",
                "--python-version=3.11",
                "--dest",
                "wheels",
                wheel,
            ],
            cwd=context,
            check=True,
            timeout=600,
        )
    base = make_base("bookworm")
    write_archive(base, context / "base.tar")
    connected = connect()
    connected.load_image(context / "base.tar", timeout=300)
    (context / "base.tar").unlink()
    raw = "cudaforge.invalid/test-audit:base"
    connected.tag_image(loaded_reference(base), raw)
    for name, text in ((SYSTEM, BASE), (PYTHON, AS_PYTHON)):
        (context / "Dockerfile").write_text(text.format(base=raw), "utf-8")
        docker("build", "--network=none", "--tag", name, str(context))
    yield
    for name in (SYSTEM, PYTHON, raw, loaded_reference(base)):
        connected.remove_image(name)
    connected.close()


def audit(text: str) -> Report:
    asked = Asked(as_of=AS_OF)
    return audit_dockerfile(
        text.encode(), file="Dockerfile", asked=asked, matrix=load_matrix(), read=lambda _: None
    )


def works(text: str, directory: Path) -> bool:
    """Whether it builds, and then runs."""
    (directory / "Dockerfile").write_text(text, "utf-8")
    tag = f"cudaforge.invalid/test-audit:{uuid.uuid4().hex}"
    if docker("build", "--network=none", "--tag", tag, str(directory), check=False).returncode != 0:
        return False
    try:
        return docker("run", "--rm", "--network=none", tag, check=False).returncode == 0
    finally:
        docker("rmi", "--force", tag)


RUNS = 'CMD ["python3", "-c", "import onnxruntime, numpy; onnxruntime.get_device(); numpy.zeros(3)"]\n'
INSTALL = "RUN pip3 install onnxruntime==1.18.0 'numpy<2'\n"
BROKEN = {
    "pep668": f"FROM {SYSTEM}\nRUN apt-get install -y python3-pip || true\n{INSTALL}{RUNS}",
    "shell-redirect": f"FROM {PYTHON}\nRUN pip install 'numpy<2' onnxruntime<1.19\n{RUNS}",
    "numpy-abi": f"FROM {PYTHON}\nRUN pip install onnxruntime==1.18.0 numpy\n{RUNS}",
    "python-missing": f"FROM {SYSTEM}\nRUN apt-get install -y python3-pip || true\n"
    + INSTALL.replace("install", "install --break-system-packages")
    + RUNS.replace("python3", "python"),
}


@pytest.mark.parametrize("code", BROKEN)
def test_what_is_broken_does_not_work_and_what_was_mended_does(code, bases, tmp_path) -> None:
    text = BROKEN[code]
    report = audit(text)
    findings = [one for one in report.findings if one.code.value == code]
    assert findings
    assert findings[0].fix
    assert report.verdict.value == "broken"
    assert not works(text, tmp_path)
    mended = apply_fixes(text, findings)
    assert code not in {one.code.value for one in audit(mended).findings}
    assert works(mended, tmp_path)


def test_a_release_that_was_pinned_by_a_fix_is_the_one_that_pip_takes(bases, tmp_path) -> None:
    text = f"FROM {PYTHON}\nRUN pip install onnxruntime numpy\n"
    (finding,) = [one for one in audit(text).findings if one.code.value == "unpinned-framework"]
    release = finding.fix.new.partition("==")[2]
    check = f'CMD ["python", "-c", "import onnxruntime as o; assert o.__version__ == \'{release}\'"]\n'
    assert works(text + check, tmp_path)
    assert works(apply_fixes(text, [finding]) + check, tmp_path)


REPAIRED = """\
schema = 1

[project]
name = "seed-cnn-repaired"

[images.train]
framework = "tensorflow==2.18.*"
cuda_provider = "wheels"
base = "bootstrap:debian12"
copy = [{ from = "main.py", to = "/app/main.py" }]
workdir = "/app"
command = ["python", "main.py"]
"""


@pytest.mark.slow
def test_the_seed_example_repaired_to_wheels_trains(engine, tmp_path) -> None:
    seed = EXAMPLES / "seed-cnn"
    written = (seed / "Dockerfile").read_text("utf-8").replace("-r requirements.txt", "tensorflow")
    assert {"base-image-removed", "cudnn-too-old"} <= {one.code.value for one in audit(written).findings}
    shutil.copy(seed / "main.py", tmp_path)
    (tmp_path / "cudaforge.toml").write_text(REPAIRED, "utf-8")
    (image,) = up(tmp_path)["images"]
    assert image["verdict"]["ok"]
    assert "trained on" in image["verdict"]["summary"]

# ruff: noqa: F811 -- the fixtures are another module's
"""Images for several platforms on a real engine: the half that this machine is of."""

import subprocess

import pytest

from cudaforge.engine import connect, own_builder
from cudaforge.records import replace
from cudaforge.renderer import render_image
from tests.engine.test_render import base, builder  # noqa: F401
from tests.support.building import Builder, python
from tests.support.locks import BOTH_IMAGE, BOTH_PLATFORMS, CPU_IMAGE

pytestmark = pytest.mark.engine


def test_a_dockerfile_for_several_platforms_takes_what_is_of_its_own(builder: Builder):
    """uv lies where BuildKit's TARGETARCH points to: a variable in the source of a mount."""
    uv = builder.directory / "uv"
    (uv / "amd64").mkdir()
    (uv / "uv").rename(uv / "amd64" / "uv")
    (uv / "arm64").mkdir()
    (uv / "arm64" / "uv").write_text("#!/bin/sh\nexit 1\n")
    image = replace(CPU_IMAGE, platforms=BOTH_PLATFORMS)
    tag = builder.build(image, "--platform=linux/amd64")
    assert python(builder, tag, "import tiny; print(tiny.VALUE)") == "42"


def test_the_builder_says_which_programs_it_runs(engine):
    platforms = own_builder(connect()).find_platforms()
    assert f"linux/{connect().architecture}" in platforms
    assert all(one.count("/") == 1 for one in platforms)


@pytest.mark.parametrize(("architecture", "is_good"), [("arm64", True), ("amd64", False), ("s390x", False)])
def test_the_hash_of_a_standalone_python_is_checked_on_each_platform(tmp_path, architecture, is_good):
    """The very shell of the step, on an empty file that only arm64's hash is of."""
    archive = tmp_path / "python.tar.gz"
    archive.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    first, second = BOTH_IMAGE.standalone.archives
    python = replace(BOTH_IMAGE.standalone, archives=(first, replace(second, sha256=empty)))
    text = render_image(replace(BOTH_IMAGE, standalone=python)).dockerfile
    shell = text[text.index('case "$TARGETARCH"') : text.index(" && \\\n    mkdir /opt/python")]
    done = subprocess.run(
        ["/bin/sh", "-c", shell.replace("/run/cudaforge/python.tar.gz", str(archive))],
        env={"TARGETARCH": architecture, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) == is_good, done.stderr

"""`cudaforge data measure` on an image of a real engine: nothing of it runs, and no container stays."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.engine import RUN_LABEL, connect
from tests.support.artefacts import TORCH_REQUIRES, contents, tar_of, torch_files
from tests.support.building import docker

pytestmark = pytest.mark.engine

TAG = "cudaforge.invalid/test-measure:1"
SITE = "opt/venv/lib/python3.12/site-packages"


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image that holds a made-up torch and nothing that could run."""
    whole = contents(
        "torch", "2.8.0", torch_files(), tag="cp312-cp312-manylinux_2_28_x86_64", requires=TORCH_REQUIRES
    )
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    archive.write_bytes(tar_of({f"{SITE}/{path}": content for path, content in whole.items()}))
    docker("import", archive, TAG)
    yield TAG
    docker("rmi", "--force", TAG)


def containers() -> str:
    return subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"label={RUN_LABEL}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_an_image_is_measured_and_left_as_it_was(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = containers()
    code = run_command_line(["data", "measure", image, "--json"])
    (found,) = json.loads(capsys.readouterr().out)["measured"]
    assert code == 0
    assert found["artefact"] == f"{image}: /{SITE}"
    assert found["cubins"]["value"] == "7.0 7.5 8.0 8.6 9.0 10.0 12.0"
    assert [row["differs"] for row in found["rows"]] == [[]]
    assert containers() == before


def test_an_image_that_is_not_there_and_one_without_frameworks(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["data", "measure", "cudaforge.invalid/not-there:1"]) == 1
    assert "docker pull cudaforge.invalid/not-there:1" in capsys.readouterr().err
    archive = tmp_path / "plain.tar"
    archive.write_bytes(tar_of({"etc/os-release": b"ID=none\n"}))
    plain = "cudaforge.invalid/test-measure:plain"
    docker("import", archive, plain)
    try:
        assert run_command_line(["data", "measure", plain]) == 1
        assert "holds no framework that the matrix knows" in capsys.readouterr().err
    finally:
        docker("rmi", "--force", plain)


def test_the_container_goes_away_whatever_happens_while_it_is_read(image: str) -> None:
    engine = connect()
    found = engine.find_image(image)
    assert found is not None

    def break_off() -> None:
        with engine.opened_image(found.id, run_id="test-measure-breaks") as files:
            assert list(files.archive("/no/such/path")) == []
            assert next(files.export())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert engine.remove_leftovers("test-measure-breaks") == 0
    engine.close()

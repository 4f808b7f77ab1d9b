"""`--device` is checked before anything else is done."""

import pytest

from cudaforge.cli.main import run_command_line


@pytest.mark.parametrize("command", [["verify"], ["run", "train"]], ids=" ".join)
@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--device", "0,1"], "'0,1' is not the name of a GPU"),
        (["--device", "0", "--device", "../x"], "'../x' is not the name of a GPU"),
        (["--device", "all", "--device", "1"], "cannot be asked for together"),
    ],
)
def test_what_names_no_gpu_is_wrong_input(
    command: list[str], options: list[str], word: str, capsys: pytest.CaptureFixture[str]
):
    assert run_command_line([*command, *options]) == 2
    assert word in " ".join(capsys.readouterr().err.split())


def test_a_gpu_and_no_gpu(capsys: pytest.CaptureFixture[str]):
    assert run_command_line(["run", "train", "--no-gpu", "--device", "0"]) == 2
    assert "--no-gpu" in capsys.readouterr().err

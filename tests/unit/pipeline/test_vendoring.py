from pathlib import Path

import pytest

from cudaforge.errors import InputError
from cudaforge.lockfile.model import Lock
from cudaforge.pipeline import decide
from cudaforge.pipeline.vendoring import vendor


@pytest.mark.parametrize("name", ["co:lon", "new\nline", "bell\a"])
def test_a_directory_that_no_build_can_be_given_is_refused_before_anything_is_collected(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "cudaforge.toml").write_text('schema = 1\n[images.a]\nframework = "jax"\ncuda = "none"\n')
    lock = Lock(project="x", declaration="", matrix="", tools={}, images=())
    with pytest.raises(InputError, match="a colon or a character"):
        vendor(lock, decide.load(tmp_path / "cudaforge.toml"), tmp_path / name, on_note=print)
    assert not (tmp_path / name).exists()

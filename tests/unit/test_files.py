"""Several files put in place together."""

from __future__ import annotations

import pytest

from cudaforge.errors import CudaforgeError
from cudaforge.files import write_together


def test_all_are_written(tmp_path):
    (tmp_path / "a").write_text("old")
    write_together({tmp_path / "a": "new", tmp_path / "b" / "c": "new"})
    assert [(tmp_path / name).read_text() for name in ("a", "b/c")] == ["new", "new"]


def test_where_one_cannot_be_written_all_are_as_they_were(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(CudaforgeError, match="symbolic link"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new", tmp_path / "link": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "target").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "link", "target"]

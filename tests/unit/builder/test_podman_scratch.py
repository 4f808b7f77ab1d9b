"""The TMPDIR of a build by Podman: it goes, and the caches in it stay."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from cudaforge.builder.podman_scratch import build_scratch


def leave(directory: Path, cache: str | None) -> None:
    """What Buildah writes, and leaves when it is ended."""
    (directory / "buildah123/mnt/rootfs").mkdir(parents=True)
    if cache is not None:
        (directory / cache / "cudaforge-uv").mkdir(parents=True)


def interrupted(place: Path, cache: str) -> None:
    """A build that a Ctrl-C ends."""
    with suppress(KeyboardInterrupt), build_scratch(place) as directory:
        leave(directory, cache)
        raise KeyboardInterrupt


@pytest.mark.parametrize("cache", ["buildah-cache", f"buildah-cache-{os.getuid()}"])
def test_only_caches_stay(tmp_path: Path, cache: str) -> None:
    interrupted(tmp_path, cache)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        cache,
        f"{cache}/cudaforge-uv",
    ]
    with build_scratch(tmp_path) as directory:
        assert (directory / cache / "cudaforge-uv").is_dir()


def test_builds_at_once_share_the_caches(tmp_path: Path) -> None:
    with build_scratch(tmp_path) as one, build_scratch(tmp_path) as other:
        leave(one, "buildah-cache")
        assert (other / "buildah-cache/cudaforge-uv").is_dir()


def test_a_cache_behind_a_link_is_not_taken(tmp_path: Path) -> None:
    """Where everybody may write, another user could have made it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "place").mkdir()
    (tmp_path / "place/buildah-cache").symlink_to(tmp_path / "elsewhere")
    with build_scratch(tmp_path / "place") as directory:
        leave(directory, "buildah-cache")
    assert list((tmp_path / "elsewhere").iterdir()) == []

"""What Podman writes beside its store during a build: it goes with the build, but for the caches of steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cudaforge.builder.scratch import scratch_directory

_CACHE = "buildah-cache"


@contextlib.contextmanager
def build_scratch(place: Path) -> Iterator[Path]:
    """A directory below `place` to be the TMPDIR of one build: Podman leaves files there when it is ended.

    `place` is where it would write by itself, and where its caches of steps stay. Raises SurroundingsError.
    """
    with scratch_directory(place) as directory:
        # Of root and of all in older releases; of each user in newer ones.
        caches = [place / _CACHE, place / f"{_CACHE}-{os.getuid()}"]
        for cache in caches:
            with contextlib.suppress(OSError):  # without one, what the build caches goes with it
                cache.mkdir(mode=0o755, exist_ok=True)
                if _is_own_directory(cache):
                    (directory / cache.name).symlink_to(cache)
        try:
            yield directory
        finally:
            _remove_unused(caches)


def _is_own_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.lstat().st_uid == os.getuid()


def _remove_unused(caches: list[Path]) -> None:
    """Take the one away whose name this Podman does not use. While neither is filled, nobody knows which."""
    filled = [cache for cache in caches if _is_filled(cache)]
    for cache in caches if filled else ():
        with contextlib.suppress(OSError):  # filled, or gone
            cache.rmdir()


def _is_filled(directory: Path) -> bool:
    try:
        return any(directory.iterdir())
    except OSError:
        return False

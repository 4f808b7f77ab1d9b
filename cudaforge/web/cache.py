"""Answers that are kept between runs, each with the mark (ETag) by which its server knows it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from cudaforge.records import record

_MOST_FILES = 256
_MOST_BYTES = 256 * 1024 * 1024


@record()
class Kept:
    """One kept answer."""

    etag: str
    content_type: str
    body: bytes


class Cache:
    """A directory of answers. Two processes may share it: files are replaced whole, never changed.

    A cache that cannot be read or written is an empty one: nothing depends on it.
    """

    def __init__(
        self, directory: Path, *, most_files: int = _MOST_FILES, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._directory = directory
        self._most_files = most_files
        self._most_bytes = most_bytes

    def find(self, url: str, accept: str) -> Kept | None:
        """What was answered last, if it is whole."""
        try:
            head, _, body = self._path(url, accept).read_bytes().partition(b"\n")
            values = json.loads(head)
            kept = Kept(etag=str(values["etag"]), content_type=str(values["content_type"]), body=body)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return kept if values.get("sha256") == hashlib.sha256(body).hexdigest() else None

    def keep(self, url: str, accept: str, kept: Kept) -> None:
        """Keep an answer; the longest unused ones make room for it."""
        head = {
            "etag": kept.etag,
            "content_type": kept.content_type,
            "sha256": hashlib.sha256(kept.body).hexdigest(),
        }
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new.")
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(json.dumps(head).encode() + b"\n" + kept.body)
                Path(temporary).replace(self._path(url, accept))
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._make_room()

    def _path(self, url: str, accept: str) -> Path:
        # The address may hold a password: only its hash is written down.
        return self._directory / hashlib.sha256(f"{accept}\n{url}".encode()).hexdigest()

    def _make_room(self) -> None:
        files = [(path, path.stat()) for path in self._directory.iterdir() if not path.name.startswith(".")]
        files.sort(key=lambda item: item[1].st_mtime_ns, reverse=True)
        total = 0
        for number, (path, status) in enumerate(files):
            total += status.st_size
            if number and (number >= self._most_files or total > self._most_bytes):
                path.unlink(missing_ok=True)

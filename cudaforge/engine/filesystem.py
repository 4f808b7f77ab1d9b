"""The files of an image, read through a container that is never started."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from cudaforge.engine.containers import remove
from cudaforge.engine.model import RUN_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

_CHUNK = 2 * 1024 * 1024
_Asking = Callable[[str], AbstractContextManager[None]]
_DOING = "for the files of an image"


class ImageFilesystem:
    """What is in an image, as tar streams. Each raises an EngineError while it is read, if at all."""

    def __init__(self, client: DockerClient, container: str, asking: _Asking) -> None:
        self._client = client
        self._container = container
        self._asking = asking

    def export(self) -> Iterator[bytes]:
        """All of it."""
        with self._asking(_DOING):
            yield from self._client.api.export(self._container, chunk_size=_CHUNK)

    def has(self, path: str) -> bool:
        """Whether there is anything at a path, a link that leads nowhere included."""
        from docker.errors import NotFound

        with self._asking(_DOING):
            try:
                self._client.api.get_archive(self._container, path, chunk_size=_CHUNK)[0].close()
            except NotFound:
                return False
        return True

    def archive(self, path: str) -> Iterator[bytes]:
        """A file, or a directory with all that is in it; nothing where there is none."""
        from docker.errors import NotFound

        with self._asking(_DOING):
            try:
                chunks, _ = self._client.api.get_archive(self._container, path, chunk_size=_CHUNK)
            except NotFound:
                return
            yield from chunks


@contextlib.contextmanager
def opened(client: DockerClient, image: str, run_id: str, asking: _Asking) -> Iterator[ImageFilesystem]:
    """The files of an image, until the block ends; no program of the image runs."""
    with asking("to look into an image"):
        created = client.api.create_container(
            # It is never run; an image without a command of its own needs one all the same.
            image=image,
            command=["none"],
            labels={RUN_LABEL: run_id},
            network_disabled=True,
        )
    container = str(created["Id"])
    try:
        yield ImageFilesystem(client, container, asking)
    finally:
        with asking("to remove a container"):
            remove(client, container)

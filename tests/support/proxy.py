"""A socket before the engine's own, so that a test can cut the engine off, or freeze it, unharmed."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


class EngineProxy:
    """Forwards to the engine until `die` or `freeze`."""

    def __init__(self, path: Path, target: str) -> None:
        self.address = f"unix://{path}"
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._path = path
        self._open: list[socket.socket] = []
        self._is_flowing = threading.Event()
        self._is_flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        """Like a killed daemon: connections end, and no new ones are taken."""
        self._path.unlink(missing_ok=True)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Like a stopped daemon: connections are taken, and nothing is answered."""
        self._is_flowing.clear()

    def close(self) -> None:
        self.die()
        self._is_flowing.set()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._is_flowing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def engine_proxy(directory: Path) -> Iterator[EngineProxy]:
    """A proxy of the engine that the environment names; for engines on a Unix socket."""
    target = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    proxy = EngineProxy(directory / "proxy.sock", target)
    try:
        yield proxy
    finally:
        proxy.close()

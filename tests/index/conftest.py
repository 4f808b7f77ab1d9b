"""Closures asked of real indexes by the real uv, with nothing of this machine's configuration."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cudaforge.packages.model import ClosureRequest
from cudaforge.packages.site import DeclaredNetwork, Site, read_site
from tests.support.index import Index, serve

_OF_THIS_MACHINE = (
    "UV_",
    "PIP_",
    "XDG_CONFIG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "NETRC",
)

Serve = Callable[..., Index]


@pytest.fixture(autouse=True)
def own_configuration(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("network"):
        return
    for name in os.environ:
        if name.upper().startswith(_OF_THIS_MACHINE):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def serve_index() -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda files, **options: running.enter_context(serve(Index(files=files, **options)))


def site(tmp_path: Path, *, offline: bool = False, **declared: object) -> Site:
    """The site that a declaration in `tmp_path` with this `[network]` sees."""
    values = {"indexes": {}, "registries": {}, "root": tmp_path, "file": "cudaforge.toml", **declared}
    return read_site(
        DeclaredNetwork(**values), environ=os.environ, offline=offline, prefix=tmp_path / "prefix"
    )


def request(*requirements: str, **others: object) -> ClosureRequest:
    """What an image asks for, on Debian 12's Python."""
    values = {
        "name": "train",
        "requirements": requirements,
        "constraints": (),
        "packages": (),
        "python": "3.11",
        "platform": "linux/amd64",
        "glibc": "2.36",
        "indexes": {},
        "index_of": {},
        **others,
    }
    return ClosureRequest(**values)

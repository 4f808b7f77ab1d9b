"""Projects that are locked for real, but for uv: a registry on loopback, and closures made up from what they
ask for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.packages.model import ClosureRequest, LockedWheel
from cudaforge.packages.question import Ask
from cudaforge.packages.site import Site
from cudaforge.pipeline import entries, locking, outlook
from tests.unit.registry.server import OCI_INDEX, Exchange, Server, digest_of, index, serving

_PIN = re.compile(r"(?P<name>[A-Za-z0-9_-]+)(?:\[[^\]]*\])?={2,3}(?P<version>[^;\s]+)")


@dataclass
class World:
    """What lies outside a project: an index that has one version of each package, and a registry whose tags
    all stand for the bytes of `pushed`."""

    root: Path
    registry: Server | None = None
    versions: dict[str, str] = field(default_factory=lambda: {"numpy": "2.1.0"})
    pushed: bytes = b""
    failing: Exception | None = None
    """What uv answers instead of a closure."""

    def closure(self, request: ClosureRequest, site: Site, *, ask: Ask) -> tuple[LockedWheel, ...]:  # noqa: ARG002
        """The pinned roots, and every package that is asked for: as before where that is preferred."""
        if self.failing is not None:
            raise self.failing
        found = {match["name"]: match["version"] for match in map(_PIN.match, request.requirements) if match}
        earlier = {wheel.package: wheel.version for wheel in request.preferred}
        for name in request.packages:
            found[name] = earlier.get(name, self.versions.get(name, "1.0"))
        return tuple(_wheel(name, version) for name, version in sorted(found.items()))

    def answer(self, exchange: Exchange) -> None:
        """Any manifest: the index that was pushed last."""
        body = index("linux/amd64", self.pushed.decode() or "linux/arm64")
        exchange.send(200, body, Content_Type=OCI_INDEX, Docker_Content_Digest=digest_of(body))

    def push(self, name: str) -> None:
        """Move all tags."""
        self.pushed = f"linux/{name}".encode()

    def cut(self) -> None:
        """No index answers, and no registry."""
        self.failing = SurroundingsError(Problem(what="the package index at pypi.example is silent"))
        self.answer_with(500)

    def answer_with(self, status: int) -> None:
        """The registry answers with an error."""
        assert self.registry is not None
        self.registry.answer = lambda exchange: exchange.send(status)

    def declare(self, **images: str) -> None:
        """Write the declaration: each image by its lines."""
        assert self.registry is not None
        tables = "\n".join(f"[images.{name}]\n{lines}\n" for name, lines in images.items())
        (self.root / "cudaforge.toml").write_text(
            f'schema = 1\n[project]\nname = "world"\n[registries]\n'
            f'"docker.io" = "{self.registry.host}"\n{tables}'
        )

    def files(self) -> Mapping[str, bytes]:
        """Every file of the project, with its content."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


def _wheel(name: str, version: str) -> LockedWheel:
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return LockedWheel(
        package=name,
        version=version,
        filename=filename,
        index="default",
        sha256=hashlib.sha256(filename.encode()).hexdigest(),
        size=len(version) * 1_000_000,
    )


Run = Callable[..., tuple[int, str, str]]
"""Gives words to the command line, and its exit code, output and messages."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        code = run_command_line(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty project, and the directory of the run."""
    made = World(root=tmp_path / "project")
    made.root.mkdir()
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(locking, "uv_version", lambda: "0")
    for module in (entries, outlook):
        monkeypatch.setattr(module, "resolve_closure", made.closure)
    with serving(made.answer) as server:
        made.registry = server
        yield made

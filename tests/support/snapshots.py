"""A recorded snapshot service: a small signed archive of packages for each of some days, on loopback."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cudaforge.bootstrap.deb import read_control
from tests.unit.web.servers import answer, serving

SUITES = {"debian": ("{0}", "{0}-updates"), "debian-security": ("{0}-security",)}
"""By archive, as Debian has them."""
_RELEASE = """\
Origin: Test
Suite: {suite}
Codename: {suite}
Date: Mon, 01 Jun 2026 00:00:00 UTC
Valid-Until: Tue, 02 Jun 2026 00:00:00 UTC
Architectures: amd64
Components: main
SHA256:
 {sha256} {size} main/binary-amd64/Packages
"""


@dataclass
class Snapshots:
    """The service. `asked` are the paths that it was asked for."""

    directory: Path
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def files(self) -> Path:
        """What is served."""
        return self.directory / "files"

    @property
    def keyring(self) -> Path:
        """The public key of everything here, as apt's `signed-by` takes it."""
        return self.directory / "keyring.gpg"

    def make_key(self) -> None:
        """A key of its own for signing."""
        self._home.mkdir(parents=True, mode=0o700)
        self._gpg("--passphrase", "", "--quick-gen-key", "snapshots@test.invalid", "rsa2048", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))

    def record(
        self,
        timestamp: str,
        codename: str,
        packages: Mapping[str, str],
        *,
        depends: Mapping[str, str] | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        """The archive at a time: packages by name, each with one file that says its version, and what they
        depend on by name, too; and packages that are there as `files`."""
        for archive, suites in SUITES.items():
            root = self.files / archive / timestamp
            has_any = archive == "debian"
            for suite in suites:
                texts = []
                if has_any and suite == "{0}":
                    texts += [
                        self._package(root, name, version, (depends or {}).get(name))
                        for name, version in packages.items()
                    ]
                    texts += [self._copied(root, path) for path in files]
                text = "".join(texts)
                self._release(root, suite.format(codename), text)

    def _package(self, root: Path, name: str, version: str, depends: str | None) -> str:
        tree = self.directory / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@test.invalid>\n"
        )
        control += f"Depends: {depends}\n" if depends else ""
        (tree / "DEBIAN" / "control").write_text(f"{control}Description: for a test\n")
        (tree / "usr/share" / name).mkdir(parents=True)
        (tree / "usr/share" / name / "version").write_text(version)
        path = f"pool/{name}_{version}_all.deb"
        (root / "pool").mkdir(parents=True, exist_ok=True)
        build = ["dpkg-deb", "--root-owner-group", "--build", tree, root / path]
        subprocess.run(build, check=True, capture_output=True, timeout=60)
        content = (root / path).read_bytes()
        where = f"Filename: {path}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        return f"{control}{where}Description: for a test\n\n"

    def _copied(self, root: Path, path: Path) -> str:
        name = f"pool/{path.name}"
        (root / "pool").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name)
        content = path.read_bytes()
        where = f"Filename: {name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        return f"{read_control(path).strip()}\n{where}\n"

    def _release(self, root: Path, suite: str, packages: str) -> None:
        directory = root / "dists" / suite
        (directory / "main/binary-amd64").mkdir(parents=True)
        content = packages.encode()
        (directory / "main/binary-amd64/Packages").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        release = _RELEASE.format(suite=suite, sha256=sha256, size=len(content))
        (directory / "InRelease").write_bytes(self._gpg("--clearsign", stdin=release.encode()))

    @property
    def _home(self) -> Path:
        return self.directory / "gnupg"

    def _gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self._home), "--batch", "--quiet", "--yes", *words]
        return subprocess.run(argv, input=stdin, check=True, capture_output=True, timeout=120).stdout

    def end(self) -> None:
        """Let no agent of gpg's stay behind."""
        argv = ["gpgconf", "--homedir", str(self._home), "--kill", "all"]
        subprocess.run(argv, check=True, capture_output=True, timeout=60, env={**os.environ})


@contextmanager
def recorded(directory: Path) -> Iterator[Snapshots]:
    """The service with a key and nothing recorded yet."""
    snapshots = Snapshots(directory=directory)

    def handle(request) -> None:
        snapshots.asked.append(request.path)
        file = snapshots.files / request.path.lstrip("/")
        answer(request, file.read_bytes()) if file.is_file() else answer(request, status=404)

    snapshots.make_key()
    try:
        with serving(handle) as url:
            snapshots.url = url
            yield snapshots
    finally:
        snapshots.end()

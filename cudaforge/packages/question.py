"""One question to uv: a small project of its own, and the wheels that uv names in answer to it.

uv reads the settings of the directory that it runs in and of those above; in a directory of its own only
those of the user and of the system are left.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import write_error
from cudaforge.packages.model import GitCommit, LockedWheel
from cudaforge.packages.site import Site
from cudaforge.packages.uv import PROJECT_NAME, NoSolution, address_problem, compile_closure
from cudaforge.records import made, record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PROJECT = "pyproject.toml"
_PREFERRED = "pylock.closure.toml"


@record()
class Question:
    """What uv is asked for."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    python: str
    sources: Mapping[str, str]
    """Package to the name of the one index that may serve it."""
    indexes: Mapping[str, str]
    """Address of each index that `sources` names."""
    files: Mapping[str, Path] = made(default_factory=dict)
    """Package to the wheel that stands for it."""
    from_source: tuple[str, ...] = ()
    """Packages whose source is taken, and no wheel: uv may run their code to learn what they need."""
    preferred: tuple[LockedWheel, ...] = ()
    options: tuple[str, ...]


@record()
class Offer:
    """One wheel or source that an index has: at an address, or as a file of this machine. Or a commit."""

    package: str
    version: str
    filename: str
    address: str
    """`https://...`, or `file:///...`."""
    sha256: str | None
    size: int | None
    git: GitCommit | None = None

    @property
    def path(self) -> Path | None:
        """The file, if it is one of this machine."""
        parts = urlsplit(self.address)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None


def ask(question: Question, *, site: Site) -> tuple[Offer, ...] | NoSolution:
    """Every wheel that uv names for the question. Raises SurroundingsError where an index fails."""
    import tomli_w

    with _scratch_directory() as directory:
        (directory / _PROJECT).write_text(tomli_w.dumps(_project(question)), encoding="utf-8")
        arguments = [_PROJECT, f"--python-version={question.python}", *question.options]
        arguments += [f"--no-binary={name}" for name in question.from_source]
        if not question.from_source:
            # Else uv looks for the Python of that version, which only running code of packages needs.
            arguments.append(f"--python={sys.executable}")
        if question.constraints:
            (directory / "constraints.txt").write_text(
                "\n".join(question.constraints) + "\n", encoding="utf-8"
            )
            arguments.append("--constraints=constraints.txt")
        if question.preferred:
            preferred = tomli_w.dumps(_earlier(question.preferred))
            (directory / _PREFERRED).write_text(preferred, encoding="utf-8")
            arguments.append(f"--output-file={_PREFERRED}")
        answer = compile_closure(arguments, site=site, directory=directory)
        if isinstance(answer, NoSolution):
            return answer
        text = (directory / _PREFERRED).read_text(encoding="utf-8") if question.preferred else answer
        return tuple(_offers(text, directory, question.files))


@contextlib.contextmanager
def _scratch_directory() -> Iterator[Path]:
    """A directory for the question's files. A disk that does not take them is named by its path."""
    place = Path(tempfile.gettempdir())
    try:
        # Named after the process: builds take away what killed ones left.
        prefix = f"cudaforge-{os.getpid()}-"
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
            place = Path(name)
            yield place
    except OSError as error:
        raise write_error(place, error) from None


def _project(question: Question) -> dict[str, object]:
    used = {name: url for name, url in question.indexes.items() if name in question.sources.values()}
    return {
        "project": {
            "name": PROJECT_NAME,
            "version": "0",
            "requires-python": f"=={question.python}.*",
            "dependencies": list(question.requirements),
        },
        "tool": {
            "uv": {
                "package": False,
                "index": [{"name": name, "url": url, "explicit": True} for name, url in used.items()],
                "sources": {
                    **{package: {"index": name} for package, name in question.sources.items()},
                    **{package: {"path": str(path)} for package, path in question.files.items()},
                },
            }
        },
    }


def _earlier(wheels: tuple[LockedWheel, ...]) -> dict[str, object]:
    """An earlier closure as a file that uv takes versions from where they still fit."""
    return {
        "lock-version": "1.0",
        "created-by": "cudaforge",
        "packages": [
            {
                "name": package,
                "version": version,
                **_earlier_files([one for one in wheels if one.package == package]),
            }
            for package, version in dict.fromkeys(
                (wheel.package, wheel.version) for wheel in wheels if wheel.git is None
            )
        ],
    }


def _earlier_files(wheels: Sequence[LockedWheel]) -> dict[str, object]:
    files = [{"path": wheel.filename, "hashes": {"sha256": wheel.sha256}} for wheel in wheels]
    return {"sdist": files[0]} if wheels[0].is_built else {"wheels": files}


def _offers(text: str, directory: Path, files: Mapping[str, Path]) -> Iterator[Offer]:
    try:
        packages = tomllib.loads(text).get("packages", [])
        for package in packages:
            path = files.get(package["name"])
            if path is None:
                yield from _package_offers(package, directory)
            else:
                yield Offer(
                    package=package["name"],
                    version=package["version"],
                    filename=path.name,
                    address=path.as_uri(),
                    sha256=None,
                    size=None,
                )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SurroundingsError(
            Problem(
                what="uv's answer cannot be read",
                because=(f"{type(error).__name__}: {error}",),
                remedy="install a version of uv that this release of cudaforge was tested with",
            )
        ) from None


def _package_offers(package: dict[str, Any], directory: Path) -> Iterator[Offer]:
    if "vcs" in package:
        yield _commit(package)
        return
    files = package.get("wheels") or ([package["sdist"]] if "sdist" in package else [])
    if not files:
        raise NegativeAnswer(address_problem(package["name"]))
    for wheel in files:
        address = wheel["url"] if "url" in wheel else (directory / wheel["path"]).resolve().as_uri()
        yield Offer(
            package=package["name"],
            version=package["version"],
            filename=wheel.get("name") or unquote(urlsplit(address).path.rpartition("/")[2]),
            address=address,
            sha256=wheel.get("hashes", {}).get("sha256"),
            size=wheel.get("size"),
        )


def _commit(package: dict[str, Any]) -> Offer:
    vcs, name = package["vcs"], package["name"]
    return Offer(
        package=name,
        version=package["version"],
        filename=f"{name}-{vcs['commit-id']}.tar.gz",
        address=vcs["url"],
        sha256="",
        size=None,
        git=GitCommit(url=vcs["url"], commit=vcs["commit-id"], subdirectory=vcs.get("subdirectory", "")),
    )

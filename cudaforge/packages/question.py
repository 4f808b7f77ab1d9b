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
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import write_error
from cudaforge.once import Once
from cudaforge.packages.model import GitCommit, LockedWheel
from cudaforge.packages.site import Site
from cudaforge.packages.uv import PROJECT_NAME, NoSolution, address_problem, compile_closure
from cudaforge.records import made, record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PROJECT = "pyproject.toml"
_CONSTRAINTS = "constraints.txt"
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


class Ask(Protocol):
    """Puts a question to uv, as `ask` does."""

    def __call__(self, question: Question, *, site: Site) -> tuple[Offer, ...] | NoSolution:
        """Every wheel that uv names for the question. Raises as `ask` does."""


@record()
class _Given:
    """All that one run of uv is given for a question: what is equal here has one answer."""

    arguments: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    """Name and text of each file in the directory that uv runs in."""


class SharedAnswers:
    """uv's answers of one run of cudaforge: images that have the same question get the same answer, which is
    asked for once. Safe between threads."""

    def __init__(self) -> None:
        self._once: Once[tuple[Offer, ...] | NoSolution] = Once()

    def ask(self, question: Question, *, site: Site) -> tuple[Offer, ...] | NoSolution:
        """As the function `ask`. Raises NotAsked for a new question after `close`."""
        given = _given(question)
        # What else uv reads, its variables and the files of user and system, is that of the whole run.
        return self._once.find((given, repr(site)), partial(_answer, given, question.files, site))

    def close(self) -> None:
        """Ask nothing new from now on."""
        self._once.close()


def ask(question: Question, *, site: Site) -> tuple[Offer, ...] | NoSolution:
    """Every wheel that uv names for the question. Raises SurroundingsError where an index fails."""
    return _answer(_given(question), question.files, site)


def _given(question: Question) -> _Given:
    import tomli_w

    files = [(_PROJECT, tomli_w.dumps(_project(question)))]
    arguments = [_PROJECT, f"--python-version={question.python}", *question.options]
    arguments += [f"--no-binary={name}" for name in question.from_source]
    if not question.from_source:
        # Else uv looks for the Python of that version, which only running code of packages needs.
        arguments.append(f"--python={sys.executable}")
    if question.constraints:
        files.append((_CONSTRAINTS, "\n".join(question.constraints) + "\n"))
        arguments.append(f"--constraints={_CONSTRAINTS}")
    if question.preferred:
        files.append((_PREFERRED, tomli_w.dumps(_earlier(question.preferred))))
        arguments.append(f"--output-file={_PREFERRED}")
    return _Given(arguments=tuple(arguments), files=tuple(files))


def _answer(given: _Given, own: Mapping[str, Path], site: Site) -> tuple[Offer, ...] | NoSolution:
    """uv's answer; `own` has the wheels of the project by their package."""
    with _scratch_directory() as directory:
        for name, text in given.files:
            (directory / name).write_text(text, encoding="utf-8")
        answer = compile_closure(given.arguments, site=site, directory=directory)
        if isinstance(answer, NoSolution):
            return answer
        written = directory / _PREFERRED
        text = written.read_text(encoding="utf-8") if written.exists() else answer
        return tuple(_offers(text, directory, own))


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

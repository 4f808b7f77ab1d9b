"""Reading facts out of wheels and images, and holding them against the rows: `cudaforge data measure`."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem, SurroundingsError
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix import Matrix
from cudaforge.matrix.pins import pins_of
from cudaforge.measurer import EVERYTHING, Limits, LocalFile, Measured, measure_wheel
from cudaforge.measurer.compare import Checked, compare, find_builds
from cudaforge.measurer.propose import propose_row
from cudaforge.packages.site import Site
from cudaforge.pipeline.facts import find_matrix
from cudaforge.pipeline.outside import site_at
from cudaforge.records import record, replace
from cudaforge.refresher import FoundWheel, default_index, read_wheels
from cudaforge.web import Client, RemoteFile

if TYPE_CHECKING:
    from cudaforge.engine import Engine
    from cudaforge.measurer import Readable

_SPECIFIER = re.compile(r"[^/:@]*[=<>!~]")
_ADDRESS = re.compile(r"(https?|file)://", re.IGNORECASE)
_PLATFORMS = ("linux/amd64", "linux/arm64")
_PYTHON = re.compile(r"3\.\d{1,2}t?")
_HOW = "a wheel is named by its release, torch==2.8.0, its address, or a path that ends in .whl"
_QUESTION_SECONDS = 120.0
_RUN_SECONDS = 3600.0
_OnLibrary = Callable[[str, int], None]


@record()
class Asked:
    """How a wheel or image was asked for."""

    word: str
    """A path, an address, `torch==2.8.0`, or an image."""
    platform: str = "linux/amd64"
    python: str | None = None
    """The Python of the wheel that is looked up; None takes what the index has, the newest first."""
    is_thorough: bool = False
    """Whether all of a wheel on a server is read."""


def measure(
    asked: Asked, file: Path, *, offline: bool = False, on_library: _OnLibrary = lambda *_: None
) -> tuple[Checked, ...]:
    """What the word means, measured and compared: one package for a wheel, several for an image.

    `file` is the declaration whose overlays and network count. Raises InputError where the word means
    nothing that can be measured, NegativeAnswer where there is no such wheel or image, and
    SurroundingsError where a server or the engine fails.
    """
    _check_options(asked)
    matrix = find_matrix(file)
    index = DEFAULT_INDEX
    found: tuple[Measured, ...]
    if _is_wheel(asked.word):
        found = (_measure_wheel(asked, _OnSite(file, offline), on_library),)
    elif _SPECIFIER.match(asked.word):
        index, wheel = _look_up(asked, matrix, site := _OnSite(file, offline))
        remote = RemoteFile(site.client, wheel.url)
        found = (_measured(remote, wheel.filename, asked, on_library),)
    else:
        found = _measure_image(asked.word, matrix)
    return tuple(_check(matrix, one, index) for one in found)


def _check_options(asked: Asked) -> None:
    """Raises InputError where no wheel can be meant by the platform or the Python."""
    if asked.platform not in _PLATFORMS:
        raise _wrong_option("--platform", asked.platform, " or ".join(_PLATFORMS))
    if asked.python is not None and not _PYTHON.fullmatch(asked.python):
        raise _wrong_option("--python", asked.python, "a minor version, 3.12 or 3.13t")


def _wrong_option(key: str, value: str, allowed: str) -> InputError:
    where = Location(file="command line", key=key)
    return InputError(Problem(what=f"{key} is {show(value)}: {allowed}", where=where))


def _check(matrix: Matrix, measured: Measured, index: str) -> Checked:
    rows = tuple(compare(matrix, measured, row) for row in find_builds(matrix, measured))
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    proposal = None if rows else propose_row(matrix, measured, today=today, index=index)
    return Checked(measured=measured, rows=rows, proposal=proposal)


class _OnSite:
    """The network of the site; looked at when it is first needed."""

    def __init__(self, file: Path, offline: bool) -> None:  # noqa: FBT001 -- a plain setting
        self._file, self._offline = file, offline
        self._site: Site | None = None
        self._client: Client | None = None

    @property
    def site(self) -> Site:
        """Raises SurroundingsError offline."""
        if self._site is None:
            self._site = site_at(self._file, offline=self._offline)
        if self._site.offline:
            raise SurroundingsError(
                Problem(
                    what="a wheel on a server cannot be read offline",
                    remedy="leave --offline out, or name a wheel on this machine",
                )
            )
        return self._site

    @property
    def client(self) -> Client:
        """One for all questions."""
        if self._client is None:
            self._client = Client(
                timeout=_QUESTION_SECONDS,
                run_timeout=_RUN_SECONDS,
                ca_bundle=self.site.ca_bundle,
                proxies=self.site.proxies,
            )
        return self._client


def _is_wheel(word: str) -> bool:
    return bool(_ADDRESS.match(word)) or word.endswith(".whl") or Path(word).exists()


def _measure_wheel(asked: Asked, site: _OnSite, on_library: _OnLibrary) -> Measured:
    if not _ADDRESS.match(asked.word):
        path = Path(asked.word)
        return measure_wheel(LocalFile(path), path.name, on_library=on_library)
    try:
        parts = urlsplit(asked.word)
        is_address = parts.scheme.lower() == "file" or bool(parts.hostname)
        _ = parts.port  # raises where it is no number
    except ValueError:
        is_address = False
    if not is_address:
        where = Location(file="command line")
        what = f"{show(asked.word)} is no web address"
        raise InputError(Problem(what=what, where=where, remedy="https://HOST/PATH/NAME.whl"))
    name = unquote(parts.path).rpartition("/")[2]
    if parts.scheme.lower() == "file":
        path = Path(unquote(parts.path))
        return measure_wheel(LocalFile(path), path.name, on_library=on_library)
    return _measured(RemoteFile(site.client, asked.word), name, asked, on_library)


def _measured(file: Readable, name: str, asked: Asked, on_library: _OnLibrary) -> Measured:
    limits = EVERYTHING if asked.is_thorough else Limits()
    return measure_wheel(file, name, limits=limits, on_library=on_library)


def _look_up(asked: Asked, matrix: Matrix, site: _OnSite) -> tuple[str, FoundWheel]:
    """The wheel that a requirement means, and the name of its index."""
    package, version = _pin(asked.word)
    index = _index_of(matrix, package, version, asked)
    known = {name: row.url for name, row in matrix.indexes.items()}
    addresses = {**known, **site.site.named_indexes, DEFAULT_INDEX: site.site.index_url or default_index()}
    wheels = read_wheels(site.client, addresses[index], package)
    # The default index has no local labels: the row says which build it gives.
    wanted = version if index != DEFAULT_INDEX else version.partition("+")[0]
    fitting = [one for one in wheels if _is_version(one.version, wanted)]
    chosen = _best(fitting, asked)
    if chosen is None:
        here = [one.filename for one in fitting if _is_for_linux(one)]
        has = ", ".join(dict.fromkeys(here[:6]))
        raise NegativeAnswer(
            Problem(
                what=f"the index {show(index)} has no wheel of {package} {wanted} for "
                f"{asked.platform}{f' and Python {asked.python}' if asked.python else ''}",
                because=(f"it has {has}",) if has else (),
                remedy="see --platform and --python, or name the wheel's file or address",
            )
        )
    return index, chosen


def _pin(word: str) -> tuple[str, str]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        asked = Requirement(word)
    except InvalidRequirement:
        asked = None
    pins = [one.version for one in asked.specifier if one.operator in ("==", "===")] if asked else []
    if asked is None or len(asked.specifier) != 1 or len(pins) != 1 or asked.url or pins[0].endswith("*"):
        raise InputError(
            Problem(
                what=f"{show(word)} names no single release",
                where=Location(file="command line"),
                remedy="write it as torch==2.8.0 or torch==2.8.0+cu128",
            )
        )
    return str(canonicalize_name(asked.name)), pins[0]


def _index_of(matrix: Matrix, package: str, version: str, asked: Asked) -> str:
    """The index that the row names which installs the release, or the build that its label asks for."""
    public, _, label = version.partition("+")
    rows = [
        build
        for framework in matrix.frameworks
        for build in matrix.builds(framework)
        if asked.platform in build.platforms
        and any(
            pinned == package and _is_version(number.partition("+")[0], public)
            for pinned, number in pins_of(build)
        )
    ]
    labelled = [build for build in rows if label and build.build == label]
    if label and not labelled:
        known = ", ".join(dict.fromkeys(build.build for build in rows))
        raise NegativeAnswer(
            Problem(
                what=f"the matrix has no build {label} of {package} {public} for {asked.platform}, "
                "so that its index is not known",
                because=(f"it has {known}",) if known else (),
                remedy="name the address of the wheel",
            )
        )
    return labelled[0].index if labelled else DEFAULT_INDEX


def _is_version(one: str, other: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _is_for_linux(wheel: FoundWheel) -> bool:
    from cudaforge.measurer.readable import Malformed
    from cudaforge.measurer.tags import naming_of_wheel

    try:
        naming_of_wheel(wheel.filename, 0)
    except Malformed:
        return False
    return True


def _best(wheels: list[FoundWheel], asked: Asked) -> FoundWheel | None:
    """For the platform and Python that are asked for; of several the newest Python, with its lock."""
    from cudaforge.measurer.readable import Malformed
    from cudaforge.measurer.tags import naming_of_wheel
    from cudaforge.versions import Version

    ranked: list[tuple[bool, bool, Version, str, FoundWheel]] = []
    for wheel in wheels:
        try:
            naming = naming_of_wheel(wheel.filename, 0)
        except Malformed:
            continue
        if asked.platform not in (naming.platforms or (asked.platform,)):
            continue
        if asked.python is not None and asked.python not in (naming.pythons or (asked.python,)):
            continue
        python = naming.pythons[-1] if naming.pythons else "0"
        is_locked = not python.endswith("t")
        ranked.append((not wheel.is_yanked, is_locked, Version(python), wheel.filename, wheel))
    return max(ranked, key=lambda item: item[:4])[4] if ranked else None


def _measure_image(reference: str, matrix: Matrix) -> tuple[Measured, ...]:
    from cudaforge.measurer.image import measure_image

    _check_reference(reference)
    packages = {
        package
        for framework in matrix.frameworks
        for build in matrix.builds(framework)
        for package, _ in pins_of(build)
    }
    engine = _connect()
    try:
        image = engine.find_image(reference)
        if image is None:
            raise NegativeAnswer(
                Problem(
                    what=f"there is neither a file {reference} nor an image of that name in the engine",
                    remedy=f"pull it first: {engine.words.pull} {reference}; or name a wheel: a path "
                    "ending in .whl, an address, or torch==2.8.0",
                )
            )
        with engine.opened_image(image.id, run_id=f"measure-{os.getpid()}") as files:
            found = measure_image(files, reference, packages, platform=f"linux/{image.architecture}")
    finally:
        engine.close()
    if not found:
        raise NegativeAnswer(
            Problem(
                what=f"{reference} holds no framework that the matrix knows: no .dist-info of one in a "
                "site-packages or dist-packages directory"
            )
        )
    return found


def _check_reference(text: str) -> None:
    """Raises InputError where an engine could have no image of that name."""
    from cudaforge.references import InvalidReference, parse_reference

    if re.fullmatch(r"(sha256:)?[0-9a-f]{12,64}", text):  # an image's own id
        return
    try:
        parse_reference(text)
    except InvalidReference as error:
        what = f"{show(text)} names neither a wheel nor an image: {error}"
        where = Location(file="command line")
        raise InputError(Problem(what=what, where=where, remedy=_HOW)) from None


def _connect() -> Engine:
    """The engine; where there is none, its error says how a wheel is named as well."""
    from cudaforge.engine import EngineError, connect

    try:
        return connect()
    except EngineError as error:
        raise type(error)(
            replace(one, remedy=f"{one.remedy}; {_HOW}" if one.remedy else _HOW) for one in error.problems
        ) from None

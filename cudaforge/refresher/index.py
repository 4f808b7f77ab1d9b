"""Package indexes: which releases they have, for which Pythons and platforms (the simple API, in JSON or
HTML: PEP 503, 658, 691, 700)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cudaforge.errors import Problem
from cudaforge.packages.tags import wheel_platform, wheel_python
from cudaforge.records import record
from cudaforge.web import Client, Unreachable
from cudaforge.web.client import OK, shown

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage, ProjectPage

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_NOT_FOUND = 404


@record()
class FoundRelease:
    """One version of a package on one index, as far as its Linux wheels tell."""

    version: str
    released: str | None
    """The day of its first upload (ISO date); None where the index does not say."""
    is_yanked: bool
    """Whether all of its wheels are."""
    platforms: tuple[str, ...]
    """Empty where its wheels fit every platform."""
    pythons: Mapping[str, tuple[str, ...]]
    """Platform to minor versions of Python 3; without those whose wheels fit every Python."""


@record()
class FoundWheel:
    """One wheel of a package on one index."""

    filename: str
    version: str
    url: str
    is_yanked: bool


def default_index() -> str:
    """The index that a site without settings of its own uses."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return str(PYPI_SIMPLE_ENDPOINT)


def read_project(client: Client, index: str, package: str) -> Mapping[str, FoundRelease]:
    """The releases that an index has of a package, by version; none where it has no such package.

    Raises Unreachable where it does not answer, or with something else.
    """
    page = _read_page(client, index, package)
    if page is None:
        return {}
    wheels: dict[str, list[DistributionPackage]] = {}
    for file in page.packages:
        if file.package_type == "wheel" and file.version is not None:
            wheels.setdefault(file.version, []).append(file)
    found = {version: _release(version, files) for version, files in wheels.items()}
    return {version: release for version, release in found.items() if release is not None}


def read_wheels(client: Client, index: str, package: str) -> tuple[FoundWheel, ...]:
    """Every wheel that an index has of a package, in its order; none where it has no such package.

    Raises Unreachable where it does not answer, or with something else.
    """
    page = _read_page(client, index, package)
    return tuple(
        FoundWheel(filename=file.filename, version=file.version, url=file.url, is_yanked=file.is_yanked)
        for file in (page.packages if page is not None else ())
        if file.package_type == "wheel" and file.version is not None
    )


def _read_page(client: Client, index: str, package: str) -> ProjectPage | None:
    """None where the index has no such package."""
    url = f"{index.rstrip('/')}/{package}/"
    answer = client.get(url, headers={"Accept": _ACCEPT})
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != OK:
        raise Unreachable(Problem(what=f"{shown(url)} answered with status {answer.status}"))
    return _parse(package, answer.url, answer.headers.get("content-type", ""), answer.body)


def _parse(package: str, url: str, content_type: str, body: bytes) -> ProjectPage:
    import json

    from pypi_simple import ProjectPage, UnsupportedRepoVersionError

    try:
        if content_type.partition(";")[0].strip().endswith("json"):
            return ProjectPage.from_json_data(json.loads(body), base_url=url)
        if not content_type.startswith(("text/html", "application/vnd.pypi.simple")):
            raise ValueError(content_type)  # noqa: TRY301 -- what is no page ends in one place
        return ProjectPage.from_html(package, body, base_url=url, from_encoding="utf-8")
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        UnsupportedRepoVersionError,
    ) as error:
        what = f"{shown(url)} answered with what is no page of a package index ({type(error).__name__})"
        raise Unreachable(Problem(what=what)) from None


def _release(version: str, files: Iterable[DistributionPackage]) -> FoundRelease | None:
    """None where no wheel fits Linux."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    pythons: dict[str, set[str]] = {}
    has_any, uploads, yanked = False, [], []
    for file in files:
        try:
            tags = parse_wheel_filename(file.filename)[3]
        except InvalidWheelFilename:
            continue
        platforms = {wheel_platform(tag.platform) for tag in tags} - {None}
        if not platforms:
            continue
        yanked.append(file.is_yanked)
        if file.upload_time is not None:
            uploads.append(file.upload_time.date().isoformat())
        has_any = has_any or "any" in platforms
        minors = {wheel_python(tag.interpreter, tag.abi) for tag in tags} - {None}
        for platform in platforms:
            if platform is not None and platform != "any":
                pythons.setdefault(platform, set()).update(one for one in minors if one is not None)
    if not yanked:
        return None
    return FoundRelease(
        version=version,
        released=min(uploads, default=None),
        is_yanked=all(yanked),
        platforms=() if has_any else tuple(sorted(pythons)),
        pythons={name: _sorted(found) for name, found in sorted(pythons.items()) if found and not has_any},
    )


def _sorted(minors: Iterable[str]) -> tuple[str, ...]:
    from cudaforge.versions import Version

    return tuple(sorted(minors, key=Version))

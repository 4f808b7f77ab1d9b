"""Package indexes: which releases they have, for which Pythons and platforms (the simple API, in JSON or
HTML: PEP 503, 658, 691, 700)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cudaforge.errors import Problem
from cudaforge.packages.tags import wheel_platform, wheel_python
from cudaforge.refresher.model import FoundRelease, FoundWheel, WheelFile
from cudaforge.web import Client, Unreachable
from cudaforge.web.client import OK, shown

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage, ProjectPage

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_NOT_FOUND = 404


def default_index() -> str:
    """The index that a site without settings of its own uses."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return str(PYPI_SIMPLE_ENDPOINT)


def read_project(client: Client, index: str, package: str) -> Mapping[str, FoundRelease]:
    """The releases that an index has of a package, by version; none where it has no such package.

    Raises Unreachable where it does not answer, or with something else.
    """
    address, files = _read_page(client, index, package)
    wheels: dict[str, list[DistributionPackage]] = {}
    for version, file in files:
        wheels.setdefault(version, []).append(file)
    found = {version: _release(version, of_it, address) for version, of_it in wheels.items()}
    return {version: release for version, release in found.items() if release is not None}


def read_wheels(client: Client, index: str, package: str) -> tuple[FoundWheel, ...]:
    """Every wheel that an index has of a package, in its order; none where it has no such package.

    Raises Unreachable where it does not answer, or with something else.
    """
    _, files = _read_page(client, index, package)
    return tuple(
        FoundWheel(filename=file.filename, version=version, url=file.url, is_yanked=file.is_yanked)
        for version, file in files
    )


def _read_page(
    client: Client, index: str, package: str
) -> tuple[str, tuple[tuple[str, DistributionPackage], ...]]:
    """The address that answered, and each wheel with its version; none where there is no such package."""
    url = f"{index.rstrip('/')}/{package}/"
    answer = client.get(url, headers={"Accept": _ACCEPT})
    if answer.status == _NOT_FOUND:
        return answer.url, ()
    if answer.status != OK:
        raise Unreachable(Problem(what=f"{shown(url)} answered with status {answer.status}"))
    page = _parse(package, answer.url, answer.headers.get("content-type", ""), answer.body)
    wheels = (file for file in page.packages if file.package_type == "wheel")
    return answer.url, tuple((file.version, file) for file in wheels if file.version is not None)


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


def _release(version: str, files: Iterable[DistributionPackage], page: str) -> FoundRelease | None:
    """None where no wheel fits Linux."""
    pairs = [(file, wheel) for file in files if (wheel := _wheel(file, page)) is not None]
    if not pairs:
        return None
    wheels = tuple(wheel for _, wheel in pairs)
    uploads = [file.upload_time.date().isoformat() for file, _ in pairs if file.upload_time is not None]
    has_any = any("any" in wheel.platforms for wheel in wheels)
    pythons: dict[str, set[str]] = {}
    for wheel in wheels:
        for platform in wheel.platforms:
            pythons.setdefault(platform, set()).update(wheel.pythons)
    return FoundRelease(
        version=version,
        released=min(uploads, default=None),
        is_yanked=all(file.is_yanked for file, _ in pairs),
        platforms=() if has_any else tuple(sorted(pythons)),
        pythons={name: _sorted(found) for name, found in sorted(pythons.items()) if found and not has_any},
        wheels=wheels,
    )


def _wheel(file: DistributionPackage, page: str) -> WheelFile | None:
    """None where it does not fit Linux. Its address must not be less safe than that of the `page`."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        tags = parse_wheel_filename(file.filename)[3]
    except InvalidWheelFilename:
        return None
    platforms = {name for tag in tags if (name := wheel_platform(tag.platform)) is not None}
    if not platforms:
        return None
    minors = {minor for tag in tags if (minor := wheel_python(tag.interpreter, tag.abi)) is not None}
    return WheelFile(
        filename=file.filename,
        url=file.url if page.startswith("http:") or file.url.startswith("https:") else "",
        platforms=tuple(sorted(platforms)),
        pythons=_sorted(minors),
        size=file.size,
        has_metadata=bool(file.has_metadata),
    )


def _sorted(minors: Iterable[str]) -> tuple[str, ...]:
    from cudaforge.versions import Version

    return tuple(sorted(minors, key=Version))

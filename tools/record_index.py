"""Record what the package index says of the frameworks, into tests/recorded/index.

Run as `python -m tools.record_index` where the index is reachable. Its address is the one that pip or uv is
configured with on this machine, else pypi-simple's own default.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version
from pypi_simple import ACCEPT_JSON_ONLY, PYPI_SIMPLE_ENDPOINT

from cudaforge.measurer.archive import Archive
from cudaforge.measurer.metadata import parse_metadata, read_metadata
from cudaforge.packages.site import DeclaredNetwork, read_site
from cudaforge.web.client import OK, Client
from cudaforge.web.remote import RemoteFile

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "tests" / "recorded" / "index"
PACKAGES = (
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
)
OLDEST_TORCH = Version("2.0")
"""The first whose METADATA names all of its CUDA libraries."""
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_LIBRARY = re.compile(r"(nvidia|cuda)-|triton$")
_AT_ONCE = 12
_FIRST_PYTHONS = ("3.12", "3.11", "3.10", "3.13")

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Index:
    """The package index of this machine."""

    def __init__(self) -> None:
        site = read_site(DeclaredNetwork(indexes={}, registries={}, root=ROOT), environ=os.environ)
        self._url = (site.index_url or PYPI_SIMPLE_ENDPOINT).rstrip("/")
        self._client = Client(ca_bundle=site.ca_bundle, proxies=site.proxies)

    def files(self, package: str) -> list[dict[str, object]]:
        """The files of a project, as PEP 691 has them, with absolute addresses."""
        answer = self._client.get(f"{self._url}/{package}/", headers={"Accept": ACCEPT_JSON_ONLY})
        if answer.status != OK:
            raise SystemExit(f"{package}: the index answered with status {answer.status}")
        found = json.loads(answer.body)["files"]
        return [{**file, "url": urljoin(answer.url, file["url"])} for file in found]

    def requirements(self, wheel: Mapping[str, object]) -> list[Requirement]:
        """What the METADATA of a wheel requires: from the file beside it (PEP 658) where the index has
        one, else read out of the wheel without the rest of it."""
        url = str(wheel["url"])
        answer = self._client.get(f"{url}.metadata")
        if answer.status == OK:
            found = parse_metadata(answer.body.decode("utf-8", "replace"))
        else:
            found = read_metadata(Archive(RemoteFile(self._client, url)))
        return list(found.requires)


def wheels(files: Iterable[Mapping[str, object]]) -> Iterator[tuple[Version, str, str | None, int, Mapping]]:
    """Release, platform (`any` for wheels that hold no binaries), Python (None: any), build number and file
    of each wheel that installs on Linux with glibc, without Python 2 and without pre-releases."""
    for file in files:
        try:
            _, version, build, tags = parse_wheel_filename(str(file["filename"]))
        except InvalidWheelFilename:
            continue
        if version.is_prerelease:
            continue
        for tag in tags:
            platform = _platform(tag.platform)
            match = re.fullmatch(r"cp3(\d+)", tag.interpreter)
            python = f"3.{match[1]}{'t' if tag.abi.endswith('t') else ''}" if match else None
            if platform is not None and (match or tag.interpreter.startswith("py3")):
                yield version, platform, python, build[0] if build else 0, file


def _platform(tag: str) -> str | None:
    if tag == "any":
        return "any"
    found = [name for name, machine in MACHINES.items() if tag.endswith(f"_{machine}")]
    return found[0] if found and tag.startswith(("manylinux", "linux")) else None


def listing(files: Iterable[Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Each release: the day of its first wheel, Pythons by platform, and whether all of it is yanked."""
    known: dict[Version, list[tuple[str, str | None, Mapping]]] = {}
    for version, platform, python, _, file in wheels(files):
        known.setdefault(version, []).append((platform, python, file))
    found: dict[str, dict[str, object]] = {}
    for version, rows in sorted(known.items()):
        platforms = sorted({platform for platform, _, _ in rows})
        found[str(version)] = {
            "uploaded": min(str(file["upload-time"]) for _, _, file in rows)[:10],
            "pythons": {
                platform: " ".join(in_order({python for name, python, _ in rows if name == platform}))
                for platform in platforms
            },
            "requires_python": str(rows[0][2].get("requires-python") or ""),
            "yanked": all(file["yanked"] is not False for _, _, file in rows),
        }
    return found


def in_order(pythons: Iterable[str | None]) -> list[str]:
    """Python minors, oldest first, each free-threaded one after its like."""
    named = [python for python in pythons if python is not None]
    return sorted(named, key=lambda python: (int(python.rstrip("t")[2:]), python))


def default_wheels(files: Iterable[Mapping[str, object]]) -> dict[tuple[Version, str], tuple[str, Mapping]]:
    """Release and platform to the Python and the wheel that stands for all of them: for the first of the
    usual Pythons, and of its builds the newest."""
    ranked: dict[tuple[Version, str], list[tuple[int, int, str, str, Mapping]]] = {}
    for version, platform, python, build, file in wheels(files):
        if platform != "any" and python is not None and not python.endswith("t"):
            rank = _FIRST_PYTHONS.index(python) if python in _FIRST_PYTHONS else len(_FIRST_PYTHONS)
            row = (rank, -build, str(file["filename"]), python, file)
            ranked.setdefault((version, platform), []).append(row)
    found = {key: min(rows, key=lambda row: row[:3]) for key, rows in sorted(ranked.items())}
    return {key: (python, file) for key, (_, _, _, python, file) in found.items()}


def library_pins(index: Index, files: Iterable[Mapping[str, object]]) -> dict[str, dict[str, list[str]]]:
    """What the default wheel of each torch requires of CUDA's libraries and of Triton, by platform."""
    wanted = [item for item in default_wheels(files).items() if item[0][0] >= OLDEST_TORCH]

    def ask(item: tuple[tuple[Version, str], tuple[str, Mapping]]) -> list[str]:
        (_, platform), (python, wheel) = item
        return sorted(_libraries(index.requirements(wheel), machine=MACHINES[platform], python=python))

    pins: dict[str, dict[str, list[str]]] = {}
    for ((version, platform), _), found in zip(wanted, together(ask, wanted), strict=True):
        pins.setdefault(str(version), {})[platform] = found
    return pins


def _libraries(requirements: Iterable[Requirement], *, machine: str, python: str) -> Iterator[str]:
    place = {
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": machine,
        "python_version": python,
        "extra": "",
    }
    for one in requirements:
        if _LIBRARY.match(canonicalize_name(one.name)) and (one.marker is None or one.marker.evaluate(place)):
            extras = f"[{','.join(sorted(one.extras))}]" if one.extras else ""
            yield f"{one.name}{extras}{one.specifier}"


def toolkit_pins(index: Index) -> dict[str, str]:
    """Each release of the toolkit's metapackage, with the version of the CUDA runtime that it pins."""
    releases = {version: file for version, _, _, _, file in wheels(index.files("cuda-toolkit"))}
    found = together(lambda item: _runtime(index.requirements(item[1])), sorted(releases.items()))
    return {str(version): runtime for version, runtime in zip(sorted(releases), found, strict=True)}


def _runtime(requirements: Iterable[Requirement]) -> str:
    place = {"platform_system": "Linux", "sys_platform": "linux", "platform_machine": "x86_64"}
    (found,) = (
        str(one.specifier).removeprefix("==").removesuffix(".*")
        for one in requirements
        if re.fullmatch(r"nvidia-cuda-runtime(-cu\d+)?", one.name)
        and (one.marker is None or one.marker.evaluate({**place, "extra": "cudart"}))
    )
    return found


def together(ask: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Ask about several things at once; the answers in order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, items))


def main() -> None:
    """Write the answers, one file each."""
    index = Index()
    files = dict(zip(PACKAGES, together(index.files, PACKAGES), strict=True))
    answers: dict[str, object] = {name: listing(found) for name, found in files.items()}
    answers["torch-libraries"] = library_pins(index, files["torch"])
    answers["cuda-toolkit"] = toolkit_pins(index)
    RECORDED.mkdir(parents=True, exist_ok=True)
    for name, answer in answers.items():
        (RECORDED / f"{name}.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
        print(f"recorded {name}", file=sys.stderr)


if __name__ == "__main__":
    main()

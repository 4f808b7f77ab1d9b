"""Measure what framework builds weigh, and write it into matrices/frameworks.

Run as `python -m tools.measure_sizes [--write] [NAME ...]` where the package index is reachable. For each
build that the index serves uv resolves what its row requires, for one Python and a current glibc; the server
says how large each wheel is, and the directory at the end of the wheel, read by range, what it unpacks to. A
build that uv finds no set of wheels for is named and left as it is. What was measured of a wheel is kept in
`--cache`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cudaforge.errors import CudaforgeError
from cudaforge.files import write_atomically
from cudaforge.matrix.expand import expand_document
from cudaforge.matrix.model import CudaProvider, FrameworkBuild
from cudaforge.matrix.reader import Raw, Sources
from cudaforge.matrix.rows import read_row
from cudaforge.measurer.archive import Archive
from cudaforge.packages.question import Offer, Question, ask
from cudaforge.packages.site import DeclaredNetwork, Site, read_site
from cudaforge.packages.tags import best_wheel
from cudaforge.packages.uv import NoSolution, python_tag_platform
from cudaforge.records import record
from cudaforge.refresher.editing import MatrixText
from cudaforge.versions import Version
from cudaforge.web.client import Client
from cudaforge.web.remote import RemoteFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = ROOT / "matrices" / "frameworks"
NAMES = ("pytorch", "tensorflow", "jax", "onnxruntime", "cupy")
GLIBC = "2.36"
"""Of the system that wheels are chosen for: new enough for all of them."""
_USUAL_PYTHON = Version("3.12")
_AT_ONCE = 8
_UNIT = 1_000_000
_NVIDIA = re.compile(r"nvidia-.+|cuda-toolkit")
_SIZES = ("size", "installed", "cuda_size", "cuda_installed")
_SETTING = re.compile(rf"\b(?:{'|'.join(_SIZES)}) = [\d_]+(?:, )?")
_END = re.compile(r"(,? *)\},?\s*(#.*)?$")


@record()
class Weight:
    """Bytes of a wheel, or of several: packed, unpacked, and of these what wheels of NVIDIA's have."""

    size: int = 0
    installed: int = 0
    cuda_size: int = 0
    cuda_installed: int = 0

    def plus(self, other: Weight) -> Weight:
        """Both together."""
        return Weight(**{key: getattr(self, key) + getattr(other, key) for key in _SIZES})


class Wheels:
    """What wheels weigh, each measured once."""

    def __init__(self, site: Site, cache: Path) -> None:
        self._client = Client(ca_bundle=site.ca_bundle, proxies=site.proxies)
        self._cache = cache
        kept = json.loads(cache.read_text()) if cache.exists() else {}
        self._known = {name: Weight(**weight) for name, weight in kept.items()}

    def weigh(self, offer: Offer) -> Weight:
        """What a wheel weighs. Raises CudaforgeError where it cannot be read."""
        key = f"{offer.filename} {offer.sha256}"
        if key not in self._known:
            self._known[key] = self._measure(offer)
        return self._known[key]

    def _measure(self, offer: Offer) -> Weight:
        file = RemoteFile(self._client, offer.address)
        installed = sum(one.size for one in Archive(file).members.values())
        if _NVIDIA.fullmatch(offer.package):
            return Weight(size=file.size, installed=installed, cuda_size=file.size, cuda_installed=installed)
        return Weight(size=file.size, installed=installed)

    def save(self) -> None:
        """Keep what was measured."""
        known = {name: {key: getattr(one, key) for key in _SIZES} for name, one in self._known.items()}
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._cache, json.dumps(known, indent=0, sort_keys=True))


def usual_python(pythons: Sequence[str]) -> str:
    """The Python that sizes are measured for: 3.12, else the newest before it, else the oldest."""
    known = sorted(Version(one) for one in pythons if not one.endswith("t"))
    return max((one for one in known if one <= _USUAL_PYTHON), default=known[0]).text


def measure_build(row: FrameworkBuild, site: Site, wheels: Wheels) -> Weight | str:
    """What everything weighs that a build needs, or why it is not known."""
    python, platform = usual_python(row.pythons), row.platforms[0]
    question = Question(
        requirements=row.requires,
        constraints=row.constraints,
        python=python,
        sources={},
        indexes={},
        options=(f"--python-platform={python_tag_platform(platform, GLIBC)}",),
    )
    try:
        found = ask(question, site=site)
        if isinstance(found, NoSolution):
            return " ".join(found.explanation)
        total = Weight()
        for offer in _chosen(found, python=python, platform=platform):
            total = total.plus(wheels.weigh(offer))
    except (CudaforgeError, ValueError) as error:
        return str(error)
    return total


def _chosen(offers: Sequence[Offer], *, python: str, platform: str) -> Iterator[Offer]:
    packages: dict[str, dict[str, Offer]] = {}
    for offer in offers:
        packages.setdefault(offer.package, {})[offer.filename] = offer
    for named in packages.values():
        yield named[best_wheel(named, python=python, platform=platform, glibc=GLIBC)]


def settings(weight: Weight, row: FrameworkBuild) -> dict[str, int]:
    """What a row says of a weight, in whole megabytes: the dependencies move with every release of theirs."""
    keys = _SIZES if row.provider is CudaProvider.WHEELS and weight.cuda_size else _SIZES[:2]
    return {key: round(getattr(weight, key) / _UNIT) * _UNIT for key in keys}


def with_settings(line: str, new: Mapping[str, int]) -> str:
    """The line of a row with these sizes in place of its own, or before its source or its end."""
    text = ", ".join(f"{key} = {value:_}" for key, value in new.items())
    bare = _SETTING.sub("\0", line, count=1)
    bare = _SETTING.sub("", bare)
    if "\0" in bare:
        before, _, rest = bare.partition("\0")
        return (
            f"{before}{text} {rest.lstrip()}" if rest.lstrip().startswith("}") else f"{before}{text}, {rest}"
        )
    place = bare.rfind(", source = ")
    end = _END.search(bare) if place < 0 else None
    place = place if end is None else end.start()
    return f"{bare[:place]}, {text}{bare[place:]}"


class Rows:
    """The builds of a framework's file, each with the line that it stands on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text()
        self._lines = MatrixText(text)
        document = tomllib.loads(text)
        self.builds = list(self._read(document))

    def _read(self, document: Raw) -> Iterator[tuple[int, FrameworkBuild]]:
        releases = document["releases"]
        if not isinstance(releases, list):
            raise SystemExit(f"{self.path} has no releases")
        for block, release in zip(self._lines.blocks("releases"), releases, strict=True):
            numbers = self._lines.entries(block, "builds", len(release["builds"]))
            for number, entry in zip(numbers, release["builds"], strict=True):
                alone = {**document, "releases": [{**release, "builds": [entry]}]}
                expanded = expand_document(self.path.name, alone)
                (raw,) = expanded.rows["builds"]
                row = read_row("builds", raw, Sources(expanded.sources))
                if isinstance(row, FrameworkBuild):
                    yield number, row

    def put(self, number: int, new: Mapping[str, int]) -> None:
        """Write sizes into a line."""
        self._lines.lines[number] = with_settings(self._lines.lines[number], new)

    def save(self) -> None:
        """Write the file, if it is still TOML."""
        text = self._lines.dump()
        tomllib.loads(text)
        write_atomically(self.path, text)


def _measure_file(path: Path, site: Site, wheels: Wheels, *, is_writing: bool) -> None:
    rows = Rows(path)
    asked = [(number, row) for number, row in rows.builds if row.index == "default"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        weights = pool.map(lambda one: measure_build(one[1], site, wheels), asked)
        for (number, row), weight in zip(asked, weights, strict=True):
            name = f"{row.framework} {row.version}+{row.build} {row.platforms[0]}"
            if isinstance(weight, str):
                print(f"{name}: {weight[:200]}", flush=True)
                continue
            rows.put(number, settings(weight, row))
            print(f"{name}: {settings(weight, row)}", flush=True)
    wheels.save()
    if is_writing:
        rows.save()


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    parser.add_argument("--write", action="store_true", help="put what was measured into matrices/frameworks")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/cudaforge/sizes.json")
    given = parser.parse_args()
    site = read_site(DeclaredNetwork(indexes={}, registries={}, root=ROOT), environ=os.environ)
    wheels = Wheels(site, given.cache)
    for name in given.names or NAMES:
        _measure_file(FRAMEWORKS / f"{name}.toml", site, wheels, is_writing=given.write)


if __name__ == "__main__":
    main()

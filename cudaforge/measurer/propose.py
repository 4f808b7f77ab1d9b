"""A row of the matrix for what was measured, as TOML that an overlay or `matrices/` can take."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix import Matrix
from cudaforge.matrix.model import Framework
from cudaforge.matrix.pins import pins_of
from cudaforge.measurer.model import NONE, Measured, Reading
from cudaforge.versions import Version


def propose_row(matrix: Matrix, measured: Measured, *, today: str, index: str = DEFAULT_INDEX) -> str:
    """The file: a source of strength `measured`, and one release with one build.

    What was not read is left out, and a comment at the head names it.
    """
    import tomli_w

    source = f"measured-{measured.package}-{re.sub(r'[^0-9A-Za-z.-]', '-', measured.version)}"
    known = matrix.find_framework(measured.package) or _by_pin(matrix, measured.package)
    framework: dict[str, object] = {"name": known.name if known is not None else measured.package}
    if known is None:
        framework |= {"title": measured.package, "facts_only": True, "source": source}
    build = _build(measured, index)
    document = {
        "schema": 1,
        "framework": framework,
        "sources": {source: {"strength": "measured", "checked": today, "text": _text(measured)}},
        "releases": [{"version": measured.version.partition("+")[0], "source": source, **build}],
    }
    missing = [key for key in ("pythons", "glibc", "provider") if not build.get(key)]
    if measured.brings_cuda is not None:
        missing += [key for key in ("cuda", "cudnn", "cubins") if key not in build]
    head = f"# Not read, and left out: {', '.join(missing)}.\n" if missing else ""
    return head + tomli_w.dumps(document)


def _by_pin(matrix: Matrix, package: str) -> Framework | None:
    """The framework that has the package in one of its builds."""
    for name, framework in matrix.frameworks.items():
        if any(package == pinned for build in matrix.builds(name) for pinned, _ in pins_of(build)):
            return framework
    return None


def _build(measured: Measured, index: str) -> dict[str, object]:
    is_cpu = measured.cuda is not None and measured.cuda.value == NONE
    providers = {True: "wheels", False: "system", None: "none" if is_cpu else ""}
    row: dict[str, object] = {
        "build": measured.build or "",
        "platforms": " ".join(measured.platforms) or "linux/amd64 linux/arm64",
        "pythons": " ".join(measured.pythons),
        "glibc": _glibc(measured),
        "provider": providers[measured.brings_cuda],
        "index": index,
        "requires": [f"{measured.package}==={measured.version}"],
        "reported": measured.reported.value if measured.reported else measured.version,
    }
    if not is_cpu:
        row |= {field: _wish(getattr(measured, field)) for field in ("cuda", "cudnn")}
        if measured.nccl is not None and not measured.nccl.is_bound:
            row["nccl"] = measured.nccl.value
        row |= {field: getattr(getattr(measured, field), "value", "") for field in ("cubins", "ptx")}
    return {key: value for key, value in row.items() if value}


def _glibc(measured: Measured) -> str:
    """What an installer and the loader ask for together."""
    told = [measured.glibc.value] if measured.glibc else []
    told += [measured.tag_glibc] if measured.tag_glibc else []
    return max(told, key=Version, default="")


def _wish(reading: Reading | None) -> str:
    if reading is None:
        return ""
    if not reading.is_bound:
        return reading.value
    return f">={reading.value},<{Version(reading.value).major + 1}"


def _text(measured: Measured) -> str:
    places: Mapping[str, None] = dict.fromkeys(
        reading.where.partition(": ")[0]
        for field in ("reported", "cuda", "cudnn", "cubins", "glibc")
        if (reading := getattr(measured, field)) is not None
    )
    return f"{measured.artefact}: {', '.join(places) or 'its name'}"

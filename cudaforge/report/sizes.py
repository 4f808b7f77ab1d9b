"""What an image is expected to weigh, as text."""

from __future__ import annotations

from cudaforge.report.tables import paragraph
from cudaforge.resolver.model import Bytes, Size
from cudaforge.units import bytes_text

_KINDS = {
    "base": "base",
    "python": "standalone",
    "os-packages": "OS packages",
    "wheels": "wheels",
    "cuda-wheels": "CUDA wheels",
    "packages": "packages",
}
_UNKNOWN = "not known"


def size_text(size: Size) -> str | None:
    """`download 3.3 GB, on disk 6.2 GB`. A sum without the frameworks' wheels would say nothing: what nobody
    has weighed is named instead. None where there are no parts."""
    unweighed = [one.name for one in size.parts if one.kind == "wheels" and one.bytes == Bytes()]
    if unweighed:
        return f"{_UNKNOWN}: nobody has weighed {' and '.join(unweighed)}"
    if size.compressed is None and size.installed is None:
        return None
    doubt = "" if size.known else "at least " if size.is_lower_bound else "about "
    halves = (("download", size.compressed), ("on disk", size.installed))
    return ", ".join(
        f"{name} {_UNKNOWN if count is None else doubt + bytes_text(count)}" for name, count in halves
    )


def explain_size(size: Size) -> str:
    """What each part of the image weighs, as a field of `explain`."""
    lines = [f"  size = {size_text(size) or _UNKNOWN}"]
    for part in size.parts:
        text = f"{_KINDS[part.kind]} {part.name}: {_bytes(part.bytes)}"
        lines.append(paragraph(text, indent="      "))
    if size.duplicate is not None:
        copy = Bytes(compressed=size.duplicate.compressed, installed=size.duplicate.installed)
        as_large = "" if size.duplicate.known else " (as large as the other copy)"
        is_known = size.duplicate.installed is not None
        lines.append(
            paragraph(
                f"of these a second copy of CUDA: {_bytes(copy)}{as_large if is_known else ''}",
                indent="      ",
            )
        )
    return "\n".join(lines)


def _bytes(one: Bytes) -> str:
    if one.compressed is None and one.installed is None:
        return _UNKNOWN
    halves = [
        bytes_text(count) if count is not None else _UNKNOWN for count in (one.compressed, one.installed)
    ]
    return f"download {halves[0]}, on disk {halves[1]}"

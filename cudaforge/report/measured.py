"""What was measured, next to the rows of the matrix, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cudaforge.display import visible
from cudaforge.measurer.compare import Agreement, Checked, Comparison, RowComparison
from cudaforge.measurer.model import NONE, LibraryCode, Measured
from cudaforge.report.facts import row_json, values_json
from cudaforge.report.tables import paragraph, table
from cudaforge.units import bytes_text

_LARGE = 32 * 1000 * 1000
_FIELDS = ("reported", "glibc", "cuda", "cudnn", "nccl", "cubins", "ptx")
_SAME = "the same"


def measured_json(found: Sequence[Checked]) -> dict[str, object]:
    """Everything that was read, with each row field by field."""
    return {
        "agrees": all(one.is_confirmed for one in found),
        "measured": [
            {
                **values_json(one.measured),
                "build": one.measured.build,
                "rows": [_row_json(row) for row in one.rows],
                "proposal": one.proposal,
            }
            for one in found
        ],
    }


def _row_json(found: RowComparison) -> dict[str, object]:
    return {
        "row": row_json(found.row),
        "differs": [one.field for one in found.differences],
        "fields": [values_json(one) for one in found.fields],
    }


def describe_library(library: str, packed: int) -> str | None:
    """That a library is about to be read; None where that takes no time worth a line."""
    return visible(f"reading {library} ({bytes_text(packed)})") if packed >= _LARGE else None


def describe_measured(found: Sequence[Checked]) -> str:
    """A table for each row: measured, row, agrees; where each value was read; and the verdict."""
    return visible("\n\n".join("\n\n".join(_parts(one)) for one in found))


def _parts(found: Checked) -> Iterator[str]:
    measured = found.measured
    yield _head(measured)
    for row in found.rows:
        yield _compared(row)
    yield _read_from(measured)
    if measured.code:
        yield _code(measured.code)
    if measured.unreadable:
        lines = [paragraph(f"{path}: {why}", indent="    ", first="  ") for path, why in measured.unreadable]
        yield "\n".join(["could not be read", *lines])
    yield _verdict(found)


def _head(measured: Measured) -> str:
    lines = [f"{measured.artefact}: {measured.package} {measured.version}"]
    if measured.size is not None:
        lines[0] += f", {bytes_text(measured.size)}"
    text = f"{len(measured.read)} libraries read"
    if measured.skipped:
        names = ", ".join(f"{name} ({bytes_text(size)})" for name, size in measured.skipped)
        text += f"; not read: {names}; --thorough reads them"
    return "\n".join([*lines, paragraph(text, indent="  ")])


def _compared(found: RowComparison) -> str:
    row = found.row
    title = f"{row.framework} {row.version} {row.build} {' '.join(row.platforms)} {row.source.citation()}"
    cells = [
        (one.field, one.measured, _SAME if one.row == one.measured else one.row, one.agreement.value)
        for one in found.fields
    ]
    return f"{title}\n{table(('field', 'measured', 'row', 'agrees'), cells)}"


def _read_from(measured: Measured) -> str:
    readings = [(field, getattr(measured, field)) for field in _FIELDS]
    lines = [(field, reading.where) for field, reading in readings if reading is not None]
    return table(("field", "read from"), lines) if lines else "nothing was read"


def _code(code: Sequence[LibraryCode]) -> str:
    lines = ["GPU code by library: compute capabilities, and how many of its fat binaries have them"]
    for one in sorted(code, key=lambda item: -item.containers):
        lines.append(f"  {one.library} ({one.containers})")
        for kind, counts in (("cubins", one.cubins), ("PTX", one.ptx)):
            words = [name if count == one.containers else f"{name} ({count})" for name, count in counts]
            if words:
                lines.append(paragraph(" ".join(words), indent=" " * 12, first=f"    {kind:<8}"))
    return "\n".join(lines)


def _verdict(found: Checked) -> str:
    if not found.rows:
        name = f"{found.measured.package} {found.measured.version}"
        return (
            f"the matrix has no row for {name}; this is one, for an overlay or for matrices/:\n\n"
            f"{found.proposal or ''}"
        ).rstrip()
    differing = [row for row in found.rows if row.differences]
    if differing:
        return "\n".join(_difference(row, one) for row in differing for one in row.differences)
    open_fields = {
        one.field
        for row in found.rows
        for one in row.fields
        if one.agreement in (Agreement.NOT_READ, Agreement.SO_FAR)
    }
    rest = f"; not read, or not whole: {', '.join(sorted(open_fields))}" if open_fields else ""
    return f"agrees with {len(found.rows)} row{'s' if len(found.rows) > 1 else ''}{rest}"


def _difference(row: RowComparison, one: Comparison) -> str:
    source = row.row.source
    name = f"{row.row.framework} {row.row.version} {row.row.build}"
    what = f"{one.field} is {one.measured or NONE}, and the row says {one.row or NONE}"
    because = f"by {source.citation()} ({source.strength.value}: {source.text})"
    return paragraph(f"{name} differs: {what} {because}", indent="  ", first="")

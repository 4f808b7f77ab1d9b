"""The facts for people and for programs, each with its source."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from cudaforge.display import visible
from cudaforge.matrix.catalogue import source_of
from cudaforge.matrix.proof import text_of
from cudaforge.matrix.sources import Dispute, Source
from cudaforge.matrix.subjects import Row, Subject
from cudaforge.records import is_record, values_of
from cudaforge.report.tables import WIDTH, paragraph, table
from cudaforge.units import bytes_text

_KEY_WIDTH = 16
_LONGEST_CELLS = (120, 34, 24)
_MANY = 12
_SIZE = re.compile(r"(?:.*_)?(?:size|installed)")
_OF_ROWS = ("parts", "disputes")
"""What a source has only where it is that of one row."""
_Derived = Sequence[tuple[str, str]]


def describe_summaries(rows: Iterable[Mapping[str, object]]) -> str:
    """The subjects in one table."""
    cells = [
        (
            str(row["subject"]),
            str(row["rows"]),
            str(row["newest"]),
            str(_inferred(row) or ""),
            str(row["checked_first"]),
            str(row["title"]),
        )
        for row in rows
    ]
    return table(("subject", "rows", "newest", "inferred", "checked", "holds"), cells)


def _inferred(row: Mapping[str, object]) -> object:
    strengths = row["strengths"]
    return strengths.get("inferred") if isinstance(strengths, Mapping) else None


def describe_rows(subject: Subject, rows: Sequence[Row], *, width: int = WIDTH) -> str:
    """The rows of a subject in one table that is no wider than `width` where it can, each with its source,
    which is written out below."""
    if not subject.is_table:
        return "\n\n".join(describe_row(subject, row, ()) for row in rows)
    header = (*subject.columns, "source", "checked")
    first, last = subject.names, len(subject.columns)
    for longest in _LONGEST_CELLS:
        cells = [_cells(subject, row, longest) for row in rows]
        used = [one for one in range(len(header)) if one < first or any(line[one] for line in cells)]
        if _width(header, cells, used) <= width:
            break
    while _width(header, cells, used) > width and (extra := [one for one in used if first <= one < last]):
        used.remove(extra[-1])  # the last columns matter least; `data show` and --json have them all
    lines = [
        table([header[column] for column in used], [[line[column] for column in used] for line in cells])
    ]
    lines += ["", *_source_lines([source_of(row) for row in rows], width)]
    return visible("\n".join(lines))


def _cells(subject: Subject, row: Row, longest: int) -> list[str]:
    source = source_of(row)
    values = [getattr(row, column) for column in subject.columns]
    named = [_cell(value) for value in values[: subject.names]]
    return [
        *named,
        *(_short(value, longest) for value in values[subject.names :]),
        source.id + ("*" if source.disputes else ""),
        source.checked,
    ]


def _source_lines(sources: Sequence[Source], width: int) -> Iterator[str]:
    """Each source once, also where others say otherwise of some of its rows alone."""
    disputed = {(one.id, source_text(one)) for one in sources if one.disputes}
    for name, source in {(one.id, source_text(one)): one for one in sources}.items():
        yield _source_line(source, width, is_disputed=name in disputed)


def _source_line(source: Source, width: int, *, is_disputed: bool) -> str:
    mark = "* sources disagree: see 'cudaforge data show'; " if is_disputed else ""
    return textwrap.fill(
        f"{source.id}: {mark}{source_text(source)}",
        width=width,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width(header: Sequence[str], cells: Sequence[Sequence[str]], used: Sequence[int]) -> int:
    return sum(max(len(line[column]) for line in (header, *cells)) + 2 for column in used) - 2


def describe_found(subject: Subject, found: Sequence[tuple[Row, _Derived]], *, width: int = WIDTH) -> str:
    """Rows that somebody asked for: a few as wholes, many in a table."""
    if len(found) > _MANY and subject.is_table:
        rows = [row for row, _ in found]
        name = " ".join(_cell(getattr(rows[-1], column)) for column in subject.columns[: subject.names])
        hint = f"{len(rows)} rows; 'cudaforge data show {subject.word} {name}' tells all of one"
        return f"{describe_rows(subject, rows, width=width)}\n\n{visible(hint)}"
    return "\n\n".join(describe_row(subject, row, derived) for row, derived in found)


def describe_row(subject: Subject, row: Row, derived: _Derived) -> str:
    """One row with everything that it says, what follows from it, and where it comes from."""
    values = {name: value for name, value in values_of(row).items() if name != "source"}
    title = " ".join(_cell(values.pop(column)) for column in subject.columns[: subject.names])
    source = source_of(row)
    lines = [(name.replace("_", " "), _value(name, value)) for name, value in values.items()]
    lines += [(name, f"{text} [derived]") for name, text in derived]
    lines.append(("source", source_text(source)))
    for one in source.parts:
        fields = ", ".join(one.fields).replace("_", " ")
        lines.append(("of these", f"{fields} {one.source.citation()}"))
    lines += [("disputed", one.sentence()) for one in source.disputes]
    key_width = max(_KEY_WIDTH, *(len(name) + 1 for name, text in lines if text))
    told = [_line(name, text, key_width) for name, text in lines if text]
    return visible("\n".join([paragraph(f"{subject.word} {title}", indent="  ", first=""), *told]))


def describe_agreement(checked: str, overlays: Sequence[str], disputes: Sequence[Dispute]) -> str:
    """What was proven, and where overlays say otherwise than the facts below them."""
    lines = ["", paragraph(f"{', '.join(overlays) or checked}: the facts agree", indent="  ", first="")]
    if disputes:
        lines[1] += ", but for what overlays say otherwise:"
        lines += [paragraph(one.sentence(), first="  ", indent="    ") for one in disputes]
    return visible("\n".join(lines))


def source_text(source: Source) -> str:
    """Where a fact comes from, in one sentence."""
    return f"{source.text} ({source.strength.value}, checked {source.checked}, {source.place()}: {source.id})"


def values_json(one: object) -> dict[str, object]:
    """The fields of a record as plain values."""
    return {name: plain(value) for name, value in values_of(one).items()}


def row_json(row: Row, derived: _Derived = ()) -> dict[str, object]:
    """A row as plain values; its source whole, and apart from it what other sources say of the row."""
    document = values_json(row)
    source = source_of(row)
    if source.parts:
        document["parts"] = [plain(one) for one in source.parts]
    if source.disputes:
        document["disputes"] = [plain(one) for one in source.disputes]
    if derived:
        document["derived"] = [{"name": name, "text": text} for name, text in derived]
    return document


def _line(name: str, text: str, key_width: int) -> str:
    return paragraph(text, first=f"  {name:<{key_width}}", indent=" " * (key_width + 2))


def _value(name: str, value: object) -> str:
    return bytes_text(value) if isinstance(value, int) and _SIZE.fullmatch(name) else _cell(value)


def _cell(value: object) -> str:
    return "" if value is False else text_of(value)


def _short(value: object, longest: int) -> str:
    """A cell of a table: of long lists the ends, of long tables the keys."""
    text = _cell(value)
    if len(text) > longest and isinstance(value, Mapping):
        text = " ".join(map(str, value))
    if len(text) > longest and isinstance(value, (tuple, list)):
        text = f"{value[0]} ... {value[-1]}"
    return text if len(text) <= longest else text[: longest - 3] + "..."


def plain(value: object) -> object:
    """A value of a row, or a record of such values, as JSON has it."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, Source):
        return {name: plain(item) for name, item in values_of(value).items() if name not in _OF_ROWS}
    if is_record(value):
        return {name: plain(item) for name, item in values_of(value).items()}
    return str(value)

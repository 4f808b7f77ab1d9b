"""The facts for people and for programs, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from cudaforge.matrix.catalogue import Row, Subject, source_of
from cudaforge.matrix.model import Source
from cudaforge.records import is_record, values_of
from cudaforge.report.problems import visible
from cudaforge.report.tables import WIDTH, paragraph, table

_KEY_WIDTH = 16
_LONGEST_CELL = 34
_Derived = Sequence[tuple[str, str]]


def describe_summaries(rows: Iterable[Mapping[str, object]]) -> str:
    """The subjects in one table."""
    cells = [
        (
            str(row["subject"]),
            str(row["rows"]),
            str(row["newest"]),
            str(row["checked_first"]),
            str(row["title"]),
        )
        for row in rows
    ]
    return visible(table(("subject", "rows", "newest", "checked since", "holds"), cells))


def describe_rows(subject: Subject, rows: Sequence[Row]) -> str:
    """The rows of a subject in one table, as wide as it must be and no wider than 80 columns where it can."""
    cells = [[_short(_cell(getattr(row, column))) for column in subject.columns] for row in rows]
    used = [
        column for column in range(len(subject.columns)) if column == 0 or any(row[column] for row in cells)
    ]
    while len(used) > 1 and _width(subject, cells, used) > WIDTH:
        used.pop()  # the last columns matter least; `data show` and --json have them all
    header = [subject.columns[column] for column in used]
    return visible(table(header, [[row[column] for column in used] for row in cells]))


def _width(subject: Subject, cells: Sequence[Sequence[str]], used: Sequence[int]) -> int:
    return sum(
        max([len(subject.columns[column]), *(len(row[column]) for row in cells)]) + 2 for column in used
    )


def describe_row(subject: Subject, row: Row, derived: _Derived) -> str:
    """One row with everything that it says, what follows from it, and where it comes from."""
    values = {name: value for name, value in values_of(row).items() if name != "source"}
    title = " ".join(str(_cell(values.pop(column))) for column in subject.columns[:2] if column in values)
    lines = [f"{subject.word} {title}" if not title.startswith(subject.word) else title]
    for name, value in values.items():
        text = _cell(value)
        if text:
            lines.append(_line(name.replace("_", " "), text))
    lines += [_line(name, f"{text} [derived]") for name, text in derived]
    lines.append(_line("source", source_text(source_of(row))))
    return visible("\n".join(lines))


def source_text(source: Source) -> str:
    """Where a fact comes from, in one sentence."""
    return f"{source.text} ({source.strength.value}, checked {source.checked}, {source.file}: {source.id})"


def row_json(row: Row, derived: _Derived = ()) -> dict[str, object]:
    """A row as plain values; its source whole."""
    plain = {name: _plain(value) for name, value in values_of(row).items()}
    if derived:
        plain["derived"] = [{"name": name, "text": text} for name, text in derived]
    return plain


def _line(name: str, text: str) -> str:
    return paragraph(text, first=f"  {name:<{_KEY_WIDTH}}", indent=" " * (_KEY_WIDTH + 2))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}".strip() for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return " ".join(str(item) for item in value)
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 3] + "..."


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if is_record(value):
        return {name: _plain(item) for name, item in values_of(value).items()}
    return str(value)

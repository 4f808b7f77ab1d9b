"""Plain text tables and paragraphs that read well at 80 columns, without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from cudaforge.display import escaped

WIDTH = 80
_GAP = 2
_NAMES = 3


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with left-aligned columns as wide as their longest cell. Each row is one line, whatever others
    have written into its cells: a line of its own may be a command to what reads the log."""
    rows = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [_line(header, widths), _line(["-" * width for width in widths], widths)]
    return "\n".join(lines + [_line(row, widths) for row in rows])


def paragraph(text: str, *, indent: str = "", first: str | None = None) -> str:
    """`text` wrapped at 80 columns; `first` is the indent of the first line."""
    return textwrap.fill(
        text,
        width=WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def names_text(names: Sequence[str]) -> str:
    """Names for people: the first few, and how many more there are."""
    shown = ", ".join(names[:_NAMES])
    return shown if len(names) <= _NAMES else f"{shown} and {len(names) - _NAMES} more"


def seconds_text(seconds: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 5 s`."""
    if seconds < 9.95:  # noqa: PLR2004 -- one decimal below ten
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

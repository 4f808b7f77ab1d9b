"""From proposals to the text of matrix files and overlays, proven row by row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from cudaforge.matrix.expand import Expanded, expand_document
from cudaforge.matrix.reader import Raw, Sources
from cudaforge.matrix.rows import key_of, label, read_row
from cudaforge.records import record
from cudaforge.refresher.burying import bury
from cudaforge.refresher.editing import MatrixText, UnusualLayout
from cudaforge.refresher.forms import form_block, form_source
from cudaforge.refresher.model import Proposal, Tombstone
from cudaforge.refresher.placing import insert_proposal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_What = TypeVar("_What")
_Rows = Mapping[tuple[str, tuple[str, ...]], Raw]
"""By subject and key."""


@record()
class Edited:
    """A matrix file with the rows that could be put in."""

    file: str
    text: str
    rows: tuple[tuple[str, Raw], ...]
    """What is new or changed: the subject, and the complete row."""
    sources: Mapping[str, Raw]
    """The sources that came with them."""
    refused: tuple[tuple[str, str], ...]
    """What could not be put in, each with the reason."""


def edit_file(
    file: str, text: str, proposals: Sequence[Proposal], tombstones: Sequence[Tombstone], *, today: str
) -> Edited:
    """The text of a matrix file with the rows of the proposals, and with what is gone marked.

    Whatever would change another row, or make one that cannot be read, is left out and named.
    """
    first = current = _read(file, text)
    refused: list[tuple[str, str]] = []
    for proposal in proposals:
        made = _attempt(_with_proposal, current, proposal, today)
        if isinstance(made, str):
            refused.append((proposal.row, made))
        else:
            current = made
    for stones in _alike(tombstones):
        made = _attempt(_with_tombstones, current, stones, today)
        if isinstance(made, str):
            refused += [(stone.reference, made) for stone in stones]
        else:
            current = made
    before = _by_key(first.expanded)
    changed = [(key[0], row) for key, row in _by_key(current.expanded).items() if before.get(key) != row]
    new_sources = {
        name: source
        for name, source in current.expanded.sources.items()
        if name not in first.expanded.sources
    }
    return Edited(
        file=file,
        text=current.text,
        rows=tuple(changed),
        sources=new_sources,
        refused=tuple(refused),
    )


def _alike(tombstones: Sequence[Tombstone]) -> Iterator[tuple[Tombstone, ...]]:
    """Those that have one source."""
    for table, basis in dict.fromkeys((stone.table, stone.basis) for stone in tombstones):
        yield tuple(stone for stone in tombstones if (stone.table, stone.basis) == (table, basis))


def _attempt(edit: Callable[[_File, _What, str], _File], file: _File, what: _What, today: str) -> _File | str:
    """The file with an edit, or why it cannot be made."""
    try:
        return edit(file, what, today)
    except (UnusualLayout, _Unsound) as error:
        return str(error)


class _Unsound(ValueError):
    """What would be written is no row, or changes others."""


@record()
class _File:
    """A file as it is at one moment."""

    name: str
    text: str
    document: Mapping[str, object]
    expanded: Expanded


def _read(name: str, text: str) -> _File:
    document = tomllib.loads(text)
    return _File(name=name, text=text, document=document, expanded=expand_document(name, document))


def _with_proposal(file: _File, proposal: Proposal, today: str) -> _File:
    lines = MatrixText(file.text)
    name = _add_source(file, lines, proposal.strength.value, proposal.basis, today)
    insert_proposal(lines, file.document, proposal, name)
    found = _read(file.name, lines.dump())
    before, after = _by_key(file.expanded), _by_key(found.expanded)
    if any(after.get(key) != row for key, row in before.items()):
        raise _Unsound("its rows would change others")
    new = [(subject, row) for (subject, key), row in after.items() if (subject, key) not in before]
    if len(new) < len(proposal.entries):
        raise _Unsound("it would add no row")
    _refuse_mistakes(found, new)
    return found


def _with_tombstones(file: _File, stones: Sequence[Tombstone], today: str) -> _File:
    table = stones[0].table
    lines = MatrixText(file.text)
    name = _add_source(file, lines, stones[0].strength.value, stones[0].basis, today)
    references = {stone.reference for stone in stones}
    bury(lines, file.document, references, table=table, removed=today, source=name)
    found = _read(file.name, lines.dump())
    before, after = _by_key(file.expanded), _by_key(found.expanded)
    for key, row in before.items():
        marked = {**row, "removed": today, "source": name}
        expected = marked if key == (table, (str(row.get("reference")),)) and key[1][0] in references else row
        if after.get(key) != expected:
            raise _Unsound("marking it as gone would change others")
    if after.keys() != before.keys():
        raise _Unsound("marking it as gone would change others")
    _refuse_mistakes(found, [(table, after[table, (reference,)]) for reference in references])
    return found


def _refuse_mistakes(found: _File, rows: Sequence[tuple[str, Raw]]) -> None:
    sources = Sources(found.expanded.sources)
    mistakes = [what for subject, row in rows if (what := _mistake(subject, row, sources)) is not None]
    names = {label(subject, row) for subject, row in rows}
    mistakes += [one.what for one in found.expanded.findings if one.row in names]
    if mistakes:
        raise _Unsound("; ".join(dict.fromkeys(mistakes)))


def _mistake(subject: str, row: Raw, sources: Sources) -> str | None:
    try:
        read_row(subject, row, sources)
    except ValueError as error:
        return str(error)
    return None


def _add_source(file: _File, lines: MatrixText, strength: str, basis: str, today: str) -> str:
    """The name of the source; one that says the same of the same day is taken."""
    number = 0
    table = {"strength": strength, "checked": today, "text": basis}
    while True:
        name = f"{strength}-{today}" + (f"-{_letter(number)}" if number else "")
        known = file.expanded.sources.get(name)
        if known is None:
            lines.insert_source(form_source(name, strength=strength, checked=today, text=basis), name, table)
            return name
        if all(known.get(key) == value for key, value in table.items()):
            return name
        number += 1


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else str(number)  # noqa: PLR2004 -- the alphabet


def _by_key(expanded: Expanded) -> _Rows:
    return {(subject, key_of(subject, row)): row for subject, rows in expanded.rows.items() for row in rows}


def write_overlay(text: str | None, edited: Edited) -> str:
    """The text of an overlay with the new and changed rows of a matrix file, complete.

    Without a text a new overlay is begun. Raises UnusualLayout, or ValueError for a name of a source that
    means something else there.
    """
    framework = next((str(row["framework"]) for subject, row in edited.rows if subject == "builds"), None)
    lines = MatrixText(_begin(framework) if text is None else text)
    known = expand_document("", tomllib.loads(lines.dump()))
    used = {str(row["source"]) for _, row in edited.rows}
    for name, source in edited.sources.items():
        table = {key: str(source[key]) for key in ("strength", "checked", "text")}
        there = known.sources.get(name)
        if there is not None and any(there.get(key) != value for key, value in table.items()):
            raise UnusualLayout(f"the source {name} is there, and says something else")
        if name in used and there is None:
            lines.insert_source(form_source(name, **table), name, table)
    present = _by_key(known)
    for subject, row in edited.rows:
        if (subject, key_of(subject, row)) not in present:
            lines.insert_block(None, _block(subject, row))
    return lines.dump()


def _begin(framework: str | None) -> str:
    head = ["# Facts that `cudaforge data update --write` found, on top of those that cudaforge comes with."]
    named = ["", "[framework]", f'name = "{framework}"'] if framework is not None else []
    return "\n".join([*head, "", "schema = 1", *named, "", "[sources]", ""])


def _block(subject: str, row: Raw) -> list[str]:
    table = "releases" if subject == "builds" else subject
    settings = {key: value for key, value in row.items() if (subject, key) != ("builds", "framework")}
    return form_block(table, {}, "", [settings])


def files_of(proposals: Sequence[Proposal], tombstones: Sequence[Tombstone]) -> Iterator[str]:
    """The matrix files that these belong in, each once."""
    yield from dict.fromkeys([*(one.file for one in proposals), *(f"{one.table}.toml" for one in tombstones)])

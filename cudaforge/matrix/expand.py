"""From a matrix file as people write it to complete rows.

Four short-cuts keep the files readable, and are undone here (the last when the row is read):

- a *block* holds the settings that its rows share: `[[cuda]]` with `releases = [...]`;
- a *shape* is a named bundle of settings: `[shapes.channel]`, used by `like = "channel"`; a list of
  shapes makes one row of each;
- `{name}` in a text is replaced by the row's own setting or parameter of that name;
- a list of words may be one text: `cubins = "8.0 8.6 9.0"`.

What stands nearer to the row wins: defaults, then block, then row; a shape counts where it is named,
below what stands beside its name. An empty text takes a setting away again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from cudaforge.matrix.findings import Finding
from cudaforge.matrix.proof import is_date
from cudaforge.matrix.reader import STRENGTHS, Raw
from cudaforge.matrix.rows import KEYS, key_of, known_fields, label
from cudaforge.records import made, record

SCHEMA = 1
NESTED = {
    "releases": "builds",
    "cuda": "releases",
    "cudnn": "releases",
    "gpus": "products",
    "base_images": "images",
    "framework_images": "images",
    "companions": "releases",
}
_SUBJECTS = {"releases": "builds"}
_TABLES = (
    "releases",
    "cuda",
    "cudnn",
    "gpus",
    "systems",
    "pythons",
    "standalone_pythons",
    "distributions",
    "conda_builds",
    "wheel_tags",
    "makers",
    "base_images",
    "framework_images",
    "drivers",
    "indexes",
    "feeds",
    "snapshots",
    "companions",
    "broken",
)
_GENERAL = ("schema", "framework", "sources", "defaults", "shapes")
_SOURCE_KEYS = {"text", "checked", "strength"}
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_DEEPEST = 4
_NO_SOURCE: Raw = {"text": "-", "checked": "1970-01-01", "strength": "inferred"}
OVERRIDES = "overrides"
"""The key of an overlay's row that says why it counts whatever the strength of its source."""


@record()
class Expanded:
    """One file: its sources, and its rows by subject, complete."""

    file: str
    sources: Mapping[str, Raw]
    rows: Mapping[str, tuple[Raw, ...]]
    findings: tuple[Finding, ...]
    unused_shapes: tuple[str, ...] = ()
    """Shapes that no row is like."""


@record()
class _Context:
    file: str
    defaults: Raw
    shapes: Mapping[str, Raw]
    framework: str | None
    is_overlay: bool = False
    findings: list[Finding] = made(default_factory=list)
    used: set[str] = made(default_factory=set)

    def note(self, row: str, what: str) -> None:
        """Remember a mistake and go on."""
        self.findings.append(Finding(file=self.file, row=row, what=what))


def expand_document(file: str, document: Mapping[str, object]) -> Expanded:
    """The rows of a parsed matrix file. Never raises: mistakes are in `findings`."""
    return _expanded(file, document, is_overlay=False)


def expand_overlay(file: str, document: Mapping[str, object]) -> Expanded:
    """The rows of a parsed overlay: they may leave out what they do not change, keep the empty texts that
    take a setting away, and may say `overrides`. Never raises: mistakes are in `findings`."""
    return _expanded(file, document, is_overlay=True)


def _expanded(file: str, document: Mapping[str, object], *, is_overlay: bool) -> Expanded:
    head = document.get("framework")
    framework = head.get("name") if isinstance(head, Mapping) else None
    context = _Context(
        file=file,
        defaults=_table(document, "defaults"),
        shapes={
            name: value for name, value in _table(document, "shapes").items() if isinstance(value, Mapping)
        },
        framework=framework if isinstance(framework, str) else None,
        is_overlay=is_overlay,
    )
    _check_head(context, document)
    sources = _sources(context, _table(document, "sources"))
    rows: dict[str, tuple[Raw, ...]] = {}
    if isinstance(head, Mapping) and set(head) != {"name"}:
        rows["frameworks"] = tuple(_checked(context, "frameworks", [head]))
    for table in _TABLES:
        if table in document:
            subject = _SUBJECTS.get(table, table)
            rows[subject] = tuple(_checked(context, subject, _expand(context, table, document[table])))
    return Expanded(
        file=file,
        sources=sources,
        rows=rows,
        findings=tuple(context.findings),
        unused_shapes=tuple(name for name in context.shapes if name not in context.used),
    )


def _table(document: Mapping[str, object], key: str) -> Raw:
    value = document.get(key, {})
    return value if isinstance(value, Mapping) else {}


def _check_head(context: _Context, document: Mapping[str, object]) -> None:
    if document.get("schema") != SCHEMA:
        context.note("", f"schema must be {SCHEMA}")
    for key, value in document.items():
        if key not in (*_GENERAL, *_TABLES):
            context.note("", f"unknown table {key!r}{_nearest(key, (*_GENERAL, *_TABLES))}")
        elif key in ("framework", "sources", "defaults", "shapes") and not isinstance(value, Mapping):
            context.note("", f"{key} must be a table")
    if "releases" in document and context.framework is None:
        context.note("", "releases need a [framework] table with a name")


def _sources(context: _Context, tables: Raw) -> dict[str, Raw]:
    sources: dict[str, Raw] = {}
    for name, table in tables.items():
        row = f"sources.{name}"
        what = _source_mistake(table)
        if what is not None:
            context.note(row, what)
        # What is wrong with a source is told once, not again for each row that names it.
        found = table if isinstance(table, Mapping) and what is None else _NO_SOURCE
        sources[name] = {**found, "checked": str(found["checked"]), "file": context.file}
    return sources


def _source_mistake(table: object) -> str | None:
    if not isinstance(table, Mapping) or set(table) != _SOURCE_KEYS:
        return "must have text, checked and strength, and nothing else"
    if not is_date(str(table["checked"])):
        return f"checked is {str(table['checked'])!r}: must be a date, as text, like 2026-01-31"
    if not isinstance(table["text"], str) or not table["text"].strip():
        return "text must say which page or artefact it is"
    if table["strength"] not in STRENGTHS:
        return f"strength is {table['strength']!r}: one of {', '.join(STRENGTHS)}"
    return None


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.7)
    return f": did you mean {near[0]!r}?" if near else ""


def _expand(context: _Context, table: str, blocks: object) -> Iterator[Raw]:
    if not isinstance(blocks, list) or not all(isinstance(block, Mapping) for block in blocks):
        context.note("", f"{table} must be an array of tables")
        return
    nested = NESTED.get(table, "")
    for block in blocks:
        if nested not in block:
            yield from _shaped(context, table, {}, block)
            continue
        shared = {key: value for key, value in block.items() if key != nested}
        entries = block[nested]
        if not isinstance(entries, list):
            context.note("", f"{table}.{nested} must be an array")
            continue
        for entry in entries:
            row = {KEYS[_SUBJECTS.get(table, table)][0]: entry} if isinstance(entry, str) else entry
            if isinstance(row, Mapping):
                yield from _shaped(context, table, shared, row)
            else:
                context.note("", f"{table}.{nested} holds {entry!r}, which is neither a table nor a name")


def _shaped(context: _Context, table: str, block: Raw, row: Raw) -> Iterator[Raw]:
    layers = [context.defaults, block, row]
    place = max((place for place, layer in enumerate(layers) if "like" in layer), default=None)
    if place is None:
        yield _filled(context, table, layers)
        return
    like = layers[place]["like"]
    names = [str(name) for name in like] if isinstance(like, list) else [str(like)]
    for name in names:
        context.used.add(name)
        if name in context.shapes:
            yield _filled(context, table, [*layers[:place], context.shapes[name], *layers[place:]])
        else:
            merged = {**context.defaults, **block, **row}
            context.note(label(_SUBJECTS.get(table, table), merged), f"like = {name!r}: no such shape")


def _filled(context: _Context, table: str, layers: Iterable[Raw]) -> Raw:
    merged: dict[str, object] = {}
    parameters: dict[str, object] = {}
    for layer in layers:
        merged.update(layer)
        parameters.update(_table(layer, "parameters"))
    for key in ("like", "parameters"):
        merged.pop(key, None)
    if table == "releases":
        merged["framework"] = context.framework or ""
    fill = _Fill(context, label(_SUBJECTS.get(table, table), merged), {**merged, **parameters})
    filled = {key: fill.value(value) for key, value in merged.items()}
    if context.is_overlay:
        return filled
    return {key: value for key, value in filled.items() if value != ""}


@record(kw_only=False)
class _Fill:
    """Puts a row's own settings and parameters where `{name}` stands."""

    context: _Context
    row: str
    words: Raw

    def value(self, value: object) -> object:
        """The value with every placeholder in it replaced."""
        if isinstance(value, str):
            return value if "{" not in value else self._text(value, depth=0)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        return value

    def _text(self, text: str, *, depth: int) -> str:
        return _PLACEHOLDER.sub(lambda match: self._word(match[1], depth=depth), text)

    def _word(self, name: str, *, depth: int) -> str:
        value = self.words.get(name)
        if not isinstance(value, str) or depth > _DEEPEST:
            self.context.note(self.row, f"{{{name}}} stands for no setting of this row")
            return ""
        return self._text(value, depth=depth + 1)


def _checked(context: _Context, subject: str, rows: Iterable[Raw]) -> Iterator[Raw]:
    known = known_fields(subject) | ({OVERRIDES} if context.is_overlay else set())
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        name = label(subject, row)
        unknown = sorted(set(row) - known)
        if unknown:
            context.note(name, f"unknown key {unknown[0]!r}{_nearest(unknown[0], known)}")
        missing = [key for key in KEYS[subject] if key not in row]
        if missing:
            context.note(name, f"{missing[0]} is missing")
        key = key_of(subject, row)
        if key in seen:
            context.note(name, "stands here twice")
        seen.add(key)
        yield row

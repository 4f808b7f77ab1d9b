"""The patterns in the form that is fast to read: one JSON document, made of `matrices/errors/*.toml`.

Uses the standard library alone (and tomli below Python 3.11): the build hook runs it.
"""

from __future__ import annotations

import difflib
import json
import re
import string
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cudaforge.codes import Code
from cudaforge.diagnosis.expressions import InvalidExpression, read_search
from cudaforge.diagnosis.model import RULES, Mistake, Search
from cudaforge.records import made, record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1
FOLDER = "errors"
_STRENGTHS = ("measured", "index", "vendor", "inferred")
_ROW_KEYS = (
    *("id", "product", "patterns", "lines", "causes", "code", "text", "remedy", "rule", "hides", "symptom"),
    *("source", "examples", "near_misses"),
)
_CAUSE_KEYS = ("code", "text", "remedy", "when", "seen", "unless")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_CODES = frozenset(code.value for code in Code)
Raw = Mapping[str, object]


class PatternError(Exception):
    """Patterns that cannot be used."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{one.file}, {one.row}: {one.what}" for one in self.mistakes))


@record()
class Example:
    """A text that a pattern must find, and the code that must come first."""

    text: str
    first: str | None = None


@record()
class Sample:
    """What a row says about itself, to be proven."""

    file: str
    id: str
    examples: tuple[Example, ...]
    near_misses: tuple[str, ...]


@record()
class Compiled:
    """All rows of a directory, and what is wrong with them."""

    document: dict[str, object]
    samples: tuple[Sample, ...]
    mistakes: tuple[Mistake, ...]

    def dump(self) -> bytes:
        """The compiled form. Raises PatternError where something is wrong."""
        if self.mistakes:
            raise PatternError(self.mistakes)
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@record()
class _File:
    name: str
    mistakes: list[Mistake] = made(default_factory=list)

    def note(self, row: str, what: str) -> None:
        """Remember a mistake and go on."""
        self.mistakes.append(Mistake(file=self.name, row=row, what=what))


def pattern_files(matrices: Path) -> tuple[Path, ...]:
    """The files of patterns below a directory of matrices, in the order in which they count."""
    return tuple(sorted((matrices / FOLDER).glob("*.toml")))


def compile_patterns(matrices: Path) -> Compiled:
    """The rows of all files, with every mistake in them."""
    rows: list[dict[str, object]] = []
    samples: list[Sample] = []
    mistakes: list[Mistake] = []
    origins: dict[str, object] = {}
    for path in pattern_files(matrices):
        file = _File(name=f"{FOLDER}/{path.name}")
        document = _parsed(file, path)
        sources = _sources(file, document.get("sources", {}))
        origins |= {f"{file.name}:{name}": source for name, source in sources.items()}
        for raw in _tables(file, document):
            rows.append(_row(file, raw, sources))
            samples.append(_sample(file, raw))
        unused = sources.keys() - {str(row["source"]).rpartition(":")[2] for row in rows}
        for name in sorted(unused):
            file.note(f"sources.{name}", "no row names it")
        mistakes += file.mistakes
    mistakes += _join_mistakes(rows, samples)
    return Compiled(
        document={"format": FORMAT, "sources": origins, "patterns": rows},
        samples=tuple(samples),
        mistakes=tuple(mistakes),
    )


def _parsed(file: _File, path: Path) -> Raw:
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8"))
    except ValueError as error:
        file.note("", str(error))
        return {}
    if document.get("schema") != 1:
        file.note("", "schema must be 1")
    for key in document.keys() - {"schema", "sources", "errors"}:
        file.note("", f"unknown table {key!r}{_nearest(key, ('sources', 'errors'))}")
    return document


def _sources(file: _File, tables: object) -> dict[str, dict[str, object]]:
    if not isinstance(tables, Mapping):
        file.note("", "sources must be a table")
        return {}
    found: dict[str, dict[str, object]] = {}
    for name, table in tables.items():
        is_whole = isinstance(table, Mapping) and set(table) == {"text", "checked", "strength"}
        if not is_whole or not all(isinstance(value, str) and value for value in table.values()):
            file.note(f"sources.{name}", "must have text, checked and strength, and nothing else")
            continue
        if table["strength"] not in _STRENGTHS:
            file.note(f"sources.{name}", f"strength is {table['strength']!r}: one of {', '.join(_STRENGTHS)}")
        if not _DAY.fullmatch(table["checked"]):
            file.note(f"sources.{name}", f"checked is {table['checked']!r}: must be a date, like 2026-01-31")
        found[name] = {**table, "file": file.name}
    return found


def _tables(file: _File, document: Raw) -> Iterator[Raw]:
    tables = document.get("errors", [])
    if not isinstance(tables, list):
        file.note("", "errors must be an array of tables: [[errors]]")
        return
    for table in tables:
        if isinstance(table, Mapping):
            yield table


def _row(file: _File, raw: Raw, sources: Mapping[str, object]) -> dict[str, object]:
    name = str(raw.get("id", ""))
    _check_keys(file, name, raw, _ROW_KEYS)
    if not _NAME.fullmatch(name):
        file.note(name, "id must be small letters and digits, joined by '-'")
    for key in ("product", "source"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            file.note(name, f"{key} is missing")
    if raw.get("source") not in sources:
        file.note(name, f"source {raw.get('source')!r} is not among the file's [sources]")
    if raw.get("rule", RULES[0]) not in RULES:
        file.note(name, f"rule is {raw['rule']!r}: one of {', '.join(RULES)}")
    if not isinstance(raw.get("symptom", False), bool):
        file.note(name, "symptom must be true or false")
    searches = _searches(file, name, raw, "patterns") + _searches(file, name, raw, "lines", is_line=True)
    if not searches:
        file.note(name, "patterns are missing")
    groups = (
        set.intersection(*(set(re.compile(one.regex).groupindex) for one in searches)) if searches else set()
    )
    return {
        "id": name,
        "product": raw.get("product"),
        "searches": [_plain(one) for one in searches],
        "choices": [_choice(file, name, cause, groups) for cause in _causes(file, name, raw)],
        "source": f"{file.name}:{raw.get('source')}",
        "hides": list(_texts(file, name, raw, "hides")),
        "symptom": raw.get("symptom", False),
        "rule": raw.get("rule"),
    }


def _causes(file: _File, name: str, raw: Raw) -> Iterator[Raw]:
    own = {key: raw[key] for key in ("code", "text", "remedy") if key in raw}
    causes = raw.get("causes", [own])
    if "causes" in raw and own:
        file.note(name, f"{next(iter(own))} stands beside causes: write it into one of them")
    if not isinstance(causes, list) or not causes or not all(isinstance(one, Mapping) for one in causes):
        file.note(name, "causes must be an array of tables")
        return
    for cause in causes:
        if len(causes) > 1 and not {"when", "seen"} & cause.keys():
            file.note(
                name, f"{cause.get('code')}: where there are several causes, each says `when` it is the one"
            )
        yield cause


def _choice(file: _File, name: str, raw: Raw, groups: set[str]) -> dict[str, object]:
    _check_keys(
        file, name, raw, _CAUSE_KEYS if "when" in raw or "seen" in raw else (*_CAUSE_KEYS, *_ROW_KEYS)
    )
    if raw.get("code") not in _CODES:
        file.note(
            name,
            f"code {raw.get('code')!r} is none of cudaforge/codes.py{_nearest(str(raw.get('code')), _CODES)}",
        )
    for key in ("text", "remedy"):
        value = raw.get(key)
        if not isinstance(value, str) or not value:
            file.note(name, f"{key} is missing")
            continue
        for group in _named(file, name, key, value):
            if group not in groups:
                file.note(name, f"{key} names {{{group}}}, which is no group of each of its patterns")
    return {
        "code": raw.get("code"),
        "text": raw.get("text"),
        "remedy": raw.get("remedy"),
        "when": raw.get("when"),
        "seen": [_plain(one) for one in _searches(file, name, raw, "seen")],
        "unless": [_plain(one) for one in _searches(file, name, raw, "unless")],
    }


def _named(file: _File, name: str, key: str, text: str) -> list[str]:
    try:
        return [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
    except ValueError as error:
        file.note(name, f"{key}: {error} (a brace is written twice)")
        return []


def _searches(file: _File, name: str, raw: Raw, key: str, *, is_line: bool = False) -> list[Search]:
    found = (_search(file, name, key, one, is_line=is_line) for one in _texts(file, name, raw, key))
    return [one for one in found if one is not None]


def _search(file: _File, name: str, key: str, pattern: str, *, is_line: bool) -> Search | None:
    try:
        return read_search(pattern, is_line=is_line)
    except InvalidExpression as error:
        file.note(name, f"{key}: {error}")
        return None


def _sample(file: _File, raw: Raw) -> Sample:
    name = str(raw.get("id", ""))
    examples = raw.get("examples", [])
    made_examples = []
    for one in examples if isinstance(examples, list) else []:
        if isinstance(one, str):
            made_examples.append(Example(text=one))
        elif isinstance(one, Mapping) and set(one) == {"text", "first"}:
            made_examples.append(Example(text=str(one["text"]), first=str(one["first"])))
        else:
            file.note(name, "an example is a text, or a table of text and first")
    near_misses = tuple(_texts(file, name, raw, "near_misses"))
    if not made_examples or not near_misses:
        file.note(name, "needs examples that it finds and near_misses that it does not")
    return Sample(file=file.name, id=name, examples=tuple(made_examples), near_misses=near_misses)


def _join_mistakes(rows: Sequence[Raw], samples: Sequence[Sample]) -> Iterator[Mistake]:
    known: set[object] = set()
    for row, sample in zip(rows, samples, strict=True):
        if row["id"] in known:
            yield Mistake(file=sample.file, row=sample.id, what="stands here twice")
        known.add(row["id"])
    for row, sample in zip(rows, samples, strict=True):
        for hidden in row["hides"] if isinstance(row["hides"], list) else ():
            if hidden not in known or hidden == row["id"]:
                yield Mistake(
                    file=sample.file, row=sample.id, what=f"hides {hidden!r}: there is no such other row"
                )


def _plain(search: Search) -> list[object]:
    return [search.regex, list(search.literals), search.is_line]


def _texts(file: _File, name: str, raw: Raw, key: str) -> list[str]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        file.note(name, f"{key} must be a list of texts")
        return []
    return value


def _check_keys(file: _File, name: str, raw: Raw, known: Sequence[str]) -> None:
    for key in raw.keys() - set(known):
        file.note(name, f"unknown key {key!r}{_nearest(key, known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.7)
    return f": did you mean {near[0]!r}?" if near else ""

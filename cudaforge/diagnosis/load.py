"""Getting the patterns of this installation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cudaforge import resources
from cudaforge.codes import Code
from cudaforge.diagnosis.model import Choice, Origin, Pattern, Search
from cudaforge.errors import Problem, SurroundingsError

_FORMAT = 1


@lru_cache(maxsize=1)
def load_patterns() -> tuple[Pattern, ...]:
    """The patterns of this installation. Raises SurroundingsError for one that is broken."""
    path = resources.compiled_errors()
    try:
        if resources.is_checkout():
            return read_patterns(_renewed(path, resources.find_resource("matrices")))
        return read_patterns(path.read_bytes())
    except OSError as error:
        raise _broken("the data pack is missing", f"{path}: {error.strerror or error}") from error


def read_patterns(content: bytes) -> tuple[Pattern, ...]:
    """The patterns of a compiled form. Raises SurroundingsError for one that is damaged."""
    try:
        document = json.loads(content)
        if document["format"] != _FORMAT:
            raise _broken("the data pack is broken", f"errors.json has format {document['format']}")
        origins = {name: Origin(**table) for name, table in document["sources"].items()}
        return tuple(_pattern(raw, origins) for raw in document["patterns"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken("the data pack is broken", f"errors.json cannot be read ({error})") from error


def _pattern(raw: Mapping[str, Any], origins: Mapping[str, Origin]) -> Pattern:
    return Pattern(
        id=raw["id"],
        product=raw["product"],
        searches=_searches(raw["searches"]),
        choices=tuple(
            Choice(
                code=Code(one["code"]),
                text=one["text"],
                remedy=one["remedy"],
                when=one["when"],
                seen=_searches(one["seen"]),
                unless=_searches(one["unless"]),
            )
            for one in raw["choices"]
        ),
        origin=origins[raw["source"]],
        hides=frozenset(raw["hides"]),
        is_symptom=raw["symptom"],
        rule=raw["rule"],
    )


def _searches(raw: Sequence[tuple[str, Sequence[str], bool]]) -> tuple[Search, ...]:
    return tuple(
        Search(regex=regex, literals=tuple(literals), is_line=is_line) for regex, literals, is_line in raw
    )


def _renewed(path: Path, matrices: Path) -> bytes:
    """The compiled form of a checkout, made again when a TOML file, or the code that makes it, is newer."""
    newest = _newest_change(matrices)
    try:
        if path.stat().st_mtime_ns >= newest:
            return path.read_bytes()
    except FileNotFoundError:
        pass
    from cudaforge.diagnosis.compile import PatternError, compile_patterns
    from cudaforge.files import write_bytes_atomically

    try:
        content = compile_patterns(matrices).dump()
    except PatternError as error:
        raise _broken("the data pack is broken", str(error)) from error
    with contextlib.suppress(SurroundingsError):  # a checkout that cannot be written to is compiled each time
        write_bytes_atomically(path, content, changed=newest)
    return content


def _newest_change(matrices: Path) -> int:
    code = Path(__file__).parent
    folder = matrices / "errors"
    # The directory too: a file that was removed leaves its trace there alone.
    watched = (folder, *folder.glob("*.toml"), *code.glob("*.py"), code.parent / "codes.py")
    return max(path.stat().st_mtime_ns for path in watched)


def _broken(what: str, because: str) -> SurroundingsError:
    remedy = "install cudaforge again; in a checkout run 'cudaforge data check' and mend the file"
    return SurroundingsError(Problem(what=what, because=(because,), remedy=remedy))

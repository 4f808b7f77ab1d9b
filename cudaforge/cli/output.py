"""What the commands write, and where: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping

from cudaforge.errors import CudaforgeError, Problem
from cudaforge.report.problems import broken_lines, describe_problems

JSON_SCHEMA = 1
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def write_text(text: str) -> None:
    """Write an answer for people. What stdout cannot take of it, as a name that is not UTF-8, is escaped."""
    out = sys.stdout
    if out.errors == "strict":
        text = text.encode(out.encoding, "backslashreplace").decode(out.encoding)
    out.write(text if text.endswith("\n") else text + "\n")


def terminal_width() -> int:
    """How wide a table may be: as the terminal, and 80 columns where there is none."""
    return max(80, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 80


def _message_width() -> int | None:
    """Where messages are broken: at the edge of the terminal. In a log they stay whole, to be searched."""
    return shutil.get_terminal_size().columns if sys.stderr.isatty() else None


def write_json(document: dict[str, object]) -> None:
    """Write the one JSON document of a command."""
    text = json.dumps({"schema": JSON_SCHEMA, **document}, indent=2, ensure_ascii=False)
    sys.stdout.write(_printable_json(text) + "\n")


def write_json_lists(lists: Mapping[str, Iterable[str]]) -> None:
    """Write a document of long lists, each of whose entries is JSON already: one a line, as they come."""
    out = sys.stdout
    out.write(f'{{"schema": {JSON_SCHEMA}')
    for name, entries in lists.items():
        out.write(f", {json.dumps(name)}: [")
        before = "\n"
        for entry in entries:
            out.write(before + _printable_json(entry))
            before = ",\n"
        out.write("]")
    out.write("}\n")


def _printable_json(text: str) -> str:
    """JSON as stdout can take it: where it cannot take all, with JSON's escapes for what is not ASCII."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)
    return text


def write_note(text: str) -> None:
    """Write a remark beside the answer: progress, what was written where."""
    sys.stderr.write(broken_lines(text, _message_width()) + "\n")


def write_diff(text: str) -> None:
    """Write a difference beside the answer, each of its lines whole."""
    sys.stderr.write(text + "\n")


def read_input(limit: int) -> bytes:
    """At most `limit` bytes of standard input."""
    return sys.stdin.buffer.read(limit)


def write_error(error: CudaforgeError, *, as_json: bool) -> None:
    """Write an error: for people on stderr, with `--json` also as the document on stdout."""
    if as_json:
        write_json({**error.answer, "errors": [_problem_json(problem) for problem in error.problems]})
    sys.stderr.write(describe_problems(error.problems, width=_message_width()) + "\n")


def _problem_json(problem: Problem) -> dict[str, object]:
    where = problem.where
    return {
        "what": problem.what,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "key": where.key if where else None,
        "because": list(problem.because),
        "try": problem.remedy,
    }

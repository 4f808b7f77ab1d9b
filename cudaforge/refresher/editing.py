"""Changing a matrix file by lines, so that whatever is not changed stays as it was, byte for byte.

tomlkit keeps a document that it only reads, but not the blank lines, the order of blocks and the spaces
inside rows around what is inserted; here nothing but whole lines is added or replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cudaforge.records import record

_TEXT = (
    r'"""(?:[^\\]|\\.)*?"""'
    r"|'{3}.*?'{3}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_STRING = re.compile(_TEXT, re.DOTALL)
_TOKEN = re.compile(rf"{_TEXT}|#[^\n]*|[\[\]{{}}]|\n", re.DOTALL)
_WITHIN_TEXT = 1000
_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\"'-]+)\s*\]\]?\s*(?:#.*)?")


class UnusualLayout(ValueError):
    """The file is TOML, and not written as one row to a line. The text says where."""


@record()
class Block:
    """The lines of one `[[table]]`: from its header to its last line that is not blank."""

    start: int
    end: int
    """The line behind the last one."""


class MatrixText:
    """The lines of a matrix file, and where its blocks and rows are."""

    def __init__(self, text: str) -> None:
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.lines = text.split(self.newline)
        self._depths = _depths(text.replace("\r\n", "\n"))

    def dump(self) -> str:
        """The text as it is now."""
        return self.newline.join(self.lines)

    def blocks(self, name: str) -> tuple[Block, ...]:
        """The `[[name]]` blocks, or the one `[name]` table, in order."""
        headers = [
            (number, match[2].strip("\"'"))
            for number, (line, depth) in enumerate(zip(self.lines, self._depths, strict=True))
            if depth == 0 and (match := _HEADER.fullmatch(line))
        ]
        ends = [number for number, _ in headers[1:]] + [len(self.lines)]
        return tuple(
            Block(start=start, end=self._last(start, end))
            for (start, found), end in zip(headers, ends, strict=True)
            if found == name
        )

    def _last(self, start: int, end: int) -> int:
        """Behind the last line of a block: comments before the next header are not its own."""
        while end > start + 1 and (not (line := self.lines[end - 1].strip()) or line.startswith("#")):
            end -= 1
        return end

    def entries(self, block: Block, nested: str, count: int) -> tuple[int, ...]:
        """The lines of the rows in `nested = [...]` of a block. Raises UnusualLayout."""
        begins = re.compile(rf"\s*{re.escape(nested)}\s*=\s*\[\s*(?:#.*)?")
        first = next(
            (
                n
                for n in range(block.start, block.end)
                if self._depths[n] == 0 and begins.fullmatch(self.lines[n])
            ),
            None,
        )
        found = []
        for number in range(first + 1, block.end) if first is not None else ():
            if self._depths[number] == 0:
                break
            if self._depths[number] == 1 and self.lines[number].lstrip().startswith(("{", '"', "'")):
                found.append(number)
        are_whole = all(self._depths[number + 1] == 1 for number in found)
        if len(found) != count or not are_whole:
            where = f"line {block.start + 1}: {nested}"
            raise UnusualLayout(f"{where} is not written as one row to a line")
        return tuple(found)

    def insert(self, line: int, new: Sequence[str]) -> None:
        """Put lines before a line. What was found of blocks and rows before no longer holds."""
        self.lines[line:line] = new
        self._depths = _depths("\n".join(self.lines))

    def replace(self, line: int, new: Sequence[str]) -> None:
        """Put lines in the place of one."""
        self.lines[line : line + 1] = new
        self._depths = _depths("\n".join(self.lines))

    def insert_entry(self, block: Block, nested: str, count: int, place: int, entry: str) -> None:
        """Put a row in the `place` of the `count` rows of a block. Raises UnusualLayout."""
        lines = self.entries(block, nested, count)
        model = self.lines[lines[min(place, count - 1)]]
        indent = model[: len(model) - len(model.lstrip())]
        before = lines[place - 1] if place else None
        if before is not None and not _ends_with_comma(self.lines[before]):
            raise UnusualLayout(f"line {before + 1} does not end with a comma")
        self.insert(before + 1 if before is not None else lines[0], [f"{indent}{entry},"])

    def insert_block(self, after: Block | None, new: Sequence[str]) -> None:
        """Put a block behind another, or at the end, with a blank line between."""
        if after is not None:
            self.insert(after.end, ["", *new])
            return
        while self.lines and not self.lines[-1].strip():
            self.lines.pop()
        self.insert(len(self.lines), [*([""] if self.lines else []), *new, ""])

    def insert_source(self, line: str, name: str, table: Mapping[str, str]) -> None:
        """Add a line to `[sources]`, or where there is none a table of its own."""
        found = self.blocks("sources")
        if found:
            self.insert(found[0].end, [line])
            return
        from cudaforge.refresher.forms import form_key, form_value

        settings = [f"{form_key(key)} = {form_value(value)}" for key, value in table.items()]
        self.insert_block(None, [f"[sources.{form_key(name)}]", *settings])


def _ends_with_comma(line: str) -> bool:
    return _STRING.sub('""', line).partition("#")[0].rstrip().endswith(",")


def _depths(text: str) -> list[int]:
    """For each line how many brackets are open where it begins; many within a text of several lines."""
    depths, depth = [0], 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        match token[0]:
            case "\n":
                depths.append(depth)
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case '"' | "'":
                depths += [_WITHIN_TEXT] * token.count("\n")
    return depths

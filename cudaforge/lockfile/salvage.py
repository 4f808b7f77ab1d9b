"""What is left of a damaged lock: the day, and every entry that its own digest vouches for."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cudaforge.errors import NegativeAnswer
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.model import LOCK_SCHEMA, Closure, Lock, LockedBase, LockedImage
from cudaforge.lockfile.pylock import load_closure
from cudaforge.lockfile.text import DAY, find_day, load_bases, read_image
from cudaforge.records import record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_IMAGES = re.compile(r"^(?=\[\[images\]\]\s*$)", re.MULTILINE)
_NAME = re.compile(r'^\[\[images\]\]\s*^name = "([^"\n]*)"\s*$', re.MULTILINE)
_DAY_LINE = re.compile(rf'^as_of = "({DAY.pattern})"\s*$', re.MULTILINE | re.ASCII)
_BROKEN = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
_AGAIN = "cudaforge lock --as-of DAY names it again"

ClosureFinder = Callable[[str], str | None]
"""The text of a closure by its path relative to the lock; None where it is not there."""


@record()
class Remains:
    """What is left of a damaged lock."""

    lock: Lock
    """With every entry that can be read, for telling what changes: those that were edited, too."""
    kept: Mapping[str, LockedImage]
    """The entries that say what was locked. One whose closure is gone is there without wheels."""
    lost: Mapping[str, str]
    """By image, what of it is lost, in words."""
    lost_day: str | None
    """In words, why nobody knows the day that the lock was made as of; None where it is known."""


def salvage_lock(text: str, *, find_closure: ClosureFinder) -> Remains:
    """What is left in the text of a lock file that is damaged, edited by hand or has merge-conflict markers.
    Of a conflict counts what both sides agree on, and the images that one of them alone has."""
    sides = [_Side(side, find_closure) for side in _sides(text)]
    readable: dict[str, LockedImage] = {}
    kept: dict[str, LockedImage] = {}
    lost: dict[str, str] = {}
    for name in dict.fromkeys(name for side in sides for name in side.names):
        found = [side.images[name] for side in sides if name in side.images]
        if found:
            readable[name] = found[0]
        if _is_trusted(found):
            kept[name] = found[0]
        trouble = _trouble(found)
        if trouble is not None:
            lost[name] = trouble
    day, lost_day = _agreed_day(sides)
    return Remains(
        lock=Lock(
            project="", declaration="", matrix="", tools={}, as_of=day, images=tuple(readable.values())
        ),
        kept=kept,
        lost=lost,
        lost_day=lost_day,
    )


class _Side:
    """One side of a merge, or all of a lock without markers."""

    def __init__(self, text: str, find_closure: ClosureFinder) -> None:
        # Of an entry that is no TOML any more, the name may be left.
        self.names: list[str] = _NAME.findall(text)
        self.images: dict[str, LockedImage] = {}
        documents = _documents(text)
        self.day = _day(text, documents)
        self.tells_day = self.day is not None or any(
            "schema" in document and "as_of" not in document for document in documents
        )
        for document in documents:
            if document.get("schema") == LOCK_SCHEMA:
                self._read(document, find_closure)

    def _read(self, document: Mapping[str, Any], find_closure: ClosureFinder) -> None:
        def closure_of(file: str, sha256: str) -> Closure:
            text = find_closure(file)
            if text is not None and hashlib.sha256(text.encode()).hexdigest() == sha256:
                with contextlib.suppress(NegativeAnswer):
                    return load_closure(text, file=file)
            return Closure(file=file, sha256=sha256, wheels=(), is_missing=True)

        bases = dict(_each_base(document.get("bases")))
        for plain in _tables(document.get("images")):
            name = plain.get("name")
            if not isinstance(name, str):
                continue
            self.names.append(name)
            with contextlib.suppress(*_BROKEN):
                self.images[name] = read_image(plain, bases, closure_of=closure_of)


def _sides(text: str) -> Sequence[str]:
    """Both sides of a merge that git has left to people; the text itself where there is none."""
    sides: dict[str, list[str]] = {"ours": [], "theirs": []}
    where = "both"
    for line in text.splitlines(keepends=True):
        if line.startswith("<<<<<<<"):
            where = "ours"
        elif where == "ours" and line.startswith("|||||||"):
            where = "before"
        elif where in ("ours", "before") and line.startswith("======="):
            where = "theirs"
        elif where == "theirs" and line.startswith(">>>>>>>"):
            where = "both"
        else:
            for side, lines in sides.items():
                if where in ("both", side):
                    lines.append(line)
    return list(dict.fromkeys("".join(lines) for lines in sides.values()))


def _documents(text: str) -> Sequence[Mapping[str, Any]]:
    """The text as TOML; where it is none, each image alone, with what stands before the first of them."""
    head, *images = _IMAGES.split(text)
    for parts in ([text], [head + image for image in images] or [head]):
        found = [document for document in map(_parsed, parts) if document is not None]
        if found:
            return found
    return []


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _day(text: str, documents: Sequence[Mapping[str, Any]]) -> str | None:
    """No digest vouches for the day: it is as good as the file."""
    if documents:
        return find_day(documents[0].get("as_of"))
    days = set(_DAY_LINE.findall(text))
    return find_day(days.pop()) if len(days) == 1 else None


def _agreed_day(sides: Sequence[_Side]) -> tuple[str | None, str | None]:
    days = list(dict.fromkeys(side.day for side in sides))
    if len(days) > 1:
        told = " and ".join(day or "none" for day in days)
        return None, f"the day is lost: the sides of the merge have {told}; {_AGAIN}"
    if not all(side.tells_day for side in sides):
        return None, f"if it was made as of a day, that is lost: {_AGAIN}"
    return days[0], None


def _each_base(plain: object) -> Iterator[tuple[str, LockedBase]]:
    for one in _tables(plain):
        with contextlib.suppress(*_BROKEN):
            yield from load_bases([one]).items()


def _tables(plain: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(plain, list):
        yield from (one for one in plain if isinstance(one, dict))


def _is_trusted(found: Sequence[LockedImage]) -> bool:
    """Whether all of them say the same, and it is what was locked."""
    return len(set(map(entry_digest, found))) == 1 and found[0].digest == entry_digest(found[0])


def _trouble(found: Sequence[LockedImage]) -> str | None:
    """What is lost of an image, by the entries that the sides have of it."""
    if not found:
        return "the entry cannot be read, and is made anew"
    said = " or ".join(dict.fromkeys(" and ".join(_chosen(image)) for image in found))
    if len(set(map(entry_digest, found))) > 1:
        return f"the sides of the merge locked different things ({said}): all is chosen anew"
    if not _is_trusted(found):
        return f"the entry was edited: all that it says ({said}) is chosen anew"
    if found[0].closure.is_missing:
        return (
            f"the closure is gone, or is not the one that was locked: {said} stay, packages are chosen anew"
        )
    return None


def _chosen(image: LockedImage) -> Iterator[str]:
    yield from (f"{one.name} {one.reported}" for one in image.frameworks)
    yield f"Python {image.python}"

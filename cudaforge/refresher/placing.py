"""Where in a matrix file new rows stand, and putting them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.matrix.expand import NESTED
from cudaforge.records import record
from cudaforge.refresher.editing import MatrixText
from cudaforge.refresher.forms import form_block, form_entry
from cudaforge.refresher.model import Proposal
from cudaforge.versions import InvalidVersion, Version

_FIRST = Version("0")
_IN_EXISTING = ("companions", "cuda", "cudnn")


@record()
class _Place:
    """A block of the file, and for rows that go into it the one that they go behind."""

    number: int
    block: Mapping[str, object]
    joins: bool


def insert_proposal(
    text: MatrixText, document: Mapping[str, object], proposal: Proposal, source: str
) -> None:
    """Put the rows of a proposal into the text of its file, in order of version. Raises UnusualLayout."""
    blocks = written_blocks(document, proposal.table)
    nested = NESTED[proposal.table]
    place = _find(blocks, proposal, nested)
    if place is not None and place.joins:
        for entry in proposal.entries:
            # Found anew each time: a row that was put in moves the others.
            block = text.blocks(proposal.table)[place.number]
            count = len(written_rows(place.block, nested)) + proposal.entries.index(entry)
            written = {**_apart(entry, place.block), "source": source}
            position = _position(place.block, nested, entry) if proposal.table != "releases" else count
            text.insert_entry(block, nested, count, position, form_entry(written))
        return
    is_build = proposal.table == "releases"
    shared = proposal.block if is_build else {**proposal.block, "source": source}
    entries = [{**one, "source": source} for one in proposal.entries] if is_build else list(proposal.entries)
    known = [{key: value for key, value in one.items() if value != ""} for one in entries]
    after = text.blocks(proposal.table)[place.number] if place is not None else None
    text.insert_block(after, form_block(proposal.table, shared, nested, known))


def _find(blocks: Sequence[Mapping[str, object]], proposal: Proposal, nested: str) -> _Place | None:
    """The block that the rows go into or behind; None where they go to the end of the file."""
    wanted = _version(
        proposal.block if proposal.table in ("releases", "base_images") else proposal.entries[0]
    )
    best: tuple[Version, _Place] | None = None
    for number, block in enumerate(blocks):
        if any(block.get(key, value) != value for key, value in _identity(proposal).items()):
            continue
        versions = [_version(row) for row in written_rows(block, nested)] if nested in block else []
        newest = max((one for one in versions if one <= wanted), default=None)
        if proposal.table in ("releases", "base_images"):
            newest = own if _FIRST < (own := _version(block)) <= wanted else None
        if newest is not None and (best is None or newest >= best[0]):
            joins = _joins(proposal, newest, wanted) and nested in block
            best = (newest, _Place(number=number, block=block, joins=joins))
    return best[1] if best is not None else None


def _identity(proposal: Proposal) -> Mapping[str, object]:
    return {key: proposal.block[key] for key in ("framework", "package") if key in proposal.block}


def _joins(proposal: Proposal, newest: Version, wanted: Version) -> bool:
    if proposal.table == "releases":
        return newest == wanted
    if proposal.table == "cuda":
        return newest.minor() == wanted.minor()
    return proposal.table in _IN_EXISTING


def _position(block: Mapping[str, object], nested: str, entry: Mapping[str, object]) -> int:
    wanted = _version(entry)
    return sum(_version(row) <= wanted for row in written_rows(block, nested))


def _apart(entry: Mapping[str, object], block: Mapping[str, object]) -> dict[str, object]:
    """What a row says that its block does not say, and what it takes away of it."""
    return {
        key: value
        for key, value in entry.items()
        if (block.get(key) != value if value != "" else key in block)
    }


def written_blocks(document: Mapping[str, object], table: str) -> list[Mapping[str, object]]:
    """The blocks of a table as a file has them."""
    found = document.get(table)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def written_rows(block: Mapping[str, object], nested: str) -> list[Mapping[str, object]]:
    """The rows within a block as a file has them; empty for those that are a key alone."""
    found = block.get(nested)
    return [one if isinstance(one, Mapping) else {} for one in found] if isinstance(found, list) else []


def _version(row: Mapping[str, object]) -> Version:
    """Of a release, or of what an image is for; before all others where there is none."""
    for key in ("version", "cuda", "python"):
        value = row.get(key)
        if isinstance(value, str):
            try:
                return Version(value)
            except InvalidVersion:
                return _FIRST
    return _FIRST

"""Marking rows of images as gone: the rows that tags stand for, and their lines."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cudaforge.matrix.expand import NESTED, expand_document
from cudaforge.records import record
from cudaforge.refresher.editing import MatrixText, UnusualLayout
from cudaforge.refresher.forms import form_entry
from cudaforge.refresher.placing import written_blocks, written_rows


@record()
class _Spot:
    """Where a row of one tag comes from."""

    block: int
    row: int
    shape: str | None
    """The shape that makes it, where the written row stands for several."""


def bury(
    text: MatrixText,
    document: Mapping[str, object],
    references: Collection[str],
    *,
    table: str,
    removed: str,
    source: str,
) -> None:
    """Mark the rows of some references as gone since a day. Raises UnusualLayout.

    A written row that stands for several tags, of which some are gone, becomes two.
    """
    spots = _spots(document, table)
    gone: dict[tuple[int, int], list[str | None]] = {}
    for reference in references:
        if reference not in spots:
            raise UnusualLayout(f"no row within a block stands for {reference}")
        spot = spots[reference]
        gone.setdefault((spot.block, spot.row), []).append(spot.shape)
    blocks, nested = written_blocks(document, table), NESTED[table]
    for (number, place), shapes in sorted(gone.items(), reverse=True):
        rows = written_rows(blocks[number], nested)
        if not rows[place]:
            raise UnusualLayout("a row that is a key alone has no room for more")
        line = text.entries(text.blocks(table)[number], nested, len(rows))[place]
        old = text.lines[line]
        indent = old[: len(old) - len(old.lstrip())]
        new = _buried(rows[place], blocks[number].get("like"), shapes, removed=removed, source=source)
        text.replace(line, [f"{indent}{form_entry(one)}," for one in new])


def _buried(
    row: Mapping[str, object], like: object, gone: list[str | None], *, removed: str, source: str
) -> list[Mapping[str, object]]:
    shapes = row.get("like", like)
    marked = {**row, "removed": removed, "source": source}
    if not isinstance(shapes, list) or len(gone) == len(shapes):
        return [marked]
    alive = [one for one in shapes if one not in gone]
    return [{**row, "like": alive}, {**marked, "like": [one for one in shapes if one in gone]}]


def _spots(document: Mapping[str, object], table: str) -> Mapping[str, _Spot]:
    general = {key: document[key] for key in ("framework", "defaults", "shapes") if key in document}
    nested = NESTED[table]
    found: dict[str, _Spot] = {}
    for number, block in enumerate(written_blocks(document, table)):
        entries = block.get(nested)
        for place, row in enumerate(entries if isinstance(entries, list) else []):
            alone = {"schema": 1, **general, table: [{**block, nested: [row]}]}
            made = expand_document("", alone).rows[table]
            like = row.get("like", block.get("like")) if isinstance(row, Mapping) else block.get("like")
            shapes = like if isinstance(like, list) else [None] * len(made)
            for one, shape in zip(made, shapes, strict=True):
                found[str(one.get("reference"))] = _Spot(block=number, row=place, shape=shape)
    return found

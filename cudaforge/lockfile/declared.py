"""What was declared when a lock was made: kept in the lock, and compared with what is declared now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from cudaforge.declaration.written import DIGEST_MARK, PROJECT, Written
from cudaforge.display import escaped
from cudaforge.lockfile.model import Declared
from cudaforge.records import record


@record()
class DeclaredChange:
    """One key that is declared otherwise than when the lock was made. None stands for what is not written."""

    image: str
    """The image's table; PROJECT for what is no image's."""
    key: str
    old: Written | None
    new: Written | None

    def __str__(self) -> str:
        table, key = self.image, self.key
        place = f"[images.{table}] {key}"
        if table == PROJECT:
            table, _, key = key.partition(".")
            place = f"[{table}] {key}"
        return f"{escaped(place)}: {_difference(self.old, self.new)}"


def pack(values: Mapping[str, Mapping[str, Written]]) -> tuple[Declared, ...]:
    """The values as a lock keeps them: what images share is there once."""
    sharing: dict[tuple[str, str], list[str]] = {}
    of_pair: dict[tuple[str, str], Written] = {}
    for name, table in values.items():
        for key, value in table.items():
            pair = (key, json.dumps(value))
            sharing.setdefault(pair, []).append(name)
            of_pair[pair] = value
    together: dict[tuple[str, ...], dict[str, Written]] = {}
    for pair, names in sharing.items():
        together.setdefault(tuple(sorted(names)), {})[pair[0]] = of_pair[pair]
    return tuple(
        Declared(images=names, values=dict(sorted(table.items())))
        for names, table in sorted(together.items())
    )


def unpack(kept: tuple[Declared, ...]) -> Mapping[str, Mapping[str, Written]]:
    """The values by image table and key, as they were packed."""
    found: dict[str, dict[str, Written]] = {}
    for one in kept:
        for name in one.images:
            found.setdefault(name, {}).update(one.values)
    return found


def declared_changes(
    old: Mapping[str, Mapping[str, Written]], new: Mapping[str, Mapping[str, Written]]
) -> tuple[DeclaredChange, ...]:
    """Every key that differs, of the project and of the images that are in both."""
    return tuple(_changes(old, new))


def _changes(
    old: Mapping[str, Mapping[str, Written]], new: Mapping[str, Mapping[str, Written]]
) -> Iterator[DeclaredChange]:
    for name in sorted({PROJECT, *(old.keys() & new.keys())}):
        was, now = old.get(name, {}), new.get(name, {})
        for key in sorted(was.keys() | now.keys()):
            if was.get(key) != now.get(key):
                yield DeclaredChange(image=name, key=key, old=was.get(key), new=now.get(key))


def _difference(old: Written | None, new: Written | None) -> str:
    if any(isinstance(one, str) and one.startswith(DIGEST_MARK) for one in (old, new)):
        return "changed (it is too long for the lock to keep more than its digest)"
    if not isinstance(old, tuple) or not isinstance(new, tuple):
        return f"{_shown(old)} -> {_shown(new)}"
    gone = [f"without {_shown(one)}" for one in old if one not in new]
    come = [f"with {_shown(one)}" for one in new if one not in old]
    return ", ".join((*gone, *come)) or f"{_shown(old)} -> {_shown(new)}"


def _shown(value: Written | None) -> str:
    if value is None:
        return "not written"
    return escaped(json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False))

"""Typed access to the plain values of one row of a matrix file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from cudaforge.matrix.sources import Source, Strength
from cudaforge.versions import InvalidVersion, Version, VersionWish

Raw = Mapping[str, object]
"""One row as TOML or JSON gives it: every shared setting filled in."""

STRENGTHS = tuple(strength.value for strength in Strength)
_EMPTY: Mapping[str, str] = MappingProxyType({})


class Sources:
    """The sources of one section, made when a row first names them."""

    def __init__(self, raw: Mapping[str, Raw | Source]) -> None:
        self._raw = raw
        self._made: dict[str, Source] = {}

    def find(self, id: str) -> Source | None:  # noqa: A002 -- the field's name
        """The source of that id, or None."""
        if id not in self._made and id in self._raw:
            raw = self._raw[id]
            self._made[id] = raw if isinstance(raw, Source) else read_source(id, raw)
        return self._made.get(id)


class Reader:
    """Typed access to one raw row. Every method raises ValueError for a value of another kind."""

    __slots__ = ("_raw", "_sources")

    def __init__(self, raw: Raw, sources: Sources) -> None:
        self._raw = raw
        self._sources = sources

    def text(self, key: str) -> str:
        """A text that must be there."""
        value = self._raw.get(key)
        if type(value) is not str or not value:
            raise ValueError(f"{key} must be a text" if key in self._raw else f"{key} is missing")
        return value

    def optional(self, key: str) -> str | None:
        """A text, or None."""
        return self.text(key) if key in self._raw else None

    def version(self, key: str) -> Version:
        """A version that must be there."""
        return read_version(key, self.text(key))

    def optional_version(self, key: str) -> Version | None:
        """A version, or None."""
        return read_version(key, self.text(key)) if key in self._raw else None

    def optional_wish(self, key: str) -> VersionWish | None:
        """A version wish, or None."""
        return read_wish(key, self.text(key)) if key in self._raw else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; nothing written is an empty list."""
        if key not in self._raw:
            return ()
        value = self._raw[key]
        if not isinstance(value, list) or not all(type(item) is str and item for item in value):
            raise ValueError(f"{key} must be a list of texts")
        return tuple(value)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of words, or one text that holds them; nothing written is an empty list."""
        value = self._raw.get(key)
        return _words(value) if isinstance(value, str) else self.texts(key)

    def versions(self, key: str) -> tuple[Version, ...]:
        """A list of versions, or one text that holds them; nothing written is an empty list."""
        return _versions(key, self.words(key))

    def mapping(self, key: str) -> Mapping[str, str]:
        """A table of texts; nothing written is an empty table."""
        if key not in self._raw:
            return _EMPTY
        value = self._raw[key]
        if not isinstance(value, Mapping) or not all(type(item) is str for item in value.values()):
            raise ValueError(f"{key} must be a table of texts")
        return MappingProxyType(dict(value))

    def optional_integer(self, key: str) -> int | None:
        """A whole number, or None."""
        return None if key not in self._raw else self.integer(key)

    def integer(self, key: str) -> int:
        """A whole number that must be there."""
        value = self._raw.get(key)
        if type(value) is not int:
            raise ValueError(f"{key} must be a whole number")
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; nothing written is an empty list."""
        value = self._raw.get(key, [])
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise ValueError(f"{key} must be a list of whole numbers")
        return tuple(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Yes or no."""
        value = self._raw.get(key, default)
        if type(value) is not bool:
            raise ValueError(f"{key} must be true or false")
        return value

    def source(self) -> Source:
        """The row's source, which must be one of its file's."""
        found = self._sources.find(self.text("source"))
        if found is None:
            raise ValueError(f"source {self.text('source')!r} is not among the file's [sources]")
        return found


@lru_cache(maxsize=8192)
def read_version(key: str, text: str) -> Version:
    """The version. Raises ValueError naming the key."""
    try:
        return Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{key}: {error}") from error


@lru_cache(maxsize=2048)
def _versions(key: str, words: tuple[str, ...]) -> tuple[Version, ...]:
    return tuple(read_version(key, word) for word in words)


@lru_cache(maxsize=2048)
def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@lru_cache(maxsize=2048)
def read_wish(key: str, text: str) -> VersionWish:
    """The version wish. Raises ValueError naming the key."""
    try:
        return VersionWish(text)
    except InvalidVersion as error:
        raise ValueError(f"{key}: {error}") from error


def read_source(id: str, raw: Raw) -> Source:  # noqa: A002 -- the field's name
    """The source of that id. Raises ValueError for a strength that there is not."""
    strength = str(raw.get("strength", ""))
    if strength not in STRENGTHS:
        raise ValueError(f"source {id!r} has strength {strength!r}: one of {', '.join(STRENGTHS)}")
    return Source(
        id=id,
        text=str(raw.get("text", "")),
        checked=str(raw.get("checked", "")),
        strength=Strength(strength),
        file=str(raw.get("file", "")),
    )

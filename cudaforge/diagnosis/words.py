"""Asking a text for many phrases: fast where the text has few different words, as logs do."""

from __future__ import annotations

from collections.abc import Iterable

_FEW = 1 << 14
"""A text of fewer characters is asked itself."""


class Words:
    """A text in its normal form, and which phrases are in it."""

    def __init__(self, flat: str) -> None:
        self._flat = flat
        self._words = frozenset(flat.split(" ")) if len(flat) >= _FEW else frozenset[str]()
        self._each_once = " ".join(self._words)

    def have_any(self, phrases: Iterable[str]) -> bool:
        """Whether one of the phrases is in the text."""
        return any(self._has(phrase) for phrase in phrases)

    def _has(self, phrase: str) -> bool:
        if not self._words:
            return phrase in self._flat
        parts = phrase.split(" ")
        # The first and the last may be the end and the beginning of longer words.
        if not all(part in self._words for part in parts[1:-1]):
            return False
        ends = parts if len(parts) == 1 else (parts[0], parts[-1])
        if not all(part in self._each_once for part in ends):
            return False
        return phrase in self._flat

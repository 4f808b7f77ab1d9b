"""The TOML parser of this Python, with floats that remember their spelling."""

from __future__ import annotations

import sys

from cudaforge.declaration.kinds import WrittenFloat

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(text: str) -> dict[str, object]:
    """The document as plain values. Raises ValueError, also for numbers and dates out of range."""
    return tomllib.loads(text, parse_float=WrittenFloat.parse)

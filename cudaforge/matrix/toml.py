"""TOML without its traps: no file makes the parser run away."""

from __future__ import annotations

import re
import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A dotted key of 20,000 parts takes the parser seconds; nothing that people write has more than a few.
_LONG_KEY = re.compile(rb"(?:[\w-]+[ \t]*\.[ \t]*){64}")


def parse_toml(content: bytes) -> dict[str, object]:
    """The document. Raises ValueError for text that is not TOML, not UTF-8 or absurdly nested."""
    if _LONG_KEY.search(content):
        raise ValueError("a key has more than 64 parts")
    try:
        return tomllib.loads(content.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error

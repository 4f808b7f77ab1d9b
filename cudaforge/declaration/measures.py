"""Durations and sizes as people write them: `5m`, `1h30m`, `8GiB`."""

from __future__ import annotations

import re

from cudaforge.declaration.kinds import Kind, bad, read_string
from cudaforge.display import show

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = r"(?:[0-9]{1,6}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,6}(?:\.[0-9]{1,3})?s)?"
_PART = re.compile(r"([0-9.]+)([smh])")
_DURATION_MAX = 7 * 24 * 3600.0
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)"


def read_duration(value: object) -> float:
    """Seconds of `5m`, `90s`, `1h30m`."""
    text = read_string(value)
    if re.fullmatch(_DURATION, text) is None:
        bad(f"{show(text)} is no duration", 'a number with a unit: "90s", "5m", "1h30m"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= _DURATION_MAX:
        bad(f"{show(text)} is out of bounds", "more than nothing, at most a week")
    return seconds


def read_size(value: object) -> int:
    """Bytes of `8GiB`, `500MB`."""
    text = read_string(value)
    match = re.fullmatch(_SIZE, text)
    if match is None:
        bad(f"{show(text)} is no size", 'a number with a unit: "500MB", "8GiB"')
    size = int(float(match[1]) * _BYTES[match[2]])
    if size < 1:
        bad(f"{show(text)} is out of bounds", "at least one byte")
    return size


DURATION = Kind(read=read_duration, schema={"type": "string", "minLength": 2, "pattern": f"^{_DURATION}$"})
SIZE = Kind(read=read_size, schema={"type": "string", "pattern": f"^{_SIZE}$"})

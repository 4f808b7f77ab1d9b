"""The time that builds and pushes take for now, where the environment says one.

Source: reproducible-builds.org/specs/source-date-epoch: seconds since 1970-01-01, in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem

EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
BUILD_EPOCH = 315_532_800
"""1980-01-01, in seconds: the first day that a zip file, and so a wheel, can hold."""
_SECONDS = re.compile(r"[0-9]{1,12}")


def find_epoch(environment: Mapping[str, str]) -> int | None:
    """The time that the environment says, in seconds. Raises InputError for what is no time."""
    text = environment.get(EPOCH_VARIABLE)
    if not text:
        return None
    try:
        if _SECONDS.fullmatch(text):
            datetime.fromtimestamp(int(text), tz=timezone.utc)
            return int(text)
    except (ValueError, OverflowError):
        pass  # later than the last year that is counted
    raise InputError(
        Problem(
            what=f"{EPOCH_VARIABLE} is no number of seconds: {show(text)}",
            where=Location(file="environment", key=EPOCH_VARIABLE),
            remedy="set it to seconds since 1970-01-01, or unset it",
        )
    )


def build_epoch(environment: Mapping[str, str]) -> int:
    """The time that builds take for now, in seconds: what the environment says, else the same for everybody.

    Raises InputError.
    """
    found = find_epoch(environment)
    return BUILD_EPOCH if found is None else found


def moment_of_push(environment: Mapping[str, str]) -> datetime:
    """The time of a push, in UTC: what the environment says, else the clock. Raises InputError."""
    found = find_epoch(environment)
    return datetime.now(tz=timezone.utc) if found is None else datetime.fromtimestamp(found, tz=timezone.utc)

"""The list of what is allowed: each entry with its reason and the day it ends.

[[allow]]
id = "CVE-2026-1234"
package = "zlib1g"          # this package alone; without it every one
reason = "minizip is not in the image"
expires = 2026-12-31
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.gate.model import Finding
from cudaforge.records import record

_KEYS = ("id", "package", "reason", "expires")


@record()
class Allowance:
    """One vulnerability that may be there until the end of a day."""

    id: str
    reason: str
    expires: date
    package: str | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether it speaks of this finding, by any of its names."""
        names = {finding.id.upper(), *(name.upper() for name in finding.aliases)}
        return self.id.upper() in names and self.package in (None, finding.package)


def parse_allowances(values: Mapping[str, object], *, file: str, today: date) -> tuple[Allowance, ...]:
    """The entries of a parsed file.

    Raises InputError with every entry that has no id, no reason or no day, and NegativeAnswer with every
    one whose day has passed: a list that nobody looks after does not open the gate.
    """
    problems = [
        _problem(f"unknown key {show(key)}", file, key, "write [[allow]] tables")
        for key in values
        if key != "allow"
    ]
    entries = values.get("allow", [])
    if not isinstance(entries, list):
        problems.append(_problem("allow is no list of tables", file, "allow", "write [[allow]]"))
        entries = []
    found = []
    for number, entry in enumerate(entries, 1):
        one = _parse_entry(entry, file, f"allow[{number}]", problems)
        if one is not None:
            found.append(one)
    if problems:
        raise InputError(problems)
    passed = [_passed(one, file) for one in found if one.expires < today]
    if passed:
        raise NegativeAnswer(passed)
    return tuple(found)


def _passed(entry: Allowance, file: str) -> Problem:
    return _problem(
        f"{entry.id} was allowed until {entry.expires.isoformat()}, which has passed",
        file,
        f"allow.{entry.id}.expires",
        "look at it again: set a later day, or take the entry out",
    )


def _parse_entry(entry: object, file: str, where: str, problems: list[Problem]) -> Allowance | None:
    if not isinstance(entry, Mapping):
        problems.append(_problem(f"{where} is no table", file, where, "write [[allow]]"))
        return None
    before = len(problems)
    problems += [
        _problem(f"unknown key {show(key)}", file, f"{where}.{key}", f"known: {', '.join(_KEYS)}")
        for key in entry
        if key not in _KEYS
    ]
    name, reason, package = entry.get("id"), entry.get("reason"), entry.get("package")
    if not isinstance(name, str) or not name.strip():
        problems.append(_problem("an entry has no id", file, f"{where}.id", 'id = "CVE-2026-1234"'))
    shown = name if isinstance(name, str) else where
    if not isinstance(reason, str) or not reason.strip():
        problems.append(
            _problem(f"{shown} has no reason", file, f"{where}.reason", "say why it does no harm here")
        )
    if package is not None and not isinstance(package, str):
        problems.append(_problem(f"{shown}: package is no text", file, f"{where}.package", "write a string"))
    expires = _parse_day(entry.get("expires"))
    if expires is None:
        what, remedy = _no_day(entry.get("expires"))
        problems.append(_problem(f"{shown} {what}", file, f"{where}.expires", remedy))
    if len(problems) > before or expires is None:
        return None
    return Allowance(
        id=str(name).strip(),
        reason=str(reason).strip(),
        expires=expires,
        package=package if isinstance(package, str) else None,
    )


def _parse_day(value: object) -> date | None:
    if isinstance(value, datetime):
        return None
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _no_day(value: object) -> tuple[str, str]:
    """What is wrong with a value that is no day, and what to write."""
    if value is None:
        return "has no day on which it ends", "expires = 2026-12-31"
    if isinstance(value, datetime):
        return f"ends at a time of a day: expires = {value}", f"a day alone: expires = {value.date()}"
    written = show(value) if isinstance(value, str) else value
    return f"has an expires that is no day: {written}", "expires = 2026-12-31"


def _problem(what: str, file: str, key: str, remedy: str) -> Problem:
    return Problem(what=what, where=Location(file=file, key=key), remedy=remedy)

"""Options that do not go together: one that would be left out in silence would read as done."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.errors import InputError, Location, Problem


def refuse_beside(option: str, given: Mapping[str, object], *, instead: str = "") -> None:
    """Raise InputError for those of the `given` options that have a value: beside `option` they say nothing.

    `instead` is another way out, besides leaving one of them out.
    """
    names = [name for name, value in given.items() if value]
    if names:
        raise InputError(
            Problem(
                what=f"{' and '.join(names)} cannot be asked for together with {option}",
                where=Location(file="command line", key=names[0]),
                remedy=", or ".join(
                    [f"leave {option} out", " and ".join(names), *([instead] if instead else [])]
                ),
            )
        )


def chosen_format(form: str | None, *, as_json: bool) -> str:
    """The format that is asked for: `--json` is short for `--format json`, and without either it is `text`.

    Raises InputError where both are given and differ.
    """
    if as_json and form not in (None, "json"):
        refuse_beside("--json", {f"--format {form}": True})
    return "json" if as_json else form or "text"

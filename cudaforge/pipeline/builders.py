"""The builders of a run, by the names that it was given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cudaforge.errors import InputError, Problem
from cudaforge.pipeline.decide import Note
from cudaforge.records import replace

if TYPE_CHECKING:
    from cudaforge.engine import Engine, EngineError, NamedBuilder


def connect_builders(names: tuple[str, ...], *, on_note: Note) -> tuple[NamedBuilder, ...]:
    """The builders with these names; without any, the engine that the docker command line would use.

    One that does not answer is told by `on_note` and left out. Raises InputError for all names that mean
    nothing, SurroundingsError with what is wrong with each where none answers.
    """
    from cudaforge.engine import EngineError, connect, connect_named, own_builder

    if not names:
        return (own_builder(connect()),)
    found: list[NamedBuilder] = []
    wrong: list[Problem] = []
    away: dict[str, EngineError] = {}
    for name in dict.fromkeys(names):
        try:
            found.append(connect_named(name))
        except InputError as error:  # noqa: PERF203 -- each is asked for itself
            wrong += error.problems
        except EngineError as error:
            away[name] = error
    if not found and not wrong:
        raise _together(tuple(away.values()))
    for name, reason in away.items():
        on_note(f"the builder {name} gets no images: {reason}")
    if wrong:
        raise InputError(wrong)
    return tuple(found)


def find_holders(
    names: tuple[str, ...], holders: Collection[str]
) -> tuple[Mapping[str, Engine], Mapping[str, EngineError]]:
    """The engines of those builders of a run that have its images, and why the others are away; by name.

    `names` are what `connect_builders` was given, `holders` are builders that it gave. Raises EngineError
    where there are no names, and the engine of the docker command line does not answer.
    """
    from cudaforge.engine import EngineError, ask_twice, connect, connect_named

    if not names:
        return dict.fromkeys(holders, ask_twice(connect)) if holders else {}, {}
    found, lost = {}, {}
    for name in holders:
        try:
            found[name] = ask_twice(partial(connect_named, name)).engine
        except EngineError as error:  # noqa: PERF203 -- each is asked for itself
            lost[name] = error
    return found, lost


def blame(name: str, error: EngineError) -> tuple[Problem, ...]:
    """The problems of an engine, with the builder that it is."""
    return tuple(replace(one, what=f"the builder {name}: {one.what}") for one in error.problems)


def _together(errors: Sequence[EngineError]) -> EngineError:
    """One error that says what all do."""
    from cudaforge.engine import EngineError

    if len(errors) == 1:
        return errors[0]
    return EngineError(dict.fromkeys(problem for error in errors for problem in error.problems))

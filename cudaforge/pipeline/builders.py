"""The builders of a run, by the names that it was given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from cudaforge.errors import Problem
from cudaforge.pipeline.decide import Note
from cudaforge.records import replace

if TYPE_CHECKING:
    from cudaforge.engine import Engine, EngineError, NamedBuilder


def connect_builders(names: tuple[str, ...], *, on_note: Note) -> tuple[NamedBuilder, ...]:
    """The builders with these names; without any, the engine that the docker command line would use.

    One that does not answer is told by `on_note` and left out. Raises InputError for a name that means
    nothing, SurroundingsError where none answers.
    """
    from cudaforge.engine import EngineError, connect, connect_named, own_builder

    if not names:
        return (own_builder(connect()),)
    found, errors = [], []
    for name in dict.fromkeys(names):
        try:
            found.append(connect_named(name))
        except EngineError as error:  # noqa: PERF203 -- each is asked for itself
            errors.append((name, error))
    if not found:
        raise errors[0][1]
    for name, reason in errors:
        on_note(f"the builder {name} gets no images: {reason}")
    return tuple(found)


def find_holders(
    names: tuple[str, ...], holders: Collection[str]
) -> tuple[Mapping[str, Engine], Mapping[str, EngineError]]:
    """The engines of those builders of a run that have its images, and why the others are away; by name.

    `names` are what `connect_builders` was given, `holders` are builders that it gave. Raises EngineError
    where there are no names, and the engine of the docker command line does not answer.
    """
    from cudaforge.engine import EngineError, connect, connect_named

    if not names:
        return dict.fromkeys(holders, connect()) if holders else {}, {}
    found, lost = {}, {}
    for name in holders:
        try:
            found[name] = connect_named(name).engine
        except EngineError as error:  # noqa: PERF203 -- each is asked for itself
            lost[name] = error
    return found, lost


def blame(name: str, error: EngineError) -> tuple[Problem, ...]:
    """The problems of an engine, with the builder that it is."""
    return tuple(replace(one, what=f"the builder {name}: {one.what}") for one in error.problems)

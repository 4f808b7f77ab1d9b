"""The builders of a run, by the names that it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cudaforge.pipeline.decide import Note

if TYPE_CHECKING:
    from cudaforge.engine import NamedBuilder


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

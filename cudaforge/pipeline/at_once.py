"""Several images at a time, and what failed of them: told once for all that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cudaforge.errors import (
    CudaforgeError,
    InputError,
    Interrupted,
    NegativeAnswer,
    Problem,
    SurroundingsError,
)
from cudaforge.once import NotAsked
from cudaforge.records import replace
from cudaforge.report.tables import names_text

WORKERS = 4
"""Images that are worked on at a time: uv keeps a processor busy for each."""
_KINDS: tuple[type[CudaforgeError], ...] = (SurroundingsError, InputError, NegativeAnswer)

_Made = TypeVar("_Made")


def map_images(
    names: Sequence[str], work: Callable[[str], _Made], *, question_of: Callable[[str], Hashable]
) -> Mapping[str, _Made]:
    """What `work` makes of each image, by name. Raises what it raises, and begins no further image then.

    Of images whose `question_of` is equal the first goes ahead, so that none waits for another's answer while
    something else could be asked.
    """
    first = {question_of(name): name for name in reversed(names)}
    ahead = set(first.values())
    order = sorted(names, key=lambda name: name not in ahead)
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        found = dict(zip(order, pool.map(work, order), strict=True))
    return {name: found[name] for name in names}


def make_all(
    names: Sequence[str],
    work: Callable[[str], _Made],
    *,
    question_of: Callable[[str], Hashable],
    close: Callable[[], None],
) -> tuple[Mapping[str, _Made], CudaforgeError | None]:
    """As `map_images`, where an image that fails leaves the others to go on; and the errors of all that
    failed as one: what is the same but for the image is told once, with the images that it concerns.

    Where the surroundings of one failed, `close` has to see to it that nothing new is asked (NotAsked).
    """
    failed: dict[str, CudaforgeError] = {}

    def attempt(name: str) -> _Made | None:
        try:
            return work(name)
        except Interrupted:
            raise
        except CudaforgeError as error:
            if isinstance(error, SurroundingsError):
                close()
            failed[name] = error
            return None

    made = map_images(names, attempt, question_of=question_of)
    error = _together({name: failed[name] for name in names if name in failed}) if failed else None
    return {name: one for name, one in made.items() if one is not None}, error


def as_one(errors: Sequence[CudaforgeError]) -> CudaforgeError:
    """An error with the problems of all, and the first as its cause: a SurroundingsError where one is among
    them, since more is not known then, else an InputError, else a NegativeAnswer."""
    kind = next((kind for kind in _KINDS if any(isinstance(one, kind) for one in errors)), CudaforgeError)
    error = kind(problem for one in errors for problem in one.problems)
    error.__cause__ = errors[0]
    return error


def _together(failed: Mapping[str, CudaforgeError]) -> CudaforgeError:
    told = [(name, error) for name, error in failed.items() if not isinstance(error, NotAsked)]
    # What the others wait for comes first.
    errors = dict(sorted(told, key=lambda one: not isinstance(one[1], SurroundingsError)))
    error = as_one(tuple(errors.values()))
    problems = _grouped(errors)
    left = len(failed) - len(errors)
    if left:
        end = f"so nothing was asked for {left} other image{'s' if left > 1 else ''}"
        problems[0] = replace(problems[0], because=(*problems[0].because, end))
    error.problems = tuple(problems)
    return error


def _grouped(errors: Mapping[str, CudaforgeError]) -> list[Problem]:
    concerned: dict[Problem, list[str]] = {}
    for name, error in errors.items():
        for problem in _nameless(name, error.problems):
            concerned.setdefault(problem, []).append(name)
    return [
        replace(problem, what=f"{names_text(names)}: {problem.what}") for problem, names in concerned.items()
    ]


def _nameless(name: str, problems: Iterable[Problem]) -> Iterable[Problem]:
    return dict.fromkeys(
        replace(problem, what=problem.what.removeprefix(f"{name}: ")) for problem in problems
    )

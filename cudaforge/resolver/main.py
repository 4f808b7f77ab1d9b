"""The stage's functions: one image, all images of a declaration, alternatives."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cudaforge.declaration.model import Declaration, Wishes
from cudaforge.errors import InputError, Problem
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record, replace
from cudaforge.resolver.answer import resolution
from cudaforge.resolver.case import Case, open_case
from cudaforge.resolver.choices import choices
from cudaforge.resolver.conflict import explain
from cudaforge.resolver.model import Answer, Resolution
from cudaforge.resolver.picked import picked
from cudaforge.resolver.solver import Domains


@record()
class ImageAnswer:
    """What one image of a declaration gets."""

    name: str
    answer: Answer


def resolve(wishes: Wishes, matrix: Matrix, *, name: str = "image", host_os: str | None = None) -> Answer:
    """The best set of versions that agree with the wishes and with each other, or the conflict.

    `host_os` is the id of the host's system, which `base = "bootstrap:host"` means. `name` only labels
    errors. Raises InputError for names that are not known (`Problem.where.key` is the wish's key) and
    for a base of the user's own that the wishes do not describe.
    """
    try:
        case = open_case(wishes, matrix, host_os=host_os)
    except InputError as error:
        raise InputError(_labelled(problem, name) for problem in error.problems) from None
    return _answer(case)


def resolve_all(
    declaration: Declaration, matrix: Matrix, *, host_os: str | None = None
) -> tuple[ImageAnswer, ...]:
    """The answer of every image, in the declaration's order. Images with the same wishes share the work.

    Raises InputError with the problems of all images at once; `Problem.where.key` is the full dotted key.
    """
    problems: list[Problem] = []
    answers: list[ImageAnswer] = []
    known: dict[str, Answer] = {}
    for image in declaration.images:
        identity = repr(image.wishes)
        try:
            if identity not in known:
                known[identity] = _answer(open_case(image.wishes, matrix, host_os=host_os))
            answers.append(ImageAnswer(name=image.name, answer=known[identity]))
        except InputError as error:
            problems += [keyed(problem, image.key) for problem in error.problems]
    if problems:
        raise InputError(tuple(dict.fromkeys(problems)))
    return tuple(answers)


def alternatives(
    wishes: Wishes, matrix: Matrix, *, limit: int, host_os: str | None = None
) -> Iterator[Resolution]:
    """Up to `limit` answers, best first: the best one of each choice of framework builds.

    Raises InputError as `resolve` does.
    """
    case = open_case(wishes, matrix, host_os=host_os)
    for domains in islice(case.answers(), limit):
        yield resolution_of(case, domains)


def _answer(case: Case) -> Answer:
    domains = case.best(case.question.all_bits)
    return explain(case) if domains is None else resolution_of(case, domains)


def resolution_of(case: Case, domains: Domains) -> Resolution:
    """The answer that the values stand for, with the reason for each choice."""
    answer = resolution(case, domains)
    return replace(answer, choices=choices(case, picked(case, domains), answer))


def _labelled(problem: Problem, name: str) -> Problem:
    return replace(problem, what=f"{name}: {problem.what}") if name != "image" else problem


def keyed(problem: Problem, key: str) -> Problem:
    """The problem of a wish, under the full dotted key of its image."""
    if problem.where is None:
        return problem
    return replace(problem, where=replace(problem.where, key=f"{key}.{problem.where.key}"))

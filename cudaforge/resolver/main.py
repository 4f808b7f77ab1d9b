"""The stage's functions: one image, all images of a declaration, alternatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from cudaforge.declaration.model import Declaration, Wishes
from cudaforge.errors import InputError, Problem
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record, replace
from cudaforge.resolver.answer import resolution
from cudaforge.resolver.case import Case, open_case, settled
from cudaforge.resolver.earlier import Earlier
from cudaforge.resolver.held import HeldBack, held_by
from cudaforge.resolver.learnt import Obstacle, widened
from cudaforge.resolver.model import Answer, Choice, Conflict, Resolution
from cudaforge.resolver.picked import picked
from cudaforge.resolver.sizes import too_large

if TYPE_CHECKING:
    from cudaforge.resolver.points import Impossible


@record()
class ImageAnswer:
    """What one image of a declaration gets."""

    name: str
    answer: Answer


@record()
class ImageExplanation:
    """What one image of a declaration gets, and why each value was chosen."""

    name: str
    answer: Answer
    choices: tuple[Choice, ...]
    """Empty for a conflict."""


@record()
class ImageAlternatives:
    """The answers of one image."""

    name: str
    resolutions: tuple[Resolution, ...]
    """Best first; none where its wishes collide."""
    is_cut: bool
    """Whether there are more than are listed, and more were asked for."""


MOST_ALTERNATIVES = 1000
"""Answers that are listed of all images together."""


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
    declaration: Declaration,
    matrix: Matrix,
    *,
    host_os: str | None = None,
    earlier: Mapping[str, Earlier] | None = None,
) -> tuple[ImageAnswer, ...]:
    """The answer of every image, in the declaration's order. Images with the same wishes share the work, and
    the impossible points of a matrix that have the same core share one conflict, whose repairs hold for what
    the points have in common.

    `earlier` has what was chosen before, by image name: it is chosen again wherever wishes and facts still
    allow it. Raises InputError with the problems of all images at once; `Problem.where.key` is the full
    dotted key.
    """
    problems: list[Problem] = []
    found: list[Answer | _Shared] = []
    known: dict[str, Answer] = {}
    matrices: dict[str, Impossible] = {}
    for image in declaration.images:
        before = (earlier or {}).get(image.name)
        try:
            case = open_case(image.wishes, matrix, host_os=host_os, earlier=before)
        except InputError as error:
            problems += [keyed(problem, image.key) for problem in error.problems]
            continue
        if image.axes:
            found.append(_answer_point(case, _matrix_of(image.image, matrices)))
            continue
        identity = repr((image.wishes, before))
        if identity not in known:
            known[identity] = _answer(case)
        found.append(known[identity])
    if problems:
        raise InputError(tuple(dict.fromkeys(problems)))
    conflicts = {impossible: impossible.conflicts() for impossible in matrices.values()}
    within = _Limits()
    return tuple(
        ImageAnswer(
            name=image.name,
            answer=conflicts[one.impossible][one.group]
            if isinstance(one, _Shared)
            else within(one, image.contents.max_size),
        )
        for image, one in zip(declaration.images, found, strict=True)
    )


class _Limits:
    """Answers with a warning where they are expected to be larger than allowed: the build measures.

    Images that share an answer and a limit share the result.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Answer, Answer]] = {}

    def __call__(self, answer: Answer, limit: int | None) -> Answer:
        if limit is None or isinstance(answer, Conflict):
            return answer
        key = (id(answer), limit)
        if key not in self._known:
            # The answer is kept with the result, so that no other one gets its identity.
            self._known[key] = (answer, _limited(answer, limit))
        return self._known[key][1]


def _limited(answer: Resolution, limit: int) -> Resolution:
    text = too_large(answer.size, limit)
    return answer if text is None else replace(answer, warnings=(*answer.warnings, text))


def explain_all(
    declaration: Declaration, matrix: Matrix, *, host_os: str | None = None
) -> tuple[ImageExplanation, ...]:
    """What `resolve_all` gives, each answer with why its values were chosen. Raises InputError as it does."""
    answers = resolve_all(declaration, matrix, host_os=host_os)
    return tuple(
        ImageExplanation(
            name=image.name,
            answer=one.answer,
            choices=reasons_for(one.answer, image.wishes, matrix, host_os=host_os),
        )
        for image, one in zip(declaration.images, answers, strict=True)
    )


def reasons_for(
    answer: Answer, wishes: Wishes, matrix: Matrix, *, host_os: str | None = None
) -> tuple[Choice, ...]:
    """Why each value of the answer that these wishes got was chosen; nothing for a conflict."""
    if isinstance(answer, Conflict):
        return ()
    from cudaforge.resolver.choices import choices  # what only explanations need

    case = open_case(wishes, matrix, host_os=host_os, is_wide=True)
    domains = case.best(case.question.all_bits)
    return () if domains is None else choices(case, picked(case, domains), answer)


def alternatives(
    wishes: Wishes, matrix: Matrix, *, limit: int, host_os: str | None = None
) -> Iterator[Resolution]:
    """Up to `limit` answers, best first: the best one of each choice of framework builds.

    Raises InputError as `resolve` does.
    """
    case = open_case(wishes, matrix, host_os=host_os, is_wide=True)
    for domains in islice(case.answers(), limit):
        yield resolution(case, domains)


def alternatives_all(
    declaration: Declaration, matrix: Matrix, *, limit: int | None = None, host_os: str | None = None
) -> tuple[ImageAlternatives, ...]:
    """The answers of every image, best first: up to `limit` of each, or all of them.

    All images together get at most MOST_ALTERNATIVES, shared evenly. Raises InputError as `resolve_all` does.
    """
    found = []
    left = MOST_ALTERNATIVES
    for place, image in enumerate(declaration.images):
        share = max(1, left // (len(declaration.images) - place))
        wanted = share if limit is None else min(limit, share)
        # One more tells whether there are more.
        every = tuple(alternatives(image.wishes, matrix, limit=wanted + 1, host_os=host_os))
        is_cut = len(every) > wanted and wanted != limit
        found.append(ImageAlternatives(name=image.name, resolutions=every[:wanted], is_cut=is_cut))
        left -= min(len(every), wanted)
    return tuple(found)


@record(kw_only=False, eq=False)
class _Shared:
    """A point's place among the impossible ones of its matrix."""

    impossible: Impossible
    group: int


def held_back(
    wishes: Wishes, matrix: Matrix, *, host_os: str | None = None, learnt: Sequence[Obstacle] = ()
) -> tuple[HeldBack, ...]:
    """What is newer than the best answer, and which wishes exclude it; empty where there is no answer. What
    was `learnt` of packages counts on every Python.

    Raises InputError as `resolve` does.
    """
    case = open_case(wishes, matrix, host_os=host_os, is_wide=True, learnt=tuple(map(widened, learnt)))
    domains = case.best(case.question.all_bits)
    return () if domains is None else tuple(held_by(case, domains))


def _answer(case: Case) -> Answer:
    case, domains = settled(case)
    if domains is not None:
        return resolution(case, domains)
    from cudaforge.resolver.conflict import explain  # most answers need none of its words

    return explain(case)


def _matrix_of(image: str, known: dict[str, Impossible]) -> Impossible:
    from cudaforge.resolver.points import Impossible

    return known.setdefault(image, Impossible())


def _answer_point(case: Case, impossible: Impossible) -> Answer | _Shared:
    known = impossible.find(case)
    if known is not None:
        return _Shared(impossible, known)
    case, domains = settled(case)
    return _Shared(impossible, impossible.add(case)) if domains is None else resolution(case, domains)


def _labelled(problem: Problem, name: str) -> Problem:
    return replace(problem, what=f"{name}: {problem.what}") if name != "image" else problem


def keyed(problem: Problem, key: str) -> Problem:
    """The problem of a wish, under the full dotted key of its image."""
    if problem.where is None:
        return problem
    return replace(problem, where=replace(problem.where, key=f"{key}.{problem.where.key}"))

"""Choosing with the packages: where an answer and what is asked for besides have no closure, the next answers
are tried, and what each failure shows is a fact for those that follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from cudaforge.declaration.model import Declaration, ImageDeclaration, OnConflict, Wishes
from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.compose import NewEntry, closure_request
from cudaforge.packages.model import ClosureRequest
from cudaforge.packages.needs import absent_from, find_needs, named_in, sourceless_in
from cudaforge.packages.uv import NoClosure
from cudaforge.pipeline.decide import matrix_of
from cudaforge.pipeline.host import find_host_os
from cudaforge.pipeline.spans import NEWEST_GLIBC, find_span, only, renewed_span
from cudaforge.records import record, replace
from cudaforge.resolver import Answer, Collision, Earlier, Obstacle, Resolution, weigh
from cudaforge.resolver.model import Conflict

MAX_TRIED = 32
"""Answers of one image whose packages are asked for before the search ends."""
_TOLD = 3
"""Reasons for a move that are told; of more, the first ones and the last."""
_CULPRITS = 4
"""Packages of which it is worth finding out which of them collide."""
_CONCLUSION = re.compile(r", we can conclude| and the image needs | and only ")
_PUBLIC = re.compile(r"={2,3}(?P<version>[^+;\s]+)(?:\+\S+)?")

VersionFinder = Callable[[ClosureRequest], Mapping[str, str] | NoClosure]
"""The versions of a closure by package, or why there is none. Raises SurroundingsError where nobody says."""
_Learnt = tuple[Obstacle, ...]


@record()
class Fitted:
    """One image's answer together with its packages."""

    answer: Answer
    entry: NewEntry | None
    """The lock entry; None for a conflict."""
    move: str | None = None
    """What moved for the sake of the packages, in words."""
    learnt: _Learnt = ()


class Fitting:
    """Finds the best answers of a declaration's images that go with their packages.

    `look_up` asks the package indexes; what was chosen `earlier`, by image name, goes first.
    """

    def __init__(
        self,
        declaration: Declaration,
        *,
        look_up: VersionFinder,
        earlier: Mapping[str, Earlier] | None = None,
    ) -> None:
        self._root = declaration.root
        self._as_of = declaration.as_of
        self._matrix = matrix_of(declaration)
        self._host_os = find_host_os()
        self._earlier = earlier or {}
        self._look_up = look_up

    def fit(self, image: ImageDeclaration, answer: Answer, lock: Callable[[Resolution], NewEntry]) -> Fitted:
        """The entry that `lock` makes of the answer, or of the best one after it whose packages exist.

        A conflict says which packages collide with which wishes. Raises NoClosure where the packages
        collide among themselves, NegativeAnswer where too many answers were tried, and what `lock` raises.
        """
        if isinstance(answer, Conflict):
            return Fitted(answer=answer, entry=None)
        found: Resolution | Collision = answer
        learnt: _Learnt = ()
        first: NoClosure | None = None
        for _ in range(MAX_TRIED):
            if isinstance(found, Collision):
                more = self._weaken(image, found, learnt)
                if not more:
                    return Fitted(answer=self._conflict(image, found), entry=None, learnt=learnt)
            elif not (more := self._foresee(self._request(image, found), found, learnt)):
                try:
                    entry = lock(found)
                except NoClosure as error:
                    refusal, first = error, first or error
                else:
                    move = _move(answer, found, learnt)
                    return Fitted(answer=found, entry=entry, move=move, learnt=learnt)
                more = self._learn(self._request(image, found), found, refusal, learnt)
            learnt = (*learnt, *more)
            found = self._weigh(image, learnt)
            if first is not None and isinstance(found, Collision) and _is_about_packages_alone(found, image):
                raise first
        raise NegativeAnswer(_too_many(image, learnt))

    def _request(
        self, image: ImageDeclaration, resolution: Resolution, texts: Collection[str] | None = None
    ) -> ClosureRequest:
        """What the closure has to contain; of packages and constraints these alone."""
        request = closure_request(image, resolution, root=self._root, as_of=self._as_of)
        return request if texts is None else only(request, texts)

    def _weigh(self, image: ImageDeclaration, learnt: _Learnt) -> Resolution | Collision:
        earlier = self._earlier.get(image.name)
        return weigh(image.wishes, self._matrix, learnt, host_os=self._host_os, earlier=earlier)

    def _weaken(self, image: ImageDeclaration, collision: Collision, learnt: _Learnt) -> _Learnt:
        """What shows that a wish of the core is needless: the packages collide without it, too."""
        for resolution, packages in collision.witnesses():
            request = self._request(image, resolution, packages)
            refusal = self._refusal(request)
            if refusal is not None:
                return self._learn(request, resolution, refusal, learnt)
        return ()

    def _conflict(self, image: ImageDeclaration, collision: Collision) -> Conflict:
        def proves(wishes: Wishes, resolution: Resolution) -> bool:
            """Whether a repair's answer has its closure: it is offered as one that works."""
            wanted = (*wishes.packages, *wishes.constraints)
            return self._exists(self._request(image, resolution, wanted))

        return collision.conflict(proves)

    def _learn(
        self, request: ClosureRequest, resolution: Resolution, refusal: NoClosure, known: _Learnt
    ) -> _Learnt:
        """What a failure shows. It excludes the answer that failed, and all that fail in the same way."""
        nowhere = absent_from(refusal.explanation) | sourceless_in(refusal.explanation)
        if any(named_in((name,), request.packages) for name in nowhere):
            raise refusal  # no other version of a framework brings a wheel that nobody has
        pins = (*request.requirements, *request.constraints)
        needs = [one for one in _needs(refusal, request) if one.excludes(pins) and one not in known]
        if needs:
            return tuple(needs)
        narrow = self._without_frameworks(request, refusal) or self._span(request, resolution, refusal)
        if narrow is not None:
            return (narrow,)
        alone = self._refusal(replace(request, packages=()))
        if alone is None:
            return (self._tried(request, resolution, refusal),)
        if not known:
            raise refusal  # the index and the facts disagree on the best answer itself, which has to be seen
        return (_uninstallable(request, resolution, alone),)

    def _foresee(self, request: ClosureRequest, resolution: Resolution, known: _Learnt) -> _Learnt:
        """What failed with another Python and fails with this one, too, which is less to ask than for all."""
        for one in known:
            if one.python in (None, request.python) or one.glibc is not None or one.needs or one.tried:
                continue
            if one.excluded is None:
                bare = replace(_bare(request), packages=one.packages)
                found = None if self._exists(bare) else self._pythonless(bare)
            else:
                found = self._renewed(one, request, resolution)
            if found is not None:
                return (found,)
        return ()

    def _renewed(self, span: Obstacle, request: ClosureRequest, resolution: Resolution) -> Obstacle | None:
        for framework in resolution.frameworks:
            rows = self._matrix.builds(framework.name)
            found = renewed_span(span, request, framework, rows, look=self._look)
            if found is not None:
                return found
        return None

    def _without_frameworks(self, request: ClosureRequest, refusal: NoClosure) -> Obstacle | None:
        """That the packages which the failure is about have no closure on this Python, with no framework."""
        named = named_in(refusal.explanation, request.packages)
        bare = replace(_bare(request), packages=named)
        if not named or self._exists(bare):
            return None
        return self._pythonless(replace(bare, packages=self._culprits(bare, refusal)))

    def _pythonless(self, bare: ClosureRequest) -> Obstacle:
        refusal = self._refusal(bare)
        reason = f": {_first(refusal)}" if refusal is not None and _first(refusal) else ""
        return Obstacle(
            packages=bare.packages,
            python=bare.python,
            glibc=self._glibc(bare),
            text=f"with Python {bare.python} there is no set of wheels for "
            f"{' and '.join(bare.packages)}{reason}",
        )

    def _span(self, request: ClosureRequest, resolution: Resolution, refusal: NoClosure) -> Obstacle | None:
        """The releases of a framework that fail together, where they are more than one."""
        named = named_in(refusal.explanation, (*request.packages, *request.limits))
        for framework in resolution.frameworks:
            rows = self._matrix.builds(framework.name)
            span = find_span(request, framework, rows, named=named, look=self._look)
            if span is not None:
                return span
        return None

    def _tried(self, request: ClosureRequest, resolution: Resolution, refusal: NoClosure) -> Obstacle:
        """The widest statement that a failure of which nothing can be read still proves."""
        bare = _bare(request)
        if not self._exists(bare):
            return self._pythonless(replace(bare, packages=self._culprits(bare, refusal)))
        released = _released(request)
        is_release = not self._exists(released)
        packages = self._culprits(released if is_release else request, refusal)
        verb, names = "do" if len(packages) > 1 else "does", _names(resolution, with_build=not is_release)
        return Obstacle(
            packages=packages,
            python=request.python,
            glibc=self._glibc(replace(released if is_release else request, packages=packages)),
            tried=_tried(resolution, with_build=not is_release),
            text=f"{' and '.join(packages)} {verb} not go with {names}",
        )

    def _glibc(self, request: ClosureRequest) -> str | None:
        """The C library that a failure depends on: what fails next to the newest one fails next to any."""
        return request.glibc if self._exists(replace(request, glibc=NEWEST_GLIBC)) else None

    def _culprits(self, request: ClosureRequest, refusal: NoClosure) -> tuple[str, ...]:
        """The packages that fail together and not without any one of them, as far as that is worth asking."""
        named = named_in(refusal.explanation, request.packages)
        if not named or self._exists(replace(request, packages=named)):
            return request.packages
        for one in named if 1 < len(named) <= _CULPRITS else ():
            rest = tuple(text for text in named if text != one)
            if rest and not self._exists(replace(request, packages=rest)):
                named = rest
        return named

    def _exists(self, request: ClosureRequest) -> bool:
        return self._refusal(request) is None

    def _refusal(self, request: ClosureRequest) -> NoClosure | None:
        """Why there is no closure; where nobody can say, there may be one."""
        found = self._look(request)
        return found if isinstance(found, NoClosure) else None

    def _look(self, request: ClosureRequest) -> Mapping[str, str] | NoClosure | None:
        """The versions of a closure, or why there is none; None where nobody can say."""
        try:
            return self._look_up(request)
        except SurroundingsError:
            return None


def _bare(request: ClosureRequest) -> ClosureRequest:
    """The packages alone, with no framework."""
    return replace(request, requirements=(), constraints=(), indexes={}, index_of={})


def _uninstallable(request: ClosureRequest, resolution: Resolution, refusal: NoClosure) -> Obstacle:
    """That an answer cannot be installed, whatever goes with it."""
    return Obstacle(
        packages=(),
        python=request.python,
        glibc=request.glibc,
        tried=_tried(resolution, with_build=True),
        text=f"{_names(resolution, with_build=True)} has no closure of its own: {_first(refusal)}",
    )


def _tried(resolution: Resolution, *, with_build: bool) -> Mapping[str, str]:
    return {
        one.name: f"{one.version.public()}+{one.build}" if with_build else one.version.text
        for one in resolution.frameworks
    }


def _needs(refusal: NoClosure, request: ClosureRequest) -> Iterator[Obstacle]:
    for need in dict.fromkeys(find_needs(refusal.explanation, (*request.packages, *request.limits))):
        yield Obstacle(
            packages=(need.text,),
            python=request.python,
            needs=(need.package, need.allowed),
            text=need.words,
        )


def _released(request: ClosureRequest) -> ClosureRequest:
    """The request for the frameworks' releases, in whatever build and with whatever libraries."""
    public = {text: _PUBLIC.sub(r"==\g<version>", text) for text in request.requirements}
    return replace(
        request,
        requirements=tuple(public.values()),
        constraints=(),
        index_of={
            public[text]: name for text, name in request.index_of.items() if text in request.requirements
        },
    )


def _is_about_packages_alone(collision: Collision, image: ImageDeclaration) -> bool:
    """Whether no other wish is part of it, so that the packages' own failure says more. A point that may be
    left out is left out all the same."""
    return image.on_conflict is OnConflict.ERROR and collision.is_of_packages


def _move(first: Resolution, answer: Resolution, learnt: _Learnt) -> str | None:
    if not learnt:
        return None
    before, after = (f"{_names(one, with_build=True)} with Python {one.python}" for one in (first, answer))
    reasons = list(dict.fromkeys(one.text for one in learnt))
    if len(reasons) > _TOLD:
        reasons = [*reasons[: _TOLD - 1], "...", reasons[-1]]
    return f"{after} instead of {before}: {'; '.join(reasons)}"


def _names(resolution: Resolution, *, with_build: bool) -> str:
    names = (
        f"{one.name} {one.version.public()}{f'+{one.build}' if with_build else ''}"
        for one in resolution.frameworks
    )
    return " and ".join(names)


def _first(refusal: NoClosure) -> str:
    """What uv's explanation begins with."""
    line = (refusal.explanation or ("uv does not say why",))[0]
    reason = _CONCLUSION.split(line.removeprefix("Because "))[0].rstrip(".")
    return "" if reason.endswith(":") else reason  # a list follows that is no reason to people


def _too_many(image: ImageDeclaration, learnt: _Learnt) -> Problem:
    return Problem(
        what=f"{image.name}: the packages went with none of the {MAX_TRIED} best sets of versions",
        because=tuple(dict.fromkeys(one.text for one in learnt))[:MAX_TRIED],
        remedy="name the framework release that they are made for, or loosen what is asked of them",
    )

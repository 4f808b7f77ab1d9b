"""Resolving a closure: every Python package of an image, as one exact wheel each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial

from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import hash_file
from cudaforge.indexes import DEFAULT_INDEX, PROJECT_INDEX
from cudaforge.packages.joint import Split, agreed, joined
from cudaforge.packages.kept import find_keeping
from cudaforge.packages.model import ClosureRequest, LockedWheel
from cudaforge.packages.question import Ask, Offer, Question, ask
from cudaforge.packages.site import Site
from cudaforge.packages.tags import best_wheel
from cudaforge.packages.uv import NoClosure, NoSolution, python_tag_platform, refuse
from cudaforge.records import record, replace

_Put = Callable[[Question], tuple[Offer, ...] | NoSolution]
"""Puts a question to what this site has."""


@record()
class _Pin:
    """One requirement, read: `torch===2.8.0+cu128`."""

    package: str
    extras: tuple[str, ...]
    version: str | None
    """Where exactly one version is asked for."""
    text: str

    @property
    def label(self) -> str | None:
        """The local label, which tells one build of a version from another."""
        return self.version.partition("+")[2] or None if self.version else None

    def labelled(self, label: str | None) -> str:
        """Exactly this version, in the build of that label where none is written."""
        if self.version is None:
            return self.text
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        suffix = f"+{label}" if label and self.label is None else ""
        return f"{self.package}{extras}==={self.version}{suffix}"


@record()
class _Plan:
    """The request, read."""

    roots: tuple[_Pin, ...]
    constraints: tuple[_Pin, ...]
    users: tuple[_Pin, ...]
    tied: Mapping[str, str]
    """Package to the named index that serves it."""
    labels: Mapping[str, str]
    """Named index to the local label of its builds."""

    def label(self, pin: _Pin) -> str | None:
        return self.labels.get(self.tied.get(pin.package, ""))


def resolve_closure(request: ClosureRequest, site: Site, *, ask: Ask = ask) -> tuple[LockedWheel, ...]:
    """One wheel for every package that the image needs, sorted by name; for each of its platforms where they
    take different ones.

    What a named index serves is looked for in the site's own sources first, then at its address, which is
    asked for these packages alone. uv is asked by `ask`. Raises NoClosure where no set of wheels exists,
    InputError for a requirement that is not supported, SurroundingsError where an index does not answer.
    """
    plan = _read(request)
    found = _find_each(plan, _at(site, request), partial(ask, site=site))
    chosen = {
        platform: tuple(_choose(offers, plan, replace(request, platform=platform)))
        for platform, offers in found.items()
    }
    for wheels in chosen.values():
        _check_pins(wheels, plan, request)
    return joined(chosen)


def find_versions(request: ClosureRequest, site: Site, *, ask: Ask = ask) -> Mapping[str, str] | NoClosure:
    """The versions of a set of wheels by package, in whatever build of what is pinned, or why there is none.
    Raises SurroundingsError where an index does not answer."""
    try:
        found = _find_each(_read(request), _at(site, request), partial(ask, site=site))
    except NoClosure as refusal:
        return refusal
    return {offer.package: offer.version for offers in found.values() for offer in offers}


def _at(site: Site, request: ClosureRequest) -> ClosureRequest:
    """The request with this site's addresses of the indexes that it names."""
    return replace(
        request, indexes={name: site.named_indexes.get(name, url) for name, url in request.indexes.items()}
    )


def _find_each(plan: _Plan, request: ClosureRequest, put: _Put) -> Mapping[str, tuple[Offer, ...]]:
    """The files for each platform, in the same versions. Raises NoClosure."""

    def ask_for(platform: str, splits: Sequence[Split]) -> tuple[Offer, ...]:
        limits = (*request.limits, *(split.limit for split in splits))
        one = replace(request, platform=platform, limits=limits)
        answer = _find(plan, one, put)
        if not isinstance(answer, NoSolution):
            return answer
        told = replace(answer, explanation=(*(split.text for split in splits), *answer.explanation))
        where = platform if request.others else None
        raise refuse(request.name, told, target=_target(one), as_of=request.as_of, platform=where)

    return agreed((request.platform, *request.others), ask_for)


def _find(plan: _Plan, request: ClosureRequest, put: _Put) -> tuple[Offer, ...] | NoSolution:
    found = find_keeping(request, lambda asked: _ask_site(plan, asked, put))
    if isinstance(found, NoSolution) and any(found.names(package) for package in plan.tied):
        return _ask_after(found, plan, request, put)
    return found


def _ask_site(plan: _Plan, request: ClosureRequest, put: _Put) -> tuple[Offer, ...] | NoSolution:
    return put(
        _question(
            request,
            roots=_roots(plan),
            constraints=[pin.labelled(plan.label(pin)) for pin in plan.constraints],
            sources={},
            indexes={},
        )
    )


def _ask_after(
    earlier: NoSolution, plan: _Plan, request: ClosureRequest, put: _Put
) -> tuple[Offer, ...] | NoSolution:
    """The named indexes' answer; where they fail, the error says that the site was asked before."""
    try:
        return _ask_named(plan, request, put)
    except SurroundingsError as error:
        names = ", ".join(dict.fromkeys(plan.tied.values()))
        raise SurroundingsError(
            replace(
                problem,
                what=f"{request.name}: {problem.what}",
                because=(*problem.because, "this site's own sources do not have it:", *earlier.explanation),
                remedy=f"{problem.remedy}; or name a mirror of {names} in [network] indexes",
            )
            for problem in error.problems
        ) from None


def _ask_named(plan: _Plan, request: ClosureRequest, put: _Put) -> tuple[Offer, ...] | NoSolution:
    """Tie the frameworks to their index, then those of their companions that the closure turns out to have:
    uv ties direct requirements alone."""
    direct = {pin.package for pin in (*plan.roots, *plan.users)}
    companions: list[_Pin] = []
    while True:
        bound = direct | {pin.package for pin in companions}
        found = put(
            _question(
                request,
                roots=[*_roots(plan), *(pin.labelled(plan.label(pin)) for pin in companions)],
                constraints=[
                    pin.text if pin.package in plan.tied.keys() - bound else pin.labelled(plan.label(pin))
                    for pin in plan.constraints
                ],
                sources={package: index for package, index in plan.tied.items() if package in bound},
                indexes=request.indexes,
            )
        )
        if isinstance(found, NoSolution):
            return found
        packages = {offer.package for offer in found}
        loose = [pin for pin in plan.constraints if pin.package in (plan.tied.keys() & packages) - bound]
        if not loose:
            return found
        companions += loose


def _roots(plan: _Plan) -> list[str]:
    """What is asked for by name. A constraint with extras stands for what they pull in, which only a
    requirement does."""
    return [
        *(pin.labelled(plan.label(pin)) for pin in plan.roots),
        *(pin.text for pin in plan.constraints if pin.extras),
        *(pin.text for pin in plan.users),
    ]


def _question(
    request: ClosureRequest,
    *,
    roots: Iterable[str],
    constraints: Iterable[str],
    sources: Mapping[str, str],
    indexes: Mapping[str, str],
) -> Question:
    return Question(
        requirements=tuple(dict.fromkeys(roots)),
        constraints=tuple(
            one for one in dict.fromkeys((*constraints, *request.limits, *request.unfit)) if "[" not in one
        ),
        files=request.files,
        from_source=request.from_source,
        python=request.python,
        sources=sources,
        indexes=indexes,
        preferred=request.preferred,
        options=(
            f"--python-platform={python_tag_platform(request.platform, request.glibc)}",
            *_until(request),
        ),
    )


def _until(request: ClosureRequest) -> Iterator[str]:
    """What keeps uv to a day. The facts date what they pin: an index may not tell when it got it."""
    if request.as_of is None:
        return
    end = date.fromisoformat(request.as_of) + timedelta(days=1)
    yield f"--exclude-newer={end.isoformat()}T00:00:00Z"
    for text in (*request.requirements, *request.constraints):
        pin = _pin(text)
        if pin.version is not None:
            yield f"--exclude-newer-package={pin.package}=false"


def _read(request: ClosureRequest) -> _Plan:
    if request.python.endswith("t"):
        raise InputError(
            Problem(
                what=f"{request.name}: free-threaded Python ({request.python}) is not supported yet",
                remedy=f'python = "{request.python.removesuffix("t")}"',
            )
        )
    roots = tuple(_pin(text) for text in request.requirements)
    constraints = tuple(_pin(text) for text in request.constraints)
    named = {
        pin: request.index_of[pin.text]
        for pin in (*roots, *constraints)
        if request.index_of.get(pin.text, DEFAULT_INDEX) != DEFAULT_INDEX
    }
    labels: dict[str, set[str]] = {}
    for pin, index in named.items():
        labels.setdefault(index, set()).update((pin.label,) if pin.label else ())
    return _Plan(
        roots=roots,
        constraints=constraints,
        users=tuple(_user_pin(text, request) for text in request.packages),
        tied={pin.package: index for pin, index in named.items()},
        labels={index: next(iter(found)) for index, found in labels.items() if len(found) == 1},
    )


def _pin(text: str) -> _Pin:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    requirement = Requirement(text)
    exact = [
        one
        for one in requirement.specifier
        if one.operator in ("==", "===") and not one.version.endswith(".*")
    ]
    is_exact = len(exact) == 1 == len(requirement.specifier) and requirement.marker is None
    return _Pin(
        package=canonicalize_name(requirement.name),
        extras=tuple(sorted(requirement.extras)),
        version=exact[0].version if is_exact else None,
        text=text,
    )


def _user_pin(text: str, request: ClosureRequest) -> _Pin:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        has_address = not (Requirement(text).url or "git+").startswith("git+")
    except InvalidRequirement as error:
        raise InputError(
            Problem(
                what=f"{request.name}: {show(text)} is no requirement", because=(str(error).splitlines()[0],)
            )
        ) from None
    if has_address:
        raise InputError(
            Problem(
                what=f"{request.name}: {text.partition('@')[0].strip()} is asked for by its address",
                where=Location(file="declaration", key="packages"),
                remedy="ask for a version of it, or for a commit of its repository: git+https://...@COMMIT",
            )
        )
    return _pin(text)


def _choose(offers: tuple[Offer, ...], plan: _Plan, request: ClosureRequest) -> Iterator[LockedWheel]:
    packages: dict[str, list[Offer]] = {}
    for offer in offers:
        packages.setdefault(offer.package, []).append(offer)
    for package in sorted(packages):
        allowed = _allowed(packages[package], request)
        offer = _best(allowed, request)
        path = offer.path
        yield LockedWheel(
            package=package,
            version=offer.version,
            filename=offer.filename,
            index=PROJECT_INDEX if package in request.files else plan.tied.get(package, DEFAULT_INDEX),
            sha256="" if offer.git is not None else offer.sha256 or _hash_of(offer),
            size=path.stat().st_size if path is not None else offer.size,
            git=offer.git,
        )


def _best(offers: Sequence[Offer], request: ClosureRequest) -> Offer:
    """The wheel that an installer in the image would choose, or the one source."""
    first = offers[0]
    if first.git is not None:
        return first
    if not first.filename.endswith(".whl"):
        if not first.filename.endswith(".tar.gz"):
            raise NegativeAnswer(
                Problem(
                    what=f"{request.name}: the source of {first.package} {first.version} is {first.filename}",
                    because=("what is built from source is a .tar.gz (PEP 625)",),
                    remedy=f"ask for another version of {first.package}",
                )
            )
        return first
    filename = best_wheel(
        [offer.filename for offer in offers],
        python=request.python,
        platform=request.platform,
        glibc=request.glibc,
    )
    return next(offer for offer in offers if offer.filename == filename)


def _allowed(offers: Sequence[Offer], request: ClosureRequest) -> Sequence[Offer]:
    """The files that the user's hashes let through. Raises NegativeAnswer where they let none."""
    package, version = offers[0].package, offers[0].version
    hashes = request.hashes.get(package)
    if hashes is None:
        return offers
    allowed = [offer for offer in offers if (offer.sha256 or _hash_of(offer)) in hashes]
    if not allowed:
        raise NegativeAnswer(
            Problem(
                what=f"{request.name}: no file of {package} {version} has a hash that is asked for",
                where=Location(file="declaration", key="requirements"),
                because=tuple(f"{one.filename} has {one.sha256 or _hash_of(one)}" for one in offers),
                remedy="take the hashes from this site's index, or use the index that they are from",
            )
        )
    return allowed


def _hash_of(offer: Offer) -> str:
    path = offer.path
    if path is None:
        raise SurroundingsError(
            Problem(
                what=f"the package index gives no SHA-256 for {offer.filename}",
                remedy="use an index that does; a lock without hashes would prove nothing",
            )
        )
    return hash_file(path)


def _check_pins(wheels: Iterable[LockedWheel], plan: _Plan, request: ClosureRequest) -> None:
    """Nothing may have moved what the facts are about: not another index, not a variable of uv's. The
    frameworks and what is pinned beside them are exactly the builds that were chosen."""
    versions = {wheel.package: wheel.version for wheel in wheels}
    exact = [
        (pin.package, pin.labelled(plan.label(pin)).rpartition("===")[2], pin in plan.roots)
        for pin in (*plan.roots, *plan.constraints)
        if pin.version is not None
    ]
    moved = [
        (package, wanted)
        for package, wanted, is_root in exact
        if versions.get(package, wanted if not is_root else None) != wanted
    ]
    if moved:
        raise NegativeAnswer(
            Problem(
                what=f"{request.name}: uv chose {package} {versions.get(package, 'not at all')} "
                f"where {wanted} is pinned",
                remedy="check uv's own variables and files for overrides",
            )
            for package, wanted in moved
        )


def _target(request: ClosureRequest) -> str:
    return f"Python {request.python} on {request.platform} with glibc {request.glibc}"

"""Moving what is locked, all of it together: framework, build, CUDA, Python, base, packages, driver floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial

from cudaforge.declaration.model import Declaration
from cudaforge.declaration.written import written_values
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.declared import pack
from cudaforge.lockfile.model import Closure, DroppedPoint, Lock, LockedBase, LockedImage
from cudaforge.lockfile.store import write_lock, write_wheels
from cudaforge.pipeline.bases import BasePins, bootstrapped_base, planned_base
from cudaforge.pipeline.decide import (
    Note,
    chosen_images,
    has_image,
    load_current_lock,
    matrix_of,
    require_answers,
    resolve,
)
from cudaforge.pipeline.entries import earlier_of_each, lock_images, moves_of
from cudaforge.pipeline.host import ignore, lock_path
from cudaforge.pipeline.locking import (
    LockOutcome,
    dropped_points,
    hold_lock,
    own_wheels,
    tools,
    warnings_of,
)
from cudaforge.pipeline.outside import DigestSource, find_site
from cudaforge.records import replace
from cudaforge.resolver import ImageAnswer, Resolution

_BaseMaker = Callable[[BaseRequest], LockedBase]


def upgrade(
    declaration: Declaration,
    names: Sequence[str] = (),
    *,
    allow_unpinned: bool = False,
    offline: bool = False,
    on_note: Note = ignore,
) -> LockOutcome:
    """Resolve and pin the named images (all for no names) anew, and write the lock.

    Names that are no image are packages: these alone move, in the images that have them, and of the named
    ones where images are named, too. The entries of other images stay as they are, byte for byte.

    Raises NegativeAnswer where the lock is missing or stale, or wishes collide, InputError for a name that is
    neither an image nor a package that can move alone, SurroundingsError as `lock` does; the old lock is then
    as it was.
    """
    with hold_lock(declaration, on_note):
        current = load_current_lock(declaration)
        renewal = _Renewal(replace(declaration, as_of=current.as_of), current, names, offline=offline)
        outcome, closures = renewal.renewed(
            allow_unpinned=allow_unpinned,
            on_note=on_note,
            make_base=partial(bootstrapped_base, site=renewal.site, offline=offline),
        )
        write_wheels(outcome.lock, own_wheels(declaration), outcome.path)
        write_lock(outcome.lock, closures, outcome.path)
    return outcome


def plan_upgrade(
    declaration: Declaration,
    names: Sequence[str] = (),
    *,
    allow_unpinned: bool = False,
    offline: bool = False,
    on_note: Note = ignore,
) -> LockOutcome:
    """What `upgrade` would lock. Nothing is written, and no base is made: of one made from the OS archive the
    packages are known, and not the digest. Raises what `upgrade` raises."""
    current = load_current_lock(declaration)
    renewal = _Renewal(replace(declaration, as_of=current.as_of), current, names, offline=offline)
    outcome, _ = renewal.renewed(
        allow_unpinned=allow_unpinned,
        on_note=on_note,
        make_base=partial(
            planned_base,
            previous=[image.base for image in current.images],
            site=renewal.site,
            offline=offline,
        ),
    )
    return outcome


class _Renewal:
    """A lock of which some images are made anew."""

    def __init__(
        self, declaration: Declaration, current: Lock, names: Sequence[str], *, offline: bool
    ) -> None:
        self._declaration = declaration
        self._current = current
        self._packages = _packages_among(names, declaration, current)
        images = [name for name in names if has_image(declaration, name)]
        self._chosen = chosen_images(declaration, images)
        if self._packages:
            having = _having(current, self._packages, self._chosen)
            self._chosen = chosen_images(declaration, [image.name for image in having])
        self.site = find_site(declaration, offline=offline)

    def renewed(
        self, *, allow_unpinned: bool, on_note: Note, make_base: _BaseMaker
    ) -> tuple[LockOutcome, Mapping[str, str]]:
        """The new lock next to the old one, and the texts of the closures that are new."""
        if self._current.as_of is not None:
            on_note(f"as of {self._current.as_of}, as the lock was made; cudaforge lock --as-of DAY moves it")
        kept = self._kept()
        answers = resolve(self._chosen, earlier=earlier_of_each(kept))
        require_answers(self._chosen, answers)
        _refuse_chosen(self._packages, answers)
        site = self.site
        source = DigestSource(site=site, allow_unpinned=allow_unpinned, on_note=on_note)
        fitted = lock_images(
            self._chosen,
            answers,
            kept=kept,
            pins=BasePins(
                previous=[image.base for image in kept.values()], find_base=source.find, make_base=make_base
            ),
            site=site,
            on_note=on_note,
        )
        entries = [one.entry for one in fitted.values() if one.entry is not None]
        made = self._lock({entry.image.name: entry.image for entry in entries}, dropped_points(fitted))
        outcome = LockOutcome(
            path=lock_path(self._declaration),
            lock=made,
            previous=self._current,
            moves=moves_of(fitted),
            warnings=warnings_of(self._declaration, fitted),
        )
        return outcome, {entry.image.closure.file: entry.closure_text for entry in entries}

    def _kept(self) -> Mapping[str, LockedImage]:
        """What stays of the images where packages alone move: all but the versions of these."""
        if not self._packages:
            return {}
        renewed = {image.name for image in self._chosen.images}
        return {
            image.name: replace(image, closure=_without(image.closure, self._packages))
            for image in self._current.images
            if image.name in renewed
        }

    def _lock(self, images: Mapping[str, LockedImage], dropped: Sequence[DroppedPoint]) -> Lock:
        renewed = {image.name for image in self._chosen.images}
        every = {image.name: image for image in self._current.images if image.name not in renewed}
        every |= images
        points = {point.name: point for point in self._current.dropped if point.name not in renewed}
        points |= {point.name: point for point in dropped}
        order = [image.name for image in self._declaration.images]
        is_whole = renewed == set(order) and not self._packages
        return replace(
            self._current,
            # The others were not weighed by these facts: the next `lock` does it, and keeps what still fits.
            matrix=matrix_of(self._declaration).revision if is_whole else self._current.matrix,
            tools=tools(),
            declared=pack(written_values(self._declaration)),
            images=tuple(every[name] for name in order if name in every),
            dropped=tuple(points[name] for name in order if name in points),
        )


def _packages_among(names: Sequence[str], declaration: Declaration, current: Lock) -> frozenset[str]:
    """The names that are no image, as packages of the lock. Raises InputError for one that is neither."""
    from packaging.utils import canonicalize_name

    words = {name: str(canonicalize_name(name)) for name in names if not has_image(declaration, name)}
    locked = sorted({wheel.package for image in current.images for wheel in image.closure.wheels})
    problems = []
    for word, package in words.items():
        if package not in locked:
            near = get_close_matches(package, locked, n=1, cutoff=0.6)
            meant = f"did you mean {near[0]}? " if near else ""
            images = ", ".join(image.name for image in declaration.images)
            problems.append(
                Problem(
                    what=f"{show(word)} is neither an image nor a package of the lock",
                    where=Location(file="command line"),
                    remedy=f"{meant}images known: {images}",
                )
            )
    if problems:
        raise InputError(problems)
    return frozenset(words.values())


def _having(current: Lock, packages: frozenset[str], chosen: Declaration) -> Sequence[LockedImage]:
    """The chosen images that have any of the packages. Raises InputError for a package that none has."""
    asked = {image.name for image in chosen.images}
    images = [image for image in current.images if image.name in asked]
    absent = packages - {wheel.package for image in images for wheel in image.closure.wheels}
    if absent:
        raise InputError(
            Problem(
                what=f"none of the images that are named has the package {name}",
                where=Location(file="command line"),
                remedy="leave the images out",
            )
            for name in sorted(absent)
        )
    return [image for image in images if any(wheel.package in packages for wheel in image.closure.wheels)]


def _without(closure: Closure, packages: frozenset[str]) -> Closure:
    return replace(closure, wheels=tuple(one for one in closure.wheels if one.package not in packages))


def _refuse_chosen(packages: frozenset[str], answers: Sequence[ImageAnswer]) -> None:
    """Raise InputError for packages whose version the facts choose, together with the rest of the image."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    chosen: dict[str, list[str]] = {}
    for answer in answers:
        if isinstance(answer.answer, Resolution):
            names = {str(canonicalize_name(Requirement(one).name)) for one in answer.answer.requirements}
            for name in sorted(names & packages):
                chosen.setdefault(name, []).append(answer.name)
    if chosen:
        raise InputError(
            Problem(
                what=f"{name} does not move alone: it is chosen with the framework of {', '.join(images)}",
                where=Location(file="command line"),
                remedy=f"cudaforge upgrade {' '.join(images)}",
            )
            for name, images in chosen.items()
        )

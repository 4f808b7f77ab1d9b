"""Moving what is locked, all of it together: framework, build, CUDA, Python, base, packages, driver floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cudaforge.declaration.model import Declaration
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import DroppedPoint, Lock, LockedBase, LockedImage
from cudaforge.lockfile.store import write_lock, write_wheels
from cudaforge.packages.closure import find_versions, resolve_closure
from cudaforge.pipeline.bases import BasePins, bootstrapped_base, planned_base
from cudaforge.pipeline.decide import (
    Note,
    chosen_images,
    load_current_lock,
    matrix_of,
    require_answers,
    resolve,
)
from cudaforge.pipeline.fitting import Fitting
from cudaforge.pipeline.host import ignore, lock_path
from cudaforge.pipeline.locking import (
    LockOutcome,
    dropped_points,
    hold_lock,
    lock_images,
    moves_of,
    own_wheels,
    tools,
    warnings_of,
)
from cudaforge.pipeline.outside import DigestSource, find_site
from cudaforge.records import replace

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

    The entries of the others stay as they are, byte for byte. Raises NegativeAnswer where the lock is missing
    or stale, or wishes collide, InputError for a name that is not declared, SurroundingsError as `lock` does;
    the old lock is then as it was.
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
        self._chosen = chosen_images(declaration, names)
        self.site = find_site(declaration, offline=offline)

    def renewed(
        self, *, allow_unpinned: bool, on_note: Note, make_base: _BaseMaker
    ) -> tuple[LockOutcome, Mapping[str, str]]:
        """The new lock next to the old one, and the texts of the closures that are new."""
        answers = resolve(self._chosen)
        require_answers(self._chosen, answers)
        site = self.site
        source = DigestSource(site=site, allow_unpinned=allow_unpinned, on_note=on_note)
        fitted = lock_images(
            self._chosen,
            answers,
            kept={},
            pins=BasePins(find_base=source.find, make_base=make_base),
            fitting=Fitting(self._chosen, look_up=partial(find_versions, site=site)),
            resolve_packages=partial(resolve_closure, site=site),
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

    def _lock(self, images: Mapping[str, LockedImage], dropped: Sequence[DroppedPoint]) -> Lock:
        renewed = {image.name for image in self._chosen.images}
        every = {image.name: image for image in self._current.images if image.name not in renewed}
        every |= images
        points = {point.name: point for point in self._current.dropped if point.name not in renewed}
        points |= {point.name: point for point in dropped}
        order = [image.name for image in self._declaration.images]
        is_whole = renewed == set(order)
        return replace(
            self._current,
            # The others were not weighed by these facts: the next `lock` does it, and keeps what still fits.
            matrix=matrix_of(self._declaration).revision if is_whole else self._current.matrix,
            tools=tools(),
            images=tuple(every[name] for name in order if name in every),
            dropped=tuple(points[name] for name in order if name in points),
        )

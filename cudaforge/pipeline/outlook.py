"""What could move of what is locked: the same questions as for an upgrade, and nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial

from cudaforge.declaration.model import Declaration, ImageDeclaration
from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.changes import added_image, compare_images
from cudaforge.lockfile.compose import BaseRequest, NewEntry, lock_image
from cudaforge.lockfile.effects import KnownGpus, known_gpus
from cudaforge.lockfile.model import LockedBase, LockedImage
from cudaforge.lockfile.outlook import ImageOutlook, Outlook
from cudaforge.lockfile.snapshots import SnapshotQuestion, choose_snapshot
from cudaforge.packages.closure import find_versions, resolve_closure
from cudaforge.packages.model import ClosureRequest, LockedWheel
from cudaforge.packages.question import SharedAnswers
from cudaforge.packages.site import Site
from cudaforge.packages.uv import NoClosure
from cudaforge.pipeline.at_once import map_images
from cudaforge.pipeline.bases import planned_base
from cudaforge.pipeline.days import later_releases
from cudaforge.pipeline.decide import (
    Note,
    chosen_images,
    conflict_problem,
    held_back,
    load_current_lock,
    matrix_of,
    resolve,
)
from cudaforge.pipeline.entries import first_question, snapshot_question
from cudaforge.pipeline.fitting import Fitted, Fitting
from cudaforge.pipeline.host import ignore, lock_path
from cudaforge.pipeline.outside import DigestSource, find_site
from cudaforge.records import replace
from cudaforge.references import InvalidReference, parse_reference
from cudaforge.resolver import HeldBack, Resolution
from cudaforge.resolver.model import Conflict


def find_outdated(
    declaration: Declaration, names: Sequence[str] = (), *, offline: bool = False, on_note: Note = ignore
) -> Outlook:
    """What could move of the named images (all for no names) within their wishes, and what these hold back;
    on the day of the lock, where it has one, as `upgrade` stays on it.

    Package indexes, registries and the OS archive are asked as an upgrade would ask them; nothing is
    written. Raises NegativeAnswer where the lock is missing or stale, InputError for a name that is not
    declared, and SurroundingsError where nothing could be asked.
    """
    current = load_current_lock(declaration)
    declaration = replace(declaration, as_of=current.as_of)
    chosen = chosen_images(declaration, names)
    locked = {image.name: image for image in current.images}
    gpus = known_gpus(matrix_of(declaration))
    bases = [image.base for image in current.images]
    asker = _Asker(find_site(declaration, offline=offline), bases, on_note)

    fitting = Fitting(chosen, look_up=asker.versions)
    question = snapshot_question(declaration)
    images = {image.name: image for image in chosen.images}
    answers = {one.name: one.answer for one in resolve(chosen)}

    def look(name: str) -> Fitted | NegativeAnswer:
        image, answer, before = images[name], answers[name], locked.get(name)
        lock = partial(_entry, image, before=before, declaration=declaration, asker=asker, question=question)
        try:
            fitted = fitting.fit(image, answer, lock)
        except NegativeAnswer as error:
            return error
        if isinstance(fitted.answer, Conflict):
            return NegativeAnswer(conflict_problem(declaration, [image], fitted.answer))
        return fitted

    found = map_images(
        tuple(images), look, question_of=lambda name: first_question(images[name], answers[name], declaration)
    )
    held = held_back(chosen, {name: one.learnt for name, one in found.items() if isinstance(one, Fitted)})
    outlooks = [
        _outlook(name, locked.get(name), one, held_back=held[name], gpus=gpus) for name, one in found.items()
    ]
    if asker.unasked and not asker.has_answer and not offline:
        raise SurroundingsError(
            Problem(
                what="nothing of what the lock depends on could be asked",
                because=tuple(f"{source}: {reason}" for source, reason in asker.unasked.items()),
                remedy="check the network; --offline compares with the facts alone",
            )
        )
    return Outlook(
        path=lock_path(declaration),
        images=tuple(one for one in outlooks if one is not None),
        unasked=tuple(sorted(asker.unasked.items())),
        gpus=gpus,
        as_of=current.as_of,
        later=later_releases(declaration, chosen.images),
    )


def _entry(
    image: ImageDeclaration,
    resolution: Resolution,
    *,
    before: LockedImage | None,
    declaration: Declaration,
    asker: _Asker,
    question: SnapshotQuestion,
) -> NewEntry:
    return lock_image(
        image,
        resolution,
        project=declaration.project,
        registry=declaration.registry,
        resolve_packages=partial(asker.packages, before=before),
        pin_base=partial(asker.base, before=before),
        root=declaration.root,
        as_of=declaration.as_of,
        # An upgrade chooses it anew, too.
        snapshot=choose_snapshot(image, resolution, question, earlier=None).snapshot,
    )


def _outlook(
    name: str,
    before: LockedImage | None,
    found: Fitted | NegativeAnswer,
    *,
    held_back: tuple[HeldBack, ...],
    gpus: KnownGpus,
) -> ImageOutlook | None:
    """What an upgrade would change, or why it would fail; None for a point that is left out as before."""
    if isinstance(found, NegativeAnswer) or found.entry is None:
        blocked = found.problems if isinstance(found, NegativeAnswer) else ()
        if before is None:
            return None
        return ImageOutlook(name=name, change=None, held_back=held_back, blocked=blocked)
    image = found.entry.image
    change = added_image(image) if before is None else compare_images(before, image, gpus=gpus)
    return ImageOutlook(name=name, change=change, held_back=held_back)


class _Asker:
    """Asks what an upgrade would ask; where nobody answers, the answer is that of the lock. Safe between
    threads."""

    def __init__(self, site: Site, previous: Sequence[LockedBase], on_note: Note) -> None:
        self._site = site
        self._shared = SharedAnswers()
        self._previous = previous
        self._digests = DigestSource(site=site, allow_unpinned=False, on_note=on_note)
        self._found: dict[BaseRequest, LockedBase] = {}
        self._silent: dict[str, str] = {}
        self._lock = threading.Lock()
        self.unasked: dict[str, str] = {}
        self.has_answer = False

    def packages(self, request: ClosureRequest, *, before: LockedImage | None) -> tuple[LockedWheel, ...]:
        """The closure as the indexes have it now."""
        try:
            found = resolve_closure(request, self._site, ask=self._shared.ask)
        except SurroundingsError as error:
            self.unasked[f"the packages of {request.name}"] = error.problems[0].what
            return before.closure.wheels if before is not None else ()
        self.has_answer = True
        return found

    def versions(self, request: ClosureRequest) -> Mapping[str, str] | NoClosure:
        """The versions that the indexes have now, or why they have none."""
        return find_versions(request, self._site, ask=self._shared.ask)

    def base(self, request: BaseRequest, *, before: LockedImage | None) -> LockedBase:
        """The base as its registry or the OS archive has it now, asked once."""
        with self._lock:
            if request not in self._found:
                try:
                    self._found[request] = self._ask(request)
                except SurroundingsError as error:
                    self.unasked[request.reference] = error.problems[0].what
                    if before is not None and before.base.reference == request.reference:
                        return before.base
                    return LockedBase(reference=request.reference, digest=None, codename=request.codename)
                self.has_answer = True
            return self._found[request]

    def _ask(self, request: BaseRequest) -> LockedBase:
        """The answer of whoever has the base. One that was silent before is not asked again."""
        is_bootstrap = bool(request.bootstrap_packages)
        source = request.codename if is_bootstrap else _host(request.reference)
        if source in self._silent:
            raise SurroundingsError(Problem(what=self._silent[source]))
        try:
            if is_bootstrap:
                return planned_base(
                    request, previous=self._previous, site=self._site, offline=self._site.offline
                )
            return self._digests.find(request)
        except SurroundingsError as error:
            self._silent[source] = error.problems[0].what
            raise


def _host(reference: str) -> str:
    try:
        return parse_reference(reference).registry
    except InvalidReference:
        return reference  # what is wrong with it says whoever asks for it

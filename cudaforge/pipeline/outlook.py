"""What could move of what is locked: the same questions as for an upgrade, and nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cudaforge.declaration.model import Declaration, ImageDeclaration
from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.changes import ImageChange, added_image, compare_images
from cudaforge.lockfile.compose import BaseRequest, lock_image
from cudaforge.lockfile.effects import KnownGpus, known_gpus
from cudaforge.lockfile.model import LockedBase, LockedImage
from cudaforge.lockfile.outlook import ImageOutlook, Outlook
from cudaforge.packages.closure import resolve_closure
from cudaforge.packages.model import ClosureRequest, LockedWheel
from cudaforge.packages.site import Site
from cudaforge.pipeline.bases import planned_base
from cudaforge.pipeline.decide import (
    Note,
    chosen_images,
    conflict_problem,
    held_back,
    load_current_lock,
    matrix_of,
    resolve,
)
from cudaforge.pipeline.host import ignore, lock_path
from cudaforge.pipeline.locking import WORKERS
from cudaforge.pipeline.outside import DigestSource, find_site
from cudaforge.references import InvalidReference, parse_reference
from cudaforge.resolver import Resolution
from cudaforge.resolver.model import Answer


def find_outdated(
    declaration: Declaration, names: Sequence[str] = (), *, offline: bool = False, on_note: Note = ignore
) -> Outlook:
    """What could move of the named images (all for no names) within their wishes, and what these hold back.

    Package indexes, registries and the OS archive are asked as an upgrade would ask them; nothing is
    written. Raises NegativeAnswer where the lock is missing or stale, InputError for a name that is not
    declared, and SurroundingsError where nothing could be asked.
    """
    current = load_current_lock(declaration)
    chosen = chosen_images(declaration, names)
    locked = {image.name: image for image in current.images}
    held, gpus = held_back(chosen), known_gpus(matrix_of(declaration))
    bases = [image.base for image in current.images]
    asker = _Asker(find_site(declaration, offline=offline), bases, on_note)

    def look(image: ImageDeclaration, answer: Answer) -> ImageOutlook | None:
        before = locked.get(image.name)
        try:
            change = _change(image, answer, before, declaration=declaration, asker=asker, gpus=gpus)
        except NegativeAnswer as error:
            if before is None:
                return None
            return ImageOutlook(
                name=image.name, change=None, held_back=held[image.name], blocked=error.problems
            )
        return ImageOutlook(name=image.name, change=change, held_back=held[image.name])

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        answers = [answer.answer for answer in resolve(chosen)]
        images = list(pool.map(look, chosen.images, answers))
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
        images=tuple(image for image in images if image is not None),
        unasked=tuple(sorted(asker.unasked.items())),
        gpus=gpus,
    )


def _change(
    image: ImageDeclaration,
    answer: Answer,
    before: LockedImage | None,
    *,
    declaration: Declaration,
    asker: _Asker,
    gpus: KnownGpus,
) -> ImageChange:
    """What an upgrade would change. Raises NegativeAnswer where it would fail."""
    if not isinstance(answer, Resolution):
        raise NegativeAnswer(conflict_problem(declaration, [image], answer))
    entry = lock_image(
        image,
        answer,
        project=declaration.project,
        registry=declaration.registry,
        resolve_packages=partial(asker.packages, before=before),
        pin_base=partial(asker.base, before=before),
    )
    return added_image(entry.image) if before is None else compare_images(before, entry.image, gpus=gpus)


class _Asker:
    """Asks what an upgrade would ask; where nobody answers, the answer is that of the lock. Safe between
    threads."""

    def __init__(self, site: Site, previous: Sequence[LockedBase], on_note: Note) -> None:
        self._site = site
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
            found = resolve_closure(request, self._site)
        except SurroundingsError as error:
            self.unasked[f"the packages of {request.name}"] = error.problems[0].what
            return before.closure.wheels if before is not None else ()
        self.has_answer = True
        return found

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
                return planned_base(request, previous=self._previous, offline=self._site.offline)
            digest = self._digests.find(request)
        except SurroundingsError as error:
            self._silent[source] = error.problems[0].what
            raise
        return LockedBase(reference=request.reference, digest=digest, codename=request.codename)


def _host(reference: str) -> str:
    try:
        return parse_reference(reference).registry
    except InvalidReference:
        return reference  # what is wrong with it says whoever asks for it

"""From built images to their registries: pushed, gathered into indexes, accompanied and signed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.builder.epoch import moment_of_push
from cudaforge.builder.model import BuildResult
from cudaforge.declaration.model import Declaration
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.files import write_atomically
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.decide import Note
from cudaforge.pipeline.git import find_revision, short_revision
from cudaforge.pipeline.host import ignore, state_directory
from cudaforge.pipeline.make import is_built
from cudaforge.pipeline.outside import find_site, registry_access
from cudaforge.publisher.model import Publication, PushedTag, publication_to_json
from cudaforge.publisher.tags import check_templates, expand, needed_fields
from cudaforge.records import made, record, replace
from cudaforge.registry import Access, Member, Subject

if TYPE_CHECKING:
    from cudaforge.engine import Engine

_QUESTION_SECONDS = 120.0


@record()
class PushOrder:
    """How images are published."""

    templates: tuple[str, ...] = ()
    """Of tags; without any the tags of the lock."""
    sbom: str | None = None
    """`spdx` or `cyclonedx`."""
    has_provenance: bool = False
    is_signed: bool = False
    key: str | None = None
    """cosign's: a file, a KMS address; None signs without a key."""


@record()
class PushPlan:
    """What goes where, checked as a whole before anything is built."""

    order: PushOrder
    references: Mapping[str, tuple[str, ...]]
    """Image name to the references that it is pushed under."""
    groups: Mapping[str, tuple[LockedImage, ...]]
    """Reference to all images of the lock that it stands for: more than one where they differ in platform."""
    rivals: Mapping[str, tuple[str, ...]] = made(default_factory=dict)
    """Reference to the images that are not pushed now, and that would be pushed over what it stands for."""

    def place(self, reference: str, image: LockedImage) -> str:
        """Where the one image goes that a reference stands for, alone or among other platforms."""
        if len(self.groups[reference]) == 1:
            return reference
        return f"{reference}-{'-'.join(image.platforms[0].split('/')[1:])}"


def plan_push(lock: Lock, declaration: Declaration, order: PushOrder, *, names: Collection[str]) -> PushPlan:
    """Which image of the lock goes under which references; those of these names are pushed now.

    Raises InputError for templates and tags that are wrong, for two images that would push over each other
    now, for a SOURCE_DATE_EPOCH that is no time, and where cosign is asked for and is not there.
    """
    from cudaforge.publisher.signing import require_cosign

    check_templates(order.templates)
    if order.is_signed:
        require_cosign(order.key)
    moment = _moment(order.templates, declaration)
    references = {
        image.name: expand(order.templates, image, project=lock.project, moment=moment)
        for image in lock.images
    }
    sharing: dict[str, list[LockedImage]] = {}
    for image in lock.images:
        for reference in references[image.name]:
            sharing.setdefault(reference, []).append(image)
    groups, rivals = {}, {}
    for reference, images in sharing.items():
        pushed = [image for image in images if image.name in names]
        taken = {image.platforms[0] for image in pushed}
        others = [image for image in images if image.name not in names]
        if pushed:
            groups[reference] = (*pushed, *(one for one in others if one.platforms[0] not in taken))
            rivals[reference] = tuple(one.name for one in others if one.platforms[0] in taken)
    _check_groups(groups)
    return PushPlan(order=order, references=references, groups=groups, rivals=rivals)


def publish(
    lock: Lock,
    results: Sequence[BuildResult],
    plan: PushPlan,
    *,
    declaration: Declaration,
    builders: tuple[str, ...] = (),
    on_note: Note = ignore,
    on_pushed: Callable[[Publication], None] = ignore,
) -> None:
    """Push the images of the lock that were built, one after the other, and keep a record of each.

    `on_pushed` is given each as soon as it is there. Raises SurroundingsError at the first that a registry or
    engine fails; what was pushed before it stays, and so does its record. Images of a builder that does not
    answer any more hold the others up no longer than until these are pushed.
    """
    from cudaforge.pipeline.builders import blame, find_holders

    built = [result for result in results if is_built(result)]
    engines, lost = find_holders(builders, tuple(dict.fromkeys(result.builder for result in built)))
    access = registry_access(find_site(declaration), timeout=_QUESTION_SECONDS)
    images = {image.name: image for image in lock.images}
    # Asked once, if at all: of a large repository it takes a while.
    revision = cache(partial(find_revision, declaration.root, on_note=on_note))
    for result in built:
        if result.image_id is None or result.builder in lost:
            continue
        one = _Publishing(
            images[result.name], result.image_id, plan, engines[result.builder], access, revision, on_note
        )
        publication = one.run(declaration)
        path = publication_file(result.name, declaration)
        write_atomically(path, json.dumps({"schema": 1, **publication_to_json(publication)}, indent=1) + "\n")
        on_pushed(publication)
    if lost:
        raise SurroundingsError(
            replace(problem, what=f"{_held(name, built)} not pushed: {problem.what}")
            for name, error in lost.items()
            for problem in blame(name, error)
        )


def _held(builder: str, results: Sequence[BuildResult]) -> str:
    names = [result.name for result in results if result.builder == builder]
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def publication_file(name: str, declaration: Declaration) -> Path:
    """Where it is kept what was pushed last of an image."""
    return state_directory(declaration) / "pushes" / f"{name}.json"


def pushed_image(name: str, image_id: str, declaration: Declaration) -> str | None:
    """The image of that id by its digest, where the last push of it put it; None where it was not pushed."""
    try:
        saved = json.loads(publication_file(name, declaration).read_bytes())
        reference = saved["tags"][0]["image"] if saved["image_id"] == image_id else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return reference if isinstance(reference, str) else None


class _Publishing:
    """One image on its way."""

    def __init__(
        self,
        image: LockedImage,
        image_id: str,
        plan: PushPlan,
        engine: Engine,
        access: Access,
        revision: Callable[[], str | None],
        on_note: Note,
    ) -> None:
        self._image = image
        self._image_id = image_id
        self._plan = plan
        self._engine = engine
        self._access = access
        self._revision = revision
        self._on_note = on_note

    def run(self, declaration: Declaration) -> Publication:
        from cudaforge.pipeline.accompanying import accompany
        from cudaforge.publisher.signing import sign

        order = self._plan.order
        tags: list[PushedTag] = []
        attached: Mapping[str, str] = {}
        subjects: dict[str, str] = {}
        for reference in self._plan.references[self._image.name]:
            place = self._plan.place(reference, self._image)
            subject = self._push(place)
            repository = place.rpartition(":")[0]
            if repository not in subjects:
                attached = accompany(
                    self._image,
                    reference=place,
                    subject=subject,
                    image_id=self._image_id,
                    engine=self._engine,
                    access=self._access,
                    sbom=order.sbom,
                    has_provenance=order.has_provenance,
                    revision=self._revision,
                    declaration=declaration,
                    on_note=self._on_note,
                )
                if order.is_signed:
                    sign(f"{repository}@{subject.digest}", key=order.key)
                subjects[repository] = subject.digest
            tag = self._index(reference, subject)
            if rivals := self._plan.rivals.get(reference):
                self._on_note(f"{reference}: pushing {', '.join(rivals)} by these tags would replace it")
            if order.is_signed and tag.digest and tag.digest != subject.digest:
                sign(f"{repository}@{tag.digest}", key=order.key)
            tags.append(tag)
            if tag.digest:
                self._on_note(f"{self._image.name}: pushed {tag.reference}@{tag.digest}")
        return Publication(
            name=self._image.name,
            image_id=self._image_id,
            tags=tuple(tags),
            attached=attached,
            is_signed=order.is_signed,
        )

    def _push(self, place: str) -> Subject:
        from cudaforge.publisher.push import Patience, push

        with self._named(place):
            return push(
                self._engine,
                place,
                self._access,
                image_id=self._image_id,
                patience=Patience(on_note=self._on_note),
            )

    @contextlib.contextmanager
    def _named(self, place: str) -> Iterator[None]:
        """The image under that name, until the block ends where the name is new and none of the lock's: a tag
        with the day in it would otherwise keep an image on the engine for each day."""
        is_lent = place not in self._image.tags and self._engine.find_image(place) is None
        self._engine.tag_image(self._image_id, place)
        try:
            yield
        finally:
            if is_lent:
                with contextlib.suppress(SurroundingsError):
                    self._take_back(place)

    def _take_back(self, place: str) -> None:
        image = self._engine.find_image(self._image_id)
        if image is not None and len(image.tags) > 1:  # with its last name an image goes, too
            self._engine.remove_image(place)

    def _index(self, reference: str, subject: Subject) -> PushedTag:
        """The tag itself, once the images of all its platforms are in the registry.

        Each push looks for all of them, so that of several machines the last one writes it, and two that
        end at the same time write the same bytes.
        """
        from cudaforge.registry import find_member, push_index
        from cudaforge.renderer.model import ENTRY_LABEL

        images = self._plan.groups[reference]
        own = f"{reference.rpartition(':')[0]}@{subject.digest}"
        if len(images) == 1:
            return PushedTag(
                reference=reference, digest=subject.digest, image=own, platforms=self._image.platforms[:1]
            )
        members, missing = [Member(platform=self._image.platforms[0], subject=subject)], []
        for other in images:
            if other.name == self._image.name:
                continue
            found = find_member(
                self._plan.place(reference, other), self._access, label=ENTRY_LABEL, value=other.digest
            )
            if found is None:
                missing.append(other.platforms[0])
            else:
                members.append(Member(platform=other.platforms[0], subject=found.subject))
        if missing:
            self._on_note(f"{reference} is written once {', '.join(missing)} is pushed, too")
            return PushedTag(
                reference=reference,
                digest="",
                image=own,
                platforms=self._image.platforms[:1],
                missing=tuple(missing),
            )
        index = push_index(reference, self._access, members)
        platforms = tuple(sorted(one.platform for one in members))
        return PushedTag(reference=reference, digest=index.digest, image=own, platforms=platforms)


def _check_groups(groups: Mapping[str, Sequence[LockedImage]]) -> None:
    problems = []
    for reference, images in groups.items():
        platforms = [image.platforms[0] for image in images]
        if len(set(platforms)) != len(platforms):
            names = ", ".join(image.name for image in images)
            problems.append(
                Problem(
                    what=f"{names} would all be pushed as {reference}",
                    where=Location(file="command line", key="--tag"),
                    remedy="tell them apart in the template, by {name} for example; only images of different "
                    "platforms may share a tag",
                )
            )
    if problems:
        raise InputError(problems)


def _moment(templates: Sequence[str], declaration: Declaration) -> Mapping[str, str]:
    """What templates need of the time and the place of the push."""
    needed = needed_fields(templates)
    found = {}
    if "date" in needed:
        found["date"] = moment_of_push(os.environ).strftime("%Y%m%d")
    if "revision" in needed:
        found["revision"] = short_revision(declaration.root)
    return found

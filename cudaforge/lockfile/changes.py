"""What differs between two locks: values for machines, each with what it means for those who run the image.

Every field is compared: two locks without a change between them say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from cudaforge.lockfile.effects import Effect, KnownGpus, Value, effect_of
from cudaforge.lockfile.fields import image_differences, lock_differences
from cudaforge.lockfile.model import Closure, Lock, LockedImage
from cudaforge.records import record


class Status(str, Enum):
    """What became of an image."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


@record()
class Change:
    """One thing that differs. None stands for what is not there."""

    field: str
    """Dotted: `driver_floor`, `frameworks.pytorch`, `packages.numpy`, `env.HF_HOME`. Of a list whose
    elements stand for themselves, each that came or went is a change of its own."""
    old: Value
    new: Value
    effect: Effect = Effect.MOVE


@record()
class ImageChange:
    """What differs in one image."""

    image: LockedImage
    """As it is now; one that was removed, as it was."""
    status: Status
    changes: tuple[Change, ...] = ()
    """Losses first, then gains, then the rest."""
    old_bytes: int | None = None
    """Of all wheels, as they are downloaded; None where one is not known, or the image not there."""
    new_bytes: int | None = None

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image.name


@record()
class LockChanges:
    """What differs between two locks."""

    changes: tuple[Change, ...]
    """Of the whole lock: project, declaration, day, matrix, tools, dropped points."""
    images: tuple[ImageChange, ...]
    """Those that differ."""

    @property
    def is_empty(self) -> bool:
        """Whether the locks say the same."""
        return not self.changes and not self.images


def compare_locks(old: Lock | None, new: Lock, *, gpus: KnownGpus) -> LockChanges:
    """Everything that differs. Without an old lock, every image is new."""
    whole = lock_differences(old, new) if old is not None else ()
    return LockChanges(
        changes=tuple(Change(field=field, old=was, new=now) for field, was, now in whole),
        images=tuple(one for one in _images(old, new, gpus) if one.status is not Status.SAME),
    )


def compare_images(old: LockedImage, new: LockedImage, *, gpus: KnownGpus) -> ImageChange:
    """What differs between two entries of one image."""
    found = [
        Change(
            field=field,
            old=was,
            new=now,
            effect=effect_of(field, was, now, code=new.architectures, gpus=gpus),
        )
        for field, was, now in image_differences(old, new)
    ]
    found.sort(key=lambda change: tuple(Effect).index(change.effect))
    return ImageChange(
        image=new,
        status=Status.CHANGED if found else Status.SAME,
        changes=tuple(found),
        old_bytes=wheel_bytes(old.closure),
        new_bytes=wheel_bytes(new.closure),
    )


def added_image(image: LockedImage) -> ImageChange:
    """The change that makes an image."""
    return ImageChange(image=image, status=Status.ADDED, new_bytes=wheel_bytes(image.closure))


def wheel_bytes(closure: Closure) -> int | None:
    """The bytes of all wheels of a closure, as they are downloaded; None where one is not known."""
    sizes = [wheel.size for wheel in closure.wheels]
    if closure.is_missing or None in sizes:
        return None
    return sum(size for size in sizes if size is not None)


def _images(old: Lock | None, new: Lock, gpus: KnownGpus) -> Iterator[ImageChange]:
    before = {image.name: image for image in old.images} if old is not None else {}
    after = {image.name: image for image in new.images}
    for name, image in after.items():
        if name in before:
            yield compare_images(before[name], image, gpus=gpus)
        else:
            yield added_image(image)
    for name, image in before.items():
        if name not in after:
            yield ImageChange(image=image, status=Status.REMOVED, old_bytes=wheel_bytes(image.closure))

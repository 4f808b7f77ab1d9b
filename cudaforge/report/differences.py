"""Differences between locks, in words and as JSON: for `diff`, `outdated`, `upgrade`, `lock` and `up`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from cudaforge.display import visible
from cudaforge.lockfile.changes import Change, ImageChange, LockChanges, Status
from cudaforge.lockfile.effects import Effect, KnownGpus, Value
from cudaforge.report.tables import paragraph
from cudaforge.units import bytes_text

_LABELS = {Effect.LOSS: "loses", Effect.GAIN: "gains", Effect.MOVE: "moves"}
_WIDTH = 11
_STATUS = {Status.ADDED: "new", Status.REMOVED: "gone", Status.SAME: "nothing changed"}
_NAMES = {
    "build": "build",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "nccl": "NCCL",
    "python": "Python",
    "os": "OS",
    "gate": "driver gate",
    "cuda_provider": "CUDA provider",
    "python_provider": "Python provider",
    "standalone": "standalone Python",
    "base": "base",
    "ptx": "PTX",
    "os_packages": "OS package",
    "snapshot": "OS snapshot",
    "forward_compat": "forward compatibility",
    "tags": "tag",
    "secrets": "secret",
    "platforms": "platform",
    "frameworks": "framework",
    "companions": "companion",
    "labels": "label",
}
_PACKAGES = ("packages.", "base.packages.")
_MOST_NAMES = 3
_MOST_PACKAGES = 8
_SHORT = 19
"""Characters of a digest that tell it from others: `sha256:` and twelve more."""


def describe_changes(changes: LockChanges, *, gpus: KnownGpus) -> str:
    """Everything that differs between two locks, a block for each image."""
    if changes.is_empty:
        return "the locks say the same"
    whole = [_labelled("", _whole_sentence(change)) for change in changes.changes]
    head = ["\n".join(["the whole lock:", *whole])] if whole else []
    return visible("\n\n".join([*head, *(describe_image(one, gpus=gpus) for one in changes.images)]))


def describe_days(old: str | None, new: str | None) -> str:
    """That a lock is of another day."""
    return visible(f"{field_name('as_of')} {_arrow(old, new)}")


def describe_image(change: ImageChange, *, gpus: KnownGpus, heading: str | None = None) -> str:
    """What differs in one image, losses first, one to a line; `heading` stands for its status."""
    lines = [f"{change.name}: {heading or _status(change)}"]
    lines += [_labelled(_LABELS[effect], text) for effect, text in _sentences(change, gpus, is_short=False)]
    return visible("\n".join(lines))


def summarise_image(change: ImageChange, *, gpus: KnownGpus) -> str:
    """The same in one sentence: `train: drops sm_70 (V100), driver floor 525.60.13 -> 580.65.06`."""
    words = [text for _, text in _sentences(change, gpus, is_short=True)]
    return visible(f"{change.name}: {', '.join(words) or _status(change)}")


def changes_json(changes: LockChanges) -> dict[str, object]:
    """The JSON form of `diff`."""
    return {
        "changes": [_change_json(change) for change in changes.changes],
        "images": [image_json(change) for change in changes.images],
    }


def image_json(change: ImageChange) -> dict[str, object]:
    """What differs in one image, for machines."""
    difference = _difference(change)
    return {
        "name": change.name,
        "status": change.status.value,
        "changes": [_change_json(one) for one in change.changes],
        "wheels": {"old": change.old_bytes, "new": change.new_bytes, "difference": difference},
    }


def labelled(label: str, text: str) -> str:
    """A line of an image's block."""
    return visible(_labelled(label, text))


def field_name(field: str) -> str:
    """How people call a field: `CUDA`, `driver floor`."""
    return _NAMES.get(field, field.replace("_", " "))


def _status(change: ImageChange) -> str:
    if change.status is Status.CHANGED:
        return "changed"
    if change.status is not Status.ADDED:
        return _STATUS[change.status]
    image = change.image
    parts = [f"{one.name} {one.reported}" for one in image.frameworks]
    parts += [f"CUDA {image.cuda}"] if image.cuda else []
    return f"new: {', '.join((*parts, f'Python {image.python}', image.base.reference))}"


def _change_json(change: Change) -> dict[str, object]:
    old, new = (list(one) if isinstance(one, tuple) else one for one in (change.old, change.new))
    return {"field": change.field, "old": old, "new": new, "effect": change.effect.value}


def _sentences(change: ImageChange, gpus: KnownGpus, *, is_short: bool) -> Iterator[tuple[Effect, str]]:
    """Every change but those of packages, which are told together, by effect; then the bytes."""
    for one in change.changes:
        if not one.field.startswith(_PACKAGES):
            yield one.effect, _sentence(one, change, gpus)
    for prefix, what in (("packages.", "package"), ("base.packages.", "OS package of the base")):
        moved = [one for one in change.changes if one.field.startswith(prefix)]
        if moved:
            yield Effect.MOVE, _packages(moved, prefix, what, is_short=is_short)
    difference = _difference(change)
    if difference:
        text = f"{'+' if difference > 0 else '-'}{bytes_text(abs(difference))}"
        yield Effect.MOVE, text if is_short else f"wheels {text}, {bytes_text(change.new_bytes)} in all"


def _difference(change: ImageChange) -> int | None:
    if change.old_bytes is None or change.new_bytes is None:
        return None
    return change.new_bytes - change.old_bytes


def _packages(changes: Sequence[Change], prefix: str, what: str, *, is_short: bool) -> str:
    first, _, rest = what.partition(" of ")
    noun = (first if len(changes) == 1 else f"{first}s") + (f" of {rest}" if rest else "")
    count = f"{len(changes)} {noun} changed"
    if is_short:
        return count
    changes = sorted(changes, key=lambda one: one.old is None or one.new is None)
    told = [_package(one.field.removeprefix(prefix), one) for one in changes]
    more = [f"and {len(told) - _MOST_PACKAGES} more"] if len(told) > _MOST_PACKAGES else []
    return f"{count}: {', '.join((*told[:_MOST_PACKAGES], *more))}"


def _package(name: str, change: Change) -> str:
    if change.old is None:
        return f"{name} {change.new} (new)"
    return f"{name} (gone)" if change.new is None else f"{name} {_arrow(change.old, change.new)}"


def _sentence(change: Change, image: ImageChange, gpus: KnownGpus) -> str:
    if change.field in _SENTENCES:
        return _SENTENCES[change.field](change, image, gpus)
    head, _, rest = change.field.partition(".")
    if head == "frameworks" and rest and "." not in rest:
        return _presence(rest, change)
    name = rest.replace(".", " ") if head == "frameworks" and rest else f"{field_name(head)} {rest}".strip()
    if head in _ELEMENTS and not isinstance(change.old, tuple) and not isinstance(change.new, tuple):
        return f"{'adds' if change.old is None else 'drops'} {name} {change.new or change.old}"
    return f"{name} {_arrow(change.old, change.new)}"


_ELEMENTS = frozenset(("ptx", "platforms", "os_packages", "secrets", "tags"))


def _presence(name: str, change: Change) -> str:
    if change.old is None:
        return f"adds {name} {change.new}"
    return f"drops {name} {change.old}" if change.new is None else f"{name} {_arrow(change.old, change.new)}"


def _architecture(change: Change, image: ImageChange, gpus: KnownGpus) -> str:  # noqa: ARG001 -- one of several
    if isinstance(change.old, tuple):
        return f"architectures {_arrow(change.old, change.new)}"
    name = str(change.new or change.old)
    products = gpus.names.get(name, ())
    known = [*products[:_MOST_NAMES], *(["..."] if len(products) > _MOST_NAMES else [])]
    text = f"{name} ({', '.join(known)})" if known else name
    if change.old is None:
        return f"adds {text}"
    if change.effect is Effect.LOSS:
        return f"drops {text}"
    return f"no code of its own for {text}, which runs that of an earlier one"


def _moved_base(change: Change, image: ImageChange, gpus: KnownGpus) -> str:  # noqa: ARG001 -- one of several
    reference = image.image.base.reference
    if change.old is None or change.new is None:
        return f"base {reference} {_arrow(_short(change.old), _short(change.new))}"
    verb = "comes out otherwise" if image.image.base.is_bootstrap else "moved under its tag"
    return f"base {reference} {verb}: {_arrow(_short(change.old), _short(change.new))}"


def _closure(change: Change, image: ImageChange, gpus: KnownGpus) -> str:  # noqa: ARG001 -- one of several
    return "packages changed; which ones say the closures, which are not beside the locks"


_SENTENCES: Mapping[str, Callable[[Change, ImageChange, KnownGpus], str]] = {
    "architectures": _architecture,
    "base.digest": _moved_base,
    "closure": _closure,
}


def _whole_sentence(change: Change) -> str:
    head, _, rest = change.field.partition(".")
    if head == "dropped" and rest:
        if change.new is None:
            return f"{rest} is dropped no more"
        return f"{rest} is dropped: {change.new} cannot hold"
    if head in _HASHES:
        return f"{_HASHES[head]} {_arrow(str(change.old)[:_HEX], str(change.new)[:_HEX])}"
    return f"{rest or field_name(head)} {_arrow(change.old, change.new)}"


_HASHES = {"declaration": "declaration", "matrix": "facts of revision"}
_HEX = 12


def _short(value: Value) -> str:
    return str(value)[:_SHORT] if value else "not pinned"


def _arrow(old: Value, new: Value) -> str:
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return "none" if value is None else str(value) or '""'


def _labelled(label: str, text: str) -> str:
    return paragraph(text, first=f"  {label:<{_WIDTH - 2}}", indent=" " * _WIDTH)

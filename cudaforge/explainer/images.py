"""Whether an image tag was ever there, is gone, or is only missing where it was looked for."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.codes import Code
from cudaforge.explainer.scene import Ruling, Scene
from cudaforge.matrix.model import BaseImage
from cudaforge.versions import Version, find_version

_NEAR = 3


def rule(scene: Scene) -> tuple[Ruling, ...]:
    """What is known of the tag that the message names."""
    for reference in _references(scene):
        repository, _, tag = reference.partition(":")
        known = [row for row in scene.matrix.base_images if row.reference.startswith(f"{repository}:")]
        if not known or not tag:
            continue
        row = next((one for one in known if one.reference == reference), None)
        if row is None:
            return (_never_made(reference, known),)
        return (_removed(row, known) if row.removed is not None else _elsewhere(row),)
    return ()


def _references(scene: Scene) -> list[str]:
    groups = scene.match.groups
    image = groups.get("image", "")
    if "tag" in groups and image:
        image = f"{image}:{groups['tag']}"
    named = [image] if ":" in image else []
    return [_short(text) for text in (*named, *scene.facts.images)]


def _short(reference: str) -> str:
    for prefix in ("index.docker.io/", "docker.io/", "registry-1.docker.io/", "library/"):
        reference = reference.removeprefix(prefix)
    return reference.partition("@")[0].lower()


def _removed(row: BaseImage, known: Sequence[BaseImage]) -> Ruling:
    since = "" if row.removed == "unknown" else f" since {row.removed}"
    other = [row.replaced_by] if row.replaced_by else _nearest(row.reference, known)
    return Ruling(
        code=Code.BASE_IMAGE_REMOVED,
        text=f"{row.reference} was once there, and its maker has removed it{since}",
        remedy=_take(other),
        source=row.source.citation(),
    )


def _never_made(reference: str, known: Sequence[BaseImage]) -> Ruling:
    return Ruling(
        code=Code.BASE_TAG_DOES_NOT_EXIST,
        text=f"no tag {reference} is known: misspelt, never made, or newer than the facts",
        remedy=_take(_nearest(reference, known)),
        source=known[-1].source.citation(),
    )


def _elsewhere(row: BaseImage) -> Ruling:
    platforms = ", ".join(row.platforms)
    return Ruling(
        code=Code.BASE_TAG_DOES_NOT_EXIST,
        text=f"{row.reference} exists by the facts (for {platforms}): the registry or mirror that was asked "
        "does not have it, or not for this platform",
        remedy="ask Docker Hub itself, renew the mirror, or name another in [registries]; check --platform",
        source=row.source.citation(),
    )


def _take(references: Sequence[str]) -> str:
    listed = "'cudaforge data list base_images' lists what there is"
    return f"take {' or '.join(references)}; {listed}" if references else listed


def _nearest(reference: str, known: Sequence[BaseImage]) -> list[str]:
    """Tags that exist, of the same kind and OS, whose CUDA is nearest; newer ones first."""
    wanted, kind = _parts(reference)
    here = [row for row in known if row.removed is None and _parts(row.reference)[1] == kind]
    if wanted is None:
        return [row.reference for row in here[-_NEAR:]]
    keyed = [(version, row.reference) for row in here if (version := _parts(row.reference)[0]) is not None]
    same = [one for one in keyed if one[0].minor() == wanted.minor()]
    above = sorted(one for one in keyed if one[0] >= wanted)[:1]
    below = sorted(one for one in keyed if one[0] < wanted)[-1:]
    return [name for _, name in (sorted(same)[-1:] or [*above, *below])]


def _parts(reference: str) -> tuple[Version | None, str]:
    version, _, kind = reference.partition(":")[2].partition("-")
    return find_version(version), kind

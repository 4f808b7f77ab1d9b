"""Findings about the base image."""

from __future__ import annotations

import re

from cudaforge.audit.bases import Base, is_cuda_repository, is_missing_tag, similar_tag
from cudaforge.audit.names import companions_by_name, frameworks_by_name
from cudaforge.audit.scene import Scene, title, where
from cudaforge.codes import Code
from cudaforge.matrix.model import FrameworkImage
from cudaforge.references import Reference

_OF_GPUS = frozenset(("cuda", "gpu", "nvidia", "nvcr.io", "l4t", "rapidsai", "miniconda3"))
_MINOR_ONLY = re.compile(r"\d+\.\d+(-slim)?|\d+(-slim)?")


def check(scene: Scene) -> None:
    """All of them."""
    for base in (scene.base, *scene.image.needed):
        _tag(scene, base)
    _floating(scene)
    _support(scene)
    _overwritten(scene)


def _tag(scene: Scene, base: Base) -> None:
    row = base.image or base.framework_image
    is_mirror = base.reference is not None and base.reference.registry == "nvcr.io"
    if row is not None and _is_removed(row.removed, scene.asked.as_of) and not is_mirror:
        better = None if isinstance(row, FrameworkImage) else row.replaced_by
        other = similar_tag(scene.matrix, base.reference) if better is None and base.reference else None
        better = better or (other.reference if other else None)
        since = "" if row.removed == "unknown" else f" on {row.removed}"
        scene.error(
            Code.BASE_IMAGE_REMOVED,
            base.line,
            f"{base.text} was removed from its registry{since}: the build fails at FROM",
            row.source.citation(),
            fix=scene.base_fix(better, base) if better else None,
            advice=f"start from {better}" if better else "start from a tag that is still there",
        )
    elif row is None and is_cuda_repository(base.reference) and base.reference is not None:
        _missing_tag(scene, base, base.reference)


def _is_removed(removed: str | None, as_of: str) -> bool:
    return removed is not None and (removed == "unknown" or removed <= as_of)


def _missing_tag(scene: Scene, base: Base, reference: Reference) -> None:
    if not is_missing_tag(scene.matrix, reference):
        return
    found = similar_tag(scene.matrix, reference)
    scene.error(
        Code.BASE_TAG_DOES_NOT_EXIST,
        base.line,
        f"{base.text} does not exist: no such tag of that CUDA release was published",
        "base_images.toml, which has every tag of that CUDA minor",
        fix=scene.base_fix(found.reference, base) if found else None,
        advice=f"{found.reference} exists" if found else "see `cudaforge data list base_images`",
    )


def _floating(scene: Scene) -> None:
    reference = scene.base.reference
    if reference is None or reference.digest is not None or scene.base.text == "scratch":
        return
    tag = reference.tag or "latest"
    row = scene.base.image
    if row is not None and row.removed is not None:
        return
    document = "the reference grammar: a tag may be moved at any time"
    if tag == "latest" or (tag.startswith("latest-")) or tag in ("devel", "runtime", "nightly"):
        tell = scene.warn if _has_framework(scene, reference) else scene.note
        tell(
            Code.FLOATING_BASE_TAG,
            scene.base.line,
            f"{scene.base.text} is whatever was pushed last: the next build may get another CUDA or Python",
            document,
            advice="name a version, better a digest",
        )
    elif _MINOR_ONLY.fullmatch(tag) and reference.repository == "library/python":
        scene.note(
            Code.FLOATING_BASE_TAG,
            scene.base.line,
            f"{scene.base.text} moves on to the next Debian without notice",
            document,
            advice="name the system, too, as in -slim-bookworm",
        )


def _has_framework(scene: Scene, reference: Reference) -> bool:
    """Whether anything in the image depends on the CUDA or the Python of its base."""
    outcome, image = scene.outcome, scene.image
    found = outcome.installed or outcome.failures or outcome.conda or image.unread or image.installs
    parts = re.split(r"[/_-]", f"{reference.registry}/{reference.repository}")
    known = {*frameworks_by_name(scene.matrix), *companions_by_name(scene.matrix), *scene.matrix.frameworks}
    return bool(found) or bool(_OF_GPUS.intersection(parts)) or not known.isdisjoint(parts)


def _support(scene: Scene) -> None:
    system = scene.base.os
    if system is None or system.eol is None or system.eol[:10] >= scene.asked.as_of[: len(system.eol)]:
        return
    if system.lts is not None and system.lts >= scene.asked.as_of:
        scene.note(
            Code.EOL_OS,
            scene.base.line,
            f"regular support of {system.id} ended on {system.eol}: LTS goes on until {system.lts}",
            system.source.citation(),
            advice="start from a newer system before",
        )
        return
    scene.warn(
        Code.EOL_OS,
        scene.base.line,
        f"{system.id} has had no security updates since {system.lts or system.eol}",
        system.source.citation(),
        advice="start from a newer system",
    )


def _overwritten(scene: Scene) -> None:
    for swap in scene.outcome.swaps:
        if swap.before.install is not None:
            continue
        line, file = where(swap.by, scene)
        by = f" for {swap.after.is_by_companion}" if swap.after.is_by_companion else ""
        scene.warn(
            Code.BASE_FRAMEWORK_OVERWRITTEN,
            line,
            f"this replaces the {title(swap.before, scene)} that {scene.base.text} was built for by "
            f"{title(swap.after, scene)}{by}",
            scene.base.source,
            file=file,
            advice="keep the base's framework (pin it in a constraints file), or start from a plain base",
        )

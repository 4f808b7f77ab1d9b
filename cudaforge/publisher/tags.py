"""Tags from a template: `{framework}-{version}-cu{cuda}`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.lockfile.model import LockedImage
from cudaforge.placeholders import check_fields, fill_fields, find_fields
from cudaforge.references import InvalidReference, parse_reference

NONE = "none"
FIELDS: Mapping[str, str] = {
    "name": "the image's own name, with the axes of a matrix",
    "image": "the image that a matrix belongs to",
    "project": "the project",
    "framework": "the first framework",
    "version": "its version",
    "build": "its build, such as cu128",
    "cuda": "the CUDA whose libraries are loaded; none for the CPU twin",
    "cudnn": "the same for cuDNN",
    "python": "the Python",
    "os": "the operating system, such as debian12",
    "flavor": "base, runtime or devel",
    "arch": "the processor: amd64, arm64",
    "date": "the day of the push in UTC, YYYYMMDD",
    "revision": "the project's commit, twelve digits; with -dirty where files differ from it",
}
"""Every field that a template may have, and what it means."""
_UNTAGGED = re.compile(r"[^A-Za-z0-9_.-]+")


def check_templates(templates: Sequence[str]) -> None:
    """Raise InputError with all that is wrong with the templates themselves."""
    problems = [problem for template in templates for problem in _complaints(template)]
    if problems:
        raise InputError(problems)


def needed_fields(templates: Sequence[str]) -> frozenset[str]:
    """The fields that any of the templates has."""
    return frozenset(name for template in templates for name in find_fields(template))


def image_fields(image: LockedImage, *, project: str) -> Mapping[str, str]:
    """The values of one image, without `date` and `revision`."""
    first = image.frameworks[0] if image.frameworks else None
    platform = image.platforms[0] if image.platforms else "linux/amd64"
    return {
        "name": image.name,
        "image": image.image,
        "project": project,
        "framework": first.name if first else NONE,
        "version": first.version if first else NONE,
        "build": first.build if first else NONE,
        "cuda": image.cuda or NONE,
        "cudnn": image.cudnn or NONE,
        "python": image.python,
        "os": image.os,
        "flavor": image.flavor,
        "arch": "-".join(platform.split("/")[1:]),
    }


def expand(
    templates: Sequence[str], image: LockedImage, *, project: str, moment: Mapping[str, str]
) -> tuple[str, ...]:
    """The references that an image is pushed under: of the templates, or those of the lock without any.

    A template with `/` or `:` is a whole reference, another is the tag in the image's own repository.
    `moment` has `date` and `revision` where a template needs them. What a tag cannot hold in a value, such
    as `+`, becomes `-`. Raises InputError for a reference that breaks the grammar.
    """
    if not templates:
        return image.tags
    values = {**image_fields(image, project=project), **moment}
    found = []
    for template in templates:
        text = fill_fields(template, lambda name: _UNTAGGED.sub("-", values[name]))
        reference = text if "/" in text or ":" in text else f"{_repository(image.tags[0])}:{text}"
        try:
            parsed = parse_reference(reference)
        except InvalidReference as error:
            raise _invalid(image, template, text, str(error)) from None
        if parsed.digest is not None:
            raise _invalid(image, template, text, "a digest is what a push gives, not what it takes")
        found.append(
            reference if parsed.tag and reference.endswith(f":{parsed.tag}") else f"{reference}:latest"
        )
    return tuple(dict.fromkeys(found))


def _repository(reference: str) -> str:
    repository, _, tag = reference.rpartition(":")
    return reference if not repository or "/" in tag else repository


def _complaints(template: str) -> list[Problem]:
    where = Location(file="command line", key="--tag")
    if not template:
        return [Problem(what="the template of a tag is empty", where=where, remedy="leave it out")]
    return [
        Problem(what=f"the template {show(template)} has {what}", where=where, remedy=remedy)
        for what, remedy in check_fields(template, FIELDS)
    ]


def _invalid(image: LockedImage, template: str, text: str, reason: str) -> InputError:
    return InputError(
        Problem(
            what=f"{image.name}: {show(text)} is no image reference: {reason}",
            where=Location(file="command line", key="--tag"),
            because=(f"the template is {show(template)}",),
            remedy="see cudaforge build --help, or the table of fields in docs/push.md",
        )
    )

"""Options of what happens to images after they are built: pushed, accompanied, signed; and outside caches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem

if TYPE_CHECKING:
    from cudaforge.pipeline.publishing import PushOrder

SBOM_FORMS = ("spdx", "cyclonedx")

Push = Annotated[bool, typer.Option("--push", help="Push each image that is built to its registry.")]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TEMPLATE",
        help="With --push: what to push as, such as '{framework}-{version}-cu{cuda}'; a whole reference, or "
        "the tag in the image's repository. May be repeated; without it the lock's tags.",
    ),
]
Sbom = Annotated[
    str | None,
    typer.Option(
        "--sbom", metavar="spdx|cyclonedx", help="With --push: attach a bill of materials to each image."
    ),
]
Provenance = Annotated[
    bool, typer.Option("--provenance", help="With --push: attach where each image comes from (SLSA).")
]
Sign = Annotated[bool, typer.Option("--sign", help="With --push: sign each image by cosign.")]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="The key of --sign: a file, or an address that cosign knows."),
]
CacheTo = Annotated[
    list[str] | None,
    typer.Option(
        "--cache-to",
        metavar="CACHE",
        help="Write steps to a cache: type=registry,ref=..., type=local,dest=... or type=gha; {name} is the "
        "image. May be repeated.",
    ),
]
CacheFrom = Annotated[
    list[str] | None,
    typer.Option(
        "--cache-from", metavar="CACHE", help="Take steps from such a cache: a reference, or type=...,src=..."
    ),
]


def push_order(
    *,
    push: bool,
    tags: Sequence[str] | None,
    sbom: str | None,
    provenance: bool,
    sign: bool,
    key: str | None,
) -> PushOrder | None:
    """What is to be published; None without --push. Raises InputError for options that do not go together."""
    problems = []
    if not push:
        given = (("--tag", tags), ("--sbom", sbom), ("--provenance", provenance), ("--sign", sign))
        problems += [_problem(f"{name} needs --push", name, "add --push") for name, value in given if value]
    if key is not None and not sign:
        problems.append(_problem("--key needs --sign", "--key", "add --sign"))
    if sbom is not None and sbom not in SBOM_FORMS:
        problems.append(
            _problem(f"{show(sbom)} is no form of an SBOM", "--sbom", f"one of {', '.join(SBOM_FORMS)}")
        )
    if problems:
        raise InputError(problems)
    if not push:
        return None
    from cudaforge.pipeline.publishing import PushOrder

    return PushOrder(
        templates=tuple(tags or ()), sbom=sbom, has_provenance=provenance, is_signed=sign, key=key
    )


def _problem(what: str, key: str, remedy: str) -> Problem:
    return Problem(what=what, where=Location(file="command line", key=key), remedy=remedy)

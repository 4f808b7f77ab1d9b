"""Whether builders can make images of the platforms that are asked for: said before anything is built."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from cudaforge.engine import EngineError, NamedBuilder
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage


def check_platforms(images: Sequence[LockedImage], builders: Sequence[NamedBuilder]) -> None:
    """Raise SurroundingsError where a builder does not run the programs of an image's platform, or where the
    engine that gets the images keeps none of several platforms. One that does not answer is passed over:
    its loss is a result of the run, told with those of the others."""
    for named in builders:
        problems: list[Problem] = []
        with contextlib.suppress(EngineError):
            own = f"linux/{named.engine.architecture}"
            foreign = [image for image in images if image.platforms != (own,)]
            problems = [*_unkept(foreign, named), *(_unrun(foreign, named) if foreign else ())]
        if problems:
            raise SurroundingsError(problems)


def _unkept(images: Sequence[LockedImage], named: NamedBuilder) -> Iterator[Problem]:
    several = [image for image in images if len(image.platforms) > 1]
    if not several or (named.is_own and named.engine.has_containerd_store):
        return
    names = ", ".join(image.name for image in several)
    if named.is_own:
        yield Problem(
            what=f"this engine's image store keeps no image of several platforms, as {names} is",
            because=("only the containerd image store does",),
            remedy='turn it on: "features": {"containerd-snapshotter": true} in the engine\'s daemon.json; '
            "or make one image for each platform: a matrix with the axis `platforms`",
        )
    else:
        yield Problem(
            what=f"the builder {named.name} hands over one platform at a time, and {names} has several",
            because=("its driver is not docker's own, and loads images as the older image store takes them",),
            remedy="build with the engine's own builder, or make one image for each platform: a matrix with "
            "the axis `platforms`",
        )


def _unrun(images: Sequence[LockedImage], named: NamedBuilder) -> Iterator[Problem]:
    known = named.find_platforms()
    for image in images:
        missing = [platform for platform in image.platforms if known and platform not in known]
        if missing:
            yield Problem(
                what=f"{image.name} is for {' and '.join(missing)}, of which the builder {named.name} "
                "runs no programs",
                because=(f"it runs: {', '.join(sorted(known))}",),
                remedy=named.engine.words.other_platform,
            )

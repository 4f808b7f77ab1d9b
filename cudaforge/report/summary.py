"""The table that `up` ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.builder.model import BuildResult, BuildState, result_to_json
from cudaforge.lockfile.model import DroppedPoint, LockedImage
from cudaforge.publisher.model import Publication
from cudaforge.report.builds import describe_failure, publications_json
from cudaforge.report.tables import seconds_text, table
from cudaforge.report.verdicts import describe_troubles
from cudaforge.units import bytes_text
from cudaforge.verifier import Verdict, verdict_to_json

_HEADER = ("image", "versions", "base", "size", "build", "verdict")


def describe_run(
    images: Sequence[LockedImage],
    builds: Mapping[str, BuildResult],
    verdicts: Mapping[str, Verdict],
    dropped: Sequence[DroppedPoint] = (),
) -> str:
    """One row per image, then what stands in the way of those that are not good."""
    rows = [_row(image, builds[image.name], verdicts.get(image.name)) for image in images]
    rows += [(point.name, "-", "-", "-", "-", "dropped: " + " and ".join(point.core)) for point in dropped]
    parts = [table(_HEADER, rows)]
    for image in images:
        build, verdict = builds[image.name], verdicts.get(image.name)
        if build.state is BuildState.FAILED:
            parts.append(describe_failure(build))
        elif verdict is not None and not verdict.ok:
            parts.append(describe_troubles(verdict))
    return "\n\n".join(parts)


def run_json(
    images: Sequence[LockedImage],
    builds: Mapping[str, BuildResult],
    verdicts: Mapping[str, Verdict],
    dropped: Sequence[DroppedPoint] = (),
    published: Sequence[Publication] = (),
) -> dict[str, object]:
    """The JSON form of `up`, which is also kept for later reports."""
    pushed = publications_json(published)
    return {
        "images": [
            {
                "name": image.name,
                "lock_digest": image.digest,
                "versions": image_versions(image),
                "base": {"reference": image.base.reference, "digest": image.base.digest},
                "build": dict(result_to_json(builds[image.name])),
                "verdict": verdict_to_json(verdicts[image.name]) if image.name in verdicts else None,
                "pushed": pushed.get(image.name),
            }
            for image in images
        ],
        "dropped": [{"name": point.name, "core": list(point.core)} for point in dropped],
    }


def image_versions(image: LockedImage) -> dict[str, str]:
    """The versions that make up an image, those that it has."""
    versions = {framework.name: framework.reported for framework in image.frameworks}
    others = (("cuda", image.cuda), ("cudnn", image.cudnn), ("python", image.python))
    return versions | {name: value for name, value in others if value}


def _row(image: LockedImage, build: BuildResult, verdict: Verdict | None) -> tuple[str, ...]:
    versions = ", ".join(f"{name} {value}" for name, value in image_versions(image).items())
    time = "cached" if build.state is BuildState.CACHED else seconds_text(build.seconds)
    if verdict is not None:
        word = verdict.summary if verdict.ok else f"NOT OK: {verdict.summary}"
    else:
        word = build.state.value
    return (image.name, versions, image.base.reference, bytes_text(build.size), time, word)

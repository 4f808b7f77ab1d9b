"""The images of a lock as jobs of CI systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cudaforge.lockfile.model import LockedImage
from cudaforge.lockfile.shards import divide, predicted_bytes
from cudaforge.records import record
from cudaforge.report.summary import image_versions

GITHUB_MOST_JOBS = 256
"""Jobs that one matrix may make, by https://docs.github.com/en/actions/reference/limits."""
GITLAB_INCLUDE = ".gitlab/cudaforge.yml"
"""The file that says what a job of the child pipeline runs on, and with what."""
GITLAB_JOB = ".cudaforge-image"
GITLAB_REPORT = ".cudaforge-report"


@record()
class CiJob:
    """One job, and the images that it makes: alike in what they need of a runner."""

    name: str
    images: tuple[LockedImage, ...]
    needs_gpu: bool
    platforms: tuple[str, ...]

    @property
    def names(self) -> str:
        """Words of a command line: names of images hold nothing that a shell reads."""
        return " ".join(image.name for image in self.images)


def plan_jobs(images: Sequence[LockedImage], most: int) -> tuple[CiJob, ...]:
    """One job for each image, or, where these are more than `most`, so many of about equal cost.

    Images that need other runners share no job: `most` is exceeded where there are more kinds of them alone.
    """
    kinds: dict[tuple[bool, tuple[str, ...]], list[LockedImage]] = {}
    for image in images:
        kinds.setdefault((image.verify.gpu == "required", image.platforms), []).append(image)
    spare = max(0, most - len(kinds))
    jobs: list[CiJob] = []
    for (needs_gpu, platforms), members in kinds.items():
        shards = _shards(members, 1 + spare * len(members) // len(images))
        jobs += (
            _job(shard, number=number, of=len(shards), needs_gpu=needs_gpu, platforms=platforms)
            for number, shard in enumerate(shards, start=1)
        )
    return tuple(jobs)


def github_matrix(jobs: Sequence[CiJob]) -> dict[str, object]:
    """What `strategy.matrix` takes through fromJSON."""
    return {"include": [dict(_entry(job)) for job in jobs]}


def gitlab_pipeline(jobs: Sequence[CiJob]) -> dict[str, object]:
    """A child pipeline, as JSON, which is YAML: one job extends GITLAB_JOB for each of ours."""
    pipeline: dict[str, object] = {
        "include": [{"local": GITLAB_INCLUDE}],
        "stages": ["images", "report"],
        # Jobs without rules are none of a merge request's, unless the pipeline has some. The one that begins
        # this one has decided already:
        # https://docs.gitlab.com/ci/pipelines/downstream_pipelines/#run-child-pipelines-with-merge-request-pipelines
        "workflow": {"rules": [{"when": "always"}]},
    }
    for job in jobs:
        pipeline[f"image: {job.name}"] = {
            "extends": f"{GITLAB_JOB}-gpu" if job.needs_gpu else GITLAB_JOB,
            "stage": "images",
            "variables": {
                "CUDAFORGE_IMAGES": job.names,
                "CUDAFORGE_PLATFORMS": ",".join(job.platforms),
            },
        }
    if jobs:
        names = " ".join(job.names for job in jobs)
        pipeline["report"] = {
            "extends": GITLAB_REPORT,
            "stage": "report",
            "variables": {"CUDAFORGE_IMAGES": names},
        }
    else:
        # A pipeline without any job is an error.
        pipeline["nothing to make"] = {"stage": "images", "script": ["true"]}
    return pipeline


def _entry(job: CiJob) -> Iterator[tuple[str, object]]:
    yield "name", job.name
    yield "images", job.names
    yield "gpu", job.needs_gpu
    yield "platforms", ",".join(job.platforms)
    yield "cost", sum(map(predicted_bytes, job.images))
    if len(job.images) == 1:
        yield "versions", image_versions(job.images[0])


def _shards(images: Sequence[LockedImage], most: int) -> tuple[tuple[LockedImage, ...], ...]:
    return divide(images, most) if len(images) > most else tuple((image,) for image in images)


def _job(
    images: tuple[LockedImage, ...], *, number: int, of: int, needs_gpu: bool, platforms: tuple[str, ...]
) -> CiJob:
    if len(images) == 1:
        name = images[0].name
    else:
        name = f"{number} of {of} for {', '.join(platforms)}{' with a GPU' if needs_gpu else ''}"
    return CiJob(name=name, images=images, needs_gpu=needs_gpu, platforms=platforms)

"""Dividing images among jobs: each in exactly one, the work in about equal parts, always the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cudaforge.lockfile.model import LockedImage
from cudaforge.lockfile.shards import divide, predicted_bytes
from cudaforge.records import replace
from cudaforge.report.ci import github_matrix, gitlab_pipeline, plan_jobs
from tests.support.locks import CPU_IMAGE

WHEEL = CPU_IMAGE.closure.wheels[0]


def image(number: int, size: int | None, *, gpu: str = "auto", platform: str = "linux/amd64") -> LockedImage:
    closure = replace(CPU_IMAGE.closure, wheels=(replace(WHEEL, size=size),))
    return replace(
        CPU_IMAGE,
        name=f"i{number:03}",
        closure=closure,
        verify=replace(CPU_IMAGE.verify, gpu=gpu),
        platforms=(platform,),
    )


SIZES = st.lists(st.none() | st.integers(0, 10**10), max_size=60)


@given(SIZES, st.integers(1, 20), st.randoms())
def test_every_image_is_in_exactly_one_shard(sizes, count, random):
    images = [image(number, size) for number, size in enumerate(sizes)]
    shards = divide(images, count)
    assert len(shards) == count
    assert sorted(one.name for shard in shards for one in shard) == [one.name for one in images]
    shuffled = random.sample(images, len(images))
    again = divide(shuffled, count)
    assert [{one.name for one in shard} for shard in again] == [
        {one.name for one in shard} for shard in shards
    ], "the order of the lock does not matter"


@given(SIZES, st.integers(1, 20))
def test_no_shard_is_heavier_than_the_mean_by_more_than_one_image(sizes, count):
    images = [image(number, size) for number, size in enumerate(sizes)]
    costs = [*map(predicted_bytes, images), 0]
    heaviest = max(sum(map(predicted_bytes, shard)) for shard in divide(images, count))
    assert heaviest <= sum(costs) / count + max(costs)


@given(
    st.lists(
        st.tuples(st.sampled_from(["auto", "required"]), st.sampled_from(["linux/amd64", "linux/arm64"]))
    ),
    st.integers(1, 300),
)
def test_jobs_hold_every_image_once_and_need_one_kind_of_runner(kinds, most):
    images = [image(number, 1, gpu=gpu, platform=platform) for number, (gpu, platform) in enumerate(kinds)]
    jobs = plan_jobs(images, most)
    assert sorted(one.name for job in jobs for one in job.images) == [one.name for one in images]
    assert len(jobs) <= max(most, len(set(kinds)))
    assert len(jobs) == len(images) or len(images) > most - len(set(kinds))
    assert len({job.name for job in jobs}) == len(jobs)
    for job in jobs:
        assert {(one.verify.gpu == "required", one.platforms) for one in job.images} == {
            (job.needs_gpu, job.platforms)
        }
    assert len(github_matrix(jobs)["include"]) == len(jobs)
    variables = [
        job["variables"]["CUDAFORGE_IMAGES"]
        for name, job in gitlab_pipeline(jobs).items()
        if name.startswith("image: ")
    ]
    assert sorted(name for names in variables for name in names.split()) == [one.name for one in images]

"""The resolver on the facts themselves, a random part of them at a time, against the naive search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from cudaforge.declaration.model import Flavor, FrameworkWish, Gate, Wishes
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.matrix.model import BaseImage, CudaRelease, CudnnRelease, FrameworkBuild
from cudaforge.resolver import Conflict, Resolution, resolve
from cudaforge.versions import Version, VersionWish
from tests.unit.resolver import naive
from tests.unit.resolver.rows import wishes
from tests.unit.resolver.test_properties import BOTH, _is, _only, changed, is_needed, relaxed

Row = TypeVar("Row")


@cache
def facts() -> Matrix:
    return load_matrix()


@cache
def products() -> tuple[str, ...]:
    """Names that mean one product, which is how the naive search looks GPUs up."""
    return tuple(gpu.name for gpu in facts().gpus if facts().find_gpus(gpu.name) == (gpu,))


def part(draw: st.DrawFn, likely: Sequence[Row], others: Sequence[Row], most: int) -> tuple[Row, ...]:
    """Some rows, those that are likely to be of use first."""
    wanted = draw(st.lists(st.sampled_from(likely), min_size=most // 2, max_size=most)) if likely else []
    rest = draw(st.lists(st.sampled_from(others), max_size=1))
    chosen = {id(row): row for row in (*wanted, *rest)}
    return tuple(row for row in others if id(row) in chosen)


@st.composite
def parts(draw: st.DrawFn, *, is_cpu: bool) -> Matrix:
    """Builds that are of use to a GPU image or to a CPU twin, with what they load, and a few rows more."""
    matrix = facts()
    able = [one for one in matrix.frameworks.values() if not one.facts_only]
    frameworks = draw(st.lists(st.sampled_from(able), min_size=1, max_size=2, unique_by=lambda one: one.name))
    builds: list[FrameworkBuild] = []
    for framework in frameworks:
        known = matrix.builds(framework.name)
        meant = [one for one in known if (one.provider.value == "none") == is_cpu]
        meant = [one for one in meant if one.source.strength.value != "inferred"]
        meant = meant or list(known)  # a framework without CPU builds
        newest = draw(st.integers(len(meant) // 3, len(meant) - 1))
        builds += part(draw, meant[max(0, newest - 12) : newest + 1], known, 4) or known[-1:]
    cuda: tuple[CudaRelease, ...] = part(
        draw,
        [
            row
            for row in matrix.cuda_releases
            if any(one.cuda and one.cuda.allows(row.version) for one in builds)
        ],
        matrix.cuda_releases,
        5,
    )
    cudnn: tuple[CudnnRelease, ...] = part(
        draw,
        [
            row
            for row in matrix.cudnn_releases
            if any(one.cudnn and one.cudnn.allows(row.version) for one in builds)
        ],
        matrix.cudnn_releases,
        5,
    )
    versions = {row.version for row in cuda}
    images: tuple[BaseImage, ...] = part(
        draw,
        [
            row
            for row in matrix.base_images
            if row.removed is None and (row.cuda is None or row.cuda in versions)
        ],
        matrix.base_images,
        6,
    )
    return Matrix.from_rows(
        frameworks=frameworks,
        builds=builds,
        cuda_releases=cuda,
        cudnn_releases=cudnn,
        gpus=matrix.gpus,
        systems=tuple(matrix.systems.values()),
        base_images=images,
        driver_branches=matrix.driver_branches,
        indexes=tuple(matrix.indexes.values()),
        broken=matrix.broken,
        as_of=matrix.as_of,
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[Matrix, Wishes]:
    is_cpu = draw(st.sampled_from((False,) * 8 + (True,)))
    matrix = draw(parts(is_cpu=is_cpu))

    def rarely(values: Sequence[Row]) -> Row | None:
        return draw(st.sampled_from((None,) * 16 + tuple(values[:8]))) if values else None

    def wished(texts: Sequence[str]) -> VersionWish | None:
        text = rarely(texts)
        return VersionWish(text) if text is not None else None

    frameworks = []
    for name in draw(st.permutations(list(matrix.frameworks))):
        one = draw(st.sampled_from(matrix.builds(name)))
        texts = (f"=={one.version}", f">={one.version}", f"<{one.version}", f"=={one.version}+{one.build}")
        frameworks.append(FrameworkWish(name=name, version=wished(texts)))
    minors = [str(row.version.minor()) for row in matrix.cuda_releases]
    references = (*(one.reference for one in matrix.base_images), "bootstrap:debian12")
    return matrix, Wishes(
        frameworks=tuple(frameworks),
        build=rarely(sorted({row.build for name in matrix.frameworks for row in matrix.builds(name)})),
        is_cpu=is_cpu,
        cuda=None if is_cpu else wished([*minors, ">=12", "<12"]),
        cudnn=wished([str(row.version.major) for row in matrix.cudnn_releases]),
        python=wished(("3.8", "3.10", "3.11", ">=3.12", "3.13")),
        os=rarely(("ubuntu18.04", "ubuntu22.04", "debian12", "rockylinux8")),
        gpus=tuple(
            draw(st.lists(st.sampled_from(products()), max_size=draw(st.integers(0, 2)), unique=True))
        ),
        driver=rarely([f"{row.branch}.10" for row in draw(st.permutations(matrix.driver_branches))]),
        flavor=rarely(tuple(Flavor)),
        platforms=draw(st.sampled_from(((), (), (), BOTH[:1], BOTH[1:], BOTH))),
        base=rarely(references),
        python_provider=rarely(("image", "distro")),
        cuda_provider=rarely(("wheels", "system")),
        toolkit=wished(minors),
        forward_compat=draw(st.sampled_from((False,) * 12 + (True,))),
        require_cuda=draw(st.sampled_from((Gate.KEEP, Gate.KEEP, Gate.RELAX))),
        packages=(),
        prefer_per_field={},
    )


@relaxed
@given(questions())
def test_an_answer_exists_exactly_where_a_full_search_finds_one(question: tuple[Matrix, Wishes]) -> None:
    matrix, wishes = question
    answer = resolve(wishes, matrix)
    found = list(naive.solutions(wishes, matrix))
    assert isinstance(answer, Resolution) == bool(found)
    if isinstance(answer, Resolution):
        assert any(_is(answer, one) for one in found)
        assert answer.frameworks[0].version == max(one.builds[0][0].version for one in found)


@relaxed
@given(questions())
def test_a_core_is_minimal_and_repairs_resolve(question: tuple[Matrix, Wishes]) -> None:
    matrix, wishes = question
    answer = resolve(wishes, matrix)
    if not isinstance(answer, Conflict):
        return
    core = _only(wishes, answer.core)
    if core.frameworks:
        assert next(naive.solutions(core, matrix), None) is None
    for word in answer.core:
        assert is_needed(core, word, answer.core, matrix), word
    for fix in answer.fixes:
        mended = changed(wishes, fix.change, matrix)
        assert next(naive.solutions(mended, matrix), None) is not None, fix


def test_a_cpu_twin_is_not_told_that_a_cuda_build_is_missing() -> None:
    newest = FrameworkWish(name="onnxruntime", version=VersionWish("==1.32.*"))
    asked = wishes(frameworks=(newest,), is_cpu=True, python=VersionWish("==3.10"))
    answer = resolve(asked, load_matrix())
    assert isinstance(answer, Conflict)
    assert set(answer.core) == {"onnxruntime==1.32.*", "cuda=none", "python==3.10"}
    assert [reason for reason in answer.reasons if "CUDA" in reason.text] == []
    assert answer.fixes[0].change == {"python": "3.11"}


def test_products_are_named() -> None:
    assert len(products()) > 100
    assert Version("12.0") in {gpu.capability for gpu in facts().gpus if gpu.name in products()}

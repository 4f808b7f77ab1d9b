"""What was learnt of packages decides like every other fact."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.declaration.model import FrameworkWish, Wishes
from cudaforge.matrix import load_matrix
from cudaforge.records import replace
from cudaforge.resolver import Collision, Obstacle, Resolution, alternatives, weigh
from cudaforge.resolver.learnt import is_allowed
from cudaforge.versions import VersionWish

PACKAGE = "fast-ops==1.2"


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


def wishes(version: str | None = None, *, packages=(PACKAGE,), **others) -> Wishes:
    framework = FrameworkWish(name="pytorch", version=VersionWish(version) if version else None)
    return Wishes(frameworks=(framework,), packages=packages, prefer_per_field={}, **others)


def need(package: str, allowed: str, *, python: str | None = None) -> Obstacle:
    return Obstacle(
        packages=(PACKAGE,),
        python=python,
        needs=(package, allowed),
        text=f"{PACKAGE} needs {package}{allowed}",
    )


def version(answer: Resolution) -> str:
    return str(answer.frameworks[0].version)


def test_the_release_that_a_package_needs_is_chosen(matrix):
    answer = weigh(wishes(), matrix, [need("torch", "==2.7.1")])
    assert version(answer) == "2.7.1"


def test_a_need_of_one_python_moves_the_python_before_the_release(matrix):
    free = weigh(wishes(), matrix, [])
    answer = weigh(wishes(), matrix, [need("torch", "==2.7.1", python=free.python)])
    assert version(answer) == version(free)
    assert answer.python != free.python


def test_a_cudnn_that_a_package_needs_is_loaded_or_its_build_is_left(matrix):
    free = weigh(wishes(), matrix, [])
    (pin,) = [one for one in free.constraints if one.startswith("nvidia-cudnn")]
    package, _, pinned = pin.partition("==")
    answer = weigh(wishes(), matrix, [need(package, f"<{pinned}")])
    pins = dict(one.split("==") for one in answer.constraints if one.startswith("nvidia-cudnn"))
    assert package not in pins or is_allowed(pins[package], f"<{pinned}")


def test_releases_that_were_proven_not_to_go_are_left_out_together_on_their_own_index(matrix):
    free = weigh(wishes(), matrix, [])
    (framework,) = free.frameworks

    def excluded(index: str) -> Obstacle:
        return Obstacle(
            packages=(PACKAGE,),
            python=None,
            excluded=("torch", ">2.7.1"),
            index=index,
            text=f"{PACKAGE} goes with no torch>2.7.1",
        )

    assert weigh(wishes(), matrix, [excluded("another")]) == free
    answer = weigh(wishes(), matrix, [excluded(framework.index)])
    assert answer.frameworks[0].index != framework.index or is_allowed(version(answer), "<=2.7.1")
    every = [excluded(index) for index in {row.index for row in matrix.builds("pytorch")}]
    assert version(weigh(wishes(), matrix, every)) == "2.7.1"
    collision = weigh(wishes(">=2.8"), matrix, every)
    assert isinstance(collision, Collision)
    conflict = collision.conflict(lambda _, __: True)
    assert conflict.core == ("pytorch>=2.8", PACKAGE)
    assert conflict.reasons[0].text == f"{PACKAGE} goes with no torch>2.7.1 [package index]"


def test_a_companion_that_a_package_needs_brings_its_framework(matrix):
    answer = weigh(wishes(), matrix, [need("torchvision", "==0.22.1")])
    assert version(answer) == "2.7.1"


def test_what_was_learnt_of_a_package_is_nothing_without_it(matrix):
    learnt = [need("torch", "==2.7.1")]
    assert weigh(wishes(packages=()), matrix, learnt) == weigh(wishes(packages=()), matrix, [])


def test_a_collision_has_a_minimal_core_and_repairs_that_are_proven(matrix):
    collision = weigh(wishes(">=2.8", gpus=("H100",)), matrix, [need("torch", "==2.7.1")])
    assert isinstance(collision, Collision)
    conflict = collision.conflict(lambda _, __: True)
    assert conflict.core == ("pytorch>=2.8", PACKAGE)
    assert conflict.reasons[0].text == f"{PACKAGE} needs torch==2.7.1 [package index]"
    assert conflict.fixes
    assert not collision.conflict(lambda _, __: False).fixes


def test_each_wish_of_a_core_has_an_answer_without_it(matrix):
    collision = weigh(
        wishes(">=2.8", python=VersionWish("3.12")), matrix, [need("torch", "==2.7.1", python="3.12")]
    )
    assert isinstance(collision, Collision)
    found = list(collision.witnesses())
    assert len(found) == 2
    assert {packages for _, packages in found} == {(PACKAGE,)}
    assert any(one.python != "3.12" for one, _ in found)


def test_an_answer_that_was_tried_is_not_given_again(matrix):
    learnt: list[Obstacle] = []
    seen = set()
    for _ in range(6):
        answer = weigh(wishes(), matrix, learnt)
        label = f"{version(answer)}+{answer.frameworks[0].build}"
        assert (label, answer.python) not in seen
        seen.add((label, answer.python))
        tried = Obstacle(packages=(PACKAGE,), python=answer.python, tried={"pytorch": label}, text="tried")
        learnt.append(tried)


@pytest.mark.parametrize(
    ("found", "allowed", "expected"),
    [
        ("2.7.1+cu128", "==2.7.1", True),
        ("2.7.1+cu128", "==2.7.1+cpu", False),
        ("2.8.0", "<2.8", False),
        ("2.8.0rc1", ">=2.7", True),
        ("2.8.0", "no specifier", True),
        ("no version", "==1", True),
    ],
)
def test_what_is_no_version_is_not_judged(found, allowed, expected):
    assert is_allowed(found, allowed) is expected


RELEASES = ("2.6.0", "2.7.1", "2.8.0", "2.9.1")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SPECIFIERS = st.builds("{}{}".format, st.sampled_from(["==", "!=", "<", ">="]), st.sampled_from(RELEASES))
OBSTACLES = st.builds(
    lambda package, allowed, python: need(package, allowed, python=python),
    st.sampled_from(["torch", "torchvision", "nvidia-nccl-cu12"]),
    SPECIFIERS,
    st.sampled_from([None, *PYTHONS]),
)


@settings(max_examples=25, deadline=None)
@given(learnt=st.lists(OBSTACLES, max_size=6), python=st.sampled_from([None, *PYTHONS]))
def test_an_answer_meets_all_that_was_learnt_and_exists_exactly_where_one_does(matrix, learnt, python):
    """Checked one by one over the best answer of every build on every Python."""

    def is_met(answer: Resolution) -> bool:
        pins = (*answer.requirements, *answer.constraints)
        return not any(one.excludes(pins) for one in learnt if one.python in (None, answer.python))

    asked = wishes(">=2.6,<2.10", python=VersionWish(python) if python else None)
    found = weigh(asked, matrix, learnt)
    if isinstance(found, Resolution):
        assert is_met(found)
        return
    for one in (python,) if python else PYTHONS:
        every = alternatives(replace(asked, python=VersionWish(one)), matrix, limit=1000)
        assert not any(map(is_met, every))

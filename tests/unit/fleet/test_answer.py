"""Fleets against the naive second writing of the rules, and on the real matrix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cudaforge.declaration.model import (
    Contents,
    Declaration,
    Flavor,
    FleetNode,
    FrameworkWish,
    Gate,
    ImageDeclaration,
    Network,
    VerifySettings,
    Wishes,
)
from cudaforge.fleet import FleetAnswer, answer_fleet
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.records import replace
from cudaforge.resolver import Conflict, Resolution, resolve
from cudaforge.resolver.joint import Joint
from cudaforge.versions import Version, VersionWish
from tests.unit.resolver import naive
from tests.unit.resolver.test_properties import DRIVERS, GPUS, _is, changed, questions, relaxed, some


def declaration(*wishes: Wishes) -> Declaration:
    images = tuple(
        ImageDeclaration(
            name=f"image{number}",
            image=f"image{number}",
            key=f"images.image{number}",
            wishes=one,
            contents=Contents(env={}, labels={}),
            verify=VerifySettings(),
        )
        for number, one in enumerate(wishes)
    )
    return Declaration(
        path=Path("cudaforge.toml"),
        root=Path(),
        project="p",
        images=images,
        registries={},
        network=Network(indexes={}),
        digest="0",
    )


def on_fleet(wishes: Wishes, nodes: Sequence[FleetNode], matrix: Matrix, **more: int) -> FleetAnswer:
    (answer,) = answer_fleet(declaration(wishes), nodes, matrix, **more)
    return answer


def on_node(wishes: Wishes, node: FleetNode) -> Wishes:
    return replace(wishes, gpus=node.gpus, driver=node.driver)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[FleetNode, ...]:
    return tuple(
        FleetNode(
            name=f"n{number}",
            gpus=draw(some(GPUS[:3] if draw(st.booleans()) else GPUS)),
            driver=draw(st.sampled_from((None, *DRIVERS))),
            count=draw(st.integers(1, 9)),
        )
        for number in range(draw(st.integers(1, 5)))
    )


@relaxed
@given(questions(), fleets())
def test_the_fewest_images_serve_all_that_can_be_served(
    question: tuple[Matrix, Wishes], nodes: tuple[FleetNode, ...]
) -> None:
    matrix, wishes = question
    wishes = replace(wishes, is_cpu=False)
    answer = on_fleet(wishes, nodes, matrix)
    assert answer == on_fleet(wishes, nodes, matrix)
    found = {node.name: list(naive.solutions(on_node(wishes, node), matrix)) for node in nodes}
    served = {
        one.name: image for image in answer.images for group in image.groups for one in group.group.nodes
    }
    unserved = {one.name: it for it in answer.unserved for group in it.groups for one in group.nodes}
    assert {*served, *unserved} == {*found}
    assert not {*served} & {*unserved}
    for node in nodes:
        assert (node.name in served) == bool(found[node.name])
        if node.name in served:
            assert any(_is(served[node.name].resolution, one) for one in found[node.name])
        else:
            _check_conflict(unserved[node.name].conflict, on_node(wishes, node), matrix)
    assert answer.is_smallest
    assert len(answer.images) == _fewest([found[name] for name in served])


def _check_conflict(conflict: Conflict, wishes: Wishes, matrix: Matrix) -> None:
    alone = resolve(wishes, matrix)
    assert isinstance(alone, Conflict)
    assert (conflict.core, conflict.reasons) == (alone.core, alone.reasons)
    for fix in conflict.fixes:
        mended = changed(wishes, fix.change, matrix)
        assert mended.gpus == wishes.gpus
        assert (mended.driver is None) == (wishes.driver is None)
        assert isinstance(resolve(mended, matrix), Resolution)


def _fewest(found: list[list[naive.Set]]) -> int:
    """The least number of choices with one for each node, by trying all."""
    meets: dict[str, set[int]] = {}
    for number, sets in enumerate(found):
        for one in sets:
            meets.setdefault(repr(one), set()).add(number)
    kinds = {frozenset(one) for one in meets.values()}
    return next(
        size
        for size in range(len(found) + 1)
        if any(frozenset().union(*some_of) == {*range(len(found))} for some_of in combinations(kinds, size))
    )


@relaxed
@given(questions(), st.sampled_from((None, *DRIVERS)), some(GPUS))
def test_on_one_driver_a_joint_answer_is_that_of_all_gpus_in_one_image(
    question: tuple[Matrix, Wishes], driver: str | None, gpus: tuple[str, ...]
) -> None:
    matrix, wishes = question
    wishes = replace(wishes, is_cpu=False, driver=driver)
    joint = Joint([replace(wishes, gpus=(gpu,)) for gpu in gpus], matrix)
    everything = (1 << len(gpus)) - 1
    found = joint.best(everything)
    together = resolve(replace(wishes, gpus=gpus), matrix)
    assert (joint.resolution(found, everything) == together) if found else isinstance(together, Conflict)


MATRIX = load_matrix()
TORCH = Wishes(frameworks=(FrameworkWish(name="pytorch"),), prefer_per_field={})


def node(gpu: str, driver: str | None, count: int = 1) -> FleetNode:
    return FleetNode(name=f"{gpu} {driver}", gpus=tuple(gpu.split(" + ")), driver=driver, count=count)


def who(answer: FleetAnswer) -> list[list[str]]:
    return [[one.name for group in image.groups for one in group.group.nodes] for image in answer.images]


def test_one_image_for_two_gpus() -> None:
    answer = on_fleet(TORCH, [node("H100", "570.86"), node("RTX 4090", "570.86")], MATRIX)
    assert who(answer) == [["H100 570.86", "RTX 4090 570.86"]]
    assert answer.images[0].resolution == resolve(
        replace(TORCH, gpus=("H100", "RTX 4090"), driver="570.86"), MATRIX
    )


def test_each_gpu_has_its_own_driver() -> None:
    """All GPUs on the oldest driver would be a conflict: that of the V100 knows no B200."""
    nodes = [node("V100", "535.161.08"), node("B200", "580.65.06"), node("RTX 4090", "535.104.05")]
    together = replace(TORCH, gpus=("V100", "B200", "RTX 4090"), driver="535.104.05")
    assert isinstance(resolve(together, MATRIX), Conflict)
    answer = on_fleet(TORCH, nodes, MATRIX)
    assert len(answer.images) == 1
    floors = {one.group.gpus[0]: one.driver_floor for one in answer.images[0].groups}
    assert floors["B200"] > floors["V100"] == floors["RTX 4090"]


def test_a_relaxed_gate_lets_every_node_pass() -> None:
    """The floor of the B200 would keep the V100 out."""
    wishes = replace(TORCH, flavor=Flavor.DEVEL, require_cuda=Gate.RELAX)
    nodes = [node("V100", "535.161.08"), node("B200", "580.65.06")]
    answer = on_fleet(wishes, nodes, MATRIX)
    (image,) = answer.images
    numbers = image.resolution.numbers
    assert numbers.driver_floor == max(one.driver_floor for one in image.groups)
    assert numbers.gate == f"driver>={min(one.driver_floor for one in image.groups)}"
    assert Version(numbers.gate.removeprefix("driver>=")) <= Version("535.161.08")


def test_a_newer_framework_splits_the_fleet() -> None:
    """From 2.11 on no build has code for both the V100 and the B200."""
    wishes = replace(TORCH, frameworks=(FrameworkWish(name="pytorch", version=VersionWish(">=2.11")),))
    nodes = [node("V100", "580.65.06", 2), node("B200", "580.65.06", 9), node("RTX 4090", "535.104.05")]
    answer = on_fleet(wishes, nodes, MATRIX)
    assert answer.unserved == ()
    assert who(answer) == [["B200 580.65.06"], ["V100 580.65.06", "RTX 4090 535.104.05"]]
    alone = resolve(on_node(wishes, nodes[1]), MATRIX)
    assert isinstance(alone, Resolution)
    assert answer.images[0].resolution == alone


def test_who_has_no_image_is_told_which_driver_would_do() -> None:
    answer = on_fleet(TORCH, [node("RTX 5090", "535.104.05"), node("H100", "570.86")], MATRIX)
    assert who(answer) == [["H100 570.86"]]
    (unserved,) = answer.unserved
    assert unserved.conflict.core == ("driver=535.104.05", "gpu=RTX 5090")
    assert [fix.change for fix in unserved.conflict.fixes] == [{"driver": "570.26"}]


def test_a_repair_changes_the_driver_together_with_the_image_where_one_is_not_enough() -> None:
    wishes = replace(TORCH, frameworks=(FrameworkWish(name="pytorch", version=VersionWish("2.6")),))
    answer = on_fleet(wishes, [node("RTX 5090", "535.104.05")], MATRIX)
    fix = answer.unserved[0].conflict.fixes[0]
    assert set(fix.change) == {"framework", "driver"}
    mended = changed(replace(wishes, gpus=("RTX 5090",), driver="535.104.05"), fix.change, MATRIX)
    assert isinstance(resolve(mended, MATRIX), Resolution)


def test_an_unknown_product_hides_nothing_of_the_others() -> None:
    nodes = [node("NVIDIA GeForce RTX 5090 Ti", "580.65.06"), node("H100", "570.86")]
    answer = on_fleet(TORCH, nodes, MATRIX)
    assert who(answer) == [["H100 570.86"]]
    (unserved,) = answer.unserved
    assert unserved.conflict.reasons[0].kind.value == "unknown"
    assert "GeForce RTX 5070 Ti" in unserved.conflict.reasons[0].text.partition("nearest known")[2]


def test_an_image_that_cannot_be_is_told_once_for_all() -> None:
    wishes = replace(TORCH, build="cu999")
    answer = on_fleet(wishes, [node("H100", "570.86"), node("T4", "570.86")], MATRIX)
    assert answer.images == ()
    (unserved,) = answer.unserved
    assert len(unserved.groups) == 2
    assert "build=cu999" in unserved.conflict.core


def test_a_cpu_twin_serves_everybody() -> None:
    nodes = [node("H100", "570.86"), node("No such thing", "1.0")]
    answer = on_fleet(replace(TORCH, is_cpu=True), nodes, MATRIX)
    assert [sorted(one) for one in who(answer)] == [["H100 570.86", "No such thing 1.0"]]
    assert answer.images[0].resolution.warnings == ()


def test_what_an_image_says_of_gpus_itself_gives_way_to_the_fleet() -> None:
    own = replace(TORCH, gpus=("K80",), driver="450.80.02")
    nodes = [node("B200", "580.65.06")]
    first, second = answer_fleet(declaration(TORCH, own), nodes, MATRIX)
    assert replace(second, name=first.name) == first


def test_alike_nodes_are_one_group_and_the_largest_comes_first() -> None:
    nodes = [
        FleetNode(name="a", gpus=("T4",), driver="570.86"),
        FleetNode(name="b", gpus=("A100", "L4"), driver="570.86", count=2),
        FleetNode(name="c", gpus=("L4", "A100"), driver="570.86", count=2),
    ]
    groups = [one.group for one in on_fleet(TORCH, nodes, MATRIX).images[0].groups]
    assert [(one.count, [it.name for it in one.nodes]) for one in groups] == [(4, ["b", "c"]), (1, ["a"])]


def test_a_search_that_is_cut_short_still_serves_all() -> None:
    nodes = [node("K80", "470.82.01"), node("H100", "570.86"), node("B200", "580.65.06")]
    whole, cut = on_fleet(TORCH, nodes, MATRIX), on_fleet(TORCH, nodes, MATRIX, limit=0)
    assert (whole.is_smallest, cut.is_smallest) == (True, False)
    assert sorted(map(len, who(cut))) == sorted(map(len, who(whole)))
    assert cut.unserved == whole.unserved == ()


def test_a_driver_floor_is_never_above_the_driver_that_a_node_has() -> None:
    nodes = [
        node(gpu, driver)
        for gpu in ("K80", "V100", "T4", "A100 + T4", "H100", "B200", "RTX 5090", "RTX 4090")
        for driver in ("470.82.01", "535.161.08", "570.86", "580.65.06")
    ]
    for name in ("pytorch", "tensorflow", "jax"):
        answer = on_fleet(replace(TORCH, frameworks=(FrameworkWish(name=name),)), nodes, MATRIX)
        assert answer.images
        for image in answer.images:
            for one in image.groups:
                assert one.driver_floor is None or one.driver_floor <= Version(one.group.driver)

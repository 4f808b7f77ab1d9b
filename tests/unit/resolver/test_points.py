"""The points of a matrix together: the same answers as one by one, and what is impossible told once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cudaforge.declaration import load_declaration
from cudaforge.declaration.model import (
    Contents,
    Declaration,
    Flavor,
    ImageDeclaration,
    Network,
    VerifySettings,
    Wishes,
)
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.records import replace
from cudaforge.resolver import Conflict, Resolution, resolve, resolve_all
from cudaforge.resolver.question import ask
from cudaforge.versions import VersionWish
from tests.unit.resolver import naive, rows
from tests.unit.resolver.test_properties import (
    BOTH,
    DRIVERS,
    GPUS,
    SYSTEMS,
    _only,
    changed,
    is_needed,
    questions,
    relaxed,
    some,
)


def declared(points: Sequence[Wishes]) -> Declaration:
    images = tuple(
        ImageDeclaration(
            name=f"lab-{number}",
            image="lab",
            key="images.lab",
            axes=(("number", str(number)),),
            wishes=wishes,
            contents=Contents(env={}, labels={}),
            verify=VerifySettings(),
        )
        for number, wishes in enumerate(points)
    )
    network = Network(indexes={})
    return Declaration(
        path=Path("cudaforge.toml"), root=Path(), project="test", images=images, registries={},
        network=network, digest="",
    )  # fmt: skip


AXES = {
    "python": tuple(map(VersionWish, ("3.8", "3.11", "3.12"))),
    "cudnn": tuple(map(VersionWish, ("8", "9"))),
    "os": (None, *SYSTEMS),
    "gpus": ((), *((one,) for one in GPUS)),
    "driver": (None, *DRIVERS[1:5]),
    "flavor": (None, Flavor.DEVEL),
    "platforms": ((), *((one,) for one in BOTH)),
    "toolkit": (None, VersionWish("12")),
}


@st.composite
def matrix_of_points(draw: st.DrawFn) -> tuple[Matrix, list[Wishes]]:
    matrix, wishes = draw(questions())
    axes = draw(some(tuple(AXES), 1))[:3]
    values = [draw(st.lists(st.sampled_from(AXES[axis]), min_size=2, max_size=3)) for axis in axes]
    cuda = draw(st.lists(st.sampled_from(("none", "11", "12.8", ">=12")), min_size=1, max_size=2))
    points = []
    for *chosen, text in product(*values, cuda):
        is_cpu = text == "none"
        wish = None if is_cpu else VersionWish(text)
        points.append(replace(wishes, is_cpu=is_cpu, cuda=wish, **dict(zip(axes, chosen, strict=True))))
    return matrix, points


@relaxed
@given(matrix_of_points())
def test_points_together_get_what_each_gets_alone(given_points: tuple[Matrix, list[Wishes]]) -> None:
    matrix, points = given_points
    answers = resolve_all(declared(points), matrix)
    assert answers == resolve_all(declared(points), matrix)
    for wishes, found in zip(points, answers, strict=True):
        alone = resolve(wishes, matrix)
        if isinstance(alone, Resolution):
            assert found.answer == alone
        else:
            assert isinstance(found.answer, Conflict)
            words = {item.word for item in ask(wishes, matrix).items}
            assert set(found.answer.core) <= words


@relaxed
@given(matrix_of_points())
def test_what_points_share_is_minimal_and_mended_by_its_repairs(
    given_points: tuple[Matrix, list[Wishes]],
) -> None:
    matrix, points = given_points
    for group, conflict in conflicts_of(points, matrix):
        core = _only(group[0], conflict.core)
        if core.frameworks:
            assert next(naive.solutions(core, matrix), None) is None
        for word in conflict.core:
            assert is_needed(core, word, conflict.core, matrix), word
        common = in_common(group)
        for fix in conflict.fixes:
            mended = changed(common, fix.change, matrix)
            assert next(naive.solutions(mended, matrix), None) is not None, (common, fix)


def conflicts_of(points: Sequence[Wishes], matrix: Matrix) -> Iterator[tuple[list[Wishes], Conflict]]:
    together: dict[int, tuple[list[Wishes], Conflict]] = {}
    for wishes, found in zip(points, resolve_all(declared(points), matrix), strict=True):
        if isinstance(found.answer, Conflict):
            together.setdefault(id(found.answer), ([], found.answer))[0].append(wishes)
    yield from together.values()


def in_common(points: Sequence[Wishes]) -> Wishes:
    """The first point without the wishes that the others do not have."""
    first = points[0]
    lost = {
        axis: () if isinstance(values[0], tuple) else None
        for axis, values in AXES.items()
        if any(getattr(one, axis) != getattr(first, axis) for one in points)
    }
    if any((one.cuda, one.is_cpu) != (first.cuda, first.is_cpu) for one in points):
        lost |= {"cuda": None, "is_cpu": False}
    return replace(first, **lost)


MATRIX = """\
schema = 1

[images.lab]
framework = "pytorch"

[images.lab.matrix]
framework = ["pytorch==2.6.*", "pytorch==2.7.*", "tensorflow==2.18.*", "jax==0.5.*"]
python = ["3.9", "3.12", "3.13"]
cuda = ["11.8", "12.6", "12.8", "none"]
gpus = [["V100"], ["H100"], ["RTX 5090"]]
driver = ["535.104.05", "580.65.06"]
"""


def test_points_of_the_real_facts(tmp_path: Path) -> None:
    path = tmp_path / "cudaforge.toml"
    path.write_text(MATRIX, encoding="utf-8")
    declaration, matrix = load_declaration(path), load_matrix()
    answers = resolve_all(declaration, matrix)
    assert len(answers) == 4 * 3 * 4 * 3 * 2
    alone = [resolve(image.wishes, matrix) for image in declaration.images]
    assert [isinstance(one.answer, Resolution) for one in answers] == [
        isinstance(one, Resolution) for one in alone
    ]
    conflicts = {id(one.answer): one.answer for one in answers if isinstance(one.answer, Conflict)}
    cores = [one.core for one in conflicts.values()]
    assert len(set(cores)) == len(cores) < 40
    assert ("pytorch==2.6.*", "gpu=RTX 5090") in cores


OVERLAPPING = """
from cudaforge.pipeline import decide
from cudaforge.report.answers import describe_matrix
import sys
print(describe_matrix(decide.resolve(decide.load(sys.argv[1]))))
"""


def test_points_of_two_groups_are_told_alike_in_every_run(tmp_path: Path):
    """A point may have the wishes of two cores; sets of words are ordered otherwise in each process."""
    file = tmp_path / "cudaforge.toml"
    file.write_text(
        'schema = 1\n[images.lab]\nframework = "pytorch"\n[images.lab.matrix]\n'
        'framework = ["pytorch==2.4.*", "pytorch==2.8.*"]\npython = ["3.9", "3.13"]\n'
        'gpus = [["V100"], ["RTX 5090"]]\ncuda = ["11.8", "12.6"]\n'
        'driver = ["590.10", "590.20", "595.10"]\n'
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", OVERLAPPING, str(file)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(told) == 1
    assert "dropped" in told.pop()


def test_points_tell_the_driver_as_the_facts_of_their_own_gpus_write_it() -> None:
    matrix = Matrix.from_rows(
        frameworks=(rows.framework("torchy"),),
        builds=(rows.build("torchy", "1.0", "cu128", cuda="12.8", cubins=("9.0",)),),
        cuda_releases=(rows.cuda("12.8.1", "570.26", "525.60.13", capabilities=("9.0",)),),
        systems=(rows.system("debian12", "2.36", "3.11"),),
        gpus=(rows.gpu("One", "9.0", first="550"), rows.gpu("Two", "9.0", first="550.00")),
    )
    points = [rows.wishes(frameworks=(rows.framework_wish("torchy"),), gpus=(one,)) for one in ("One", "Two")]
    told = [one.answer for one in resolve_all(declared(points), matrix)]
    assert all(isinstance(one, Resolution) for one in told)
    assert [str(one.numbers.driver_floor) for one in told] == ["550", "550.00"]

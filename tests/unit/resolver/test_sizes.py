"""What an image is expected to weigh, what of it is there twice, and which answer is the smallest."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge import load
from cudaforge.declaration.model import Flavor, FrameworkWish, Preference, Wishes
from cudaforge.matrix import Matrix
from cudaforge.matrix.model import CudaProvider, PackageIndex
from cudaforge.records import replace
from cudaforge.resolver import Conflict, Resolution, answer_to_json, resolve, resolve_all
from cudaforge.versions import VersionWish
from tests.unit.resolver import rows

WHEELS = {"size": 900, "installed": 1600, "cuda_size": 600, "cuda_installed": 1000}


def small_world(**of_runtime: int) -> Matrix:
    """One framework with wheels of every kind, another beside it, and bases of all sizes."""
    return Matrix.from_rows(
        frameworks=(rows.framework("torchy"), rows.framework("flow")),
        builds=(
            rows.build("torchy", "2", "cu12", cuda="12.8.1", cudnn="==9.7.1.26", **WHEELS),
            rows.build("torchy", "2", "other", cuda="12.8.1", index="elsewhere", size=50),
            rows.build(
                "torchy",
                "2",
                "sys",
                cuda="12.8.1",
                cudnn=">=9,<10",
                provider=CudaProvider.SYSTEM,
                size=300,
                installed=500,
            ),
            rows.cpu_build("torchy", "2", size=200, installed=450),
            rows.build("torchy", "1", "cu12", cuda="12.8.1", size=9, installed=10),
            rows.build("flow", "1", "cu12", cuda="12.8.1", cudnn="==9.7.1.26", **{**WHEELS, "size": 1000}),
            rows.build("flow", "0", "own", cuda="12.8.1", size=70, installed=80),
        ),
        cuda_releases=(rows.cuda("12.8.1", "570.124.06", "525.60.13"),),
        cudnn_releases=(rows.cudnn("9.7.1.26"),),
        gpus=(),
        systems=(
            rows.system(
                "debian12", "2.36", "3.11", size=28, installed=75, python_size=11, python_installed=40
            ),
            rows.system(
                "debian13",
                "2.41",
                None,
                eol="2030-01-01",
                can_bootstrap=True,
                library_size=1,
                library_installed=2,
                bootstrap_size=38,
                bootstrap_installed=103,
            ),
            rows.system("debian11", "2.31", "3.10", eol="2024-01-01", size=1, installed=1,
                        python_size=1, python_installed=1),
        ),
        base_images=(
            rows.image("python:3.12-slim", "debian13", python="3.12", size=43, installed=119),
            rows.image("python:3.11-slim", "debian13", python="3.11", size=46, installed=110),
            rows.image("python:3.10-slim", "debian13", python="3.10"),
            rows.image("cuda:base", "debian12", flavor="base", cuda="12.8.1", size=100, installed=250),
            rows.image("cuda:runtime", "debian12", flavor="runtime", cuda="12.8.1", **of_runtime),
            rows.image("cuda:devel", "debian12", flavor="devel", cuda="12.8.1"),
            rows.image(
                "cuda:cudnn", "debian12", flavor="runtime", cuda="12.8.1", cudnn="9.7.1.26",
                size=1700, installed=3000,
            ),
        ),
        indexes=(PackageIndex(name="elsewhere", url="https://wheels.invalid/", source=rows.SOURCE),),
        as_of="2026-11-22",
    )  # fmt: skip


MATRIX = small_world()


def wishes(*names: str, **more: object) -> Wishes:
    frameworks = tuple(
        FrameworkWish(name=name, version=VersionWish(version) if version else None)
        for name, _, version in (one.partition("==") for one in names or ("torchy==2",))
    )
    return Wishes(frameworks=frameworks, **{"prefer_per_field": {}, **more})


def answered(given: Wishes, matrix: Matrix = MATRIX) -> Resolution:
    answer = resolve(given, matrix)
    assert isinstance(answer, Resolution), answer
    return answer


def parts(answer: Resolution) -> dict[str, tuple[int | None, int | None]]:
    return {one.kind: (one.bytes.compressed, one.bytes.installed) for one in answer.size.parts}


def test_all_parts_make_the_size() -> None:
    answer = answered(wishes(build="cu12", python=VersionWish("3.12")))
    assert parts(answer) == {
        "base": (43, 119),
        "os-packages": (1, 2),
        "wheels": (300, 600),
        "cuda-wheels": (600, 1000),
    }
    assert (answer.size.compressed, answer.size.installed, answer.size.known) == (944, 1721, True)
    assert answer.size.duplicate is None


def test_json_has_the_three_keys_the_parts_and_the_copy() -> None:
    document = answer_to_json("x", answered(wishes(build="cu12", python=VersionWish("3.12"))))
    size = document["resolution"]["size"]
    assert {key: size[key] for key in ("compressed", "installed", "known", "duplicate")} == {
        "compressed": 944,
        "installed": 1721,
        "known": True,
        "duplicate": None,
    }
    assert size["parts"][0] == {
        "kind": "base", "name": "python:3.12-slim", "compressed": 43, "installed": 119,
    }  # fmt: skip


def test_a_base_from_the_archive_is_weighed_with_its_python() -> None:
    systems = [
        replace(one, python="3.13") if one.id == "debian13" else one for one in MATRIX.systems.values()
    ]
    matrix = Matrix.from_rows(
        frameworks=tuple(MATRIX.frameworks.values()),
        builds=(rows.cpu_build("torchy", "2", size=200, installed=450, pythons=("3.13",)),),
        systems=systems,
        as_of="2026-11-22",
    )
    answer = answered(wishes(base="bootstrap:debian13", is_cpu=True), matrix)
    assert parts(answer) == {"base": (38, 103), "wheels": (200, 450)}
    assert answer.size.known


@pytest.mark.parametrize(
    ("more", "missing"),
    [
        ({"packages": ("transformers>=4", "einops")}, "packages"),
        ({"python": VersionWish("3.10"), "os": "debian13"}, "base"),
        ({"build": "other", "python": VersionWish("3.12")}, "wheels"),
    ],
)
def test_what_nobody_has_weighed_is_said(more: dict[str, object], missing: str) -> None:
    answer = answered(wishes(**{"build": "cu12", **more}))
    assert not answer.size.known
    assert answer.size.is_lower_bound
    assert None in parts(answer)[missing]
    assert answer.size.compressed == sum(one for one, _ in parts(answer).values() if one is not None)


def test_frameworks_share_the_wheels_of_nvidia() -> None:
    answer = answered(wishes("torchy==2", "flow==1", python=VersionWish("3.12")))
    assert answer.size.installed == 119 + 2 + 600 + 600 + 1000
    assert not answer.size.known, "their other dependencies are shared, too"
    assert not answer.size.is_lower_bound
    assert answer.size.duplicate is None


def test_a_framework_with_cuda_inside_its_wheel_shares_nothing() -> None:
    answer = answered(wishes("torchy==2", "flow==0", build=None))
    assert answer.size.duplicate is not None
    assert (answer.size.duplicate.installed, answer.size.duplicate.known) == (1000, False)
    assert "the image carries a second copy of CUDA, about 1 kB" in answer.warnings


def test_a_base_with_libraries_is_a_second_copy() -> None:
    asked = wishes(build="cu12", base="cuda:runtime", flavor=Flavor.RUNTIME)
    known = answered(asked, small_world(size=900, installed=2000))
    assert known.size.duplicate is not None
    assert (known.size.duplicate.compressed, known.size.duplicate.installed) == (800, 1750)
    assert known.size.duplicate.known
    assert "the image carries a second copy of CUDA, about 2 kB" in known.warnings
    unknown = answered(asked)
    assert unknown.size.duplicate is not None
    assert (unknown.size.duplicate.installed, unknown.size.duplicate.known) == (1000, False)
    assert not unknown.size.known
    nowhere = answered(replace(asked, build="other"))
    assert nowhere.size.duplicate is not None
    assert (nowhere.size.duplicate.installed, nowhere.size.duplicate.known) == (None, False)
    assert "the image carries a second copy of CUDA, of a size that is not known" in nowhere.warnings


def test_whoever_asks_for_a_toolkit_knows_that_it_is_there() -> None:
    answer = answered(wishes(build="cu12", flavor=Flavor.DEVEL))
    assert answer.size.duplicate is not None
    assert not [one for one in answer.warnings if "second copy" in one]


@pytest.mark.parametrize(
    "more", [{"base": "cuda:base"}, {"build": "sys"}, {"is_cpu": True, "base": "cuda:runtime"}]
)
def test_one_copy_is_no_duplicate(more: dict[str, object]) -> None:
    answer = answered(wishes(**more))
    assert answer.size.duplicate is None
    assert not [one for one in answer.warnings if "second copy" in one]


def test_smallest_weighs_builds_and_base_together() -> None:
    newest, smallest = answered(wishes()), answered(wishes(prefer=Preference.SMALLEST))
    assert (newest.frameworks[0].build, newest.python) == ("cu12", "3.12")
    assert (smallest.frameworks[0].build, smallest.python) == ("cu12", "3.11")
    assert smallest.size.installed == 1600 + 110 + 2
    assert str(smallest.frameworks[0].version) == "2", "the release stays the newest"


def test_smallest_counts_the_base_that_a_build_needs() -> None:
    """The build for CUDA of the image is a third of the other, and its base makes up for that."""
    heavy = answered(wishes(prefer=Preference.SMALLEST, prefer_per_field={"base": Preference.NEWEST}))
    assert heavy.frameworks[0].build == "cu12"
    assert heavy.size.installed < answered(wishes(build="sys")).size.installed


def test_smallest_takes_no_system_that_is_past_its_end() -> None:
    assert answered(wishes(prefer=Preference.SMALLEST, is_cpu=True)).os == "debian13"


def test_a_preference_of_its_own_comes_before_the_bytes() -> None:
    python = answered(wishes(prefer=Preference.SMALLEST, prefer_per_field={"python": Preference.NEWEST}))
    assert python.python == "3.12"


def test_smallest_per_field_weighs_that_field_alone() -> None:
    base = answered(wishes(prefer_per_field={"base": Preference.SMALLEST}))
    assert (base.python, base.base_image) == ("3.12", "python:3.12-slim")
    build = answered(wishes(prefer_per_field={"build": Preference.SMALLEST}))
    assert build.frameworks[0].build == "sys"


def test_an_image_that_will_be_too_large_is_told_before_the_build(tmp_path: Path) -> None:
    file = tmp_path / "cudaforge.toml"
    limits = {"no": None, "small": "1kB", "large": "1GB"}
    text = "schema = 1\n" + "".join(
        f'[images.{name}]\nframework = "torchy==2"\nbuild = "cu12"\npython = "3.12"\n'
        + (f'max_size = "{limit}"\n' if limit else "")
        for name, limit in limits.items()
    )
    file.write_text(text)
    found = {one.name: one.answer for one in resolve_all(load(file), MATRIX)}
    assert not any(isinstance(one, Conflict) for one in found.values())
    said = {name: [text for text in one.warnings if "max_size" in text] for name, one in found.items()}
    assert said == {
        "no": [],
        "small": ["about 2 kB on disk are expected, more than max_size allows (1 kB)"],
        "large": [],
    }

"""The resolver's functions on a small world made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge.declaration.model import (
    Contents,
    Declaration,
    Flavor,
    FrameworkWish,
    Gate,
    ImageDeclaration,
    Network,
    Preference,
    VerifySettings,
    Wishes,
)
from cudaforge.errors import InputError
from cudaforge.matrix import Matrix
from cudaforge.records import replace
from cudaforge.resolver import (
    Conflict,
    Resolution,
    alternatives,
    answer_to_json,
    reasons_for,
    resolve,
    resolve_all,
)
from cudaforge.resolver.reasons.incompatible import WORDS
from cudaforge.resolver.reasons.unknown import UNCONFIRMED, UNKNOWN, UNSEEN
from cudaforge.resolver.rules import RULES
from cudaforge.versions import VersionWish
from tests.unit.resolver import rows
from tests.unit.resolver.rows import wishes, world

MATRIX = world()


def framework(name: str, version: str | None = None) -> FrameworkWish:
    return FrameworkWish(name=name, version=VersionWish(version) if version else None)


def resolved(given: Wishes) -> Resolution:
    answer = resolve(given, MATRIX)
    assert isinstance(answer, Resolution), answer
    return answer


def conflict(given: Wishes) -> Conflict:
    answer = resolve(given, MATRIX)
    assert isinstance(answer, Conflict), answer
    return answer


def test_ranges_are_pinned_by_the_metapackage() -> None:
    answer = resolved(wishes(frameworks=(framework("rangy"),)))
    assert answer.constraints == ("cuda-toolkit[cudart,cublas]==13.0.0", "nvidia-cudnn-cu13==9.11.0.98")
    assert str(answer.cuda) == "13.0.0"


def test_next_to_exact_wheels_only_the_minor_is_pinned() -> None:
    answer = resolved(wishes(frameworks=(framework("torchy"), framework("rangy"))))
    assert "cuda-toolkit[cudart,cublas]==12.6.*" in answer.constraints
    assert str(answer.cuda) == "12.6"


def test_companions_and_indexes_come_with_the_build() -> None:
    answer = resolved(wishes(frameworks=(framework("torchy"),), build="cu128"))
    assert dict(answer.companions) == {"visiony": "0.22"}
    assert dict(answer.indexes) == {"torchy-cu128": "https://wheels.invalid/cu128"}
    assert "visiony==0.22" in answer.constraints
    assert answer.requirements == ("torchy==2.7",)


def test_unconfirmed_facts_make_no_yes() -> None:
    assert str(resolved(wishes(frameworks=(framework("torchy"),))).frameworks[0].version) == "2.7"
    answer = conflict(wishes(frameworks=(framework("torchy", "==3.0"),)))
    assert [reason.kind.value for reason in answer.reasons] == ["unknown"]


def test_a_prerelease_is_chosen_where_it_is_named() -> None:
    answer = resolved(wishes(frameworks=(framework("torchy", "==2.9rc1"),)))
    assert str(answer.frameworks[0].version) == "2.9rc1"


def test_platform_rows_hold_together() -> None:
    both = ("linux/amd64", "linux/arm64")
    answer = resolved(wishes(frameworks=(framework("torchy"),), platforms=both))
    assert answer.platforms == both
    assert answer.architectures == ("sm_90",)


def test_embedded_gpus_run_their_own_code_only() -> None:
    answer = conflict(wishes(frameworks=(framework("torchy"),), gpus=("Orin",)))
    assert answer.core == ("torchy", "gpu=Orin")
    assert "none of it runs on Orin (sm_87)" in answer.reasons[0].text


@pytest.mark.parametrize(("gate", "floor", "binding"), [
    (Gate.KEEP, "470.82.01", "gate"),
    (Gate.RELAX, "450.80.02", "cuda"),
    (Gate.OFF, "450.80.02", "cuda"),
])  # fmt: skip
def test_the_gate_binds_unless_it_is_relaxed(gate: Gate, floor: str, binding: str) -> None:
    given = wishes(frameworks=(framework("flow"),), cuda=VersionWish("11.4"), require_cuda=gate)
    numbers = resolved(given).numbers
    assert (str(numbers.driver_floor), numbers.binding) == (floor, binding)
    assert numbers.gate == {
        Gate.KEEP: "cuda>=11.4 brand=tesla,driver>=450,driver<451",
        Gate.RELAX: "driver>=450.80.02",
        Gate.OFF: None,
    }[gate]  # fmt: skip


def test_a_data_centre_fleet_passes_by_its_brand() -> None:
    given = wishes(frameworks=(framework("flow"),), cuda=VersionWish("11.4"), driver="450.80.02")
    assert isinstance(resolve(given, MATRIX), Conflict)
    assert resolved(replace(given, gpus=("A100",))).numbers.gate is not None
    assert isinstance(resolve(replace(given, gpus=("A100", "RTX 4090")), MATRIX), Conflict)


def test_a_base_of_ones_own_says_what_it_has() -> None:
    given = wishes(frameworks=(framework("torchy"),), base="corp.example/base@sha256:" + "0" * 64)
    with pytest.raises(InputError) as caught:
        resolve(given, MATRIX)
    assert "os, python" in str(caught.value.problems[0].remedy)
    described = replace(given, os="debian12", python=VersionWish("3.11"))
    assert resolved(described).base_image == given.base


def test_a_base_of_ones_own_with_cuda_says_which() -> None:
    given = wishes(
        frameworks=(framework("flow"),), base="corp.example/cuda:1", os="ubuntu22.04",
        python=VersionWish("3.10"), cuda_provider="system",
    )  # fmt: skip
    with pytest.raises(InputError, match="not known"):
        resolve(given, MATRIX)
    answer = resolved(replace(given, cuda=VersionWish("11.8"), cudnn=VersionWish("8.7")))
    assert str(answer.cuda) == "11.8"
    assert str(answer.cudnn) == "8.7.0.84"


def test_bootstrap_host_is_the_hosts_system() -> None:
    given = wishes(frameworks=(framework("rangy"),), is_cpu=True, base="bootstrap:host")
    answer = resolve(given, MATRIX, host_os="debian12")
    assert isinstance(answer, Resolution)
    assert answer.base_image == "bootstrap:debian12"
    assert answer.bootstrap_packages == ("base-files",)
    for host in (None, "ubuntu22.04"):
        with pytest.raises(InputError):
            resolve(given, MATRIX, host_os=host)


def test_every_wrong_name_is_told_at_once() -> None:
    given = wishes(frameworks=(framework("torhcy"),), os="debian99", gpus=("H1000",), driver="new")
    with pytest.raises(InputError) as caught:
        resolve(given, MATRIX)
    keys = [problem.where.key for problem in caught.value.problems if problem.where]
    assert keys == ["framework", "os", "gpus", "driver"]
    assert "torchy" in str(caught.value.problems[0].remedy)


def test_conflicts_that_overlap_are_repaired_together() -> None:
    given = wishes(
        frameworks=(framework("torchy", "==2.4"),), python=VersionWish("3.13"), cuda=VersionWish("12.8")
    )
    answer = conflict(given)
    assert answer.fixes
    assert all(len(fix.change) >= 2 for fix in answer.fixes)


def test_preferences_per_field() -> None:
    given = wishes(frameworks=(framework("rangy"),))
    stable = replace(given, prefer=Preference.STABLE)
    assert resolved(stable).python == "3.12"
    only_cuda = replace(given, prefer_per_field={"cuda": Preference.STABLE})
    assert resolved(only_cuda).python == "3.12"
    smallest = replace(given, prefer=Preference.SMALLEST, python=VersionWish("3.11"))
    assert resolved(smallest).base_image == "python:3.11-slim"


PREFERRED = {
    # What the preference takes where it is given for everything, and where for the field alone.
    Preference.NEWEST: ("2.2.0", "cu13", "13.0.0", "9.11.0.98", "3.12", "debian13", "python:3.12-debian13"),
    Preference.STABLE: ("2.1.5", "cu13", "12.8.1", "9.7.1.26", "3.11", "debian12", "python:3.12-debian13"),
    Preference.SMALLEST: ("2.2.0", "cu12", "13.0.0", "9.11.0.98", "3.12", "debian12", "python:3.12-debian12"),
}
PREFERENCE_FIELDS = ("framework", "build", "cuda", "cudnn", "python", "os", "base")


def _preferring_world() -> Matrix:
    """In every field there are at least two values, and all go together."""
    libraries = {"cudnn": ">=9,<10", "extras": ("cudart",), "cubins": None, "pythons": ("3.11", "3.12")}
    return Matrix.from_rows(
        frameworks=(rows.framework("any"),),
        builds=tuple(
            rows.build("any", version, label, cuda=f">=12.8,<{label[2:]}.9", installed=size, **libraries)
            for version in ("2.1.0", "2.1.5", "2.2.0")
            for label, size in (("cu12", 100), ("cu13", 900))
        ),
        cuda_releases=(
            rows.cuda("12.8.0", "570.26", "525.60.13"),
            rows.cuda("12.8.1", "570.124.06", "525.60.13"),
            rows.cuda("13.0.0", "580.65.06", "580.65.06"),
        ),
        cudnn_releases=(rows.cudnn("9.7.1.26", packages={}), rows.cudnn("9.11.0.98", packages={})),
        systems=(
            rows.system("debian12", "2.36", None, eol="2028-06-30", library_installed=5),
            rows.system("debian13", "2.41", None, eol="2030-06-30", library_installed=5),
        ),
        base_images=tuple(
            rows.image(f"python:{python}-{os}", os, python=python, installed=size)
            for python in ("3.11", "3.12")
            for os, size in (("debian12", 40), ("debian13", 50))
        ),
        as_of="2026-11-22",
    )


@pytest.mark.parametrize("preference", Preference)
@pytest.mark.parametrize("field", PREFERENCE_FIELDS)
def test_each_preference_settles_each_field(field: str, preference: Preference) -> None:
    matrix = _preferring_world()
    asked = replace(wishes(frameworks=(framework("any"),)), prefer_per_field={field: preference})
    answer = resolve(asked, matrix)
    assert isinstance(answer, Resolution)
    choices = {choice.field: choice for choice in reasons_for(answer, asked, matrix)}
    names = {"framework": "any", "build": "any build", "base": "base_image"}
    choice = choices[names.get(field, field)]
    assert choice.value == PREFERRED[preference][PREFERENCE_FIELDS.index(field)]
    assert choice.prefer == preference.value
    others = [one for one in PREFERENCE_FIELDS if one != field]
    assert {choices[names.get(one, one)].prefer for one in others} == {"newest"}


def test_alternatives_come_best_first() -> None:
    given = wishes(frameworks=(framework("torchy"),))
    found = list(alternatives(given, MATRIX, limit=10))
    assert found[0] == resolve(given, MATRIX)
    reported = [one.frameworks[0].reported for one in found]
    assert reported == ["2.7+cu126", "2.7+cu128", "2.7+cu118", "2.4+cu121", "2.0+cu118"]
    assert [one.frameworks[0].reported for one in alternatives(given, MATRIX, limit=2)] == reported[:2]


def test_ptx_binds_the_driver() -> None:
    matrix = Matrix.from_rows(
        frameworks=(rows.framework("old"),),
        builds=(rows.build("old", "1", "cu12", cuda="12.1", cubins=("8.0",), ptx=("8.0",)),),
        cuda_releases=(rows.cuda("12.1.1", "530.30.02", "525.60.13", capabilities=("8.0", "9.0")),),
        gpus=(rows.gpu("H100", "9.0", first="520.61.05"), rows.gpu("A10", "8.6")),
        systems=(rows.system("debian12", "2.36", "3.11"),),
    )
    given = wishes(frameworks=(framework("old"),), gpus=("H100",))
    answer = resolve(given, matrix)
    assert isinstance(answer, Resolution)
    assert (str(answer.numbers.driver_floor), answer.numbers.binding) == ("530.30.02", "ptx")
    old_driver = replace(given, driver="525.60.13")
    refused = resolve(old_driver, matrix)
    assert isinstance(refused, Conflict)
    assert refused.core == ("old", "driver=525.60.13", "gpu=H100")
    assert any("compiles PTX" in reason.text for reason in refused.reasons)
    assert dict(refused.fixes[0].change) == {"driver": "530.30.02"}
    assert isinstance(resolve(replace(old_driver, gpus=("A10",)), matrix), Resolution)


def test_one_conflict_hides_no_other_answer() -> None:
    images = {
        "good": wishes(frameworks=(framework("torchy"),)),
        "bad": wishes(frameworks=(framework("torchy", "==9"),)),
        "twin": wishes(frameworks=(framework("torchy"),)),
    }
    answers = resolve_all(_declaration(images), MATRIX)
    assert [one.name for one in answers] == ["good", "bad", "twin"]
    assert isinstance(answers[1].answer, Conflict)
    assert answers[0].answer is answers[2].answer


def test_wrong_input_of_all_images_has_full_keys() -> None:
    images = {
        "one": wishes(frameworks=(framework("torhcy"),)),
        "two": wishes(frameworks=(framework("torchy"),), os="debian99"),
    }
    with pytest.raises(InputError) as caught:
        resolve_all(_declaration(images), MATRIX)
    keys = [problem.where.key for problem in caught.value.problems if problem.where]
    assert keys == ["images.one.framework", "images.two.os"]


def _declaration(images: dict[str, Wishes]) -> Declaration:
    return Declaration(
        path=Path("cudaforge.toml"),
        root=Path(),
        project="test",
        images=tuple(
            ImageDeclaration(
                name=name, image=name, key=f"images.{name}", wishes=one, contents=Contents(env={}, labels={}),
                verify=VerifySettings(),
            )
            for name, one in images.items()
        ),
        registries={},
        network=Network(indexes={}),
        digest="",
    )  # fmt: skip


def test_json_of_an_answer() -> None:
    answer = resolved(wishes(frameworks=(framework("torchy"),), build="cu128", gpus=("H100",)))
    document = answer_to_json("train", answer)
    assert document["name"] == "train"
    assert document["status"] == "resolved"
    resolution = document["resolution"]
    assert isinstance(resolution, dict)
    assert resolution["frameworks"] == [{"name": "torchy", "version": "2.7", "build": "cu128"}]
    assert resolution["cuda_numbers"] == {
        "toolkit": None, "wheel": "12.8", "driver_floor": "525.60.13", "gate": None, "binding": "cuda",
    }  # fmt: skip


def test_json_of_a_conflict() -> None:
    answer = conflict(wishes(frameworks=(framework("torchy", "==2.4"),), gpus=("RTX 5090",)))
    document = answer_to_json("old", answer)
    assert document["status"] == "conflict"
    told = document["conflict"]
    assert isinstance(told, dict)
    assert told["core"] == ["torchy==2.4", "gpu=RTX 5090"]
    assert {"change": {"gpu": None}, "gives": "torchy 2.4+cu121"} in told["fixes"]
    assert all(reason["source"] == "made by hand" for reason in told["reasons"])


def test_devel_takes_the_toolkit_of_the_wheels() -> None:
    answer = resolved(wishes(frameworks=(framework("torchy"),), build="cu128", flavor=Flavor.DEVEL))
    assert answer.base_image == "cuda:12.8.1-devel-ubuntu22.04"
    assert answer.flavor is Flavor.DEVEL
    assert str(answer.numbers.toolkit) == "12.8.1"


def test_every_rule_that_can_collide_has_words() -> None:
    told = {*WORDS, *UNKNOWN, *UNCONFIRMED, *UNSEEN}
    assert told <= {*RULES}
    assert {*RULES} - told == {"cuda-provider", "flavor", "offered-bases"}


def test_where_nothing_is_known_no_nearest_is_named() -> None:
    asked = wishes(frameworks=(framework("any"),), toolkit=VersionWish("12.3"))
    answer = resolve(asked, _preferring_world())
    assert isinstance(answer, Conflict)
    (reason,) = answer.reasons
    assert "a base with CUDA toolkit 12.3 is not in the matrix of 2026-11-22; none is known; " in reason.text


def test_an_empty_matrix_has_no_answer_and_says_so() -> None:
    with pytest.raises(InputError):
        resolve(wishes(frameworks=(framework("torchy"),)), Matrix.from_rows())


@pytest.mark.parametrize("field", ["framework", "python", "os", "base_image", "flavor", "platforms"])
def test_every_field_has_a_reason(field: str) -> None:
    asked = wishes(frameworks=(framework("torchy"),))
    fields = {choice.field: choice for choice in reasons_for(resolved(asked), asked, MATRIX)}
    wanted = "torchy" if field == "framework" else field
    assert fields[wanted].because

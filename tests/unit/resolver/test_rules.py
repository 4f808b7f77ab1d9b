"""Rules between rows, each on a small world that it decides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cudaforge.declaration.model import Flavor, Wishes
from cudaforge.matrix import Matrix
from cudaforge.matrix.companion import Abi, Companion, CompanionRole
from cudaforge.records import replace
from cudaforge.resolver import Conflict, Resolution, reasons_for, resolve
from cudaforge.resolver.gates import gate_floor, gate_passes, parse_gate
from cudaforge.resolver.rules import RULES
from cudaforge.versions import Version
from tests.unit.resolver import rows
from tests.unit.resolver.rows import framework_wish as framework
from tests.unit.resolver.rows import wishes, world

MATRIX = world()


def _unseen_world(*, other: bool = False) -> Matrix:
    """One framework of which nobody knows the GPUs; with `other`, an older release that has code for one."""
    seen = (rows.build("old", "0.9", "cu118", cuda="11.8", cubins=("7.0",)),) if other else ()
    return Matrix.from_rows(
        frameworks=(rows.framework("old"),),
        builds=(rows.build("old", "1", "cu118", cuda="11.8", cubins=None, is_seen=False), *seen),
        cuda_releases=(rows.cuda("11.8.0", "520.61.05", "450.80.02"),),
        gpus=(rows.gpu("A100", "8.0", kind="datacenter"), rows.gpu("V100", "7.0", kind="datacenter")),
        systems=(rows.system("debian12", "2.36", "3.11"),),
    )


def test_a_build_that_nobody_looked_into_makes_no_gpu_a_yes() -> None:
    answer = resolve(wishes(frameworks=(framework("old"),), gpus=("A100",)), _unseen_world())
    assert isinstance(answer, Conflict)
    assert [reason.kind.value for reason in answer.reasons] == ["unknown"]
    assert "which GPUs old 1+cu118 has code for is not known" in answer.reasons[0].text
    assert dict(answer.fixes[0].change) == {"gpu": None}


def test_unknown_and_incompatible_builds_are_told_apart() -> None:
    matrix = _unseen_world(other=True)
    assert isinstance(resolve(wishes(frameworks=(framework("old"),), gpus=("V100",)), matrix), Resolution)
    answer = resolve(wishes(frameworks=(framework("old"),), gpus=("A100",)), matrix)
    assert isinstance(answer, Conflict)
    told = {reason.kind.value: reason.text for reason in answer.reasons}
    assert "old 1+cu118" in told["unknown"]
    assert "old 0.9+cu118 has code for sm_70; none of it runs on A100" in told["incompatible"]


def test_without_a_gpu_asked_for_an_unseen_build_is_chosen_with_a_warning() -> None:
    answer = resolve(wishes(frameworks=(framework("old"),)), _unseen_world())
    assert isinstance(answer, Resolution)
    assert answer.architectures == ()
    assert "which GPUs old 1+cu118 has code for is not known [test.toml: test" in answer.warnings[0]


_CODE = ("8.0", "9.0", "12.0")


def _cudnn_world(**facts: object) -> Matrix:
    """A build with CUDA 12.8 and one cuDNN, described as given."""
    return Matrix.from_rows(
        frameworks=(rows.framework("net"),),
        builds=(rows.build("net", "1", "cu128", cuda="12.8", cudnn="==9.1.0.70", cubins=_CODE),),
        cuda_releases=(rows.cuda("12.8.1", "570.26", "525.60.13", capabilities=_CODE),),
        cudnn_releases=(rows.cudnn("9.1.0.70", **facts),),
        gpus=(rows.gpu("H100", "9.0"), rows.gpu("RTX 5090", "12.0"), rows.gpu("GB10", "12.1")),
        systems=(rows.system("debian12", "2.36", "3.11"),),
    )  # fmt: skip


def test_cudnn_covers_gpus_up_to_its_newest() -> None:
    asked = wishes(frameworks=(framework("net"),), gpus=("RTX 5090",))
    answer = resolve(asked, _cudnn_world(most={"12": "9.0"}))
    assert isinstance(answer, Conflict)
    told = [reason.text for reason in answer.reasons]
    assert "cuDNN 9.1.0.70 supports GPUs up to sm_90 with CUDA 12, not RTX 5090 (sm_120)" in told
    assert isinstance(resolve(asked, _cudnn_world()), Resolution), "a range that is not said refuses nothing"
    newest = _cudnn_world(most={"12": "12.0"})
    assert isinstance(resolve(replace(asked, gpus=("GB10",)), newest), Resolution), "the rest of its major"
    open_ended = resolve(replace(asked, gpus=()), _cudnn_world(most={"12": "9.0"}))
    assert isinstance(open_ended, Resolution)
    assert open_ended.architectures == ("sm_80", "sm_90")


@pytest.mark.parametrize(("facts", "is_fit"), [
    ({"minors": {"12": "12.1 12.8"}}, True),
    ({"minors": {"12": ""}}, True),
    ({"minors": {"12": "12.1"}}, False),
    ({"packages": {"11": "nvidia-cudnn-cu11"}}, False),
    ({"packages": {}}, True),
])  # fmt: skip
def test_cudnn_supports_the_cuda_that_is_loaded(facts: dict[str, object], is_fit: bool) -> None:  # noqa: FBT001
    answer = resolve(wishes(frameworks=(framework("net"),)), _cudnn_world(**facts))
    assert isinstance(answer, Resolution) == is_fit
    if isinstance(answer, Conflict):
        assert any("not for CUDA 12.8.1" in reason.text for reason in answer.reasons), answer.reasons


def test_a_combination_that_is_not_fatal_is_warned_of() -> None:
    slow = rows.broken("it is slow", is_fatal=False, framework="net", cudnn="9.1", os="debian12")
    old = rows.broken("it is odd", is_fatal=False, framework="net", capability=">=12.0")
    matrix = Matrix.from_rows(
        frameworks=(rows.framework("net"),),
        builds=(rows.build("net", "1", "cu128", cuda="12.8", cudnn="==9.1.0.70", cubins=("9.0", "12.0")),),
        cuda_releases=(rows.cuda("12.8.1", "570.26", "525.60.13", capabilities=("9.0", "12.0")),),
        cudnn_releases=(rows.cudnn("9.1.0.70"),),
        gpus=(rows.gpu("H100", "9.0"), rows.gpu("RTX 5090", "12.0")),
        systems=(rows.system("debian12", "2.36", "3.11"),),
        broken=(slow, old),
    )

    def told(*gpus: str) -> list[str]:
        answer = resolve(wishes(frameworks=(framework("net"),), gpus=gpus), matrix)
        assert isinstance(answer, Resolution)
        return [warning.partition(" [test.toml: test")[0] for warning in answer.warnings]

    assert told("H100") == ["it is slow"]
    assert told("RTX 5090") == ["it is slow", "on RTX 5090: it is odd"]
    assert told() == ["it is slow", "on GPUs of compute capability >=12.0: it is odd"]


_ALL_BRANDS = " ".join(
    f"brand={brand},driver>=535,driver<536" for brand in ("tesla", "nvidia", "unknown", "quadro", "geforce")
)


@pytest.mark.parametrize(("gate", "driver", "kinds", "passes"), [
    ("cuda>=12.8", "570.26", (), True),
    ("cuda>=12.8", "535.1", ("datacenter",), False),
    (f"cuda>=12.8 {_ALL_BRANDS}", "535.1", ("datacenter",), True),
    (f"cuda>=12.8 {_ALL_BRANDS}", "536.1", ("datacenter",), False),
    (f"cuda>=12.8 {_ALL_BRANDS}", "535.1", (), False),
    (f"cuda>=12.8 {_ALL_BRANDS}", "535.1", ("consumer",), False),
    (f"cuda>=12.8 {_ALL_BRANDS} brand=titan,driver>=535", "535.1", ("consumer",), True),
    (f"cuda>=12.8 {_ALL_BRANDS}", "535.1", ("datacenter", "consumer"), False),
    ("cuda>=12.8 brand=tesla,driver>=450,driver<451", "450.80.02", ("datacenter",), True),
    ("cuda>=12.8 brand=tesla,driver>=535,driver<536", "535.1", ("datacenter",), False),
    ("cuda>=12.8 brand=TESLA,driver>=450", "450.80.02", ("datacenter",), True),
    ("cuda>=12.8 brand!=geforce,driver>=450", "450.80.02", ("datacenter",), True),
    ("cuda>=12.8 driver>=450,nonsense", "450.80.02", ("datacenter",), False),
    ("cuda>=12.8 arch>=7.0,driver>=450", "450.80.02", ("datacenter",), False),
])  # fmt: skip
def test_a_gate_is_read_as_the_container_toolkit_reads_it(
    gate: str,
    driver: str,
    kinds: tuple[str, ...],
    passes: bool,  # noqa: FBT001
) -> None:
    branches = MATRIX.driver_branches
    assert passes == gate_passes(
        parse_gate(gate), driver=Version(driver), kinds=frozenset(kinds), branches=branches
    )


def test_a_gate_that_lets_older_branches_pass_lowers_the_floor() -> None:
    gate = parse_gate("cuda>=12.8 " + " ".join(
        f"brand={brand},driver>={branch},driver<{branch + 1}"
        for brand in ("tesla", "nvidia", "unknown") for branch in (535, 560)
    ))  # fmt: skip
    releases = MATRIX.cuda_releases

    def floor(*kinds: str, last: int | None = None) -> str:
        branches = MATRIX.driver_branches
        found = gate_floor(gate, releases, kinds=frozenset(kinds), branches=branches, last_branch=last)
        return str(found)

    assert floor() == "570.26"
    assert floor("datacenter") == "535", "525 lies below a branch that does not pass"
    assert floor("datacenter", "consumer") == "570.26"
    assert floor("datacenter", last=535) == "535"


def _extension_world(*companions: Companion) -> Matrix:
    """Three releases of one framework, one of another, and packages that go with some of them."""
    releases = ("2.6.0", "2.7.1", "2.8.0")
    return Matrix.from_rows(
        frameworks=(rows.framework("torchy"), rows.framework("flow")),
        builds=[
            *(rows.build("torchy", one, "cu128", cuda="12.8", cubins=_CODE) for one in releases),
            rows.build("flow", "1.0", "cu128", cuda="12.8", cubins=_CODE),
        ],
        cuda_releases=(rows.cuda("12.8.1", "570.26", "525.60.13", capabilities=_CODE),),
        systems=(rows.system("debian12", "2.36", "3.11"), rows.system("ubuntu22.04", "2.35", "3.10")),
        companions=(
            rows.companion("torchy", "served==0.9.2", "==2.7.0"),
            rows.companion("torchy", "served==0.10.0", "==2.7.1", pythons=("3.10",)),
            rows.companion("torchy", "served==0.11.0", "==2.8.0"),
            *companions,
        ),
    )


def _with_packages(*packages: str, version: str | None = None) -> Wishes:
    return wishes(frameworks=(framework("torchy", version),), packages=packages)


@pytest.mark.parametrize(("package", "chosen"), [
    ("served==0.10.0", "2.7.1"),
    ("Served[fast]===0.10.0", "2.7.1"),
    ("served==0.10.0+cu128", "2.7.1"),
    ("served<0.11,>=0.9", "2.7.1"),
    ("served==0.10.*", "2.7.1"),
    ("served==0.12.0", "2.8.0"),
    ("served>=0.9.2", "2.8.0"),
    ("served<0.12", "2.8.0"),
    ("served", "2.8.0"),
    ("served==0.10.0; python_version < '3.9'", "2.8.0"),
    ("other==0.10.0", "2.8.0"),
    ("served==1!0.10.0", "2.8.0"),
])  # fmt: skip
def test_the_framework_follows_a_package_that_is_pinned_to_a_known_release(package: str, chosen: str) -> None:
    answer = resolve(_with_packages(package), _extension_world())
    assert isinstance(answer, Resolution)
    assert str(answer.frameworks[0].version) == chosen


def test_a_pinned_package_needs_its_python_and_says_so() -> None:
    asked, matrix = _with_packages("served==0.10.0"), _extension_world()
    answer = resolve(asked, matrix)
    assert isinstance(answer, Resolution)
    assert answer.python == "3.10"
    because = {choice.field: choice.because for choice in reasons_for(answer, asked, matrix)}
    assert because["torchy"].startswith("served==0.10.0 goes with it")


def test_a_package_vetoes_other_releases_and_the_fixes_resolve() -> None:
    asked = _with_packages("served==0.10.0", version="==2.8.0")
    answer = resolve(asked, _extension_world())
    assert isinstance(answer, Conflict)
    assert answer.core == ("torchy==2.8.0", "served==0.10.0")
    assert answer.keys == ("framework", "packages")
    assert ("served 0.10.0 goes with torchy ==2.7.1", rows.SOURCE) in [
        (reason.text, reason.source) for reason in answer.reasons
    ]
    fixes = [dict(fix.change) for fix in answer.fixes]
    assert {"package": "served==0.11.0"} in fixes
    assert {"framework": "torchy==2.7.*"} in fixes


def test_without_another_release_the_package_is_dropped() -> None:
    lonely = rows.companion("torchy", "lonely==1.0", "==2.7.1")
    asked = _with_packages("lonely==1.0", "numpy", version="==2.8.0")
    answer = resolve(asked, _extension_world(lonely))
    assert isinstance(answer, Conflict)
    assert {"package": None} in [dict(fix.change) for fix in answer.fixes]


def test_an_unconfirmed_release_of_a_package_vetoes_nothing() -> None:
    rumour = rows.companion("torchy", "rumour==1.0", "==2.6.0", source=rows.INFERRED)
    assert isinstance(
        resolve(_with_packages("rumour==1.0", version="==2.8.0"), _extension_world(rumour)), Resolution
    )


def _compiled_world(released: str | None, abi: Abi = Abi.FRAMEWORK) -> Matrix:
    """A package that was compiled for a framework, with an open floor in its metadata."""
    days = {"2.6.0": "2025-01-29", "2.7.1": "2025-06-04", "2.8.0": "2025-08-06"}
    return Matrix.from_rows(
        frameworks=(rows.framework("torchy"),),
        builds=[
            rows.build("torchy", one, "cu128", cuda="12.8", cubins=_CODE, released=day)
            for one, day in days.items()
        ],
        cuda_releases=(rows.cuda("12.8.1", "570.26", "525.60.13", capabilities=_CODE),),
        systems=(rows.system("debian12", "2.36", "3.11"),),
        companions=(rows.companion("torchy", "fast==1.0", ">=2.6", released=released, abi=abi),),
    )


@pytest.mark.parametrize(("released", "abi", "chosen"), [
    ("2025-07-01", Abi.FRAMEWORK, "2.7.1"),
    ("2025-06", Abi.FRAMEWORK, "2.7.1"),
    ("2025-02-01", Abi.FRAMEWORK, "2.6.0"),
    ("2025-02-01", Abi.STABLE, "2.8.0"),
    ("2025-02-01", Abi.NONE, "2.8.0"),
    (None, Abi.STABLE, "2.8.0"),
])  # fmt: skip
def test_an_open_floor_of_what_is_compiled_reaches_to_the_releases_of_its_day(
    released: str | None, abi: Abi, chosen: str
) -> None:
    answer = resolve(_with_packages("fast==1.0"), _compiled_world(released, abi))
    assert isinstance(answer, Resolution)
    assert str(answer.frameworks[0].version) == chosen


def test_what_an_index_would_give_next_to_a_newer_framework_is_told_to_be_unfit() -> None:
    answer = resolve(_with_packages("fast"), _compiled_world("2025-02-01"))
    assert isinstance(answer, Resolution)
    assert answer.unfit == ("fast!=1.0",)
    assert "is made for torchy>=2.6,<=2.6.0" in " ".join(answer.warnings)
    within = resolve(_with_packages("fast", version="==2.6.0"), _compiled_world("2025-02-01"))
    assert isinstance(within, Resolution)
    assert within.unfit == ()


@pytest.mark.parametrize("released", [None, "2024-01-01"])
def test_an_open_floor_without_days_is_neither_a_yes_nor_a_no(released: str | None) -> None:
    answer = resolve(_with_packages("fast==1.0"), _compiled_world(released))
    assert isinstance(answer, Resolution)
    assert str(answer.frameworks[0].version) == "2.8.0"
    assert "not known whether fast 1.0 goes with torchy 2.8.0" in " ".join(answer.warnings)
    asked = _with_packages("fast==1.0", "served==0.10.0", version="==2.8.0")
    matrix = _extension_world(rows.companion("torchy", "served==0.9.0", ">=2.6"))
    conflict = resolve(asked, matrix)
    assert isinstance(conflict, Conflict)
    assert {"package": "served==0.9.0"} not in [dict(fix.change) for fix in conflict.fixes]


def test_a_package_binds_the_framework_that_it_is_known_for_and_no_other() -> None:
    """Other releases of it go with another framework; the one that is asked for is not among them."""
    matrix = _extension_world(rows.companion("flow", "served==0.12.0", "==1.0"))
    both = (framework("torchy"), framework("flow"))
    answer = resolve(replace(_with_packages("served==0.10.0"), frameworks=both), matrix)
    assert isinstance(answer, Resolution)
    assert [str(one.version) for one in answer.frameworks] == ["2.7.1", "1.0"]


def test_the_pin_of_a_companion_follows_the_package_that_is_asked_for() -> None:
    def lockstep(version: str, needs: str) -> Companion:
        return rows.companion("torchy", f"vision=={version}", needs, role=CompanionRole.COMPANION)

    matrix = _extension_world(lockstep("0.23.0", "==2.8.0"), lockstep("0.23.1", "==2.8.0"))

    def pinned(*packages: str) -> tuple[str, ...]:
        answer = resolve(_with_packages(*packages), matrix)
        assert isinstance(answer, Resolution)
        return answer.constraints

    assert pinned() == pinned("numpy") == ("vision==0.23.1",)
    assert pinned("vision==0.23.0") == ("vision==0.23.0",)
    assert pinned("vision==0.24.0") == (), "a release that is not known is left to the package index"


_FORWARD = {
    "compat": ("linux/amd64",),
    "gate_branches": (470, 535),
    "gate_brands": ("tesla", "nvidia", "unknown"),
}


def _forward_world(**changes: object) -> Matrix:
    """Wheels with PTX for CUDA 12.8, on bases with CUDA 12.6, 12.8 and 13.0 that carry their package."""
    code: dict[str, object] = {"cubins": ("8.0",), "ptx": ("8.0",)}
    facts = {**_FORWARD, **changes}
    return Matrix.from_rows(
        frameworks=(rows.framework("torchy"),),
        builds=(rows.build("torchy", "2.8", "cu128", cuda="12.8", pythons=("3.10", "3.11"), **code),),
        cuda_releases=(
            rows.cuda("12.6.3", "560.35.05", "525.60.13", compat=(470, 535)),
            rows.cuda("12.8.1", "570.124.06", "525.60.13", compat=(470, 535)),
            rows.cuda("13.0.0", "580.65.06", "580.65.06", compat=(535, 570)),
        ),
        gpus=(
            rows.gpu("V100", "7.0", kind="datacenter", first="396.26", last=580),
            rows.gpu("H100", "9.0", kind="datacenter", first="520.61.05"),
            rows.gpu("A100", "8.0", kind="datacenter", first="450.36", last=560),
            rows.gpu("A30", "8.0", kind="datacenter", first="450.36"),
            rows.gpu("RTX 4090", "8.9", first="520.56.06"),
        ),
        systems=(rows.system("ubuntu22.04", "2.35", "3.10"), rows.system("debian12", "2.36", "3.11")),
        base_images=[
            rows.image(
                f"cuda:{version}-{flavor}", "ubuntu22.04", flavor=flavor, cuda=version,
                gate=f"cuda>={version[:4]}", **facts,
            )
            for version in ("12.6.3", "12.8.1", "13.0.0") for flavor in ("base", "devel")
        ],
        driver_branches=(
            rows.branch(470, "11.4"), rows.branch(535, "12.2"), rows.branch(550, "12.4"),
            rows.branch(560, "12.6"), rows.branch(570, "12.8"), rows.branch(580, "13.0"),
        ),
    )  # fmt: skip


def _forward(*gpus: str, driver: str | None = None, **more: object) -> Wishes:
    return wishes(frameworks=(framework("torchy"),), gpus=gpus, driver=driver, forward_compat=True, **more)


def test_forward_compatibility_takes_the_nearest_base_that_carries_it() -> None:
    asked, matrix = _forward("H100", driver="535.104.05"), _forward_world()
    answer = resolve(asked, matrix)
    assert isinstance(answer, Resolution)
    assert answer.base_image == "cuda:12.8.1-base"
    assert (str(answer.numbers.driver_floor), answer.numbers.binding) == ("535", "forward-compat")
    assert "driver branches 470, 535 and drivers from 570.124.06 on" in answer.warnings[0]
    reasons = {choice.field: choice.because for choice in reasons_for(answer, asked, matrix)}
    assert reasons["base_image"] == "it brings the forward-compatibility package for the CUDA that is loaded"


def test_without_forward_compatibility_the_drivers_own_ptx_compiler_counts() -> None:
    asked = replace(_forward("H100", driver="535.104.05"), forward_compat=False)
    answer = resolve(asked, _forward_world())
    assert isinstance(answer, Conflict), "the wheels' PTX needs the driver of CUDA 12.8"
    assert {"forward_compat": "true"} in [dict(fix.change) for fix in answer.fixes]
    assert "forward_compat = true" in [fix.words() for fix in answer.fixes]


def test_a_devel_image_carries_it_too() -> None:
    answer = resolve(_forward("H100", flavor=Flavor.DEVEL), _forward_world())
    assert isinstance(answer, Resolution)
    assert answer.base_image == "cuda:12.8.1-devel"


@pytest.mark.parametrize(("asked", "facts", "core", "says"), [
    (_forward("RTX 4090"), {}, ("torchy", "forward_compat=true", "gpu=RTX 4090"), "(sm_89) is consumer"),
    (_forward("H100", "RTX 4090"), {}, ("torchy", "forward_compat=true", "gpu=RTX 4090"), "is consumer"),
    (_forward("H100", driver="550.54"), {}, ("torchy", "driver=550.54", "forward_compat=true"), "470, 535"),
    (_forward("H100"), {"compat": ()}, ("torchy", "forward_compat=true"), "no forward-compatibility package"),
    (
        _forward("H100", base="cuda:12.6.3-base"), {},
        ("torchy", "base=cuda:12.6.3-base", "forward_compat=true"), "runs no CUDA 12.8",
    ),
    (_forward("A100"), {}, ("torchy", "forward_compat=true", "gpu=A100"), "up to driver branch 560"),
    (
        _forward("H100", platforms=("linux/arm64",)), {},
        ("torchy", "platform=linux/arm64"), "torchy 2.8+cu128 exists for linux/amd64",
    ),
    (
        _forward("A30", driver="535.104.05"), {"gate_branches": (470,)},
        ("torchy", "driver=535.104.05", "forward_compat=true"), "or branches 470 on GPUs of tesla",
    ),
])  # fmt: skip
def test_where_forward_compatibility_does_not_work(
    asked: Wishes, facts: dict[str, object], core: tuple[str, ...], says: str
) -> None:
    answer = resolve(asked, _forward_world(**facts))
    assert isinstance(answer, Conflict), answer
    assert set(core) <= set(answer.core) | {"torchy"}, answer.core
    assert any(says in reason.text for reason in answer.reasons), answer.reasons


def test_a_cpu_twin_uses_no_forward_compatibility() -> None:
    cpu = rows.cpu_build("torchy", "2.8", pythons=("3.11",))
    matrix = Matrix.from_rows(
        frameworks=(rows.framework("torchy"),), builds=(cpu,),
        systems=(rows.system("debian12", "2.36", "3.11"),),
    )  # fmt: skip
    answer = resolve(_forward(is_cpu=True), matrix)
    assert isinstance(answer, Resolution)
    assert answer.warnings == ("a CPU twin does not use: forward_compat",)


def test_the_documents_table_of_rules_is_the_rules() -> None:
    page = (Path(__file__).parents[3] / "docs" / "resolve.md").read_text(encoding="utf-8")
    rows_told = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert rows_told == [(name, rule.statement, rule.document) for name, rule in RULES.items()]


def _last_branch_world(*, gate: str | None = None, floor: str = "525.60.13") -> Matrix:
    """A GPU that drivers support up to 535, with CUDA 12.8 in wheels and a base of its own."""
    return Matrix.from_rows(
        frameworks=(rows.framework("torchy"),),
        builds=(rows.build("torchy", "2.8", "cu128", cuda="12.8", pythons=("3.10",)),),
        cuda_releases=(rows.cuda("12.8.1", "570.26", floor),),
        gpus=(rows.gpu("Old", "7.0", last=535),),
        systems=(rows.system("ubuntu22.04", "2.35", "3.10"),),
        base_images=[rows.image("cuda:12.8.1", "ubuntu22.04", flavor="base", cuda="12.8.1", gate=gate)],
        driver_branches=(rows.branch(525, "12.0"), rows.branch(535, "12.2"), rows.branch(570, "12.8")),
    )


def test_cuda_runs_on_a_driver_that_still_supports_the_gpu() -> None:
    asked = wishes(frameworks=(framework("torchy"),), gpus=("Old",))
    assert isinstance(resolve(asked, _last_branch_world()), Resolution)
    answer = resolve(asked, _last_branch_world(floor="550.54"))
    assert isinstance(answer, Conflict)
    assert "Old (sm_70) is supported up to driver branch 535" in answer.reasons[-1].text


def test_a_gate_that_no_driver_of_the_gpu_passes() -> None:
    asked = wishes(frameworks=(framework("torchy"),), gpus=("Old",), base="cuda:12.8.1")
    assert isinstance(resolve(asked, _last_branch_world(gate="cuda>=12.2")), Resolution)
    answer = resolve(asked, _last_branch_world(gate="cuda>=12.8"))
    assert isinstance(answer, Conflict)
    assert answer.core == ("base=cuda:12.8.1", "gpu=Old")
    assert {"require_cuda": "relax"} in [dict(fix.change) for fix in answer.fixes]

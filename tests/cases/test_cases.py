"""One file, one behaviour of the resolver on the real matrix: wishes, and what has to come out.

A case says, besides its wishes as a declaration writes them: `status`; for answers `pick` (fields of the
answer), `constraints` and `warns`; for conflicts `core`, `kind`, `says` (texts of the reasons), `fix`
(the first repair), `fixes` (other repairs); for wrong input `key` and `says`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from cudaforge.declaration.model import Flavor, FrameworkWish, Gate, Preference, Wishes
from cudaforge.errors import InputError
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.resolver import Answer, Conflict, Resolution, reasons_for, resolve
from cudaforge.resolver.case import open_case, settled
from cudaforge.resolver.rules import RULES
from cudaforge.resolver.solver import Network
from cudaforge.versions import VersionWish

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib  # type: ignore[no-redef,import-not-found]

CASES = sorted(Path(__file__).parent.glob("*.toml"))
HOST = "debian12"
_TEXT = ("build", "os", "driver", "base", "python_provider", "cuda_provider")
_VERSIONS = ("cudnn", "python", "toolkit")


def read_framework(text: str) -> FrameworkWish:
    name, version = re.fullmatch(r"([a-z]+)(.*)", text).groups()
    return FrameworkWish(name=name, version=VersionWish(version) if version else None)


def read_wishes(given: Mapping[str, object]) -> Wishes:
    framework = given["framework"]
    names = [framework] if isinstance(framework, str) else framework
    rest: dict[str, object] = {key: given[key] for key in _TEXT if key in given}
    rest |= {key: VersionWish(given[key]) for key in _VERSIONS if key in given}
    rest |= {key: tuple(given[key]) for key in ("gpus", "platforms") if key in given}
    if "cuda" in given:
        rest |= {"is_cpu": True} if given["cuda"] == "none" else {"cuda": VersionWish(given["cuda"])}
    rest["packages"] = tuple(given.get("packages", ()))
    rest["forward_compat"] = given.get("forward_compat", False)
    if "flavor" in given:
        rest["flavor"] = Flavor(given["flavor"])
    if "require_cuda" in given:
        rest["require_cuda"] = Gate(given["require_cuda"])
    prefer = given.get("prefer", "newest")
    if isinstance(prefer, str):
        rest |= {"prefer": Preference(prefer), "prefer_per_field": {}}
    else:
        rest["prefer_per_field"] = {key: Preference(value) for key, value in prefer.items()}
    known = {*_TEXT, *_VERSIONS, "framework", "gpus", "platforms", "cuda", "flavor", "require_cuda", "prefer"}
    known |= {"packages", "forward_compat"}
    assert set(given) <= known, set(given) - known
    return Wishes(frameworks=tuple(read_framework(name) for name in names), **rest)


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, matrix: Matrix) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    expected = case["expect"]
    wishes = read_wishes(case["wishes"])
    if expected["status"] == "wrong input":
        with pytest.raises(InputError) as caught:
            resolve(wishes, matrix, host_os=HOST)
        problems = caught.value.problems
        assert expected["key"] in [problem.where.key for problem in problems if problem.where]
        _check_says(expected, " ".join(f"{problem.what} {problem.remedy}" for problem in problems))
        return
    answer = resolve(wishes, matrix, host_os=HOST)
    assert answer == resolve(wishes, matrix, host_os=HOST), "the same question has the same answer"
    if expected["status"] == "resolved":
        _check_resolved(expected, answer)
        fields = {one.field for one in reasons_for(answer, wishes, matrix, host_os=HOST)}
        assert {"python", "os", "base_image", "flavor", "platforms"} <= fields
    else:
        _check_conflict(expected, answer)


def _check_resolved(expected: Mapping[str, object], answer: Answer) -> None:
    assert isinstance(answer, Resolution), (answer.core, answer.reasons)
    seen = _fields(answer)
    assert {key: seen[key] for key in expected["pick"]} == expected["pick"]
    for constraint in expected.get("constraints", ()):
        assert constraint in answer.constraints
    for text in expected.get("warns", ()):
        assert any(text in warning for warning in answer.warnings), answer.warnings


def _check_conflict(expected: Mapping[str, object], answer: Answer) -> None:
    assert isinstance(answer, Conflict), _fields(answer)
    assert list(answer.core) == expected["core"]
    assert expected.get("kind", "incompatible") in [reason.kind.value for reason in answer.reasons]
    _check_says(expected, " ".join(reason.text for reason in answer.reasons))
    fixes = [{key: value or "" for key, value in fix.change.items()} for fix in answer.fixes]
    if "fix" in expected:
        assert fixes[0] == expected["fix"], fixes
    for fix in expected.get("fixes", ()):
        assert fix in fixes, fixes


def _check_says(expected: Mapping[str, object], text: str) -> None:
    for part in expected.get("says", ()):
        assert part in text, text


def _fields(answer: Resolution) -> dict[str, object]:
    numbers = answer.numbers
    return {
        "frameworks": [f"{one.name} {one.version}+{one.build}" for one in answer.frameworks],
        "cuda": str(answer.cuda),
        "cuda_minor": str(answer.cuda.minor()) if answer.cuda else "None",
        "cuda_major": str(answer.cuda.major) if answer.cuda else "None",
        "cudnn": str(answer.cudnn),
        "cudnn_major": str(answer.cudnn.major) if answer.cudnn else "None",
        "cuda_provider": answer.cuda_provider.value,
        "python": answer.python,
        "python_provider": answer.python_provider.value,
        "os": answer.os,
        "base_image": answer.base_image,
        "base_user": str(answer.base_user),
        "flavor": answer.flavor.value,
        "platforms": list(answer.platforms),
        "indexes": sorted(answer.indexes),
        "toolkit": str(numbers.toolkit),
        "toolkit_minor": str(numbers.toolkit.minor()) if numbers.toolkit else "None",
        "wheel": str(numbers.wheel),
        "driver_floor": str(numbers.driver_floor),
        "gate": str(numbers.gate),
        "binding": str(numbers.binding),
        "bootstrapped": bool(answer.bootstrap_packages),
    }


def test_every_rule_decides_a_case(matrix: Matrix) -> None:
    """Without a rule, one of the cases has another answer: a rule that decides nothing is not tested.

    The facts of today never let these alone decide: tests/unit/resolver has small worlds for them.
    """
    undecided = set(RULES)
    for path in CASES:
        given = tomllib.loads(path.read_text(encoding="utf-8"))["wishes"]
        try:
            case, _ = settled(open_case(read_wishes(given), matrix, host_os=HOST))
        except InputError:
            continue
        active = case.active(case.question.all_bits)
        answer = Network(case.everything, [one.constraint for one in active]).best(case.criteria)
        for rule in undecided & {one.rule for one in active}:
            rest = [one.constraint for one in active if one.rule != rule]
            if Network(case.everything, rest).best(case.criteria) != answer:
                undecided.discard(rule)
    # An unoffered base is also the last that the policy prefers; no case knows what package indexes say.
    assert undecided <= {
        "final-release",
        "cudnn-cuda",
        "gpu-gate",
        "gpu-last-branch",
        "offered-bases",
        "package-index",
    }

"""One file, one Dockerfile: what an audit says of it on the real matrix.

A case holds `dockerfile`, and where it needs them `words` (as the command line takes them), `build_args`,
`as_of` and `[files]` of the build context. It says the `verdict`, and the `findings` above a note: code and
line, the line with its file where it stands in another one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cudaforge.audit import Report, Severity
from cudaforge.cli.main import run_command_line
from cudaforge.matrix import load_matrix
from cudaforge.pipeline import auditing

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib  # type: ignore[no-redef,import-not-found]

CASES = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in Path(__file__).parent.glob("*.toml")}
AS_OF = "2026-11-28"
GOOD = 25
CODES = (
    "cuda-missing",
    "cuda-too-old",
    "cuda-major-mismatch",
    "cudnn-missing",
    "cudnn-too-old",
    "cudnn-major-mismatch",
    "cudnn-shadowed",
    "cudnn-dev-symlink-missing",
    "arch-unsupported",
    "driver-too-old",
    "driver-lib-at-build",
    "python-unsupported",
    "python-missing",
    "python-pip-mismatch",
    "pip-too-old",
    "pep668",
    "glibc-too-old",
    "no-such-build",
    "no-wheel-for-arch",
    "index-does-not-exist",
    "wrong-index",
    "cpu-only-build",
    "cuda-wheel-on-cpu-image",
    "wheel-cuda-differs-from-base",
    "duplicate-cuda-libs",
    "base-tag-does-not-exist",
    "base-image-removed",
    "floating-base-tag",
    "eol-os",
    "unpinned-framework",
    "package-retired",
    "extra-removed",
    "conflicting-packages",
    "companion-mismatch",
    "base-framework-overwritten",
    "shell-redirect",
    "requirements-not-visible",
    "numpy-abi",
    "ptxas-missing",
)


def arguments(case):
    given = [option for one in case.get("build_args", ()) for option in ("--build-arg", one)]
    return [
        "audit",
        "Dockerfile",
        *case.get("words", ()),
        *given,
        "--as-of",
        case.get("as_of", AS_OF),
        "--json",
    ]


def lay_out(case, directory: Path) -> None:
    (directory / "Dockerfile").write_text(case["dockerfile"], "utf-8")
    for name, text in case.get("files", {}).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, "utf-8")


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_audit_says(name, tmp_path, monkeypatch, capsys) -> None:
    case = CASES[name]
    lay_out(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    code = run_command_line(arguments(case))
    answer = json.loads(capsys.readouterr().out)
    found = sorted(place(one) for one in answer["findings"] if one["severity"] != "note")
    assert (answer["verdict"], found) == (case["verdict"], sorted(case["findings"]))
    assert code == (1 if case["verdict"] == "broken" else 0)
    assert all(one["message"] and one["source"] for one in answer["findings"])


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_mended_line_mends(name, tmp_path, monkeypatch) -> None:
    """Each fix, by itself, makes its own finding go away."""
    case = CASES[name]
    lay_out(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    matrix = load_matrix()
    given = auditing.read_arguments(
        ["Dockerfile", *case.get("words", ())],
        build_args=case.get("build_args", ()),
        as_of=case.get("as_of", AS_OF),
        matrix=matrix,
    )
    (before,) = auditing.audit(given, matrix)
    for finding in before.findings:
        if finding.fix is None:
            continue
        text = auditing.apply_fixes(case["dockerfile"], [finding])
        assert text != case["dockerfile"]
        (tmp_path / "Dockerfile").write_text(text, "utf-8")
        (after,) = auditing.audit(given, matrix)
        assert count(finding, after) < count(finding, before), (finding, text)


def count(finding, report: Report) -> int:
    return sum(one.code is finding.code for one in report.findings)


def place(one) -> str:
    at = "" if one["file"] == "Dockerfile" else f"{one['file']}:"
    return f"{one['code']} {at}{one['line']}"


def test_every_code_has_a_case() -> None:
    found = {one.split()[0] for case in CASES.values() for one in case["findings"]}
    assert set(CODES) <= found


def test_enough_of_the_cases_are_good_files() -> None:
    assert sum(case["verdict"] == "fine" and not case["findings"] for case in CASES.values()) >= GOOD


def test_notes_alone_leave_a_file_fine(tmp_path, monkeypatch) -> None:
    lay_out(CASES["devel-good"], tmp_path)
    matrix = load_matrix()
    monkeypatch.chdir(tmp_path)
    given = auditing.read_arguments(["Dockerfile"], build_args=(), as_of=AS_OF, matrix=matrix)
    (report,) = auditing.audit(given, matrix)
    assert [one.severity for one in report.findings] == [Severity.NOTE]
    assert report.verdict.value == "fine"

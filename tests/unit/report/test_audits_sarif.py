"""SARIF logs of audits, held against the standard's schema and what GitHub's code scanning asks for."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from cudaforge.audit import audit_dockerfile
from cudaforge.matrix import load_matrix
from cudaforge.pipeline import auditing
from cudaforge.report.audits import audits_sarif
from tests.cases.audit.test_audit_cases import AS_OF, CASES

SCHEMA = json.loads((Path(__file__).parents[2] / "data" / "sarif-2.1.0.json").read_text("utf-8"))
MOST_RESULTS, MOST_RULES, MOST_MESSAGE = 25_000, 25_000, 1_024
"""docs.github.com, SARIF support for code scanning: limits of one run."""


def reports(before: str = ""):
    matrix = load_matrix()
    for name, case in sorted(CASES.items()):
        given = auditing.read_arguments(
            case.get("words", ()), build_args=case.get("build_args", ()), as_of=AS_OF, matrix=matrix
        )
        text = case["dockerfile"].replace("FROM", f"{before}FROM", 1)
        read = case.get("files", {}).get
        yield audit_dockerfile(
            text.encode(), file=f"{name}/Dockerfile", asked=given.asked, matrix=matrix, read=read
        )


@pytest.fixture(scope="module")
def log():
    return audits_sarif(tuple(reports()), "1.2.3")


def results(log):
    return log["runs"][0]["results"]


def test_the_log_of_every_case_is_what_the_schema_says(log) -> None:
    checker = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    assert [error.message for error in checker.iter_errors(json.loads(json.dumps(log)))] == []
    assert len(results(log)) > 100


def test_every_result_has_a_rule_with_its_page(log) -> None:
    (run,) = log["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert {one["ruleId"] for one in results(log)} == set(rules)
    assert len(rules) < MOST_RULES
    assert len(results(log)) < MOST_RESULTS
    for code, rule in rules.items():
        assert len(rule["fullDescription"]["text"]) <= MOST_MESSAGE
        assert rule["help"]["text"].startswith(f"# {code}\n")
        assert "```dockerfile\n" in rule["help"]["markdown"]
        assert "helpUri" not in rule


def test_places_are_relative_and_lines_count_from_one(log) -> None:
    for one in results(log):
        (place,) = one["locations"]
        physical = place["physicalLocation"]
        assert not physical["artifactLocation"]["uri"].startswith(("/", "file:"))
        assert physical["region"]["startLine"] >= 1


def fingerprints(log):
    return [one["partialFingerprints"]["primaryLocationLineHash"] for one in results(log)]


def test_each_result_has_a_fingerprint_of_its_own(log) -> None:
    assert len(set(fingerprints(log))) == len(results(log))


def test_fingerprints_stay_when_lines_are_added_above(log) -> None:
    moved = audits_sarif(tuple(reports("# a comment\n\n")), "1.2.3")
    assert sorted(fingerprints(moved)) == sorted(fingerprints(log))

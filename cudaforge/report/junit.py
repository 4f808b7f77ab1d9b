"""Verdicts as JUnit XML: a suite for each image, a case for each check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cudaforge.display import visible
from cudaforge.report.evidence import FailedBuild, Proof
from cudaforge.verifier.model import CheckResult, CheckState, Verdict

# What XML 1.0 (2.2 Characters) does not have, beyond what `visible` escapes.
_NO_XML = re.compile("[\ufffe\uffff\ud800-\udfff]")


def junit_text(proofs: Sequence[Proof]) -> str:
    """The whole document. What failed or stayed unknown is a failure; an image without a verdict an error."""
    import junitparser

    library: Any = junitparser  # it says that it has types, and has few
    document = library.JUnitXml("cudaforge verify")
    for proof in proofs:
        document.add_testsuite(_suite(proof, library))
    document.update_statistics()
    return f'<?xml version="1.0" encoding="utf-8"?>\n{document.tostring().decode("utf-8")}\n'


def _suite(proof: Proof, library: Any) -> Any:  # noqa: ANN401 -- the library's
    suite = library.TestSuite(_text(proof.name))
    verdict = proof.verdict
    if verdict is not None:
        for name, value in (("reference", verdict.reference), ("image_id", verdict.image_id)):
            suite.add_property(name, _text(value))
        for check in verdict.checks:
            suite.add_testcase(_case(check, library))
    if proof.failed is not None:
        suite.add_testcase(_build_case(proof.failed, library))
    else:
        suite.add_testcase(_verdict_case(verdict, _text(proof.summary), library))
    return suite


def _case(check: CheckResult, library: Any) -> Any:  # noqa: ANN401 -- the library's
    case = library.TestCase(_text(check.title), f"cudaforge.{check.tier.value}.{_text(check.id)}")
    detail = _text(check.detail)
    if check.state in (CheckState.FAIL, CheckState.UNKNOWN):
        failure = library.Failure(detail, (check.code or check.state).value)
        failure.text = "\n".join(filter(None, (detail, _try(check.remedy))))
        case.result = [failure]
    elif check.state is CheckState.SKIPPED:
        case.result = [library.Skipped(detail)]
    return case


def _build_case(failed: FailedBuild, library: Any) -> Any:  # noqa: ANN401 -- the library's
    case = library.TestCase("Build", "cudaforge.build")
    failure = library.Failure(f"its build failed: {_text(failed.reason)}", "build-failed")
    told = (
        f"at: {_text(failed.step)}" if failed.step else "",
        *map(_text, failed.last_lines),
        f"because: {_text(failed.reason)}",
        _try(failed.remedy),
        f"log: {_text(failed.log)}" if failed.log else "",
    )
    failure.text = "\n".join(filter(None, told))
    case.result = [failure]
    return case


def _verdict_case(verdict: Verdict | None, summary: str, library: Any) -> Any:  # noqa: ANN401 -- the library's
    seconds = verdict.seconds if verdict is not None else 0.0
    case = library.TestCase("Verdict", "cudaforge.verdict", seconds)
    if verdict is None:
        case.result = [library.Error(summary, "not-verified")]
    elif not verdict.ok:
        case.result = [library.Failure(summary, "not-proven")]
    return case


def _try(remedy: str | None) -> str:
    return f"try: {_text(remedy)}" if remedy else ""


def _text(text: str) -> str:
    return _NO_XML.sub("\ufffd", visible(text))

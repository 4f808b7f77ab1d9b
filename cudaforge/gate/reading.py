"""Reports of scanners: SARIF 2.1.0 of any, and the JSON of Trivy and Grype.

Sources: OASIS SARIF 2.1.0 (runs, results, rules, level, suppressions); GitHub's `security-severity` property,
which scanners share, with its bands (9.0 critical, 7.0 high, 4.0 medium); CVSS 3.1 names; the JSON of Trivy
(`Results[].Vulnerabilities[]`) and of Grype (`matches[].vulnerability`), and the texts of their SARIF
(github.com/aquasecurity/trivy pkg/report/sarif.go, github.com/anchore/grype grype/presenter/sarif).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.gate.model import Finding, Severity

_MOST_FINDINGS = 200_000
_SARIF = "2.1.0"
_ID = re.compile(r"\b(?:CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3})\b", re.IGNORECASE)
_BANDS = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
_LEVELS = {
    "error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "note": Severity.LOW,
    "none": Severity.NEGLIGIBLE,
}
_NAMES = {one.name: one for one in Severity} | {"MODERATE": Severity.MEDIUM, "IMPORTANT": Severity.HIGH}
_LINE = re.compile(
    r"^[ \t]*(?P<key>Package|(?:Installed |Fix |Fixed )?Version|Severity|Vulnerability(?= \S*\d\S*[ \t]*$))"
    r":?[ \t]*(?P<value>.*?)[ \t]*$",
    re.M,
)
_KEYS = {"Installed Version": "Version", "Fixed Version": "Fix Version"}
_OF_VULNERABILITY = "Vulnerability "
"""How Trivy and Grype begin the help of a rule, whose lines then are those of one vulnerability."""
_OLD_GRYPE = "ANCHOREVULN_"
"""Rules of old releases of Grype, which wrote a suppression at each result that nobody had suppressed."""


class _NoList(ValueError):
    """Something else than a list of objects is where one has to be."""


def parse_findings(text: bytes, *, file: str) -> tuple[Finding, ...]:
    """Every vulnerability of a report, each once. Raises InputError for what is no report of one."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused(file, "it is not JSON") from None
    values = document if isinstance(document, Mapping) else {}
    reader = _reader_of(values)
    if reader is None:
        raise _refused(file, "it is no SARIF, and neither Trivy's nor Grype's JSON")
    try:
        if reader is _sarif:
            _check_sarif(values, file)
        if reader is _trivy:
            _check_trivy(values, file)
        return _each_once(reader(values), file)
    except _NoList:
        raise _refused(file, "a list in it has something else in its place, or in it") from None


def _each_once(findings: Iterator[Finding], file: str) -> tuple[Finding, ...]:
    found: dict[tuple[str, str, str], Finding] = {}
    for count, one in enumerate(findings):
        if count >= _MOST_FINDINGS:
            raise _refused(file, f"it has more than {_MOST_FINDINGS:,} findings")
        kept = found.setdefault((one.id, one.package, one.version), one)
        if one.severity > kept.severity:
            found[one.id, one.package, one.version] = one
    return tuple(found.values())


def _reader_of(values: Mapping[str, object]) -> Callable[[Mapping[str, object]], Iterator[Finding]] | None:
    if isinstance(values.get("runs"), list):
        return _sarif
    if isinstance(values.get("matches"), list):
        return _grype
    # Trivy leaves `Results` out where it found nothing to look at, and then says what it was given alone.
    if isinstance(values.get("Results"), list) or ("ArtifactName" in values and "SchemaVersion" in values):
        return _trivy
    return None


def _trivy(values: Mapping[str, object]) -> Iterator[Finding]:
    for result in _maps(values.get("Results")):
        for one in _maps(result.get("Vulnerabilities")):
            yield Finding(
                id=_text(one, "VulnerabilityID") or "unknown",
                severity=_named(_text(one, "Severity")),
                package=_text(one, "PkgName"),
                version=_text(one, "InstalledVersion"),
                # Trivy leaves it out where there is none.
                fixed_in=_text(one, "FixedVersion"),
                place=_text(one, "PkgPath") or _text(result, "Target"),
                aliases=_texts(one.get("VendorIDs")),
            )


def _grype(values: Mapping[str, object]) -> Iterator[Finding]:
    for match in _maps(values.get("matches")):
        one, artifact = _map(match.get("vulnerability")), _map(match.get("artifact"))
        fix = _map(one.get("fix"))
        versions, is_unfixed = _texts(fix.get("versions")), fix.get("state") in ("not-fixed", "wont-fix")
        places = [_text(place, "path") for place in _maps(artifact.get("locations"))]
        related = [_text(other, "id") for other in _maps(match.get("relatedVulnerabilities"))]
        yield Finding(
            id=_text(one, "id") or "unknown",
            severity=_named(_text(one, "severity")),
            package=_text(artifact, "name"),
            version=_text(artifact, "version"),
            fixed_in=", ".join(versions) if versions or is_unfixed else None,
            place=places[0] if places else "",
            aliases=tuple(name for name in related if name),
        )


def _check_trivy(values: Mapping[str, object], file: str) -> None:
    """Refuse a report in which nothing was looked at for vulnerabilities: of secrets alone, or of a system
    that Trivy does not know."""
    # Releases of before did not say the class of a result.
    classes = [result.get("Class", "os-pkgs") for result in _maps(values.get("Results"))]
    if not any(one in ("os-pkgs", "lang-pkgs") for one in classes):
        raise _refused(file, "Trivy has looked at no packages in it")


def _check_sarif(values: Mapping[str, object], file: str) -> None:
    """Refuse a report of a scan that did not come to its end: nothing found is then no good news."""
    version, runs = _text(values, "version"), _maps(values.get("runs"))
    if version != _SARIF:
        raise _refused(
            file,
            f"its SARIF is {show(version) if version else 'of no version'}, and {_SARIF} is what is read",
        )
    if not runs:
        raise _refused(file, "it has no run of a scanner, so that nothing was looked at")
    for run in runs:
        # Left out, or null, says that the run was not there to find anything, or came to no end.
        if not isinstance(run.get("results"), list):
            raise _refused(file, "a run in it has no list of results, so that nothing was looked at")
        if any(one.get("executionSuccessful") is False for one in _maps(run.get("invocations"))):
            raise _refused(file, "the scanner says in it that it failed (executionSuccessful)")


def _is_suppressed(result: Mapping[str, object]) -> bool:
    """Whether all that was said of suppressing the result is accepted, which is what saying nothing means."""
    if _text(result, "ruleId").startswith(_OLD_GRYPE):
        return False
    said = _maps(result.get("suppressions"))
    return bool(said) and all(one.get("status", "accepted") == "accepted" for one in said)


def _sarif(values: Mapping[str, object]) -> Iterator[Finding]:
    for run in _maps(values.get("runs")):
        driver = _map(_map(run.get("tool")).get("driver"))
        rules = _maps(driver.get("rules"))
        by_id = {_text(rule, "id"): rule for rule in rules}
        for result in _maps(run.get("results")):
            if _is_suppressed(result) or result.get("kind") in ("pass", "notApplicable", "informational"):
                continue
            index = result.get("ruleIndex")
            rule = by_id.get(_text(result, "ruleId"), {})
            if not rule and isinstance(index, int) and 0 <= index < len(rules):
                rule = rules[index]
            yield _sarif_finding(result, rule)


def _sarif_finding(result: Mapping[str, object], rule: Mapping[str, object]) -> Finding:
    rule_id = _text(result, "ruleId") or _text(rule, "id") or "unknown"
    told = _told(result, rule)
    # Grype's rule is the vulnerability and the package in one word.
    vulnerability = _ID.search(rule_id)
    locations = [
        _text(_map(_map(place.get("physicalLocation")).get("artifactLocation")), "uri")
        for place in _maps(result.get("locations"))
    ]
    package = told.get("Package", "")
    if not package and vulnerability is not None:
        package = rule_id[vulnerability.end() :].lstrip("-")
    return Finding(
        id=told.get("Vulnerability") or (vulnerability[0] if vulnerability is not None else rule_id),
        severity=_sarif_severity(result, rule, told.get("Severity", "")),
        package=package,
        version=told.get("Version", ""),
        fixed_in=told.get("Fix Version"),
        place=locations[0] if locations else "",
        aliases=(rule_id,),
    )


def _told(result: Mapping[str, object], rule: Mapping[str, object]) -> Mapping[str, str]:
    """What Trivy and Grype say in lines: of the result, and what that leaves out, of its rule."""
    help_text = _text(_map(rule.get("help")), "text")
    told: dict[str, str] = {}
    for text in (
        _text(_map(result.get("message")), "text"),
        help_text if help_text.startswith(_OF_VULNERABILITY) else "",
    ):
        # The first of each: below its lines, Trivy's help has the description, whose words are anybody's.
        for match in _LINE.finditer(text):
            told.setdefault(_KEYS.get(match["key"], match["key"]), match["value"])
    return told


def _sarif_severity(result: Mapping[str, object], rule: Mapping[str, object], word: str) -> Severity:
    """The scanner's own word, the score that scanners share, then SARIF's level, whichever comes first."""
    if word.upper() in _NAMES:
        return _NAMES[word.upper()]
    for holder in (result, rule):
        score = _number(_map(holder.get("properties")).get("security-severity"))
        if score is not None:
            # Scanners write 0 for what nobody has scored.
            return next((name for least, name in _BANDS if score >= least), Severity.UNKNOWN)
    level = _text(result, "level") or _text(_map(rule.get("defaultConfiguration")), "level")
    # "warning" is what SARIF says a result without a level has.
    return _LEVELS.get(level or "warning", Severity.UNKNOWN)


def _named(word: str) -> Severity:
    return _NAMES.get(word.upper(), Severity.UNKNOWN)


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, (str, int, float)) else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number <= 10 else None  # noqa: PLR2004 -- CVSS


def _map(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _maps(value: object) -> tuple[Mapping[str, object], ...]:
    """The objects of a list; none where there is no list. Raises _NoList for anything else: what cannot be
    read may be what blocks."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise _NoList
    return tuple(value)


def _text(values: Mapping[str, object], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _refused(file: str, reason: str) -> InputError:
    return InputError(
        Problem(
            what=f"this is no scanner's report: {reason}",
            where=Location(file=file),
            remedy="trivy image --format sarif|json, grype -o sarif|json, or any other scanner's SARIF",
        )
    )

"""The vulnerability gate, by the command line: reports in the shapes that scanners write, made anew here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line as main

FAR, PAST = "2999-12-31", "2020-01-01"


def trivy(*found: tuple[str, str, str, str]) -> dict:
    return {
        "SchemaVersion": 2,
        "ArtifactName": "vision:train",
        "Results": [
            {"Target": "vision:train (debian 12.7)", "Class": "os-pkgs", "Type": "debian"},
            {
                "Target": "Python",
                "Class": "lang-pkgs",
                "Vulnerabilities": [
                    {
                        "VulnerabilityID": name,
                        "PkgName": package,
                        "InstalledVersion": "1.0",
                        "FixedVersion": fixed,
                        "Severity": severity,
                    }
                    for name, package, severity, fixed in found
                ],
            },
        ],
    }


def grype(*found: tuple[str, str, str, str]) -> dict:
    return {
        "descriptor": {"name": "grype"},
        "matches": [
            {
                "vulnerability": {
                    "id": name,
                    "severity": severity.capitalize(),
                    "fix": {"versions": [fixed] if fixed else [], "state": "fixed" if fixed else "not-fixed"},
                },
                "relatedVulnerabilities": [{"id": "CVE-2026-9999"}] if name.startswith("GHSA") else [],
                "artifact": {"name": package, "version": "1.0", "locations": [{"path": "/usr/lib/x"}]},
            }
            for name, package, severity, fixed in found
        ],
    }


def trivy_sarif(*found: tuple[str, str, str, str]) -> dict:
    results = [
        {
            "ruleId": name,
            "ruleIndex": number,
            "level": "error",
            "message": {
                "text": f"Package: {package}\nInstalled Version: 1.0\nVulnerability {name}\n"
                f"Severity: {severity}\nFixed Version: {fixed}\nLink: [{name}](https://example.org/{name})"
            },
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "vision/train"}}}],
        }
        for number, (name, package, severity, fixed) in enumerate(found)
    ]
    rules = [{"id": name, "properties": {"security-severity": "9.8"}} for name, *_ in found]
    return {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "T", "rules": rules}}, "results": results}],
    }


def grype_sarif(*found: tuple[str, str, str, str]) -> dict:
    scores = {"CRITICAL": "9.8", "HIGH": "7.5", "MEDIUM": "5.0", "LOW": "2.0"}
    rules = [
        {
            "id": f"{name}-{package}",
            "help": {
                "text": f"Vulnerability {name}\nSeverity: {severity.lower()}\nPackage: {package}\n"
                f"Version: 1.0\nFix Version: {fixed}\nType: deb\nLocation: /x\nLink: [{name}](https://x)"
            },
            "properties": {"security-severity": scores.get(severity, "0.0")},
        }
        for name, package, severity, fixed in found
    ]
    results = [
        {"ruleId": f"{name}-{package}", "message": {"text": f"A vulnerability in deb package: {package}"}}
        for name, package, *_ in found
    ]
    return {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "G", "rules": rules}}, "results": results}],
    }


SHAPES = [trivy, grype, trivy_sarif, grype_sarif]


def write(path: Path, document: object) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def allow(tmp_path: Path, text: str) -> str:
    (tmp_path / "allow.toml").write_text(text)
    return str(tmp_path / "allow.toml")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_blocks_is_named_in_every_shape(shape: Callable, tmp_path: Path, capsys):
    report = write(
        tmp_path / "r.json",
        shape(("CVE-2026-0001", "zlib1g", "CRITICAL", "1.1"), ("CVE-2026-0002", "bash", "MEDIUM", "")),
    )
    assert main(["gate", report]) == 1
    told = capsys.readouterr().out
    assert "CVE-2026-0001" in told
    assert "zlib1g" in told
    assert "CVE-2026-0002" not in told
    assert main(["gate", report, "--fail-on", "medium", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["severity"], one["package"]) for one in document["blocking"]] == [
        ("CVE-2026-0001", "critical", "zlib1g"),
        ("CVE-2026-0002", "medium", "bash"),
    ]
    assert document["ok"] is False


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reason_and_a_day_let_it_pass(shape: Callable, tmp_path: Path, capsys):
    report = write(tmp_path / "r.json", shape(("CVE-2026-0001", "zlib1g", "HIGH", "1.1")))
    listed = allow(tmp_path, f'[[allow]]\nid = "CVE-2026-0001"\nreason = "not reached"\nexpires = {FAR}\n')
    assert main(["gate", report, "--allow", listed]) == 0
    assert f"allowed until {FAR}: CVE-2026-0001 in zlib1g: not reached" in capsys.readouterr().out


def test_an_entry_for_one_package_leaves_the_other(tmp_path: Path, capsys):
    report = write(
        tmp_path / "r.json",
        trivy(("CVE-2026-0001", "zlib1g", "HIGH", ""), ("CVE-2026-0001", "minizip", "HIGH", "")),
    )
    listed = allow(
        tmp_path,
        f'[[allow]]\nid = "cve-2026-0001"\npackage = "zlib1g"\nreason = "no"\nexpires = "{FAR}"\n',
    )
    assert main(["gate", report, "--allow", listed, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [one["package"] for one in document["blocking"]] == ["minizip"]
    assert [one["package"] for one in document["allowed"]] == ["zlib1g"]


def test_an_alias_is_the_same_vulnerability(tmp_path: Path):
    report = write(tmp_path / "r.json", grype(("GHSA-aaaa-bbbb-cccc", "requests", "HIGH", "")))
    listed = allow(tmp_path, f'[[allow]]\nid = "CVE-2026-9999"\nreason = "no"\nexpires = {FAR}\n')
    assert main(["gate", report]) == 1
    assert main(["gate", report, "--allow", listed]) == 0


def test_an_entry_whose_day_has_passed_fails_even_if_nothing_is_found(tmp_path: Path, capsys):
    report = write(tmp_path / "r.json", trivy())
    listed = allow(tmp_path, f'[[allow]]\nid = "CVE-2026-0001"\nreason = "no"\nexpires = {PAST}\n')
    assert main(["gate", report]) == 0
    assert main(["gate", report, "--allow", listed]) == 1
    assert f"CVE-2026-0001 was allowed until {PAST}, which has passed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f'[[allow]]\nid = "CVE-2026-0001"\nexpires = {FAR}\n', "CVE-2026-0001 has no reason"),
        (f'[[allow]]\nid = "CVE-2026-0001"\nreason = "  "\nexpires = {FAR}\n', "has no reason"),
        ('[[allow]]\nid = "CVE-2026-0001"\nreason = "no"\n', "has no day on which it ends"),
        (
            '[[allow]]\nid = "CVE-2026-0001"\nreason = "no"\nexpires = "soon"\n',
            "expires that is no day: 'soon'",
        ),
        ('[[allow]]\nid = "CVE-2026-0001"\nreason = "no"\nexpires = 20261231\n', "is no day: 20261231"),
        ('[[allow]]\nid = "CVE-2026-0001"\nreason = "no"\nexpires = 12:30:00\n', "is no day: 12:30:00"),
        (
            '[[allow]]\nid = "CVE-2026-0001"\nreason = "no"\nexpires = 2030-12-31T10:00:00Z\n',
            "expires = 2030-12-31\n",
        ),
        (f'[[allow]]\nreason = "no"\nexpires = {FAR}\n', "an entry has no id"),
        (f'[[allow]]\nid = "C"\nreasn = "no"\nreason = "no"\nexpires = {FAR}\n', "unknown key 'reasn'"),
        ('[[allows]]\nid = "C"\n', "unknown key 'allows'"),
        ("allow = 3\n", "allow is no list"),
        ("[[allow]\n", "not valid TOML"),
    ],
)
def test_a_list_that_is_wrong_opens_nothing(text: str, word: str, tmp_path: Path, capsys):
    report = write(tmp_path / "r.json", trivy())
    assert main(["gate", report, "--allow", allow(tmp_path, text)]) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("shape", SHAPES)
def test_what_has_no_known_severity_blocks(shape: Callable, tmp_path: Path, capsys):
    report = write(tmp_path / "r.json", shape(("CVE-2026-0003", "curl", "UNKNOWN", "")))
    assert main(["gate", report, "--fail-on", "critical"]) == 1
    assert "unknown" in capsys.readouterr().out


@pytest.mark.parametrize("shape", SHAPES)
def test_what_has_no_fix_may_be_left_out_and_is_counted(shape: Callable, tmp_path: Path, capsys):
    report = write(
        tmp_path / "r.json", shape(("CVE-2026-0001", "a", "HIGH", ""), ("CVE-2026-0002", "b", "HIGH", "2"))
    )
    assert main(["gate", report, "--ignore-unfixed", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [one["package"] for one in document["blocking"]] == ["b"]
    assert document["unfixed"] == 1


def test_what_nobody_says_the_fix_of_is_not_unfixed(tmp_path: Path, capsys):
    results = [{"ruleId": "CVE-2026-0001", "level": "error", "message": {"text": "bash is old"}}]
    sarif = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "S"}}, "results": results}]}
    undecided = grype(("CVE-2026-0002", "b", "HIGH", ""))
    undecided["matches"][0]["vulnerability"]["fix"]["state"] = "unknown"
    for document in (sarif, undecided):
        assert main(["gate", write(tmp_path / "r.json", document), "--ignore-unfixed", "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert [one["fixed_in"] for one in told["blocking"]] == [None]
        assert told["unfixed"] == 0


def test_the_words_of_a_description_are_not_the_scanners(tmp_path: Path, capsys):
    document = grype_sarif(("CVE-2026-0001", "a", "HIGH", "2"))
    (rule,) = document["runs"][0]["tool"]["driver"]["rules"]
    rule["help"]["text"] += "\nSeverity: low\nFix Version:"
    other = {**rule, "help": {"text": "All about it\nSeverity: low\nFix Version:"}}
    for one, fixed in ((rule, "2"), (other, None)):
        document["runs"][0]["tool"]["driver"]["rules"] = [one]
        assert main(["gate", write(tmp_path / "r.json", document), "--ignore-unfixed", "--json"]) == 1
        (found,) = json.loads(capsys.readouterr().out)["blocking"]
        assert (found["severity"], found["fixed_in"]) == ("high", fixed)


def test_a_sentence_that_begins_with_vulnerability_names_none(tmp_path: Path, capsys):
    report = sarif(results=[{"ruleId": "CVE-2026-0001", "message": {"text": "Vulnerability found in bash"}}])
    assert main(["gate", write(tmp_path / "r.json", report), "--fail-on", "low", "--json"]) == 1
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["blocking"]] == ["CVE-2026-0001"]


@pytest.mark.parametrize("value", [[], {}, 5, None])
def test_a_class_that_is_no_word_is_none_of_packages(value: object, tmp_path: Path, capsys):
    report = {"SchemaVersion": 2, "ArtifactName": "x", "Results": [{"Class": value, "Target": "a"}]}
    assert main(["gate", write(tmp_path / "r.json", report)]) == 2
    assert "Trivy has looked at no packages" in capsys.readouterr().err


def test_an_identifier_of_a_distribution_is_allowed_by_its_name(tmp_path: Path):
    report = write(tmp_path / "r.json", grype_sarif(("ELSA-2026-1234", "openssl", "HIGH", "2")))
    entry = 'id = "ELSA-2026-1234"\npackage = "openssl"\nreason = "not used"\n'
    listed = allow(tmp_path, f"[[allow]]\n{entry}expires = {FAR}\n")
    assert main(["gate", report, "--allow", listed]) == 0


def test_what_old_grype_called_suppressed_counts(tmp_path: Path):
    result = {
        "ruleId": "ANCHOREVULN_vision:train_CVE-2026-0001_deb_bash_5.2",
        "level": "error",
        "suppressions": [{"kind": "external"}],
        "message": {"text": "The path /x reports bash at version 5.2"},
    }
    document = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "A"}}, "results": [result]}]}
    assert main(["gate", write(tmp_path / "r.json", document)]) == 1


def test_what_a_scanner_suppressed_does_not_count_and_a_level_alone_does(tmp_path: Path, capsys):
    results = [
        {"ruleId": "R1", "level": "error", "message": {"text": "x"}},
        {"ruleId": "R2", "level": "error", "suppressions": [{"kind": "external"}], "message": {"text": "x"}},
        {"ruleId": "R3", "message": {"text": "x"}},
    ]
    document = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "S"}}, "results": results}]}
    assert main(["gate", write(tmp_path / "r.json", document), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["severity"]) for one in told["blocking"]] == [("R1", "high")]
    assert told["below"] == 1


def test_several_reports_are_one_judgement(tmp_path: Path, capsys):
    first = write(tmp_path / "1.json", trivy(("CVE-2026-0001", "a", "LOW", "")))
    second = write(tmp_path / "2.json", grype(("CVE-2026-0002", "b", "HIGH", "")))
    assert main(["gate", first]) == 0
    assert main(["gate", first, second]) == 1
    assert "CVE-2026-0002" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"runs": 3}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"matches": [null]}',
        b'{"version": "2.1.0", "runs": ["none"]}',
        b'{"version": "2.1.0", "runs": [{"results": [3]}]}',
        b'{"Results": [{"Class": "os-pkgs", "Vulnerabilities": "none"}]}',
        # Nobody has looked for vulnerabilities.
        b'{"Results": [{"Class": "secret", "Secrets": [{"Severity": "CRITICAL"}]}]}',
        b'{"SchemaVersion": 2, "ArtifactName": "vision:train"}',
    ],
)
def test_what_is_no_report_passes_nothing(content: bytes, tmp_path: Path, capsys):
    (tmp_path / "r.json").write_bytes(content)
    assert main(["gate", str(tmp_path / "r.json")]) == 2
    assert "no scanner's report" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_placed_by_its_word(tmp_path: Path, capsys):
    assert main(["gate", str(tmp_path / "none.json")]) == 2
    message = capsys.readouterr().err
    assert "none.json\n  where    command line: REPORT\n  try      name the file" in message
    report = write(tmp_path / "r.json", trivy())
    assert main(["gate", report, "--allow", str(tmp_path / "none.toml")]) == 2
    assert "none.toml\n  where    command line: --allow\n  try      name the TOML" in capsys.readouterr().err


def test_a_finding_is_one_line_whatever_is_in_it(tmp_path: Path, capsys):
    found = ("CVE-2026-0001", "a\n::add-mask::b", "HIGH", ""), ("CVE-2026-0002", "bash", "HIGH", "")
    assert main(["gate", write(tmp_path / "r.json", trivy(*found))]) == 1
    out = capsys.readouterr().out
    assert "a\\n::add-mask::b 1.0" in out
    assert not [line for line in out.splitlines() if line.startswith("::")]
    header, _, *rows = out.splitlines()[:4]
    assert {row.index("-", row.index("1.0")) for row in rows} == {header.index("fixed in")}


def test_what_is_allowed_is_one_line_too(tmp_path: Path, capsys):
    report = write(tmp_path / "r.json", trivy(("CVE-2026-0001", "a\n::add-mask::b", "HIGH", "")))
    listed = allow(tmp_path, f'[[allow]]\nid = "CVE-2026-0001"\nreason = "not used"\nexpires = {FAR}\n')
    assert main(["gate", report, "--allow", listed]) == 0
    assert "in a\\n::add-mask::b: not used" in capsys.readouterr().out


def test_words_of_a_report_cannot_touch_the_terminal(tmp_path: Path, capsys):
    report = write(tmp_path / "r.json", trivy(("CVE-2026-0001", "a\x1b[2Jb", "HIGH", "")))
    assert main(["gate", report]) == 1
    assert "\x1b" not in capsys.readouterr().out


def sarif(**run: object) -> dict:
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [], **run}]}


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"version": "2.1.0", "runs": []}, "no run"),
        ({"version": "1.0.0", "runs": sarif()["runs"]}, "1.0.0"),
        ({"runs": sarif()["runs"]}, "of no version"),
        (sarif(results=None), "no list of results"),
        ({"version": "2.1.0", "runs": [{}]}, "no list of results"),
        (sarif(invocations=[{"executionSuccessful": False}]), "executionSuccessful"),
    ],
)
def test_a_scan_that_came_to_no_end_lets_nothing_pass(document: dict, word: str, tmp_path: Path, capsys):
    report = tmp_path / "report.sarif"
    report.write_text(json.dumps(document))
    assert main(["gate", str(report)]) == 2
    assert word in capsys.readouterr().err
    report.write_text(json.dumps(sarif(invocations=[{"executionSuccessful": True}])))
    assert main(["gate", str(report)]) == 0


@pytest.mark.parametrize(
    ("suppressions", "code"),
    [
        ([], 1),
        ([{"kind": "external"}], 0),
        ([{"kind": "external", "status": "accepted"}], 0),
        ([{"kind": "external", "status": "underReview"}], 1),
        ([{"kind": "inSource"}, {"kind": "external", "status": "rejected"}], 1),
    ],
)
def test_only_an_accepted_suppression_counts(suppressions: list, code: int, tmp_path: Path):
    report = tmp_path / "report.sarif"
    found = {"ruleId": "CVE-2026-1", "level": "error", "suppressions": suppressions}
    report.write_text(json.dumps(sarif(results=[found])))
    assert main(["gate", str(report)]) == code

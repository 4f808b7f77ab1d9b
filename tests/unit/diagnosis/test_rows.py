"""The rows of matrices/errors: their examples through the command line, and what their expressions may cost."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.codes import Code
from cudaforge.diagnosis.compile import compile_patterns
from cudaforge.diagnosis.expressions import MOST_WAYS, InvalidExpression, _parts, _ways, bounded, read_search
from cudaforge.diagnosis.load import load_patterns
from cudaforge.diagnosis.model import RULES as RULE_NAMES
from cudaforge.diagnosis.scan import diagnose
from cudaforge.explainer import RULES
from cudaforge.resources import find_resource

MATRICES = find_resource("matrices")
SAMPLES = compile_patterns(MATRICES).samples
PATTERNS = load_patterns()
SEARCHES = tuple(
    dict.fromkeys(
        search
        for pattern in PATTERNS
        for search in (*pattern.searches, *(one for choice in pattern.choices for one in (*choice.seen, *choice.unless)))
    )
)  # fmt: skip


def test_there_are_many_of_many_products() -> None:
    assert sum(len(pattern.searches) for pattern in PATTERNS) >= 500
    assert len(PATTERNS) >= 120
    products = {pattern.product for pattern in PATTERNS}
    assert {
        "NVIDIA driver",
        "Docker",
        "Podman",
        "BuildKit",
        "CDI",
        "nvidia-container-cli",
        "Kubernetes",
    } <= products
    assert {
        "PyTorch",
        "TensorFlow",
        "JAX",
        "ONNX Runtime",
        "CuPy",
        "PaddlePaddle",
        "NCCL",
        "cuDNN",
        "cuBLAS",
    } <= products
    assert {"pip", "uv", "registry", "apt", "yum", "Slurm"} <= products


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_examples_are_explained_by_the_command(sample, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (own,) = [pattern for pattern in PATTERNS if pattern.id == sample.id]
    for example in sample.examples:
        monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(example.text.encode())}))
        assert run_command_line(["explain-error", "--json", "-"]) == 0
        causes = json.loads(capsys.readouterr().out)["causes"]
        assert any(f"({own.origin.file}, " in cause["source"] for cause in causes)
        assert run_command_line(["explain-error", "--", *example.text.split(" ")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= 80 or " " not in line[10:] for line in lines)


def test_every_code_that_it_takes_is_one_that_others_know() -> None:
    used = {choice.code for pattern in PATTERNS for choice in pattern.choices}
    issue = (
        "driver-missing driver-too-old gpu-not-requested toolkit-missing cdi-missing no-gpu device-permission "
        "visible-devices compat-lib-on-path cuda-shadowed cudnn-mixed-versions nvjitlink-shadowed nccl-missing "
        "out-of-memory shm-too-small wrong-architecture repo-key-rotated framework-broken"
    )
    assert used >= {Code(word) for word in issue.split()}


def test_the_rules_of_the_rows_are_those_that_there_are() -> None:
    assert set(RULES) == set(RULE_NAMES)
    assert {pattern.rule for pattern in PATTERNS} - {None} == set(RULE_NAMES)


def repetitions(regex: str) -> int:
    return sum(1 for part in re.findall(r"(?<!\\)[*+](?!\])", re.sub(r"\[[^\]]*\]", "x", regex)) if part)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.regex[:60])
def test_the_search_takes_linear_time(search) -> None:
    """What may follow one start is bounded, so that the whole is at most a constant times the text's length."""
    assert repetitions(re.sub(r"\\[*+]", "", search.regex)) == 0, "unbounded"
    assert _ways(_parts(search.regex)) <= MOST_WAYS


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?:no gpu here )+ found(?:x+)*y", "repetition within a repetition"),
        (".*cannot.*load.*libfoo", "ways"),
        (r"(\w+) cannot load \1", "GROUPREF"),
        ("Cannot load", "capital letters"),
        ('cannot load "libfoo"', "quotation mark"),
        (r"\d+ \w+ \d+", "must hold a text"),
        ("cannot load|ab", "must hold a text"),
        ("cannot load (", "is no regular expression"),
    ],
)
def test_an_expression_that_is_not_simple_is_refused(pattern, why) -> None:
    with pytest.raises(InvalidExpression, match=why):
        read_search(pattern)


def test_bounds_are_given_where_there_are_none() -> None:
    assert bounded(r"a+b*[c+*]\+d{1,3}e+?") == r"a{1,120}b{0,120}[c+*]\+d{1,3}e{1,120}?"


HOSTILE = {
    "one letter": "a" * 200_000,
    "spaces": " " * 200_000,
    "quotes": "'" * 200_000,
    "digits": "1." * 100_000,
    "words": "error " * 40_000,
    "literals": "".join(dict.fromkeys(literal for search in SEARCHES for literal in search.literals)) * 4,
    "beginnings": "\n".join(example.text[:-5] for sample in SAMPLES for example in sample.examples) * 2,
    "versions": "libcudnn.so.8.9.7.torch==2.0.1+cu118-cp310-cp310-" * 4_000,
    "paths": "/usr/lib/x86_64-linux-gnu/libcudart.so.11.0:" * 4_000,
    "brackets": "[" * 100_000,
    "frames": ("│" + " " * 2000 + "x") * 100 + " " * 200_000,
    "mixed escapes": "\\\\u001b[" * 20_000 + "\\r\\" * 20_000,
    "timestamps": "2024-05-01T12:34:56Z " * 10_000,
    "escapes": "\x1b[" * 50_000 + "\\" * 50_000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_ends(name) -> None:
    diagnose(HOSTILE[name])


BROKEN = {
    "a key that there is not": ('code = "no-gpu"', 'code = "no-gpu"\ncod = "x"', "unknown key 'cod'"),
    "a code that there is not": ('code = "no-gpu"', 'code = "no-gpus"', "did you mean 'no-gpu'"),
    "no remedy": ('remedy = "mend it"', "", "remedy is missing"),
    "a group that there is not": ('remedy = "mend it"', 'remedy = "mend {it}"', "names {it}, which is no group"),
    "a lone brace": ('remedy = "mend it"', 'remedy = "mend { it"', "a brace is written twice"),
    "a source that there is not": ('source = "seen"', 'source = "heard"', "is not among the file's"),
    "a rule that there is not": ('source = "seen"', 'source = "seen"\nrule = "guess"', "rule is 'guess'"),
    "hiding nothing": ('source = "seen"', 'source = "seen"\nhides = ["other"]', "no such other row"),
    "no near miss": ('near_misses = ["The example works."]', "", "needs examples that it finds"),
    "an example that it does not find": ('examples = ["The example is broken"', 'examples = ["Broken"', "does not find its example"),
    "a near miss that it finds": ('near_misses = ["', 'near_misses = ["The example is broken", "', "finds its near miss"),
    "another cause first": (
        'examples = ["The example is broken"]',
        'examples = [{ text = "The example is broken", first = "no-gpu" }, { text = "the example is broken", first = "cdi-missing" }]',
        "yields no-gpu and not cdi-missing first",
    ),
    "no schema": ("schema = 1", "schema = 2", "schema must be 1"),
    "a strength that there is not": ('"vendor"', '"rumour"', "strength is 'rumour'"),
    "a capital letter": ("the example is broken'", "the Example is broken'", "capital letters"),
    "no TOML": ("schema = 1", "schema = ", "Invalid value"),
}  # fmt: skip
ROW = """
schema = 1

[sources]
seen = { strength = "vendor", checked = "2026-01-31", text = "the vendor's page" }

[[errors]]
id = "own-message"
product = "example"
patterns = ['the example is broken']
code = "no-gpu"
text = "it is broken"
remedy = "mend it"
source = "seen"
examples = ["The example is broken"]
near_misses = ["The example works."]
"""


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_broken_by_hand_is_told(name, tmp_path: Path, capsys) -> None:
    old, new, told = BROKEN[name]
    assert old in ROW
    shutil.copytree(MATRICES, tmp_path / "matrices", ignore=shutil.ignore_patterns("errors"))
    (tmp_path / "matrices" / "errors").mkdir()
    (tmp_path / "matrices" / "errors" / "own.toml").write_text(ROW.replace(old, new), encoding="utf-8")
    assert run_command_line(["data", "check", "--matrices", str(tmp_path / "matrices")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert told in said
    assert "[error-pattern]" in said
    assert "errors/own.toml" in said

"""An audit as a whole: hostile files, suppressions, speed."""

from __future__ import annotations

import contextlib
import random
import time

import pytest

from cudaforge.audit import Asked, Verdict, audit_dockerfile
from cudaforge.errors import InputError
from cudaforge.matrix import load_matrix
from tests.cases.audit.test_audit_cases import AS_OF, CASES

HEAD = "FROM python:3.12-slim-trixie\n"


def audit(text: str, files=None, **asked):
    return audit_dockerfile(
        text.encode(),
        file="Dockerfile",
        asked=Asked(as_of=AS_OF, **asked),
        matrix=load_matrix(),
        read=(files or {}).get,
    )


def codes(report) -> list[str]:
    return [one.code.value for one in report.findings]


def test_three_thousand_lines_are_read_in_no_time() -> None:
    steps = [
        f"RUN apt-get update && apt-get install -y lib{number} && echo $A{number}" for number in range(1400)
    ]
    steps += [f"ENV A{number}=${{A{number - 1}:-x}}" for number in range(1, 1400)]
    steps += (
        ["RUN pip install \\"]
        + [f"    package{number}==1.{number} \\" for number in range(400)]
        + ["    torch==2.8.0"]
    )
    load_matrix().builds("pytorch")
    started = time.process_time()
    report = audit(HEAD + "\n".join(steps) + "\n")
    assert time.process_time() - started < 10, "a hang, or worse than linear: machines differ"
    assert report.facts.frameworks == {"pytorch": "2.8.0+cu128"}


@pytest.mark.parametrize(
    "step", ["FROM s{before} AS s{number}", "{head} AS s{number}\nCOPY --from=s{before} /a /a"]
)
def test_a_long_chain_of_stages_ends(step: str) -> None:
    first = f"{HEAD.strip()} AS s0\nRUN pip install torch==2.8.0\n"
    more = [step.format(before=number - 1, number=number, head=HEAD.strip()) for number in range(1, 1500)]
    report = audit(first + "\n".join(more) + "\n")
    is_chain = step.startswith("FROM")
    assert report.facts.frameworks == ({"pytorch": "2.8.0+cu128"} if is_chain else {})


@pytest.mark.parametrize(
    "text",
    [
        "ARG A=$B\nARG B=$A\nFROM $A\n",
        "ARG A=${A:-${A:-${A}}}\nFROM python:${A}\n",
        "FROM python:" + "${A:-" * 500 + "3.12" + "}" * 500 + "\n",
        HEAD + "RUN " + "$(" * 2000 + "\n",
        HEAD + "RUN " + "x" * 900_000 + "\n",
        HEAD + "RUN pip install " + "torch " * 50_000 + "\n",
        HEAD + "RUN '\n",
        HEAD + 'RUN ["pip", "install"\n',
        HEAD + "RUN pip install 'torch==\n",
        HEAD + "RUN pip install torch==$(cat version)\n",
        HEAD + "RUN pip install ===== torch==x torch=2 'torch==2.8.0; python_version > \"3\"'\n",
        HEAD + "ENV A=" + "*a" * 200 + "\nRUN echo ${A##*" + "a*" * 100 + "b}\n",
        HEAD + "COPY --from=nowhere /a /b\nCOPY --from=9 /a /b\n",
        "FROM scratch AS a\nFROM a AS a\nFROM a\n",
        "FROM ${UNSET}\nRUN pip install torch\n",
        "FROM UPPER/case:::\nRUN pip install torch\n",
        HEAD + "RUN pip install -r\nRUN pip install -r x.txt -c\nRUN uv\nRUN uv pip\n",
        HEAD + "RUN conda\nRUN python -m\nRUN uv venv\nRUN apt-get\n",
    ],
)
def test_hostile_files_are_audited_or_refused_in_time(text) -> None:
    started = time.process_time()
    with contextlib.suppress(InputError):
        assert audit(text).verdict is not Verdict.FINE
    assert time.process_time() - started < 5


def test_requirement_files_that_name_each_other_end() -> None:
    files = {"a.txt": "-r b.txt\ntorch==2.8.0\n", "b.txt": "-r a.txt\n"}
    report = audit(f"{HEAD}COPY . .\nRUN pip install -r a.txt\n", files)
    assert report.facts.frameworks == {"pytorch": "2.8.0+cu128"}
    assert report.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("seed", range(60))
def test_cases_with_lines_lost_or_doubled_never_raise_anything_else(seed) -> None:
    chance = random.Random(seed)
    lines = CASES[chance.choice(sorted(CASES))]["dockerfile"].splitlines()
    del lines[chance.randrange(len(lines))]
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines) if lines else "FROM a")
    with contextlib.suppress(InputError):
        audit("\n".join(lines) + "\n")


UNPINNED = "RUN pip install torch\n"


def test_a_suppression_takes_a_finding_back_and_keeps_its_reason() -> None:
    report = audit(f"{HEAD}# cudaforge: ignore=unpinned-framework we want the newest\n{UNPINNED}")
    assert (codes(report), report.verdict) == ([], Verdict.FINE)
    (silenced,) = report.silenced
    assert silenced.reason == "we want the newest"
    assert silenced.finding.code.value == "unpinned-framework"


def test_a_suppression_holds_for_its_own_instruction_alone() -> None:
    ignore = "# cudaforge: ignore=unpinned-framework we want the newest\n"
    report = audit(f"{HEAD}{ignore}RUN true\n{UNPINNED}")
    assert codes(report) == ["unpinned-framework"]


def test_a_suppression_of_another_code_changes_nothing() -> None:
    report = audit(f"{HEAD}# cudaforge: ignore=pep668,eol-os because\n{UNPINNED}")
    assert codes(report) == ["unpinned-framework"]


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("# cudaforge: ignore=unpinned-framework", "needs a reason"),
        ("# cudaforge: ignore=unpined-framework typing error", "no code that cudaforge knows"),
        ("# cudaforge: ignore everything", "cannot be read"),
    ],
)
def test_a_suppression_that_is_wrong_is_refused(comment, says) -> None:
    with pytest.raises(InputError) as error:
        audit(f"{HEAD}{comment}\n{UNPINNED}")
    (problem,) = error.value.problems
    assert says in problem.what
    assert problem.where.line == 2


def test_what_pip_would_take_depends_on_the_day() -> None:
    found = {
        day: audit_dockerfile(
            b"FROM python:3.11-slim-trixie\n" + UNPINNED.encode(),
            file="Dockerfile",
            asked=Asked(as_of=day),
            matrix=load_matrix(),
            read={}.get,
        ).facts.frameworks["pytorch"]
        for day in ("2024-01-01", "2025-03-01")
    }
    assert found == {"2024-01-01": "2.1.2+cu121", "2025-03-01": "2.6.0+cu124"}


LOCKS = {
    "uv.lock": "RUN uv sync --frozen\n",
    "poetry.lock": "RUN poetry install\n",
    "pdm.lock": "RUN pdm sync\n",
    "Pipfile.lock": "RUN pipenv sync --system\n",
    "pyproject.toml": "RUN pip install .\n",
    "pylock.toml": "RUN uv pip sync --system pylock.toml\n",
    "environment.yml": "RUN conda env create -f environment.yml\n",
    ".dockerignore": "RUN pip install -r requirements.txt\n",
}


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\x01",
        "[[package]]\n",
        "{" * 5_000,
        "a" + ".a" * 20_000 + " = 1\n",
        "x = " + "[" * 5_000,
        '[[package]]\nname = 3\nversion = []\nsource = "x"\ndependencies = [1, {}]\n' * 3,
        '[project]\ndependencies = "torch"\n[package]\nname = 1\n',
        '{"_meta": 3, "default": [], "develop": {"torch": 3}}',
        '{"_meta": {"sources": 3}, "default": {"torch": {"version": 3, "index": []}}}',
        "dependencies: {a: b}\nchannels: 3\nname: [x]\n",
        "dependencies: [1, [2], {pip: 3}, {pip: [4, null]}, 'a b c d', '::', '=']\n",
        "a: &a [*a]\n",
        "[" * 20_000,
        "*" * 3_000 + "\n!" + "**/" * 500,
    ],
)
def test_what_stands_next_to_a_dockerfile_may_be_anything(name, text) -> None:
    started = time.process_time()
    report = audit(f"{HEAD}COPY . .\n{LOCKS[name]}", {name: text, "requirements.txt": "torch==2.8.0"})
    assert report.verdict is not Verdict.FINE or name == ".dockerignore"
    assert time.process_time() - started < 5

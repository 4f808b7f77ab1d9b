"""What people read: at the margin, within its width, and never more than was seen."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from cudaforge.builder.model import BuildEvent, BuildResult, BuildState, EventKind
from cudaforge.builder.steps import step_text
from cudaforge.errors import Location, Problem
from cudaforge.lockfile.changes import compare_locks
from cudaforge.lockfile.effects import KnownGpus
from cudaforge.lockfile.model import DroppedPoint, Lock
from cudaforge.pipeline import decide
from cudaforge.records import replace
from cudaforge.report.answers import describe_answers, explain_answers
from cudaforge.report.differences import describe_changes as describe_differences
from cudaforge.report.explanations import runs
from cudaforge.report.forecast import Forecast
from cudaforge.report.locks import describe_changes, describe_lock
from cudaforge.report.problems import describe_problems
from cudaforge.report.progress import LiveProgress, PlainProgress
from cudaforge.report.summary import describe_run, run_json
from cudaforge.report.tables import seconds_text, table
from cudaforge.units import bytes_text
from cudaforge.verifier import CheckResult, CheckState, Tier, Verdict
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, make_lock

BUILT = BuildResult(
    name="cpu",
    state=BuildState.BUILT,
    reference="demo:cpu",
    image_id="sha256:1",
    size=1_500_000_000,
    seconds=62.0,
    log="",
)
PROVEN = Verdict(
    name="cpu",
    reference="demo:cpu",
    image_id="sha256:1",
    lock_digest="sha256:2",
    ok=True,
    summary="trained on CPU",
    checks=(),
    facts={},
    seconds=3.0,
)
BAD = replace(
    PROVEN,
    ok=False,
    summary="nothing trained",
    checks=(
        CheckResult(id="a", title="Python", tier=Tier.STATIC, state=CheckState.PASS, detail="3.11"),
        CheckResult(
            id="b",
            title="Import",
            tier=Tier.CPU,
            state=CheckState.FAIL,
            detail="libfoo.so is missing",
            remedy="build it again",
        ),
    ),
)

CPU_NAMED = replace(CPU_IMAGE, name="cpu")


def resolve(*words: str):
    return decide.resolve(decide.load_words(words))


def explain(*words: str):
    return decide.explain(decide.load_words(words))


def test_answers_fit_eighty_columns() -> None:
    for words in (
        ["jax"],
        ["pytorch==2.6.*", "gpu=RTX 5090"],
        ["tensorflow>=2.12", "cuda==11.4"],
        ["pytorch==2.8.*"],
        ["pytorch", "tensorflow", "jax"],
        ["tensorflow<2.15", "flavor=devel"],
        ["pytorch", "base=nvidia/cuda:12.6.3-cudnn-devel-rockylinux9"],
    ):
        for text in (describe_answers(resolve(*words)), explain_answers(explain(*words))):
            assert max(map(len, text.splitlines())) <= 80
            assert not text.startswith(" ")


def test_a_conflict_names_wishes_facts_and_repairs() -> None:
    text = describe_answers(resolve("pytorch==2.6.*", "gpu=RTX 5090"))
    assert "pytorch==2.6.* and gpu=RTX 5090 cannot all hold" in text
    assert "sm_120" in text
    assert 'try      framework = "pytorch>=2.7"  gives pytorch' in text
    assert "frameworks/pytorch.toml" in text


def test_an_explanation_names_what_was_beaten_and_what_was_excluded_in_ranges() -> None:
    text = " ".join(explain_answers(explain("pytorch==2.8.*", "cuda==12.8", "gpu=H100")).split())
    assert "excluded 2.9.0 to 2.15.0 (10): pytorch==2.8.* is asked for" in text
    assert "3.12, 3.11, 3.10 and 1 more: older" in text
    assert "3.14, 3.15: pytorch==2.8.* is asked for; pytorch 2.8.0 has wheels for Python 3.9," in text
    assert "debian12: past its end of life" in text


@pytest.mark.parametrize(
    ("values", "others", "text"),
    [
        (["2.10", "2.9", "2.8"], [], ["2.8 to 2.10 (3)"]),
        (["2.10", "2.9", "2.8"], ["2.9.1"], ["2.8, 2.9", "2.10"]),
        (["3.14"], ["3.13", "3.15"], ["3.14"]),
        (["debian13", "ubuntu24.04"], ["debian12"], ["debian13", "ubuntu24.04"]),
    ],
)
def test_values_between_which_nothing_lies_are_one_range(
    values: list[str], others: list[str], text: list[str]
) -> None:
    assert runs(values, others) == text


def test_problems_hang_below_their_label() -> None:
    problem = Problem(
        what="one two three four five six seven eight nine ten",
        where=Location(file="a.toml", line=3, key="images.a"),
        because=("first\nsecond",),
        remedy="do it",
    )
    assert describe_problems([problem]).splitlines() == [
        "error: one two three four five six seven eight nine ten",
        "  where    a.toml:3: images.a",
        "  because  first",
        "           second",
        "  try      do it",
    ]
    narrow = describe_problems([problem], width=40).splitlines()
    assert max(map(len, narrow)) <= 40
    assert narrow[1].startswith("       ")


def test_of_many_reasons_the_first_are_told_and_the_rest_counted() -> None:
    problem = Problem(what="the lock is stale", because=tuple(f"{n} is not in the lock" for n in range(300)))
    lines = describe_problems([problem]).splitlines()
    assert len(lines) == 13
    assert lines[1] == "  because  0 is not in the lock"
    assert lines[-1] == "  because  and 289 more, which --json tells"


def test_a_run_shows_what_was_proven_and_what_stands_in_the_way() -> None:
    image = replace(CPU_IMAGE, name="cpu")
    good = describe_run([image], {"cpu": BUILT}, {"cpu": PROVEN})
    assert "trained on CPU" in good
    assert "NOT OK" not in good
    bad = describe_run([image], {"cpu": BUILT}, {"cpu": BAD})
    assert "NOT OK: nothing trained" in bad
    assert "libfoo.so is missing" in bad
    assert "3.11" not in bad.split("\n\n", 1)[1]
    failed = replace(BUILT, state=BuildState.FAILED, failed_step="RUN false", last_lines=("no",), log="a.log")
    text = describe_run([image], {"cpu": failed}, {})
    assert "cpu failed at: RUN false" in text
    assert "a.log" in text


def test_the_json_of_a_run_has_versions_build_and_verdict() -> None:
    image = replace(CPU_IMAGE, name="cpu")
    (entry,) = run_json([image], {"cpu": BUILT}, {"cpu": PROVEN})["images"]
    assert entry["build"]["state"] == "built"
    assert entry["verdict"]["summary"] == "trained on CPU"
    assert entry["versions"]["python"] == image.python


NOBODY = KnownGpus(names={}, embedded=frozenset())


def test_changes_are_named_by_what_moved() -> None:
    old = make_lock(CPU_IMAGE, GPU_IMAGE)
    assert describe_changes(old, old, gpus=NOBODY) == "nothing changed"
    moved = replace(CPU_IMAGE, digest="other", python="3.13", user="root")
    new: Lock = replace(old, images=(moved,))
    assert describe_changes(new, old, gpus=NOBODY).splitlines() == [
        "locked",
        f"  {CPU_IMAGE.name}: Python {CPU_IMAGE.python} -> 3.13, user app -> root",
        f"  {GPU_IMAGE.name}: gone",
    ]
    assert f"{CPU_IMAGE.name}: new: pytorch" in describe_changes(old, None, gpus=NOBODY)


def test_changes_fit_eighty_columns() -> None:
    names = KnownGpus(names={"sm_80": ("a rather long name",) * 5}, embedded=frozenset())
    new = replace(
        GPU_IMAGE,
        architectures=("sm_90",),
        command=("x" * 30, "y" * 30, "z" * 30),
        tags=("other:tag",),
        ptx=(),
    )
    text = describe_differences(compare_locks(make_lock(GPU_IMAGE), make_lock(new), gpus=names), gpus=names)
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "drops sm_80 (a rather",
        "drops PTX compute_90",
        "adds tag other:tag",
        "drops tag ghcr.io/acme",
    ):
        assert words in text, text


def test_a_lock_names_the_points_that_were_dropped() -> None:
    lock = replace(make_lock(CPU_IMAGE), dropped=(DroppedPoint(name="a-py37", core=("python==3.7",)),))
    text = describe_lock(Path("x.lock"), lock, None, gpus=NOBODY)
    assert "a-py37 is dropped: python==3.7 cannot hold" in text
    assert "dropped" not in describe_lock(Path("x.lock"), make_lock(CPU_IMAGE), None, gpus=NOBODY)


def test_plain_progress_says_each_step_once_and_hides_machinery() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append, Forecast({"a": 1}))
    step = "[stage-0 2/4] RUN --mount=type=cache,id=x,target=/y     : install OS packages && x"
    for kind in (EventKind.STEP_STARTED, EventKind.STEP_STARTED, EventKind.STEP_DONE):
        progress.handle(BuildEvent(image="a", kind=kind, step=step))
    progress.handle(BuildEvent(image="a", kind=EventKind.IMAGE_FINISHED, result=BUILT))
    assert lines == ["a: [2/4] install OS packages", "a: built in 1 min 2 s"]


def test_progress_says_why_an_image_is_tried_again() -> None:
    event = BuildEvent(image="a", kind=EventKind.IMAGE_AGAIN, line="the store was tidied")
    lines: list[str] = []
    PlainProgress(lines.append, Forecast({"a": 1})).handle(event)
    assert lines == ["a: tried again: the store was tidied"]
    output = io.StringIO()
    live = Progress(console=Console(file=output, width=80))
    LiveProgress(live, Forecast({"a": 1})).handle(event)
    assert output.getvalue() == "a: tried again: the store was tidied\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "?"), (0, "0 B"), (999, "999 B"), (1_500_000, "2 MB"), (5_900_000_000, "5.9 GB")],
)
def test_bytes_are_decimal(count: int | None, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4 s"), (12.4, "12 s"), (185.0, "3 min 5 s")])
def test_durations(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_tables_align() -> None:
    assert table(("a", "long"), [("x", "y"), ("zzz", "")]).splitlines() == [
        "a    long",
        "---  ----",
        "x    y",
        "zzz",
    ]


def test_a_step_is_told_by_what_it_does() -> None:
    machinery = "RUN     --mount=type=cache,id=x,target=/y     --mount=type=secret,id=z     "
    loads = "if [ -s /run/ca.crt ]; then export A=/run/ca.crt; fi &&     "
    own = f"[stage-0 4/5] {machinery}{loads}/bin/sh -euc 'echo hello && exit 3'"
    assert step_text(own) == "[4/5] RUN 'echo hello && exit 3'"
    assert (
        step_text(f"[stage-0 1/5] {machinery}: install OS packages && {loads}x")
        == "[1/5] install OS packages"
    )
    failed = replace(BUILT, state=BuildState.FAILED, failed_step=own, log="a.log")
    assert "cpu failed at: [4/5] RUN 'echo hello && exit 3'\n" in describe_run(
        [CPU_NAMED], {"cpu": failed}, {}
    )

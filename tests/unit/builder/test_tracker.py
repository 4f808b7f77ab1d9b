import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.builder.model import EventKind
from cudaforge.builder.rawjson import Message, Output, Vertex
from cudaforge.builder.tracker import LAST_LINES, Tracker, printable
from tests.unit.builder.recorded import replay

RUN = "[2/2] RUN echo before"


def vertex(name=RUN, *, digest="a", is_started=True, is_completed=False, is_cached=False, error=""):
    return Vertex(
        digest=digest,
        name=name,
        is_started=is_started,
        is_completed=is_completed,
        is_cached=is_cached,
        error=error,
    )


def tracked(*messages, clean=lambda text: text):
    log = []
    tracker = Tracker("train", write=log.append, clean=clean)
    events = [event for message in messages for event in tracker.take(message)]
    return tracker, [*events, *tracker.finish()], log


@pytest.mark.parametrize("version", ["0.13", "0.29"])
def test_a_build_that_succeeds(version):
    tracker, events, log = replay(f"ok.buildx-{version}")
    assert tracker.failed_step is None
    assert {"one", "two", "done"} <= {event.line for event in events if event.kind is EventKind.LOG}
    assert "#7 one" in log
    assert all(event.image == "train" for event in events)
    last_export = [event for event in events if event.step == "exporting to image"][-1]
    assert last_export.kind is EventKind.STEP_DONE
    # FROM, RUN, COPY, RUN and the export.
    assert (last_export.step_index, last_export.step_total, last_export.fraction) == (5, 5, 1.0)


@pytest.mark.parametrize("version", ["0.13", "0.29"])
def test_a_step_that_fails(version):
    tracker, events, log = replay(f"step-fails.buildx-{version}")
    failed = tracker.failed_step
    assert failed is not None
    assert failed.name == '[2/2] RUN echo before; echo "what went wrong" >&2; exit 3'
    assert sorted(failed.lines) == ["before", "what went wrong"]
    assert failed.error.endswith("did not complete successfully: exit code: 3")
    assert tracker.error.endswith("did not complete successfully: exit code: 3")
    assert [event.kind for event in events].count(EventKind.STEP_FAILED) == 1
    assert log[-1].startswith("ERROR: ")


def test_the_failed_step_is_not_one_that_was_cancelled():
    tracker, events, _ = replay("copy-missing")
    assert tracker.failed_step is not None
    assert tracker.failed_step.name == "[2/2] COPY missing /x"
    told = [event.step for event in events if event.kind is EventKind.STEP_FAILED]
    assert told == [tracker.failed_step.name]


def test_a_step_that_another_build_let_go_of_and_that_begins_anew_has_not_failed():
    """BuildKit's answer where two builds share a step and the one that ran it ends."""
    tracker, events, log = tracked(
        Message(vertexes=(vertex(),)),
        Message(vertexes=(vertex(is_completed=True, error="context canceled"),)),
        Message(vertexes=(vertex(),)),
        Message(vertexes=(vertex(is_completed=True),)),
    )
    kinds = [event.kind for event in events]
    assert kinds == [EventKind.STEP_STARTED, EventKind.STEP_STARTED, EventKind.STEP_DONE]
    assert tracker.failed_step is None
    assert log[1] == "#1 CANCELED"


def test_every_step_is_named_once_in_the_log():
    _, _, log = replay("ok.buildx-0.13")
    named = [line for line in log if "RUN echo one" in line]
    assert len(named) == 1


def test_output_of_a_step_that_ends_in_the_same_message_comes_before_its_end():
    output = Output(vertex="a", stream=1, data=b"hello\n")
    _, events, log = tracked(
        Message(vertexes=(vertex(),)),
        Message(vertexes=(vertex(is_completed=True),), outputs=(output,)),
    )
    assert [event.kind for event in events] == [EventKind.STEP_STARTED, EventKind.LOG, EventKind.STEP_DONE]
    assert log[1] == "#1 hello"


def test_lines_that_come_in_pieces():
    pieces = [Output(vertex="a", stream=1, data=data) for data in (b"caf\xc3", b"\xa9 one\ntw", b"o")]
    _, events, _ = tracked(Message(vertexes=(vertex(),)), *(Message(outputs=(piece,)) for piece in pieces))
    assert [event.line for event in events if event.kind is EventKind.LOG] == ["café one", "two"]


def test_the_last_lines_are_kept_and_no_more():
    output = Output(vertex="a", stream=1, data=b"".join(b"%d\n" % number for number in range(1000)))
    tracker, _, _ = tracked(
        Message(vertexes=(vertex(),), outputs=(output,)),
        Message(vertexes=(vertex(is_completed=True, error="exit code: 1"),)),
    )
    assert tracker.failed_step is not None
    assert tracker.failed_step.lines == tuple(str(number) for number in range(1000 - LAST_LINES, 1000))


def test_a_cached_step_says_so_once():
    _, events, log = tracked(
        Message(vertexes=(vertex(is_completed=True, is_cached=True),)),
        Message(vertexes=(vertex(is_completed=True, is_cached=True),)),
    )
    assert [event.kind for event in events] == [EventKind.STEP_CACHED]
    assert log == [f"#1 {RUN}", "#1 CACHED"]


def test_secrets_are_cleaned_out_of_everything():
    def clean(text):
        return text.replace("hunter2", "***")

    tracker, events, log = tracked(
        Message(vertexes=(vertex("[1/1] RUN hunter2"),)),
        Message(outputs=(Output(vertex="a", stream=1, data=b"hunter2\n"),), warnings=("hunter2",)),
        Message(vertexes=(vertex("[1/1] RUN hunter2", is_completed=True, error="hunter2"),)),
        clean=clean,
    )
    tracker.take_text("ERROR: hunter2")
    assert "hunter2" not in repr((events, log, tracker.failed_step, tracker.error))


def test_secrets_that_come_in_pieces_are_cleaned_out():
    pieces = [Output(vertex="a", stream=1, data=data) for data in (b"x hun", b"ter2\n")]
    _, _, log = tracked(
        Message(vertexes=(vertex(),)),
        *(Message(outputs=(piece,)) for piece in pieces),
        clean=lambda text: text.replace("hunter2", "***"),
    )
    assert "#1 x ***" in log


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r20%\r100%", "100%"),
        ("line\r", "line"),
        ("\x1b]8;;https://example.org\x07link\x1b]8;;\x07", "link"),
        ("a\x00b\x07c", "abc"),
        ("left\u202ethgir", "leftthgir"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_printable(raw, shown):
    assert printable(raw) == shown


@given(st.text())
def test_printable_leaves_no_control_character(text):
    assert not any(ord(character) < 32 and character not in "\t\n" for character in printable(text))


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans(), st.booleans(), st.text(max_size=5))
    )
)
def test_the_count_of_steps_never_runs_over(changes):
    messages = [
        Message(
            vertexes=(
                vertex(
                    f"[{digest} 1/1] RUN",
                    digest=digest,
                    is_started=started,
                    is_completed=done,
                    is_cached=cached,
                    error=error,
                ),
            )
        )
        for digest, started, done, cached, error in changes
    ]
    _, events, _ = tracked(*messages)
    assert all(0 <= event.step_index <= event.step_total for event in events)


def test_a_line_without_an_end_comes_before_its_step_s_end():
    _, _, log = tracked(
        Message(vertexes=(vertex(),)),
        Message(outputs=(Output(vertex="a", stream=1, data=b"no line end"),)),
        Message(vertexes=(vertex(is_completed=True),)),
    )
    assert log[1] == "#1 no line end"
    assert log[2].startswith("#1 DONE")


def test_a_cache_that_cannot_be_read_is_told_and_fails_nothing():
    name = "importing cache manifest from localhost:1/cache"
    message = Message(
        vertexes=(
            vertex(name),
            vertex(name, is_completed=True, error="failed to do request: connection refused\nmore"),
            vertex(digest="b"),
            vertex(digest="b", is_completed=True, error="did not complete successfully: exit code: 1"),
        )
    )
    tracker, events, log = tracked(message)
    (told,) = [event for event in events if event.kind is EventKind.CACHE_UNREAD]
    assert told.line == (
        "localhost:1/cache (--cache-from) is left out: failed to do request: connection refused"
    )
    assert tracker.failed_step is not None
    assert tracker.failed_step.name == RUN
    assert "#1 ERROR: failed to do request: connection refused" in log

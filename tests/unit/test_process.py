"""Programs that are started: their output, their deadline, and that none outlives us.

The only program here is this interpreter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cudaforge import process
from cudaforge.errors import Interrupted
from cudaforge.process import ProgramNotFound, ProgramTimeout, end_all, run, stream

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", file=sys.stderr, flush=True)
time.sleep(600)
"""


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def test_output_input_and_status_come_back() -> None:
    done = run(
        python("import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('e'); sys.exit(7)"),
        timeout=60,
        stdin="word",
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "WORD", "e")


def test_the_environment_is_added_to() -> None:
    done = run(
        python("import os; print(os.environ['ADDED'], 'PATH' in os.environ)"), timeout=60, env={"ADDED": "x"}
    )
    assert done.stdout.split() == ["x", "True"]


def test_bytes_that_are_no_text_do_no_harm() -> None:
    done = run(python("import sys; sys.stdout.buffer.write(b'\\xff ok')"), timeout=60)
    assert done.stdout.endswith("ok")


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no-such-program")
    with pytest.raises(ProgramNotFound, match="/no-such-program"):
        run([sys.executable], timeout=1)


def test_at_the_deadline_the_whole_group_ends(tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"
    program = (
        "import subprocess, sys, time, pathlib;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"pathlib.Path({str(grandchild)!r}).write_text(str(child.pid)); time.sleep(600)"
    )
    with pytest.raises(ProgramTimeout, match="2 s"):
        run(python(program), timeout=2)
    assert _is_gone(int(grandchild.read_text()))


def test_lines_come_as_they_are_written() -> None:
    seen: list[str] = []
    status = stream(
        python("import sys; sys.stderr.write('one\\ntwo\\n'); sys.exit(3)"), on_line=seen.append, timeout=60
    )
    assert (status, seen) == (3, ["one", "two"])


def test_both_outputs_as_one() -> None:
    seen: list[str] = []
    program = "import sys; print('out', flush=True); sys.stderr.write('err\\n'); print('end'); sys.exit(4)"
    assert (stream(python(program), on_line=seen.append, with_stdout=True, timeout=60), seen) == (
        4,
        ["out", "err", "end"],
    )


def test_an_error_in_the_callback_ends_the_program() -> None:
    def refuse(line: str) -> None:
        raise KeyError(line)

    started = time.monotonic()
    with pytest.raises(KeyError):
        stream(
            python("import sys, time; sys.stderr.write('x\\n'); sys.stderr.flush(); time.sleep(600)"),
            on_line=refuse,
            timeout=600,
        )
    assert time.monotonic() - started < 60


def test_all_programs_share_one_grace_when_they_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 2.0)
    ready = threading.Barrier(5)
    statuses: list[int] = []

    def follow() -> None:
        def wait_once(line: str) -> None:
            ready.wait(60)

        statuses.append(stream(python(STUBBORN), on_line=wait_once, timeout=600))

    threads = [threading.Thread(target=follow) for _ in range(4)]
    for thread in threads:
        thread.start()
    ready.wait(60)
    started = time.monotonic()
    end_all()
    elapsed = time.monotonic() - started
    for thread in threads:
        thread.join(60)
    assert statuses == [-9] * 4
    assert elapsed < 6


def _is_gone(pid: int, *, seconds: float = 5.0) -> bool:
    for _ in range(int(seconds / 0.05)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    os.kill(pid, 9)
    return False


RUN = """
import sys, threading
from cudaforge import process

CHILD = '''
import os, signal, subprocess, sys, time
if sys.argv[1] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), below.pid, file=sys.stderr, flush=True)
time.sleep(600)
'''
process.GRACE_SECONDS = 1.0
process.stream([sys.executable, "-c", "pass"], on_line=print, timeout=60)
threads = [
    threading.Thread(
        target=process.stream,
        args=([sys.executable, "-c", CHILD, word],),
        kwargs={"on_line": lambda line: print(line, flush=True), "timeout": 600},
    )
    for word in sys.argv[1:]
]
for thread in threads:
    thread.start()
"""


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_run_that_is_killed_leaves_no_program(*, whole_group: bool) -> None:
    """Neither those that it has started nor what is below them, whichever thread started them."""
    with subprocess.Popen(
        python(RUN, "meek", "stubborn"), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        left = [int(pid) for _ in range(2) for pid in child.stdout.readline().split()]
        os.killpg(child.pid, 9) if whole_group else child.kill()
        assert child.stdout.read() == "", "nobody holds what the run had open"
    assert len(left) == 4
    assert all(_is_gone(pid) for pid in left)


def test_who_kills_the_whole_group_does_not_reach_a_watchdog_that_has_just_begun() -> None:
    watchdog = process._Watchdog()
    with subprocess.Popen(python("pass")) as child, watchdog.guarding(child):
        assert watchdog.pid is not None
        assert os.getpgid(watchdog.pid) == watchdog.pid
    watchdog._forget()
    assert os.waitpid(watchdog.pid, 0) == (watchdog.pid, 0)


def test_a_run_that_is_killed_leaves_no_program_whose_output_it_waited_for() -> None:
    """Of uv, git, cosign and `docker push` all is read at the end."""
    program = """
import sys, threading, time
from cudaforge import process
threading.Thread(target=process.run, args=(sys.argv[1:],), kwargs={"timeout": 61}).start()
for _ in range(3000):
    if process._watchdog._guarded:
        break
    time.sleep(0.01)
with process._watchdog._lock:
    print(*process._watchdog._guarded, flush=True)
"""
    command = python(program, *python("import time; time.sleep(600)"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        told = started.stdout.readline()
        started.kill()
    assert _is_gone(int(told))


def test_a_run_that_ends_takes_its_watchdog_along() -> None:
    program = """
import sys
from cudaforge import process
for _ in range(3):
    process.stream([sys.executable, "-c", "pass"], on_line=print, timeout=60)
print(process._watchdog.pid)
"""
    done = run(python(program), timeout=60)
    assert _is_gone(int(done.stdout)), done.stderr


def test_a_watchdog_that_was_killed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pids = set()
    for _ in range(3):
        assert stream(python("pass"), on_line=print, timeout=60) == 0
        pid = process._watchdog.pid
        assert pid is not None
        os.kill(pid, 9)
        assert _is_gone(pid)
        pids.add(pid)
    assert len(pids) == 3

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EAGAIN, "no room")

    monkeypatch.setattr(os, "posix_spawn", refuse)
    assert stream(python("import sys; sys.exit(3)"), on_line=print, timeout=60) == 3


def test_a_watchdog_that_is_held_up_ends_nothing_of_a_run_that_lives(tmp_path: Path) -> None:
    program = """
import pathlib, sys, time
print("up", file=sys.stderr, flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.02)
"""
    is_up, end, statuses = threading.Event(), tmp_path / "end", []
    command = python(program, str(end))

    def follow() -> None:
        statuses.append(stream(command, on_line=lambda _: is_up.set(), timeout=60))

    thread = threading.Thread(target=follow)
    thread.start()
    assert is_up.wait(60)
    watchdog, pipe = process._watchdog.pid, process._watchdog._pipe
    assert watchdog is not None
    assert pipe is not None
    os.kill(watchdog, signal.SIGSTOP)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe, b"-1\n")
        assert stream(python("pass"), on_line=print, timeout=60) == 0
    finally:
        os.kill(watchdog, signal.SIGCONT)
    # Once it has read all of it, it has done what it was going to do.
    os.set_blocking(pipe, True)
    os.write(pipe, b"-1\n" * 30_000)
    os.set_blocking(pipe, False)
    assert not statuses
    end.touch()
    thread.join(60)
    assert statuses == [0]
    assert process._watchdog.pid == watchdog


def test_programs_of_a_moment_have_no_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_watchdog", None)
    assert run(python("pass"), timeout=60).returncode == 0


def test_a_stop_ends_what_runs_and_starts_nothing_more() -> None:
    stopper = threading.Timer(0.5, process.begin_stop)
    stopper.start()
    try:
        started = time.monotonic()
        run(python("import time; time.sleep(600)"), timeout=600)
        assert time.monotonic() - started < 60
        with pytest.raises(Interrupted):
            run(python("pass"), timeout=60)
    finally:
        stopper.join()
        process.end_stop()
    assert run(python("pass"), timeout=60).returncode == 0

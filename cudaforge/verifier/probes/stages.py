"""Work in a child process that may crash, hang, flood its output or be killed for memory.

The child reports each stage over a pipe of its own; the parent keeps the end of whatever it prints,
watches each stage's time and always knows which stage was under way when the child was lost.
"""

import contextlib
import faulthandler
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set

_OUTPUT_KEPT = 6000
_PRINTED_LIMIT = 32 * 1024 * 1024
_MESSAGES_LIMIT = 512 * 1024
_TEXT_LIMIT = 2000
_TICK = 0.1


class Stage(NamedTuple):
    """One piece of work. `stops`: nothing after it makes sense where it fails."""

    name: str
    work: Callable[[], object]
    limit: float
    stops: bool = False


def run_apart(stages: Sequence[Stage], deadline: float) -> Dict[str, object]:
    """Run the stages in a child; say of each how it ended, and how the child did.

    `deadline` is on the monotonic clock and holds for all of them together.
    """
    messages, messages_end = os.pipe()
    output, output_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(messages)
        os.close(output)
        _be_child(stages, messages_end, output_end)
    os.close(messages_end)
    os.close(output_end)
    watch = _Watch(child, messages, output, {stage.name: stage.limit for stage in stages}, deadline)
    try:
        watch.follow()
    finally:
        os.close(messages)
        os.close(output)
    return watch.report()


def describe_error(error: BaseException) -> Dict[str, object]:
    """An exception as facts, never longer than a screen."""
    frames = traceback.extract_tb(error.__traceback__)
    where = "{}:{}".format(frames[-1].filename, frames[-1].lineno) if frames else ""
    text = str(error)
    return {
        "type": type(error).__name__,
        "text": text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + " ...",
        "where": where,
    }


def print_result(prefix: str, facts: Dict[str, Any]) -> None:
    """Print facts as one line and end this process: nothing of the image has the last word."""
    line = "\n{} {}\n".format(prefix, json.dumps(facts, sort_keys=True))
    data = line.encode("ascii")
    sys.stdout.flush()
    while data:
        data = data[os.write(1, data) :]
    os._exit(0)


def _be_child(stages: Sequence[Stage], messages: int, output: int) -> None:
    status = 0
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        faulthandler.enable(2)
        for stage in stages:
            if not _run_stage(stage, messages) and stage.stops:
                break
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        status = 1
    finally:
        # No atexit handlers, no waiting for the framework's threads: all that counts has been reported.
        os._exit(status)


def _run_stage(stage: Stage, messages: int) -> bool:
    _send(messages, {"name": stage.name, "state": "started"})
    started = time.monotonic()
    end: Dict[str, object] = {"name": stage.name, "state": "done"}
    try:
        end["value"] = stage.work()
        json.dumps(end)
    except BaseException as error:
        end = {"name": stage.name, "state": "raised", "error": describe_error(error)}
    end["seconds"] = round(time.monotonic() - started, 3)
    _send(messages, end)
    return end["state"] == "done"


def _send(messages: int, message: Dict[str, object]) -> None:
    data = json.dumps(message).encode("ascii") + b"\n"
    while data:
        data = data[os.write(messages, data) :]


class _Watch:
    """The parent's side of one child."""

    def __init__(
        self, child: int, messages: int, output: int, limits: Dict[str, float], deadline: float
    ) -> None:
        self._child = child
        self._messages = messages
        self._output = output
        self._limits = limits
        self._deadline = deadline
        self._stages: List[Dict[str, object]] = []
        self._unread = b""
        self._received = 0
        self._tail = b""
        self._printed = 0
        self._status: Optional[int] = None
        self._stopped: Optional[str] = None
        self._until = deadline

    def follow(self) -> None:
        """Read until the child is gone; end it where it takes too long or says too much."""
        open_ends = {self._messages, self._output}
        while self._status is None:
            ready = select.select(list(open_ends), [], [], _TICK)[0] if open_ends else []
            for end in ready:
                if not self._read(end):
                    open_ends.discard(end)
            if not open_ends:
                time.sleep(_TICK / 10)
            self._check_limits()
            self._reap(os.WNOHANG)
        self._drain(open_ends)
        self._kill_group()

    def report(self) -> Dict[str, object]:
        """How it went. A stage that never ended is `lost`."""
        for stage in self._stages:
            if stage["state"] == "started":
                stage["state"] = "lost"
        status = self._status or 0
        return {
            "stages": self._stages,
            "exit_status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "stopped": self._stopped,
            "output": self._tail.decode("utf-8", "replace"),
            "printed": self._printed,
        }

    def _read(self, end: int) -> bool:
        data = os.read(end, 65536)
        if end == self._output:
            self._printed += len(data)
            self._tail = (self._tail + data)[-_OUTPUT_KEPT:]
            if self._printed > _PRINTED_LIMIT:
                self._stop("flood")
        else:
            self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MESSAGES_LIMIT:
            self._stop("flood")
            return
        lines = (self._unread + data).split(b"\n")
        self._unread = lines.pop()
        for line in lines:
            message = json.loads(line.decode("ascii"))
            if message["state"] == "started":
                self._until = min(self._deadline, time.monotonic() + self._limits[message["name"]])
                self._stages.append(message)
            else:
                self._stages[-1] = message

    def _check_limits(self) -> None:
        if time.monotonic() > self._until and self._stopped is None:
            self._stop("deadline" if self._until == self._deadline else "limit")

    def _stop(self, reason: str) -> None:
        self._stopped = self._stopped or reason
        self._kill_group()
        if self._status is None:
            os.kill(self._child, signal.SIGKILL)

    def _kill_group(self) -> None:
        # It may be gone already, or not yet be the leader of its group.
        with contextlib.suppress(OSError):
            os.killpg(self._child, signal.SIGKILL)

    def _reap(self, options: int) -> None:
        pid, status = os.waitpid(self._child, options)
        if pid:
            self._status = status

    def _drain(self, open_ends: Set[int]) -> None:
        """What was written before the child ended; its own children may hold the pipes open for ever."""
        until = time.monotonic() + 1.0
        while open_ends and time.monotonic() < until:
            ready = select.select(list(open_ends), [], [], 0)[0]
            if not ready:
                return
            for end in ready:
                if not self._read(end):
                    open_ends.discard(end)

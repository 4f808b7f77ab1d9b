"""A program of its own, which ends the programs that a killed run has left.

Standard input names process groups: `+PID` for one that has begun, `-PID` for one that has ended. The run
alone holds the other end of it, so that it ends with the run, however that ended. What has not ended by then
is asked to end, and is killed after as many seconds as the only argument says. It is started in a process
group of its own.

PR_SET_PDEATHSIG would not do: it is set between fork and exec, where no Python is safe while there are
threads, and reaches the docker command line alone, and not buildx below it.
Only the standard library is imported here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Collection, Iterable
from typing import BinaryIO

_POLL_SECONDS = 0.1
_MOST_DESCRIPTORS = 65_536


def main() -> None:
    """Read standard input to its end, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # What the run was given by others, who may wait until nobody has it, is not held open.
    os.closerange(3, _MOST_DESCRIPTORS)
    os.chdir("/")
    _end(_follow(sys.stdin.buffer), grace=float(sys.argv[1]))


def _follow(lines: BinaryIO) -> Collection[int]:
    """The groups that have not ended when the run did."""
    begun: dict[int, int | None] = {}
    for line in lines:
        sign, pid = line[:1], int(line[1:])
        if sign == b"+":
            begun[pid] = _descriptor(pid)
        else:
            descriptor = begun.pop(pid, None)
            if descriptor is not None:
                os.close(descriptor)
    return [pid for pid, descriptor in begun.items() if not _has_ended(descriptor)]


def _descriptor(pid: int) -> int | None:
    """Stands for the process even once its number means another."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # neither every system nor every kernel has it
        return None


def _has_ended(descriptor: int | None) -> bool:
    return descriptor is not None and bool(select.select([descriptor], [], [], 0)[0])


def _end(groups: Collection[int], *, grace: float) -> None:
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + grace
    left = groups
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = [group for group in left if _signal((group,), 0)]
    _signal(left, signal.SIGKILL)


def _signal(groups: Iterable[int], number: int) -> bool:
    """Whether any of them is there."""
    found = False
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            found = True
    return found


if __name__ == "__main__":
    main()

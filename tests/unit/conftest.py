"""Unit tests cannot touch the machine: no socket leaves loopback, and no program is started but this
very Python (what start-up imports, and how children are ended, shows in a fresh interpreter alone).
"""

import os
import socket
import sys
from collections.abc import Iterator

import pytest

_STARTS = frozenset(
    (
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "pty.spawn",
    )
)
_NAMES_PROGRAM = ("subprocess.Popen", "os.posix_spawn")  # from 3.13 on, the one is followed by the other
_CONNECTS = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"))
_LOOKS_UP = frozenset(("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"))
_LOOPBACK = ("127.", "::1", "localhost")


class TouchesTheMachine(BaseException):
    """A unit test tried to. Not an Exception, so that no code under test swallows it."""


class _Guard:
    active = False


def _check(event: str, arguments: tuple[object, ...]) -> None:
    if not _Guard.active:
        return
    if event in _STARTS and not (event in _NAMES_PROGRAM and _is_this_python(arguments[0])):
        raise TouchesTheMachine(f"a unit test starts a program: {event} {arguments[:2]!r}")
    if event in _CONNECTS and not _stays(arguments[0], arguments[1] if len(arguments) > 1 else None):
        raise TouchesTheMachine(f"a unit test leaves loopback: {event} {arguments[1:]!r}")
    if event in _LOOKS_UP and not _is_loopback(arguments[0]):
        raise TouchesTheMachine(f"a unit test asks for an address: {event} {arguments[:1]!r}")


def _is_this_python(program: object) -> bool:
    return isinstance(program, str | bytes) and os.fsdecode(program) == sys.executable


def _stays(used: object, address: object) -> bool:
    if isinstance(used, socket.socket) and used.family == socket.AF_UNIX:
        return True
    return not isinstance(address, tuple) or _is_loopback(address[0])


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    return text is None or (isinstance(text, str) and (not text or text.startswith(_LOOPBACK)))


# An audit hook sees every way to a process or a socket and cannot be removed: one per test run.
sys.addaudithook(_check)


@pytest.fixture(autouse=True)
def _guard_machine() -> Iterator[None]:
    _Guard.active = True
    yield
    _Guard.active = False

"""From an exception of the Docker SDK to the error that says what is wrong with the engine."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from cudaforge.engine.errors import (
    EngineAbsent,
    EngineDenied,
    EngineDied,
    EngineError,
    EngineFrozen,
    EngineRefused,
    EngineUnreachable,
)
from cudaforge.engine.locate import EngineAddress
from cudaforge.engine.words import EngineWords, words_at, words_of_host
from cudaforge.errors import Problem


def explain_connecting(error: BaseException, address: EngineAddress, *, timeout: float) -> EngineError:
    """Why no engine could be reached at `address`."""
    chain = tuple(_chain(error))
    words = words_at(address)
    is_reached = not _is_connect_timeout(chain)
    if is_reached and _is_timeout(chain):
        return _frozen(address, timeout, words)
    if _has_errno(chain, errno.EACCES, errno.EPERM):
        return _denied(address, words)
    if not address.said_by and _has_errno(chain, errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR):
        return EngineAbsent(
            Problem(
                what="no container engine is running on this host",
                because=(f"nothing listens at {address.host}",),
                remedy=words_of_host().install,
            )
        )
    return EngineUnreachable(
        Problem(
            what=f"no container engine answers at {address.host}",
            because=(*_named_by(address), _reason(chain) if is_reached else _no_connection(timeout)),
            remedy=_other_address(address, words),
        )
    )


def explain_call(
    error: BaseException, address: EngineAddress, *, doing: str, timeout: float, words: EngineWords
) -> EngineError:
    """Why a call failed on an engine that had been reached before. `words` are that engine's."""
    chain = tuple(_chain(error))
    if _is_connect_timeout(chain):
        return engine_died(address, doing=doing, reason=_no_connection(timeout))
    if _is_timeout(chain):
        return _frozen(address, timeout, words)
    status = getattr(error, "status_code", None)
    if status is not None:
        said = str(getattr(error, "explanation", None) or error)
        return EngineRefused(
            Problem(what=f"the engine was asked {doing} and refused: {said} (HTTP {status})")
        )
    return engine_died(address, doing=doing, reason=_reason(chain))


def engine_died(address: EngineAddress, *, doing: str, reason: str) -> EngineDied:
    """The engine stopped answering in the middle of the work."""
    return EngineDied(
        Problem(
            what="the container engine went away",
            because=(f"it was asked {doing}", f"{address.host}: {reason}"),
            remedy="start it again and repeat the command: what was finished is kept",
        )
    )


def _other_address(address: EngineAddress, words: EngineWords) -> str:
    start = "start the engine there"
    if address.is_local and words.is_podman:
        start = f"start it ({words.start})"
    if address.said_by.startswith("context "):
        return f"{start}, or choose another: docker context use NAME, or DOCKER_HOST"
    return f"{start}, or correct {address.said_by or 'DOCKER_HOST'}"


def _frozen(address: EngineAddress, timeout: float, words: EngineWords) -> EngineFrozen:
    return EngineFrozen(
        Problem(
            what=f"the container engine does not answer within {timeout:g} s",
            because=(f"{address.host} accepts the request and stays silent", *_named_by(address)),
            remedy=f"restart the engine ({words.restart}); look at its log for the reason",
        )
    )


def _denied(address: EngineAddress, words: EngineWords) -> EngineDenied:
    return EngineDenied(
        Problem(
            what="this user may not use the container engine",
            because=(f"{address.socket or address.host} refuses access", *_named_by(address)),
            remedy=words.allow,
        )
    )


def _named_by(address: EngineAddress) -> tuple[str, ...]:
    return (f"the address is from {address.said_by}",) if address.said_by else ()


def _no_connection(timeout: float) -> str:
    return f"no connection within {timeout:g} s"


def _is_connect_timeout(chain: tuple[BaseException, ...]) -> bool:
    """Whether the time went by before anything was asked: nobody is there, or packets are dropped."""
    return _has_errno(chain, errno.ETIMEDOUT) or any(
        type(error).__name__.startswith("ConnectTimeout") for error in chain
    )


def _is_timeout(chain: tuple[BaseException, ...]) -> bool:
    return any(
        isinstance(error, (TimeoutError, socket.timeout)) or "Timeout" in type(error).__name__
        for error in chain
    )


def _has_errno(chain: tuple[BaseException, ...], *numbers: int) -> bool:
    return any(isinstance(error, OSError) and error.errno in numbers for error in chain)


def _reason(chain: tuple[BaseException, ...]) -> str:
    """The innermost cause, in its own words."""
    for error in reversed(chain):
        if isinstance(error, ssl.SSLError):
            return f"TLS failed: {error.reason or error}"
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
    text = str(chain[-1]).strip()
    return (text.splitlines()[0] if text else type(chain[-1]).__name__)[:300]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from; the SDK and requests also hide causes in `args`."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, tuple):
            waiting.extend(current)
        elif isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting.extend([current.args, current.__cause__, current.__context__])

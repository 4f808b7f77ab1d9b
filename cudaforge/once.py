"""Questions to the outside that several threads have, each asked once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from cudaforge.errors import CudaforgeError, Problem

_Answer = TypeVar("_Answer")


class NotAsked(CudaforgeError):
    """A question that nobody asks any more: the run fails already by another one."""

    def __init__(self) -> None:
        super().__init__(Problem(what="not asked: the run ends"))


class Once(Generic[_Answer]):
    """Answers by question. Who asks what another thread is asking right now waits for that answer; a failure
    is an answer, too. Safe between threads."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, Future[_Answer]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def find(self, question: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """What `ask` returns or raises, or did when somebody had the same question before.

        Raises NotAsked for a new question after `close`.
        """
        with self._lock:
            known = self._answers.get(question)
            if known is None:
                if self._is_closed:
                    raise NotAsked
                own = self._answers[question] = Future[_Answer]()
        if known is not None:
            return known.result()
        try:
            own.set_result(ask())
        except BaseException as error:  # noqa: BLE001 -- whoever waits must not wait for ever
            own.set_exception(error)
        return own.result()

    def close(self) -> None:
        """Ask nothing new from now on; what is being asked comes to its end."""
        with self._lock:
            self._is_closed = True

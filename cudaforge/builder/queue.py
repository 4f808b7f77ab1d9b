"""One queue of images before several builders. Safe between threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence


class JobQueue:
    """Hands out each job once; what a lost builder had in its hands goes back.

    Jobs and builders are known by their numbers. Jobs are handed out in the order given.
    """

    def __init__(self, jobs: Iterable[int], builders: Iterable[int]) -> None:
        self._waiting = list(jobs)
        self._running: set[int] = set()
        self._tried: dict[int, set[int]] = {}
        self._builders = set(builders)
        self._is_closed = False
        self._changed = threading.Condition()

    def take(self, builder: int) -> int | None:
        """The next job for this builder; None when it will get no more.

        Waits while others build what may yet come back.
        """
        with self._changed:
            while not self._is_closed and builder in self._builders:
                for job in self._waiting:
                    if builder not in self._tried.get(job, ()):
                        self._waiting.remove(job)
                        self._running.add(job)
                        return job
                if not self._waiting and not self._running:
                    break
                self._changed.wait()
            return None

    def finish(self, job: int) -> None:
        """The job has its result."""
        with self._changed:
            self._running.discard(job)
            self._changed.notify_all()

    def give_back(self, job: int, *, failed_on: int) -> bool:
        """Let another builder try; False, and the job is finished, where none is left that has not."""
        with self._changed:
            self._running.discard(job)
            self._tried.setdefault(job, set()).add(failed_on)
            has_other = bool(self._builders - self._tried[job]) and not self._is_closed
            if has_other:
                self._waiting.insert(0, job)
            self._changed.notify_all()
            return has_other

    def take_out(self, builder: int) -> Sequence[int]:
        """Give this builder nothing more; returns the waiting jobs that no builder is left for."""
        with self._changed:
            self._builders.discard(builder)
            orphans = [job for job in self._waiting if not self._builders - self._tried.get(job, set())]
            self._waiting = [job for job in self._waiting if job not in orphans]
            self._changed.notify_all()
            return orphans

    def has_builder(self, builder: int) -> bool:
        """Whether this builder still gets jobs."""
        with self._changed:
            return builder in self._builders

    @property
    def builders(self) -> frozenset[int]:
        """The builders that are left."""
        with self._changed:
            return frozenset(self._builders)

    def close(self) -> None:
        """Hand out nothing more; what runs may end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

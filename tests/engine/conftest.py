"""What tests on a real engine share: the engine itself, a registry, a fake GPU.

Without an engine they are skipped, with the reason; under CI=true that is an error, since a run
that proves nothing must not be green.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pytest

from tests.support.engine import Engine, NotReachable, find_engine, find_registry
from tests.support.fakegpu import FakeGpus, offer_gpus

Found = TypeVar("Found")


def _require(find: Callable[[], Found]) -> Found:
    try:
        return find()
    except NotReachable as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true needs it: {reason}", pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The reachable Docker engine."""
    return _require(find_engine)


@pytest.fixture(scope="session")
def registry(engine: Engine) -> str:
    """`host:port` of a registry that the engine reaches without TLS."""
    return _require(find_registry)


class OfferGpus:
    """`offer(HEALTHY)` lets the engine offer fake GPUs until the test ends, and gives their CDI name."""

    def __init__(self, engine: Engine, until_the_end: ExitStack) -> None:
        self._engine = engine
        self._until_the_end = until_the_end

    def __call__(self, gpus: FakeGpus) -> str:
        return self._until_the_end.enter_context(self.during(gpus))

    @contextmanager
    def during(self, gpus: FakeGpus) -> Iterator[str]:
        """The same for a block."""
        with ExitStack() as offered:
            yield _require(lambda: offered.enter_context(offer_gpus(self._engine, gpus)))


@pytest.fixture
def offer_fake_gpus(engine: Engine) -> Iterator[OfferGpus]:
    """Fake GPUs in real containers. One offer at a time: end one with `during` before the next."""
    with ExitStack() as until_the_end:
        yield OfferGpus(engine, until_the_end)

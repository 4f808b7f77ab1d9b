"""What tests on a real engine share: the engine itself, a registry, a fake GPU.

Without an engine they are skipped, with the reason; under CI=true that is an error, since a run
that proves nothing must not be green.
"""

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.support.engine import Engine, NotReachable, find_engine, find_registry

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

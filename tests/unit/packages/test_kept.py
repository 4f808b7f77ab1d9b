"""Versions of an earlier closure that uv let go of."""

import pytest

from cudaforge.errors import CudaforgeError, NegativeAnswer, Problem, SurroundingsError
from cudaforge.packages.kept import find_keeping
from cudaforge.packages.model import ClosureRequest
from cudaforge.packages.question import Offer
from cudaforge.records import replace
from tests.support.locks import GPU_IMAGE

EARLIER = replace(GPU_IMAGE.closure.wheels[0], package="a", version="1")


def offer(version: str) -> Offer:
    return Offer(
        package="a", version=version, filename="a.whl", address="https://i.test/a", sha256=None, size=None
    )


REQUEST = ClosureRequest(
    name="train",
    requirements=("a",),
    constraints=(),
    packages=(),
    python="3.12",
    platform="linux/amd64",
    glibc="2.36",
    indexes={},
    index_of={},
    preferred=(EARLIER,),
)


def test_a_version_that_was_let_go_of_is_asked_for_by_itself():
    def ask(request: ClosureRequest) -> tuple[Offer, ...]:
        return (offer("1" if "a==1" in request.limits else "2"),)

    assert [one.version for one in find_keeping(REQUEST, ask)] == ["1"]


@pytest.mark.parametrize("kind", [SurroundingsError, NegativeAnswer])
def test_an_earlier_version_that_cannot_be_had_leaves_the_answer(kind: type[CudaforgeError]):
    """Its own needs may come from an index that is down, or from an address, which no lock holds."""

    def ask(request: ClosureRequest) -> tuple[Offer, ...]:
        if request.limits:
            raise kind(Problem(what="b is to be had at an address alone"))
        return (offer("2"),)

    assert [one.version for one in find_keeping(REQUEST, ask)] == ["2"]

"""Several images at a time, and their errors as one."""

from __future__ import annotations

import threading

import pytest

from cudaforge.errors import (
    CudaforgeError,
    InputError,
    Interrupted,
    NegativeAnswer,
    Problem,
    SurroundingsError,
)
from cudaforge.once import Once
from cudaforge.pipeline.at_once import WORKERS, make_all, map_images

NAMES = tuple(f"image-{number}" for number in range(41))


def whats(error: pytest.ExceptionInfo[CudaforgeError]) -> list[str]:
    return [problem.what for problem in error.value.problems]


def make(names, work, question_of=lambda name: name, close=lambda: None):
    made, error = make_all(names, work, question_of=question_of, close=close)
    if error is not None:
        raise error
    return made


def test_the_first_image_of_each_question_goes_ahead_and_the_answer_keeps_the_order() -> None:
    begun: list[str] = []

    def work(name: str) -> str:
        begun.append(name)
        return name.upper()

    names = ("a1", "a2", "a3", "b1", "b2", "c1")
    found = map_images(names, work, question_of=lambda name: name[0])
    assert list(found.items()) == [(name, name.upper()) for name in names]
    assert {*begun[:3]} == {"a1", "b1", "c1"}


def test_images_with_one_question_leave_no_thread_idle_while_there_are_others() -> None:
    """As many questions are under way at a time as there are threads, though the images of each stand
    together."""
    together, once = threading.Barrier(WORKERS), Once[int]()

    def work(name: str) -> int:
        return once.find(name[0], lambda: together.wait(10))

    names = [f"{letter}{number}" for letter in "abcd" for number in range(10)]
    assert len(set("abcd")) == WORKERS
    map_images(names, work, question_of=lambda name: name[0])


def test_what_failed_alike_is_told_once_with_the_images_that_it_concerns() -> None:
    def work(name: str) -> str:
        if name == "image-7":
            raise NegativeAnswer(Problem(what=f"{name}: something else"))
        raise NegativeAnswer(Problem(what=f"{name}: no set of packages fits", because=("a needs b",)))

    with pytest.raises(NegativeAnswer) as caught:
        make(NAMES, work)
    assert whats(caught) == [
        "image-0, image-1, image-2 and 37 more: no set of packages fits",
        "image-7: something else",
    ]


def test_reasons_that_differ_are_told_apart() -> None:
    def work(name: str) -> str:
        raise NegativeAnswer(Problem(what=f"{name}: no", because=(name,)))

    with pytest.raises(NegativeAnswer) as caught:
        make(NAMES[:2], work)
    assert whats(caught) == ["image-0: no", "image-1: no"]


def test_an_image_that_fails_leaves_the_others_to_go_on_and_all_is_told() -> None:
    made: list[str] = []

    def work(name: str) -> str:
        if name in ("image-3", "image-40"):
            raise InputError([Problem(what=f"{name}: one"), Problem(what=f"{name}: two")])
        made.append(name)
        return name

    with pytest.raises(InputError) as caught:
        make(NAMES, work)
    assert whats(caught) == ["image-3, image-40: one", "image-3, image-40: two"]
    assert len(made) == len(NAMES) - 2


def test_where_surroundings_fail_nothing_new_is_asked_and_who_asked_the_same_is_named() -> None:
    """Each image of a silent index would else wait for its time-outs by itself."""
    once, asked = Once[str](), []

    def question_of(name: str) -> str:
        """The first ten have one question, each of the others one of its own."""
        return "shared" if name in NAMES[:10] else name

    def work(name: str) -> str:
        def ask() -> str:
            asked.append(name)
            raise SurroundingsError(Problem(what="the package index is silent", remedy="check the network"))

        return once.find(question_of(name), ask)

    with pytest.raises(SurroundingsError) as caught:
        make(NAMES, work, question_of, once.close)
    (problem,) = caught.value.problems
    assert len(asked) <= WORKERS
    concerned = 10 + len(asked) - 1
    assert problem.what == (
        f"image-0, image-1, image-2 and {concerned - 3} more: the package index is silent"
    )
    assert problem.because == (f"so nothing was asked for {len(NAMES) - concerned} other images",)
    assert problem.remedy == "check the network"


def test_what_the_others_wait_for_is_told_first() -> None:
    once, is_silent = Once[str](), threading.Event()

    def work(name: str) -> str:
        if name == "image-0":
            raise NegativeAnswer(Problem(what=f"{name}: no"))
        if name == "image-1":
            is_silent.set()
            raise SurroundingsError(Problem(what="silent"))
        assert is_silent.wait(10)
        once.close()
        return once.find(name, lambda: name)

    with pytest.raises(SurroundingsError) as caught:
        make(NAMES[:4], work, close=once.close)
    first, second = caught.value.problems
    assert (first.what, first.because) == (
        "image-1: silent",
        ("so nothing was asked for 2 other images",),
    )
    assert (second.what, second.because) == ("image-0: no", ())


def test_the_kind_that_says_least_of_the_question_comes_first() -> None:
    kinds = {"a": NegativeAnswer, "b": InputError, "c": SurroundingsError}

    def work(name: str) -> str:
        raise kinds[name](Problem(what="no"))

    for names, kind in (("a", NegativeAnswer), ("ab", InputError), ("cab", SurroundingsError)):
        with pytest.raises(kind) as caught:
            make(tuple(names), work)
        assert type(caught.value) is kind
        assert whats(caught) == [f"{', '.join(names)}: no"]


@pytest.mark.parametrize("kind", [Interrupted, ZeroDivisionError])
def test_an_interrupt_or_a_bug_ends_the_run_at_once(kind: type[Exception]) -> None:
    begun: list[str] = []

    def work(name: str) -> str:
        begun.append(name)
        if name == "image-0":
            raise kind
        assert threading.Event().wait(0.02) is False
        return name

    with pytest.raises(kind):
        make(NAMES, work)
    assert len(begun) < len(NAMES)

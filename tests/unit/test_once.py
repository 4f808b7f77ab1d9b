"""Questions that several threads have: one of them asks, and all get what it gets."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.errors import CudaforgeError, Problem, SurroundingsError
from cudaforge.once import NotAsked, Once


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 6))
def test_each_question_is_asked_once_and_everybody_gets_its_answer(questions: list[int], threads: int):
    asked: list[int] = []
    once: Once[str] = Once()

    def look(question: int) -> str:
        def ask() -> str:
            asked.append(question)
            return f"answer to {question}"

        return once.find(question, ask)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(look, questions))
    assert found == [f"answer to {question}" for question in questions]
    assert sorted(asked) == sorted(set(questions))


def test_who_comes_while_it_is_asked_waits_for_the_answer_and_others_do_not():
    once: Once[str] = Once()
    is_asking, may_answer = threading.Event(), threading.Event()

    def slow() -> str:
        is_asking.set()
        assert may_answer.wait(10)
        return "slow"

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(once.find, "a", slow)
        assert is_asking.wait(10)
        second = pool.submit(once.find, "a", pytest.fail)
        assert pool.submit(once.find, "b", lambda: "quick").result(10) == "quick"
        assert not second.done()
        may_answer.set()
        assert (first.result(10), second.result(10)) == ("slow", "slow")


@pytest.mark.parametrize("kind", [SurroundingsError, CudaforgeError])
def test_a_failure_is_an_answer_too(kind: type[CudaforgeError]):
    once: Once[str] = Once()
    asked = []

    def ask() -> str:
        asked.append(1)
        raise kind(Problem(what="silent"))

    for _ in range(2):
        with pytest.raises(kind, match="silent"):
            once.find("a", ask)
    assert len(asked) == 1


def test_whoever_waits_is_told_of_any_end_of_the_one_who_asks():
    """A signal in the thread that asks, or a mistake of ours, must leave no thread that waits for ever."""

    class Stop(BaseException):
        pass

    once: Once[str] = Once()
    is_asking, may_fail = threading.Event(), threading.Event()

    def ask() -> str:
        is_asking.set()
        assert may_fail.wait(10)
        raise Stop

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(once.find, "a", ask)
        assert is_asking.wait(10)
        second = pool.submit(once.find, "a", pytest.fail)
        may_fail.set()
        assert isinstance(first.exception(10), Stop)
        assert isinstance(second.exception(10), Stop)


def test_after_it_is_closed_what_is_known_is_told_and_nothing_is_asked():
    once: Once[str] = Once()
    once.find("a", lambda: "known")
    once.close()
    assert once.find("a", pytest.fail) == "known"
    for _ in range(2):
        with pytest.raises(NotAsked):
            once.find("b", pytest.fail)

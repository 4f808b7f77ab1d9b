"""Records mean what frozen dataclasses with slots mean."""

from __future__ import annotations

import copy
import pickle

import pytest

from cudaforge.records import FrozenRecordError, field_names, is_record, made, record, replace, values_of


@record()
class Point:
    """Two numbers."""

    x: int
    y: int = 2
    tags: list[str] = made(default_factory=list)

    @property
    def total(self) -> int:
        return self.x + self.y


@record()
class Place(Point):
    name: str = "here"


@record(kw_only=False)
class Pair:
    left: str
    right: str = "r"

    def __post_init__(self) -> None:
        if self.left == self.right:
            raise ValueError("both alike")


@record(eq=False)
class Apart:
    one: int


def test_fields_defaults_and_properties() -> None:
    point = Point(x=1)
    assert (point.x, point.y, point.tags, point.total) == (1, 2, [], 3)
    assert Point(x=1).tags is not point.tags
    assert field_names(Point) == field_names(point) == ("x", "y", "tags")
    assert values_of(point) == {"x": 1, "y": 2, "tags": []}
    assert (is_record(point), is_record(Point), is_record(1)) == (True, True, False)


def test_a_record_inherits_fields_and_defaults() -> None:
    place = Place(x=1, name="there")
    assert values_of(place) == {"x": 1, "y": 2, "tags": [], "name": "there"}
    assert place != Point(x=1)


def test_equality_and_hash_go_by_value_or_by_identity() -> None:
    assert Pair("a") == Pair("a", "r")
    assert hash(Pair("a")) == hash(Pair("a", "r"))
    assert Pair("a") != Pair("b")
    assert Pair("a") != "a"
    assert Apart(one=1) != Apart(one=1)
    assert len({Apart(one=1), Apart(one=1)}) == 2


def test_a_record_never_changes() -> None:
    point = Point(x=1)
    with pytest.raises(FrozenRecordError, match=r"Point\.x cannot be changed"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenRecordError):
        del point.y
    with pytest.raises(AttributeError):
        point.z = 3  # type: ignore[attr-defined]
    assert replace(point, y=5) == Point(x=1, y=5)
    assert point.y == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Point, "Point misses x"),
        (lambda: Point(x=1, z=2), "Point has no field 'z'"),
        (lambda: Point(1), "takes 0 fields by position"),
        (lambda: Pair("a", "b", "c"), "takes 2 fields by position"),
        (lambda: Pair("a", left="b"), "got 'left' twice"),
        (lambda: replace(Point(x=1), z=2), "Point has no field 'z'"),
    ],
)
def test_wrong_fields_are_refused(wrong, message) -> None:
    with pytest.raises(TypeError, match=message):
        wrong()


def test_what_is_checked_after_making_is_checked_after_replacing() -> None:
    with pytest.raises(ValueError, match="both alike"):
        Pair("r")
    with pytest.raises(ValueError, match="both alike"):
        replace(Pair("a"), left="r")


def test_a_class_of_which_many_are_made_means_the_same() -> None:
    @record(kw_only=False)
    class Often(Pair):
        parts: list[str] = made(default_factory=list)

    many = [Often("a", right=str(number)) for number in range(300)]
    assert [one.right for one in many] == [str(number) for number in range(300)]
    assert many[0].parts == many[-1].parts == []
    assert many[-1].parts is not many[-2].parts
    assert Often("a") == replace(many[-1], right="r") == many[0].__class__(left="a")
    assert Often("a", parts=["x"]).parts == ["x"]
    with pytest.raises(ValueError, match="both alike"):
        Often("r")
    with pytest.raises(TypeError):
        Often()
    with pytest.raises(TypeError):
        Often("a", unknown=1)
    with pytest.raises(FrozenRecordError):
        many[-1].left = "b"  # type: ignore[misc]
    assert Pair("a") == Pair("a", "r")  # what it inherits from is as it was


def test_a_field_without_a_default_may_follow_one_that_has_one() -> None:
    @record(kw_only=False)
    class Odd:
        first: int = 1
        second: int

    assert [Odd(second=number).first for number in range(300)] == [1] * 300
    with pytest.raises(TypeError, match="Odd misses second"):
        Odd()


def test_copies_pickles_patterns_and_text() -> None:
    pair = Pair("a", "b")
    assert pickle.loads(pickle.dumps(pair)) == copy.deepcopy(pair) == copy.copy(pair) == pair
    assert repr(pair) == "Pair(left='a', right='b')"
    match pair:
        case Pair(left, right):
            assert (left, right) == ("a", "b")

"""Standalone Pythons: when they are an answer, and which of them."""

from __future__ import annotations

import pytest

from cudaforge.matrix import Matrix
from cudaforge.pipeline.decide import load_words
from cudaforge.resolver import Conflict, Earlier, Resolution, resolve, resolve_all
from cudaforge.resolver.model import PythonProvider
from cudaforge.versions import VersionWish
from tests.unit.resolver import rows

TORCHY = rows.framework_wish("torchy")
STANDALONE = [rows.standalone(one) for one in ("3.10.2", "3.11.4", "3.11.9", "3.12.1")]


def with_standalone(*names: str) -> Matrix:
    """Builds for two Pythons on these systems, whose archives have others, and standalone Pythons."""
    return Matrix.from_rows(
        frameworks=(rows.framework("torchy"),),
        builds=(
            rows.cpu_build("torchy", "1.0", pythons=("3.11",)),
            rows.cpu_build("torchy", "2.0", pythons=("3.12",)),
        ),
        systems=tuple(rows.system(name, "2.35", "3.10" if name == "ubuntu22.04" else None) for name in names),
        standalone_pythons=STANDALONE,
        as_of="2026-11-22",
    )


def test_a_standalone_python_is_an_answer_where_nothing_else_is() -> None:
    matrix = with_standalone("ubuntu22.04", "rocky9")
    answer = resolve(rows.wishes(frameworks=(TORCHY,), is_cpu=True), matrix)
    assert isinstance(answer, Resolution)
    assert (answer.python, answer.python_provider, answer.os) == (
        "3.12",
        PythonProvider.STANDALONE,
        "ubuntu22.04",
    )
    assert answer.standalone is not None
    assert str(answer.standalone.version) == "3.12.1"
    assert answer.python_packages == ("libgomp1",)
    assert not answer.size.known


@pytest.mark.parametrize(
    ("python", "release"),
    [("3.11", "3.11.9"), ("3.11.4", "3.11.4"), (">=3.11,<3.11.9", "3.11.4"), (">=3.11.5,<3.12", "3.11.9")],
)
def test_of_a_minor_the_newest_is_taken_and_a_patch_where_it_is_wished_for(python: str, release: str) -> None:
    asked = rows.wishes(frameworks=(TORCHY,), is_cpu=True, python=VersionWish(python))
    answer = resolve(asked, with_standalone("ubuntu22.04"))
    assert isinstance(answer, Resolution)
    assert answer.standalone is not None
    assert str(answer.standalone.version) == release


def test_a_patch_that_is_locked_stays() -> None:
    declaration = load_words(["torchy", "cuda=none", "python==3.11"])
    before = {"cuda": None, "cudnn": None, "python": "3.11", "os": "ubuntu22.04", "base": "ubuntu22.04:plain"}
    earlier = Earlier(frameworks={}, standalone="3.11.4", **before)
    (found,) = resolve_all(declaration, with_standalone("ubuntu22.04"), earlier={"adhoc": earlier})
    assert isinstance(found.answer, Resolution)
    assert found.answer.standalone is not None
    assert str(found.answer.standalone.version) == "3.11.4"


def test_where_no_package_can_be_installed_that_is_said() -> None:
    asked = rows.wishes(frameworks=(TORCHY,), is_cpu=True, os="rocky9")
    answer = resolve(asked, with_standalone("ubuntu22.04", "rocky9"))
    assert isinstance(answer, Conflict)
    assert answer.core == ("os=rocky9",)
    assert [reason.text for reason in answer.reasons] == ["OS packages of rocky9 cannot be installed yet"]


def test_an_own_base_takes_a_standalone_python_where_it_is_asked_to() -> None:
    asked = rows.wishes(
        frameworks=(TORCHY,),
        is_cpu=True,
        base="registry.example/own:1",
        os="ubuntu22.04",
        python_provider="standalone",
    )
    answer = resolve(asked, with_standalone("ubuntu22.04"))
    assert isinstance(answer, Resolution)
    assert (answer.base_image, answer.python) == ("registry.example/own:1", "3.12")


def test_of_a_patch_that_is_not_known_the_nearest_are_told() -> None:
    asked = rows.wishes(frameworks=(TORCHY,), is_cpu=True, python=VersionWish("3.11.7"))
    answer = resolve(asked, with_standalone("ubuntu22.04"))
    assert isinstance(answer, Conflict)
    assert "nearest known: 3.10.2, 3.11.4, 3.11.9, 3.12.1;" in answer.reasons[0].text

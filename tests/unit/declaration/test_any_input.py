"""Whatever stands in a file: a Declaration, or an InputError that can be printed. Nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudaforge.declaration import load_declaration
from cudaforge.declaration.fields import DEFAULT_FIELDS, MATRICES_FIELDS, NETWORK_FIELDS, PROJECT_FIELDS
from cudaforge.declaration.layers import TOP_FIELDS
from cudaforge.declaration.model import ImageDeclaration
from cudaforge.declaration.text import find_refused_character, has_credentials
from cudaforge.display import show
from cudaforge.errors import InputError, Problem

SETTINGS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FIELDS = (*DEFAULT_FIELDS, *TOP_FIELDS, *PROJECT_FIELDS, *NETWORK_FIELDS, *MATRICES_FIELDS)
NAMES = [field.name for field in FIELDS] + [
    "matrix",
    "exclude",
    "include",
    "from",
    "to",
    "gpu",
    "steps",
    "value",
]
KEY = st.one_of(st.sampled_from(NAMES), st.text(max_size=5))
TEXTS = [
    "12.8",
    "pytorch>=2",
    ">=1,<2",
    "none",
    ".",
    "..",
    "*",
    "a*",
    "5m",
    "8GiB",
    "x.txt",
    "linux/amd64",
    "devel",
]
SCALAR = st.one_of(
    st.sampled_from(TEXTS),
    st.text(max_size=8),
    st.integers(-5, 10**20),
    st.booleans(),
    st.floats(width=32),
    st.times(),
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12
)


def _string(text: str) -> str:
    return (
        '"'
        + "".join(
            c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text
        )
        + '"'
    )


def _dump(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _string(value)
        case list():
            return "[" + ", ".join(_dump(one) for one in value) + "]"
        case dict():
            return "{ " + ", ".join(f"{_string(key)} = {_dump(one)}" for key, one in value.items()) + " }"
        case _:
            return str(value)


def _check(path: Path) -> None:
    problems: tuple[Problem, ...] = ()
    images: tuple[ImageDeclaration, ...] = ()
    try:
        images = load_declaration(path).images
    except InputError as error:
        problems = error.problems
    assert bool(images) is not bool(problems)
    assert len({image.name for image in images}) == len(images)
    for problem in problems:
        assert problem.what.isprintable()
        assert (problem.remedy or "").isprintable()
        assert problem.where is not None
        assert (problem.where.key or "").isprintable()
        assert problem.where.line is None or problem.where.line >= 1


@given(st.dictionaries(KEY, VALUE, max_size=6), st.dictionaries(KEY, VALUE, max_size=6))
@SETTINGS
def test_any_structure(tmp_path: Path, image: dict[str, object], top: dict[str, object]) -> None:
    lines = [f"{_string(key)} = {_dump(value)}" for key, value in top.items() if key != "images"]
    lines += ["[images.a]", *(f"{_string(key)} = {_dump(value)}" for key, value in image.items())]
    path = tmp_path / "cudaforge.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    _check(path)


@given(st.text(max_size=200))
@SETTINGS
def test_any_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cudaforge.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    _check(path)


@given(st.binary(max_size=100))
@SETTINGS
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cudaforge.toml"
    path.write_bytes(data)
    _check(path)


@given(st.text(max_size=100))
@SETTINGS
def test_any_requirements(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    path = tmp_path / "cudaforge.toml"
    path.write_text('[images.a]\nframework = "jax"\nrequirements = "r.txt"\n')
    _check(path)


@given(st.text())
def test_shown_text_is_printable_and_short(text: str) -> None:
    assert show(text).isprintable()
    assert find_refused_character(show(text)) is None
    assert len(show(text)) < 82 * 10


@given(st.text(alphabet=st.characters(blacklist_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=40))
@SETTINGS
def test_text_without_refused_characters_arrives_unchanged(tmp_path: Path, text: str) -> None:
    if find_refused_character(text) is not None or has_credentials(text):
        return
    path = tmp_path / "cudaforge.toml"
    path.write_text(f'[images.a]\nframework = "jax"\nenv = {{ A = {_string(text)} }}\n', encoding="utf-8")
    assert load_declaration(path).images[0].contents.env == {"A": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:p@h", True),
        ("https://token@h", True),
        ("x postgres://u:p@h/db", True),
        ("https://u:$PASS@h", False),
        ("https://$(cat /run/secrets/t)@h", False),
        ("ssh://git@h", False),
        ("git+ssh://git@h", False),
        ("ssh://git:p@h", True),
        ("https://h/a@b", False),
        ("https://h?x=a@b", False),
        ("mail a@b", False),
    ],
)
def test_credentials(text: str, expected: bool) -> None:  # noqa: FBT001
    assert has_credentials(text) is expected
    assert not expected or "***@" in show(text)

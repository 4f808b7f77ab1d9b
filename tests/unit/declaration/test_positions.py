"""Lines of keys in TOML text, and limits checked before parsing."""

from __future__ import annotations

import sys
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cudaforge.declaration.positions import find_lines, find_too_deep
from cudaforge.declaration.toml import parse_toml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = """\
# [not.a.table]
top = "a # b" # comment with [ and "
'quoted key' . "in\\u0041" = 1

[images."my name".x] # comment
a.b.c = { d = [1, 2, { e = "}" }], "f.g" = 2 }
multi = \"\"\"
fake = 1
[fake]
\\\"""\"\"\"
literal = '''
fake = 2'''
after = [
  # comment ]
  "x", 'y]',

  [ "z" ],
]
[[list]]
k = 1979-05-27 07:32:00
[[list]]
k = 2
[list.sub]
s = +inf
[[list.inner]]
i = 1
"""


def test_every_construct() -> None:
    parse_toml(TEXT)
    lines = find_lines(TEXT)
    expected = {
        ("top",): 2,
        ("quoted key",): 3,
        ("quoted key", "inA"): 3,
        ("images", "my name", "x"): 5,
        ("images", "my name", "x", "a", "b", "c"): 6,
        ("images", "my name", "x", "a", "b", "c", "d", 2, "e"): 6,
        ("images", "my name", "x", "a", "b", "c", "f.g"): 6,
        ("images", "my name", "x", "multi"): 7,
        ("images", "my name", "x", "literal"): 11,
        ("images", "my name", "x", "after"): 13,
        ("images", "my name", "x", "after", 0): 15,
        ("images", "my name", "x", "after", 1): 15,
        ("images", "my name", "x", "after", 2, 0): 17,
        ("list", 0, "k"): 20,
        ("list", 1): 21,
        ("list", 1, "k"): 22,
        ("list", 1, "sub", "s"): 24,
        ("list", 1, "inner", 0, "i"): 26,
    }
    assert {path: lines.get(path) for path in expected} == expected
    assert not any("fake" in path for path in lines)


def test_text_that_is_no_toml_gives_what_was_found() -> None:
    assert find_lines("a = 1\n= = =\nb = 2")[("a",)] == 1
    assert find_lines('a = 1\nb = """open')[("b",)] == 2
    assert find_lines("") == {(): 1}


def test_limits() -> None:
    assert find_too_deep("a = " + "[" * 32 + "]" * 32) is None
    deep = find_too_deep("b = 1\n\na = " + "[" * 33 + "]" * 33)
    assert deep is not None
    assert deep.line == 3
    for harmless in (
        'a = "' + "[" * 100 + '"',
        "a = '" + "." * 100 + "'",
        "# " + "[." * 100,
        'a = """\n' + "[{.\n" * 100 + '"""',
        "a = '''\n" + "[{.\n" * 100 + "'''",
        'a = ["' + '", "'.join(["1.2.3.4"] * 100) + '"]',
        "a = [" + "1.5, " * 100 + "]",
        "x.y = 1\n" * 100,
    ):
        assert find_too_deep(harmless) is None, harmless[:40]


def test_limits_are_checked_in_linear_time() -> None:
    texts = [
        '"""\\' * 50_000,
        "'''" * 80_001,
        '"' * 200_001,
        "[]" * 100_000,
        "a.b=1\n" * 40_000,
        '\\"""' * 50_000,
    ]
    for text in texts:
        started = time.process_time()
        find_too_deep(text)
        assert time.process_time() - started < 1


KEY = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True), st.text(max_size=4))
SCALAR = st.one_of(
    st.integers(-99, 99), st.booleans(), st.text(max_size=8), st.floats(allow_nan=False, width=16), st.dates()
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3), max_leaves=8
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
            return "[ # a [ comment\n" + ",\n\n".join(_dump(one) for one in value) + "\n]"
        case dict():
            return "{ " + ", ".join(f"{_string(key)} = {_dump(one)}" for key, one in value.items()) + " }"
        case _:
            return str(value)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, one in value.items():
            found += _paths(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += _paths(one, (*path, index))
    return found


@given(st.dictionaries(KEY, VALUE, max_size=4), st.dictionaries(KEY, VALUE, max_size=3))
@settings(max_examples=100, deadline=None)
def test_every_path_of_a_document_has_a_line(top: dict[str, object], table: dict[str, object]) -> None:
    text = "".join(f"{_string(key)} = {_dump(value)}\n" for key, value in top.items())
    if "table" not in top:
        text += "['table'] # x\n" + "".join(
            f"{_string(key)} = {_dump(value)}\n" for key, value in table.items()
        )
    parsed = tomllib.loads(text)
    lines = find_lines(text)
    assert set(lines) == set(_paths(parsed))
    for path, line in lines.items():
        if path and isinstance(path[-1], str):
            written = text.split("\n")[line - 1]
            assert path[-1] == "table" or _string(path[-1]) in written


@given(st.text(alphabet="ab.=\"'[]{}#,\n\\ 1", max_size=60))
@example("a=[}")  # a value of no character was read without end
@settings(max_examples=300)
def test_no_text_breaks_the_finder(text: str) -> None:
    find_too_deep(text)
    lines = find_lines(text)
    try:
        parsed = parse_toml(text)
    except ValueError:
        return
    assert set(lines) == set(_paths(parsed))

"""Changing matrix files by lines: nothing else moves."""

from __future__ import annotations

import sys

import pytest

from cudaforge.matrix.compile import matrix_files
from cudaforge.matrix.expand import NESTED
from cudaforge.refresher.editing import MatrixText, UnusualLayout
from cudaforge.refresher.forms import form_block, form_entry, form_source, form_value
from cudaforge.resources import find_resource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = matrix_files(find_resource("matrices"))
SAMPLE = '''schema = 1

[sources]
one = { strength = "index", checked = "2026-01-01", text = "a [[cuda]] in a text, and # no comment" }

[[cuda]]  # 11.0
note = """
[[cuda]]
releases = [
"""
releases = [
    # the first
    { version = "11.0.1", odd = "]" },
    { version = "11.0.3" },
]

# what follows
[[cuda]]
releases = [
    { version = "12.0.0", list = [
        "1",
    ] },
]
'''


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_found_row_by_row_and_kept_byte_by_byte(path):
    content = path.read_bytes().decode()
    text = MatrixText(content)
    assert text.dump() == content
    document = tomllib.loads(content)
    for table, blocks in document.items():
        if not isinstance(blocks, list):
            continue
        found = text.blocks(table)
        assert len(found) == len(blocks)
        nested = NESTED.get(table, "")
        for block, written in zip(found, blocks, strict=True):
            if nested in written:
                lines = text.entries(block, nested, len(written[nested]))
                assert len(lines) == len(written[nested])


def test_headers_and_brackets_within_texts_are_none():
    text = MatrixText(SAMPLE)
    first, second = text.blocks("cuda")
    assert text.lines[first.start].endswith("# 11.0")
    assert text.lines[first.end - 1] == "]"
    assert text.lines[second.start - 1] == "# what follows"
    assert len(text.entries(first, "releases", 2)) == 2


def test_rows_blocks_and_sources_go_where_they_are_put():
    text = MatrixText(SAMPLE)
    text.insert_entry(text.blocks("cuda")[0], "releases", 2, 1, form_entry({"version": "11.0.2"}))
    text.insert_entry(text.blocks("cuda")[0], "releases", 3, 0, form_entry({"version": "11.0.0"}))
    text.insert_block(text.blocks("cuda")[0], form_block("cuda", {}, "releases", [{"version": "11.1.0"}]))
    text.insert_source(form_source("two", strength="index", checked="2026-01-02", text="x"), "two", {})
    document = tomllib.loads(text.dump())
    versions = [[row["version"] for row in block["releases"]] for block in document["cuda"]]
    assert versions == [["11.0.0", "11.0.1", "11.0.2", "11.0.3"], ["11.1.0"], ["12.0.0"]]
    assert set(document["sources"]) == {"one", "two"}
    assert "\n# what follows\n[[cuda]]\n" in text.dump()


def test_windows_line_ends_stay():
    content = SAMPLE.replace("\n", "\r\n")
    text = MatrixText(content)
    text.insert_entry(text.blocks("cuda")[0], "releases", 2, 2, '{ version = "11.0.9" }')
    assert text.dump().replace('    { version = "11.0.9" },\r\n', "") == content


@pytest.mark.parametrize(
    "rows",
    [
        'releases = [{ version = "1.0" }, { version = "2.0" }]',
        'releases = [\n    { version = "1.0" }, { version = "2.0" },\n]',
        'releases = [\n    { version = "1.0", list = [\n    ] },\n    { version = "2.0" },\n]',
    ],
)
def test_another_layout_is_refused_with_its_line(rows):
    text = MatrixText(f"schema = 1\n[[cuda]]\n{rows}\n")
    with pytest.raises(UnusualLayout, match="line 2: releases is not written as one row to a line"):
        text.insert_entry(text.blocks("cuda")[0], "releases", 2, 1, "{}")


def test_a_last_row_without_a_comma_is_refused():
    text = MatrixText('[[cuda]]\nreleases = [\n    { version = "1.0" } # ,\n]\n')
    with pytest.raises(UnusualLayout, match="comma"):
        text.insert_entry(text.blocks("cuda")[0], "releases", 1, 1, "{}")


def test_a_file_without_a_table_of_sources_gets_a_table_of_its_own():
    text = MatrixText('schema = 1\n\n[sources.ours]\ntext = "x"\n')
    table = {"strength": "index", "checked": "2026-01-02", "text": "y"}
    text.insert_source("", "two.a", table)
    assert tomllib.loads(text.dump())["sources"] == {"ours": {"text": "x"}, "two.a": table}


@pytest.mark.parametrize(
    "value",
    [
        'a "quoted" \\ text',
        "\u007f\u0001\n\t",
        "ü 🦀",
        123456,
        7,
        True,
        ["a", 1],
        {"12": "x", "a.b": ["y"], "": "z"},
        {},
    ],
)
def test_values_are_read_as_they_were(value):
    assert tomllib.loads(f"x = {form_value(value)}")["x"] == value

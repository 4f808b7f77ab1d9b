"""What is written on stdout, whatever stdout can take."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest

from cudaforge.cli.output import write_json, write_json_lists, write_text

ODD = "d\udcff \N{GRINNING FACE} \N{LATIN SMALL LETTER E WITH ACUTE}"
"""The directory of a name that is not UTF-8, among others."""


odd = pytest.mark.parametrize(
    ("encoding", "errors"), [("utf-8", "strict"), ("utf-8", "surrogateescape"), ("ascii", "strict")]
)


def written(write: Callable[[], None], encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch) -> str:
    found = io.BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(found, encoding=encoding, errors=errors))
        write()
        sys.stdout.flush()
        return found.getvalue().decode("utf-8", "surrogateescape")


@odd
def test_json_of_any_name_is_json(encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(lambda: write_json({"name": ODD}), encoding, errors, monkeypatch)
    assert text.encode("utf-8")
    assert json.loads(text)["name"] == ODD


@odd
def test_long_lists_of_any_names_are_json(
    encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = json.dumps(ODD, ensure_ascii=False)
    text = written(lambda: write_json_lists({"names": [entry]}), encoding, errors, monkeypatch)
    assert text.encode("utf-8")
    assert json.loads(text)["names"] == [ODD]


@odd
def test_a_text_of_any_name_is_written(encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(lambda: write_text(f"wrote {ODD}"), encoding, errors, monkeypatch)
    assert text.startswith("wrote d\udcff" if errors == "surrogateescape" else r"wrote d\udcff")
    assert text.endswith("\n")


def test_what_stdout_can_take_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"name": "\N{GRINNING FACE}"})
    write_text("\N{GRINNING FACE}")
    assert capsys.readouterr().out.count("\N{GRINNING FACE}") == 2

"""The JSON Schema says the same as the reader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cudaforge.declaration import load_declaration
from cudaforge.declaration.layers import TOP_FIELDS
from cudaforge.declaration.schema import declaration_schema
from tests.unit.declaration.support import IMAGE, load
from tests.unit.declaration.test_bad_input import VALUES
from tests.unit.declaration.test_load import WHOLE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/cudaforge.toml"))
VALIDATOR = Draft202012Validator(declaration_schema())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(declaration_schema())
    assert declaration_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    properties = declaration_schema()["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == [field.name for field in TOP_FIELDS]


def test_every_key_is_described() -> None:
    def check(schema: object) -> None:
        if isinstance(schema, dict):
            properties = schema.get("properties")
            if isinstance(properties, dict):
                for name, one in properties.items():
                    assert name in ("from", "to", "value") or one.get("description"), name
            for one in schema.values():
                check(one)

    check(declaration_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_valid(path: Path) -> None:
    load_declaration(path)
    VALIDATOR.validate(tomllib.loads(path.read_text()))


def test_a_file_with_every_key_is_valid() -> None:
    VALIDATOR.validate(tomllib.loads(WHOLE))


# What a schema cannot see: the disk, characters that look like nothing, the meaning of names and numbers.
UNSEEN = (
    "missing", "nothing", "none", "cudaforge", "\\", '"""', "hunter2", "*.toml", "base", "https", "..",
    "a && b", 'path = "."', "./x.whl",
    "env = { PATH", "env = { LD_", "env = { NVIDIA", "env = { CUDA", '"0s"',
)  # fmt: skip
SEEN = [row[0] for row in VALUES if not any(part in row[0] for part in UNSEEN)]


@pytest.mark.parametrize("text", SEEN)
def test_bad_values_are_invalid_for_editors_too(text: str) -> None:
    assert not VALIDATOR.is_valid(tomllib.loads(IMAGE + text))


def test_most_bad_values_are_seen() -> None:
    assert len(SEEN) > 50


@pytest.mark.parametrize(
    "value", ["[]", "1", '"-pytorch"', '"pytorch[cuda]"', '"pytorch=2.8"', '["a", 2.10]']
)
def test_bad_frameworks_are_invalid(value: str) -> None:
    assert not VALIDATOR.is_valid(tomllib.loads(f"[images.a]\nframework = {value}\n"))


GOOD = [
    'matrix = { python = ["3.11"], gpus = ["H100", ["A100"]], platforms = ["linux/arm64"] }',
    'matrix = { prefer = ["newest"] }',
    'matrix = { cuda = ["none", "12.8"], framework = ["jax", ["jax", "x"]], exclude = [{ cuda = "none" }] }',
    'cuda = ">= 12.4, != 12.5.*"',
    'prefer = "smallest"',
    'verify = { timeout = "1m30s" }',
]


@pytest.mark.parametrize("text", GOOD)
def test_good_values_are_valid_and_read(tmp_path: Path, text: str) -> None:
    load(tmp_path, IMAGE + text + "\n")
    VALIDATOR.validate(tomllib.loads(IMAGE + text))

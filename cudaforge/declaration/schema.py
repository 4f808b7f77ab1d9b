"""The JSON Schema of a declaration, for editors: made from the fields that read it."""

from __future__ import annotations

from cudaforge.declaration.layers import TOP_FIELDS
from cudaforge.declaration.tables import table_schema

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def declaration_schema() -> dict[str, object]:
    """A JSON Schema (draft 2020-12) that every valid declaration file meets."""
    return {
        "$schema": _DRAFT,
        "title": "cudaforge declaration",
        "description": "What a cudaforge.toml may say.",
        **table_schema(TOP_FIELDS),
    }

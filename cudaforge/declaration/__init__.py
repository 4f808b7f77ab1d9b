"""What people ask for: reading a declaration file or ad-hoc words."""

from cudaforge.declaration.load import load_declaration
from cudaforge.declaration.places import locate
from cudaforge.declaration.schema import declaration_schema
from cudaforge.declaration.words import declaration_from_words

__all__ = ["declaration_from_words", "declaration_schema", "load_declaration", "locate"]

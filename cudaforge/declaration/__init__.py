"""What people ask for: reading a declaration file or ad-hoc words."""

from cudaforge.declaration.load import load_declaration, load_without_packages
from cudaforge.declaration.places import locate
from cudaforge.declaration.words import declaration_from_words

__all__ = ["declaration_from_words", "load_declaration", "load_without_packages", "locate"]

"""Asking the sources of the facts again, and comparing what they say with the rows."""

from cudaforge.refresher.changes import compare_companion, compare_index
from cudaforge.refresher.index import default_index, read_project
from cudaforge.refresher.model import Change, FoundRelease

__all__ = ["Change", "FoundRelease", "compare_companion", "compare_index", "default_index", "read_project"]

"""Asking the sources of the facts again, and comparing what they say with the rows."""

from cudaforge.refresher.changes import Change, compare_companion, compare_index
from cudaforge.refresher.index import FoundRelease, default_index, read_project

__all__ = ["Change", "FoundRelease", "compare_companion", "compare_index", "default_index", "read_project"]

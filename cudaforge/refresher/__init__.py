"""Asking the sources of the facts again, and comparing what they say with the rows."""

from cudaforge.refresher.changes import Change, compare_companion, compare_index
from cudaforge.refresher.index import FoundRelease, FoundWheel, default_index, read_project, read_wheels

__all__ = [
    "Change",
    "FoundRelease",
    "FoundWheel",
    "compare_companion",
    "compare_index",
    "default_index",
    "read_project",
    "read_wheels",
]

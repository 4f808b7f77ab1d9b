"""Asking the sources of the facts again, comparing what they say with the rows, and writing what is new."""

from cudaforge.refresher.changes import compare_companion, compare_index
from cudaforge.refresher.index import default_index, read_project, read_wheels
from cudaforge.refresher.model import Change, FoundRelease, FoundWheel, Proposal, Tombstone

__all__ = [
    "Change",
    "FoundRelease",
    "FoundWheel",
    "Proposal",
    "Tombstone",
    "compare_companion",
    "compare_index",
    "default_index",
    "read_project",
    "read_wheels",
]

"""A file tree with owners and modes that never stands on a file system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePosixPath

from cudaforge.records import record, replace

# The directories that a merged /usr replaces by links: some packages still ship files there, and dpkg unpacks
# them through the links (https://wiki.debian.org/UsrMerge).
_ALIASED = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"})
_ALWAYS_LINKED = ("bin", "lib", "sbin")


class Kind(Enum):
    """What stands at a path."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"


@record()
class Stored:
    """Content that lies in a file on disk."""

    file: Path
    offset: int
    size: int


@record()
class Entry:
    """One path of a tree, without a leading slash."""

    path: str
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    target: str = ""
    """Of a link; a hard link's is a path of the same tree."""
    content: bytes | Stored = b""

    def read(self) -> bytes:
        """The content of a file."""
        if isinstance(self.content, bytes):
            return self.content
        with self.content.file.open("rb") as file:
            file.seek(self.content.offset)
            return file.read(self.content.size)


class Tree:
    """Entries by path. Later entries replace earlier ones, except that a directory stays as it first came."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def add(self, entry: Entry) -> None:
        """Put an entry at its path, or where a merged /usr has that path."""
        path = merged_path(entry.path, entry.kind)
        known = self._entries.get(path)
        if known is not None and known.kind is Kind.DIRECTORY and entry.kind is Kind.DIRECTORY:
            return
        target = merged_path(entry.target) if entry.kind is Kind.HARDLINK else entry.target
        self._entries[path] = replace(entry, path=path, target=target)

    def add_file(self, path: str, content: bytes, *, mode: int = 0o644, gid: int = 0) -> None:
        """Put a file of root's there."""
        self.add(Entry(path=path, kind=Kind.FILE, mode=mode, gid=gid, content=content))

    def add_directory(self, path: str, *, mode: int = 0o755, gid: int = 0) -> None:
        """Put a directory of root's there, unless there is one."""
        self.add(Entry(path=path, kind=Kind.DIRECTORY, mode=mode, gid=gid))

    def add_symlink(self, path: str, target: str) -> None:
        """Put a symbolic link there, instead of whatever stands there."""
        self._entries.pop(path, None)
        self.add(Entry(path=path, kind=Kind.SYMLINK, mode=0o777, target=target))

    def below(self, directory: str) -> Iterator[str]:
        """The paths in a directory, at any depth, sorted."""
        return iter(sorted(path for path in self._entries if path.startswith(f"{directory}/")))

    def find_bytes(self, path: str) -> bytes | None:
        """The content of a file, or None where there is none."""
        entry = self._entries.get(path)
        return entry.read() if entry is not None and entry.kind is Kind.FILE else None

    def has_target(self, path: str) -> bool:
        """Whether an absolute path leads to something, /usr being merged."""
        return merged_path(path.strip("/")) in self._entries

    def finished(self) -> tuple[Entry, ...]:
        """All entries, parents before children and files before their hard links.

        Missing parents are made; entries without a time of their own get the newest time in the tree.
        """
        for alias in (*_ALWAYS_LINKED, *sorted(self._aliases_in_use())):
            self.add_symlink(alias, f"usr/{alias}")
        self._add_parents()
        newest = max((entry.mtime for entry in self._entries.values()), default=0)
        dated = {path: replace(entry, mtime=entry.mtime or newest) for path, entry in self._entries.items()}
        linked = _turn_links(dated)
        return tuple(linked[path] for path in sorted(linked, key=lambda path: path.split("/")))

    def _aliases_in_use(self) -> set[str]:
        tops = {"/".join(path.split("/")[:2]) for path in self._entries}
        return {alias for alias in _ALIASED if f"usr/{alias}" in tops} - set(_ALWAYS_LINKED)

    def _add_parents(self) -> None:
        for path in tuple(self._entries):
            for parent in PurePosixPath(path).parents[:-1]:
                if str(parent) not in self._entries:
                    self.add_directory(str(parent))


def merged_path(path: str, kind: Kind = Kind.FILE) -> str:
    """Where a path lies once /usr is merged. The links themselves stay where they are."""
    first, _, rest = path.partition("/")
    if first not in _ALIASED or (not rest and kind is Kind.SYMLINK):
        return path
    return f"usr/{path}"


def keep_entries(entries: Sequence[Entry], excluded: Mapping[str, tuple[str, ...]]) -> Iterator[Entry]:
    """Leave out what lies below the excluded directories, except files with one of the names given there.

    Links that stand for a whole directory (`usr/share/doc/libgcc-s1`) stay as well, and so does a
    file that something outside is a hard link to.
    """
    links = (entry for entry in entries if entry.kind is Kind.HARDLINK)
    linked = {link.target for link in links if not _excluding(link, excluded)}
    for entry in entries:
        if entry.path in linked or not _excluding(entry, excluded):
            yield entry


def _excluding(entry: Entry, excluded: Mapping[str, tuple[str, ...]]) -> str | None:
    directory, _, name = entry.path.rpartition("/")
    for root, kept in excluded.items():
        if directory == root and entry.kind is Kind.SYMLINK:
            return None
        if entry.path.startswith(f"{root}/"):
            return None if name in kept else root
    return None


def _turn_links(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Make the first path of each group of hard links the file: an unpacker needs it before its links."""
    result = dict(entries)
    groups: dict[str, list[str]] = {}
    for path, entry in entries.items():
        if entry.kind is Kind.HARDLINK:
            groups.setdefault(entry.target, []).append(path)
    for target, links in groups.items():
        first, *others = sorted((target, *links), key=lambda path: path.split("/"))
        result[first] = replace(entries[target], path=first)
        for path in others:
            result[path] = replace(entries[target], path=path, kind=Kind.HARDLINK, target=first, content=b"")
    return result

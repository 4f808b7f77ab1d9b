"""Which file the loader takes for each library that a framework needs: ld.so(8)'s order, by files alone.

Not modelled: `LD_AUDIT`, `$LIB` and `$PLATFORM` in paths, variants in `glibc-hwcaps` directories, and what
a program adds to its environment before it starts Python.
"""

import os
import re
import struct
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from cudaforge.verifier.probes.elf import Elf, Malformed, read_elf

_CACHE = "/etc/ld.so.cache"
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_PRELOADS = "/etc/ld.so.preload"
_LARGEST_PRELOADS = 64 * 1024
_LARGEST_CACHE = 16 * 1024 * 1024
_TRIPLES = {62: "x86_64-linux-gnu", 183: "aarch64-linux-gnu"}
_MOST_LOADED = 4000
_ORIGIN = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})")


class Loaded(NamedTuple):
    """One library as it would be loaded."""

    name: str
    """Under which it was asked for."""
    path: str
    """As it was found, links and all: `$ORIGIN` is its directory."""
    elf: Optional[Elf]
    """None where the loader would refuse it."""
    by: Optional["Loaded"]
    """Who asked for it."""
    way: str
    """`LD_PRELOAD`, `rpath`, `LD_LIBRARY_PATH`, `runpath`, `cache`, `default`, `path`, or `beside` (see
    Loader.beside)."""


class Missing(NamedTuple):
    """A library that is found nowhere."""

    name: str
    by: str


class Loader:
    """One process's loader: a program, then one library after the other."""

    def __init__(
        self, program: str, search: str, beside: Tuple[str, ...] = (), preload: Sequence[str] = ()
    ) -> None:
        """`search` is LD_LIBRARY_PATH, `preload` what comes before all others (see find_preloads). `beside`
        has directories out of which frameworks load what the loader does not find (the `nvidia` wheels')."""
        self.search = [one or "." for one in re.split("[:;]", search)] if search else []
        self.beside = beside
        self.loaded: List[Loaded] = []
        self.missing: List[Missing] = []
        self._names: Dict[str, Loaded] = {}
        self._directories: Dict[str, Set[str]] = {}
        self._files: Dict[str, Optional[Elf]] = {}
        self._seen: Set[str] = set()
        path = os.path.realpath(program)
        elf = self._read(path)
        self.machine = elf.machine if elf else 0
        self.defaults = _defaults(self.machine)
        self.cache = _read_cache(_CACHE)
        self.program = Loaded(path, path, elf, None, "path")
        self.preloaded = list(self._find_preloaded(preload))
        self._follow(self.program, *self.preloaded)

    def load(self, path: str) -> Loaded:
        """Load a file, as importing it does, with all that it needs."""
        root = Loaded(os.path.basename(path), path, self._read(path), self.program, "path")
        self._follow(root)
        return root

    def take(self, library: Loaded) -> None:
        """Load what was found, with all that it needs."""
        if library not in self.loaded:
            self._follow(library)

    def find(self, name: str, asker: Loaded) -> Optional[Loaded]:
        """What a library gets that asks for a name."""
        known = self._names.get(name)
        if known is not None:
            return known
        if "/" in name:
            place = _ORIGIN.sub(lambda _: os.path.dirname(asker.path), name)
            return Loaded(name, place, self._read(place), asker, "path") if os.path.exists(place) else None
        for path, way in self._candidates(name, asker):
            if self._fits(path):
                return Loaded(name, path, self._read(path), asker, way)
        return None

    def everywhere(self, name: str) -> Iterator[Tuple[str, str]]:
        """All files of that name that any library could get: path, and the way to it."""
        for library in self.preloaded:
            if name in (library.name, library.elf.soname if library.elf else None):
                yield library.path, library.way
        yield from self._in(self.search, name, "LD_LIBRARY_PATH")
        yield from self._cached(name)
        yield from self._in(self.defaults, name, "default")

    def names(self) -> Set[str]:
        """Every name that the loader could find without the help of a library's own paths."""
        found = set(self.cache)
        for directory in (*self.search, *self.defaults):
            found.update(self._list(directory))
        return found

    def _find_preloaded(self, names: Sequence[str]) -> Iterator[Loaded]:
        """What the loader takes of these: it passes by those that it cannot load."""
        for name in names:
            found = self.find(name, self.program)
            if found is not None and found.elf is not None and found.elf.machine == self.machine:
                yield found._replace(name=os.path.basename(name), way="LD_PRELOAD")

    def _follow(self, root: Loaded, *others: Loaded) -> None:
        """Breadth first, as the loader does."""
        waiting = [root, *others]
        for library in waiting:
            self._take(library)
        while waiting and len(self.loaded) < _MOST_LOADED:
            asker = waiting.pop(0)
            for name in asker.elf.needed if asker.elf else ():
                found = self.find(name, asker)
                if found is None:
                    if name not in self._seen:
                        self._seen.add(name)
                        self.missing.append(Missing(name, asker.path))
                elif name not in self._names:
                    self._take(found)
                    waiting.append(found)

    def _take(self, library: Loaded) -> None:
        self.loaded.append(library)
        self._names.setdefault(library.name, library)
        if library.elf is not None and library.elf.soname:
            self._names.setdefault(library.elf.soname, library)

    def _candidates(self, name: str, asker: Loaded) -> Iterator[Tuple[str, str]]:
        own = asker.elf
        if own is not None and not own.runpath:
            above: Optional[Loaded] = asker
            while above is not None:
                if above.elf is not None and not above.elf.runpath:
                    yield from self._in(_own_paths(above.elf.rpath, above), name, "rpath")
                above = above.by
        yield from self._in(self.search, name, "LD_LIBRARY_PATH")
        if own is not None:
            yield from self._in(_own_paths(own.runpath, asker), name, "runpath")
        if own is None or not own.no_default:
            yield from self._cached(name)
            yield from self._in(self.defaults, name, "default")
        yield from self._in(self.beside, name, "beside")

    def _in(self, directories: Sequence[str], name: str, way: str) -> Iterator[Tuple[str, str]]:
        for directory in directories:
            if name in self._list(directory):
                yield os.path.join(directory, name), way

    def _cached(self, name: str) -> Iterator[Tuple[str, str]]:
        for path in self.cache.get(name, ()):
            if os.path.exists(path):
                yield path, "cache"

    def _list(self, directory: str) -> Set[str]:
        if directory not in self._directories:
            try:
                self._directories[directory] = set(os.listdir(directory))
            except OSError:
                self._directories[directory] = set()
        return self._directories[directory]

    def _fits(self, path: str) -> bool:
        """Whether the loader stops at this file: it passes by those for other machines."""
        elf = self._read(path)
        return elf is None or elf.machine == self.machine

    def _read(self, path: str) -> Optional[Elf]:
        if path not in self._files:
            try:
                self._files[path] = read_elf(path)
            except (OSError, Malformed):
                self._files[path] = None
        return self._files[path]


def find_preloads(environment: Mapping[str, str]) -> List[str]:
    """The libraries that every program of this image is given first, in their order."""
    try:
        with open(_PRELOADS, encoding="utf-8", errors="replace") as file:
            of_the_system = file.read(_LARGEST_PRELOADS).split()
    except OSError:
        of_the_system = []
    return [one for one in re.split("[: ]", environment.get("LD_PRELOAD", "")) if one] + of_the_system


def _own_paths(paths: Sequence[str], library: Loaded) -> List[str]:
    """A library's RPATH or RUNPATH as directories."""
    origin = os.path.dirname(library.path)
    found = [os.path.normpath(_ORIGIN.sub(lambda _: origin, path)) for path in paths if path]
    return [path for path in found if "$" not in path]


def _defaults(machine: int) -> List[str]:
    triple = _TRIPLES.get(machine)
    own = ["/lib/" + triple, "/usr/lib/" + triple] if triple else []
    return [*own, "/lib64", "/usr/lib64", "/lib", "/usr/lib"]


def _read_cache(path: str) -> Dict[str, List[str]]:
    """Name to files, in the cache's order (glibc, sysdeps/generic/dl-cache.h); empty where there is none."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_CACHE)
    except OSError:
        return {}
    start = content.find(_CACHE_MAGIC)
    if start < 0 or len(content) < start + 48:
        return {}
    content = content[start:]
    (count,) = struct.unpack_from("<I", content, 20)
    found: Dict[str, List[str]] = {}
    for index in range(min(count, (len(content) - 48) // 24)):
        _, key, value = struct.unpack_from("<iII", content, 48 + 24 * index)
        name, target = (_string(content, place) for place in (key, value))
        if name and target:
            found.setdefault(name, []).append(target)
    return found


def _string(content: bytes, place: int) -> str:
    end = content.find(b"\0", place, place + 4096)
    return content[place:end].decode("utf-8", "replace") if end > place else ""

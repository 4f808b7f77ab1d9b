"""Which files that go into images are not as they were in a commit."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from cudaforge.audit.dockerignore import read_dockerignore
from cudaforge.builder.ignore import LARGEST_IGNORE, OWN_IGNORE, read_own_ignore
from cudaforge.lockfile.model import LockedImage
from cudaforge.pipeline.git import Repository
from cudaforge.renderer import extend_ignore, render_image

_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class ChangedFiles:
    """The project's files beside those of a commit.

    Counted is what is sent to the engine, then or now: .dockerignore decides, and not .gitignore. Of a file
    that the commit has not, nobody knows what it was like, so that it is a changed one.
    """

    def __init__(self, git: Repository, commit: str, images: Sequence[LockedImage]) -> None:
        """Of these images it can be asked. Raises InputError for a .dockerignore that cannot be used, and
        SurroundingsError."""
        places = {source for image in images for source in _sources(image)}
        places |= {image.template for image in images if image.template is not None}
        self._known = git.differing(commit)
        self._unknown = frozenset(git.unknown(places))
        self._own = read_own_ignore(git.root)
        self._old = git.read(commit, OWN_IGNORE) or ""
        is_same = self._own == self._old
        self._same = frozenset[str]() if is_same else frozenset(git.files_of(commit)) - self._known
        """Files that may be let in or left out without having changed."""
        self._touches = cache(self._find)

    def touch(self, image: LockedImage) -> bool:
        """Whether one of them goes into the image: one that it copies, or its own template."""
        if image.template is not None and image.template in self._known | self._unknown:
            return True
        sources = _sources(image)
        return bool(sources) and self._touches(sources, render_image(image).ignore)

    def _find(self, sources: tuple[str, ...], ignore: str) -> bool:
        if _is_unusable(self._old):
            return True
        is_out, was_out = _ignored(ignore, self._own), _ignored(ignore, self._old)
        return (
            # A repository within the project is one path for git, also where a source lies in it.
            any(_is_below(source, path) for source in sources for path in self._known)
            or any(not (is_out(path) and was_out(path)) for path in _among(self._known, sources))
            or any(not is_out(path) for path in _among(self._unknown, sources))
            or any(is_out(path) is not was_out(path) for path in _among(self._same, sources))
        )


def _sources(image: LockedImage) -> tuple[str, ...]:
    return tuple(sorted({posixpath.normpath(copied.source) for copied in image.copy}))


def _ignored(ignore: str, own: str) -> Callable[[str], bool]:
    return read_dockerignore(extend_ignore(ignore, own) if own else ignore)


def _is_unusable(ignore: str) -> bool:
    """Whether no image could be built with it, so that what it lets in is not known."""
    return _UNREADABLE in ignore or len(ignore.encode()) > LARGEST_IGNORE


def _among(paths: frozenset[str], sources: tuple[str, ...]) -> Iterator[str]:
    """Those that are copied with the sources, as far as nothing leaves them out."""
    for path in paths:
        if any(path == source or _is_below(path, source) for source in sources):
            yield path


def _is_below(path: str, place: str) -> bool:
    return place == "." or path.startswith(f"{place}/")

"""What COPY and ADD bring into an image: from the build context, and from other stages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.audit.dockerfile import Instruction
from cudaforge.audit.state import Image, Install, normal_path
from cudaforge.records import replace

_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|txz|tbz2?)$|^git@|\.git$")
PACKAGES = re.compile(r"site-packages|dist-packages|/\.local\b|/venv|/\.venv|/env\b|/conda")


def copy_files(image: Image, one: Instruction, sources: Sequence[str], target: str) -> None:
    """Files and directories of the build context, downloads, and texts that stand in the Dockerfile."""
    place = target if target.startswith("/") else f"{image.workdir.rstrip('/')}/{target}"
    written = {heredoc.name for heredoc in one.heredocs}
    if any("://" in path or _ARCHIVE.search(path) for path in sources):
        image.brought.append(normal_path(place))
    is_directory = target.endswith(("/", ".")) or len(sources) > 1
    for path in sources:
        if path.startswith("<<") and path.strip("<-'\"") in written:
            name = path.strip("<-'\"")
            image.overwrite(f"{place.rstrip('/')}/{name}" if is_directory else place)
            continue
        name = path.removeprefix("./")
        image.copies.append((path, normal_path(place)))
        if name in ("", ".", "/"):
            image.copies_all = True
            image.files[normal_path(place)] = ""
            image.globs.pop(normal_path(place), None)
            continue
        inside = f"{place.rstrip('/')}/{name.rpartition('/')[2]}" if is_directory else place
        image.files[normal_path(inside)] = None if set(name) & set("*?[") else name.strip("/")
        if set(name) & set("*?["):
            _note_glob(image, normal_path(place), name)


def _note_glob(image: Image, place: str, pattern: str) -> None:
    """A directory that gets the files of a pattern; one that has all of the context keeps that."""
    directory, _, name = pattern.rpartition("/")
    if place in image.files and place not in image.globs:
        return
    is_plain = not set(directory) & set("*?[")
    image.globs[place] = (*image.globs.get(place, ()), name if is_plain else "*")
    image.files[place] = directory


def depend(image: Image, other: Image) -> None:
    """What breaks the build of a stage breaks the build of what copies from it."""
    image.loose += [one for one in other.loose if one not in image.loose]
    image.needed += [
        one for one in (other.base, *other.needed) if one is not None and one not in image.needed
    ]


def take(image: Image, other: Image, sources: Sequence[str], target: str, line: int) -> None:
    """Python environments, and packages, that come from another stage."""
    for path in sources:
        plain = path.rstrip("/") or "/"
        for directory, venv in other.venvs.items():
            if directory == plain or directory.startswith(f"{plain}/") or plain == "/":
                moved = target.rstrip("/") + directory[len(plain) :] if plain != "/" else directory
                image.venvs[moved] = venv
                image.moved.append((venv, moved, line))
                image.installs += [
                    replace(one, copied_line=line) for one in other.installs if one.python is venv
                ]
        if PACKAGES.search(plain) or plain in ("/usr/local", "/install", "/usr", "/", "/opt/conda"):
            _take_packages(image, other, line)


def _take_packages(image: Image, other: Image, line: int) -> None:
    venvs = set(other.venvs.values())
    own = image.python_of("python3") or image.python_of("python")
    taken: list[Install] = []
    for one in other.installs:
        if one.python in venvs or one in image.installs:
            continue
        if own is None and one.python.minor is not None:
            for name in ("python", "python3", f"python{one.python.minor}"):
                image.programs.setdefault(name, one.python)
            own = one.python
        taken.append(replace(one, python=own or one.python, copied_line=line))
    image.installs += taken


def take_uv(image: Image, stage: str, words: Sequence[str]) -> None:
    """uv itself, out of the image that it is published in."""
    if "astral-sh/uv" in stage and any(word.endswith("uv") or "/uv" in word for word in words):
        image.links["uv"] = stage

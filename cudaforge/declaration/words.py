"""Ad-hoc words: `pytorch==2.8.*`, `cuda==12.8`, `gpu=RTX 5090`. They make one image named `adhoc`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.declaration import fields
from cudaforge.declaration.images import check_needed, make_images
from cudaforge.declaration.kinds import Mistake, attempt, bad, nearest
from cudaforge.declaration.load import DEFAULT_PROJECT
from cudaforge.declaration.meaning import declaration_digest
from cudaforge.declaration.model import Declaration, FrameworkWish, Network
from cudaforge.declaration.needed import NOTHING_NEEDED, Needed
from cudaforge.declaration.tables import Field, Values, any_field
from cudaforge.declaration.text import find_refused_character
from cudaforge.declaration.values import GPU, PACKAGE, read_framework
from cudaforge.declaration.wheels import is_local, read_local_wheel
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem

IMAGE_NAME = "adhoc"
COMMAND_LINE = "command line"
"""What messages name instead of a file."""

_WORD = re.compile(r"(?P<name>[^<>=!~]*)(?P<operator>===|[<>=!~]=|[<>=])(?P<value>.*)", re.DOTALL)
_VERSIONS: Mapping[str, Field[object]] = {
    "cuda": any_field(fields.CUDA),
    "cudnn": any_field(fields.CUDNN),
    "python": any_field(fields.PYTHON),
    "toolkit": any_field(fields.TOOLKIT),
}
_PLAIN = {
    "os": any_field(fields.OS),
    "driver": any_field(fields.DRIVER),
    "flavor": any_field(fields.FLAVOR),
    "build": any_field(fields.BUILD),
    "prefer": any_field(fields.PREFER),
    "base": any_field(fields.BASE),
    "python_provider": any_field(fields.PYTHON_PROVIDER),
    "cuda_provider": any_field(fields.CUDA_PROVIDER),
    "require_cuda": any_field(fields.REQUIRE_CUDA),
}
_GPU, _PLATFORM, _PACKAGE, _FORWARD = "gpu", "platform", "package", fields.FORWARD_COMPAT.name
_KNOWN = (*_VERSIONS, *_PLAIN, _FORWARD, _GPU, _PLATFORM, _PACKAGE)
# High enough that frameworks whose names resemble a key ("cudf") are still taken for frameworks.
_SURELY_MEANT = 0.85


def declaration_from_words(words: Sequence[str], *, root: Path) -> Declaration:
    """The declaration that ad-hoc words stand for. Raises InputError with every mistake in them."""
    reader = _WordReader(root)
    problems: list[Problem] = []
    for word in words:
        mistakes: list[Mistake] = []
        attempt(reader.read, word, at=(), mistakes=mistakes)
        where = Location(file=COMMAND_LINE, key=show(word)[1:-1])
        problems += (Problem(what=one.what, where=where, remedy=one.remedy) for one in mistakes)
    problems += (
        Problem(what=one.what, where=Location(file=COMMAND_LINE), remedy=one.remedy)
        for one in check_needed(IMAGE_NAME, reader.needed)
    )
    if not reader.frameworks and not problems:
        problems.append(
            Problem(
                what="no framework is named",
                where=Location(file=COMMAND_LINE),
                remedy="for example: pytorch==2.8.* 'gpu=RTX 5090'",
            )
        )
    if problems:
        raise InputError(problems)
    images = tuple(make_images(IMAGE_NAME, reader.values(), reader.needed))
    return Declaration(
        path=Path(COMMAND_LINE),
        root=root,
        project=DEFAULT_PROJECT,
        images=images,
        registries={},
        network=Network(indexes={}),
        digest=declaration_digest(project=DEFAULT_PROJECT, registry=None, images=images),
    )


class _WordReader:
    """Collects the wishes of words, one after the other."""

    def __init__(self, root: Path) -> None:
        self.frameworks: list[FrameworkWish] = []
        self.needed = NOTHING_NEEDED
        self._root = root
        self._gpus: list[str] = []
        self._platforms: list[str] = []
        self._read: dict[str, object] = {}

    def read(self, word: object) -> None:
        """Add one word. Raises BadValue."""
        word = str(word)
        found = find_refused_character(word)
        if found is not None:
            bad(found, "take the character out")
        match = _WORD.fullmatch(word)
        name = match["name"].strip() if match else word.strip()
        key = name.lower().replace("-", "_")
        if match is None or key not in _KNOWN:
            self._read_framework(word, name, is_value=match is not None and match["operator"] == "=")
        elif key == _GPU:
            self._gpus.append(GPU.read(_plain_value(key, match)))
        elif key == _PACKAGE:
            self._need(PACKAGE.read(_plain_value(key, match)))
        elif key == _PLATFORM:
            self._platforms += _read_platforms(_plain_value(key, match))
        elif key == _FORWARD:
            self._put(key, key, _yes_or_no(key, _plain_value(key, match)))
        elif key in _VERSIONS:
            self._put(key, key, _VERSIONS[key].kind.read(_version_text(match)))
        else:
            self._put(key, key, _PLAIN[key].kind.read(_plain_value(key, match)))

    def values(self) -> Values:
        """All that was read."""
        values = {**self._read, fields.FRAMEWORK.name: tuple(self.frameworks)}
        if self._gpus:
            values[fields.GPUS.name] = tuple(dict.fromkeys(self._gpus))
        if self._platforms:
            values[fields.PLATFORMS.name] = fields.PLATFORMS.kind.read(list(dict.fromkeys(self._platforms)))
        return Values(values)

    def _put(self, key: str, name: str, value: object) -> None:
        if name in self._read:
            bad(f"'{key}' is given twice", f"only {_GPU}, {_PLATFORM} and {_PACKAGE} may be repeated")
        self._read[name] = value

    def _need(self, text: str) -> None:
        """A package; one that is a wheel is looked at where the words are written."""
        more = read_local_wheel(self._root, text) if is_local(text) else Needed(packages=(text,))
        self.needed = self.needed.and_also(more)

    def _read_framework(self, word: str, name: str, *, is_value: bool) -> None:
        meant = _meant_key(name)
        if meant is not None:
            bad(f"unknown word {show(name)}", f"did you mean '{meant}'? {_known_words()}")
        if not name and word.strip():
            bad(f"{show(word)} names nothing", _known_words())
        if is_value:
            close = nearest(name, _KNOWN)
            hint = f"did you mean '{close}'? " if close else ""
            bad(f"unknown word {show(name)}", f"{hint}{_known_words()}; a framework's version takes ==")
        framework = read_framework(word)
        if any(other.name == framework.name for other in self.frameworks):
            bad(f"framework '{framework.name}' is given twice", f'join them: "{framework.name}>=2.6,<2.9"')
        self.frameworks.append(framework)


def _meant_key(name: str) -> str | None:
    return nearest(name, _KNOWN, cutoff=_SURELY_MEANT)


def _known_words() -> str:
    return f"known: {', '.join(_KNOWN)}, and frameworks"


def _version_text(match: re.Match[str]) -> str:
    """`==12.8` compares as many components as were written, like a bare version in a file."""
    value = match["value"].strip()
    return value if match["operator"] in ("=", "==") else f"{match['operator']}{value}"


def _read_platforms(text: str) -> list[str]:
    """One platform, or several with commas between them as Docker's own option takes them."""
    return [fields.PLATFORM.read(one.strip()) for one in text.split(",")]


def _yes_or_no(key: str, text: str) -> bool:
    if text not in ("true", "false"):
        bad(f"{show(text)} where true or false is expected", f"for example {key}=true")
    return text == "true"


def _plain_value(key: str, match: re.Match[str]) -> str:
    if match["operator"] not in ("=", "=="):
        bad(f"'{key}' takes = and no {match['operator']}", f"for example {key}=...")
    return match["value"].strip()

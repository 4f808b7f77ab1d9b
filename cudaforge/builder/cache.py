"""Caches of steps outside the builder, as buildx words them: `type=registry,ref=ghcr.io/acme/cache:{name}`.

Source: docs.docker.com/build/cache/backends (keys of the backends registry, local and gha).
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.placeholders import check_fields
from cudaforge.records import record
from cudaforge.references import InvalidReference, parse_reference

NAME_FIELD = "{name}"
_FIELDS = ("name",)
_NO_DIRECTORY = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP})
TO, FROM = "--cache-to", "--cache-from"
_SAMPLE = "name"
_GITHUB_ADDRESSES = ("ACTIONS_CACHE_URL", "ACTIONS_RESULTS_URL")
_FLAG = ("true", "false")
_SCOPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_COMPRESSIONS = ("uncompressed", "gzip", "estargz", "zstd")


class _Bad(Exception):
    """What is wrong with a value."""


@record()
class CacheOption:
    """One cache to write to or to read from."""

    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """The value of buildx's option for the image of this name."""
        line = io.StringIO()
        words = [f"{key}={value.replace(NAME_FIELD, name)}" for key, value in self.fields.items()]
        csv.writer(line, lineterminator="").writerow(words)
        return line.getvalue()

    @property
    def is_shared(self) -> bool:
        """Whether several images would have one place."""
        return not any(NAME_FIELD in value for value in self.fields.values())


@record()
class Caches:
    """The caches of a run."""

    to: tuple[CacheOption, ...] = ()
    from_: tuple[CacheOption, ...] = ()


def parse_caches(
    to: Sequence[str], from_: Sequence[str], *, images: int, environment: Mapping[str, str] | None = None
) -> Caches:
    """Read the options. `{name}` in a value stands for the image's name.

    Raises InputError for every mistake at once: unknown types, keys and values, and a cache that several
    `images` would write over each other's. Raises SurroundingsError for GitHub's cache where the
    `environment` has no access to it: buildx would leave it out without a word.
    """
    problems: list[Problem] = []
    found = Caches(to=_parse_all(to, TO, problems), from_=_parse_all(from_, FROM, problems))
    problems += [
        Problem(
            what=f"{images} images would write over each other's cache: {one.text(NAME_FIELD)}",
            where=Location(file="command line", key=TO),
            remedy=f"put {NAME_FIELD} in it, so that each image has its own",
        )
        for one in found.to
        if images > 1 and one.is_shared
    ]
    if problems:
        raise InputError(problems)
    known = os.environ if environment is None else environment
    is_github = bool(known.get("ACTIONS_RUNTIME_TOKEN")) and any(map(known.get, _GITHUB_ADDRESSES))
    if not is_github and any(one.fields["type"] == "gha" for one in (*found.to, *found.from_)):
        raise SurroundingsError(
            Problem(
                what="type=gha needs GitHub's runner, and this is none, or it shows steps no cache",
                because=(f"ACTIONS_RUNTIME_TOKEN and one of {', '.join(_GITHUB_ADDRESSES)} are not set",),
                remedy="in a workflow, hand them to the step (crazy-max/ghaction-github-runtime); elsewhere "
                "take type=registry or type=local",
            )
        )
    return found


def prepare_places(caches: Caches, names: Sequence[str]) -> tuple[str, ...]:
    """Make the directories that caches of these images are written to, and say which of those to be read are
    not there: builds go on without them.

    buildx would say neither which option it speaks of, nor of which image. Raises InputError for a path that
    can be no directory, SurroundingsError for one that cannot be written.
    """
    problems: dict[Path, tuple[Problem, bool]] = {}
    for place in _local(caches.to, "dest", names):
        error = _make(place)
        if error is not None:
            what = f"no cache can be written to {place}: {error.strerror}"
            where = Location(file="command line", key=TO)
            remedy = "name a directory that can be made and written"
            problems[place] = (Problem(what=what, where=where, remedy=remedy), error.errno in _NO_DIRECTORY)
    missing = []
    for place in _local(caches.from_, "src", names):
        if place.exists() and not place.is_dir():
            where = Location(file="command line", key=FROM)
            problem = Problem(
                what=f"{place} is no directory", where=where, remedy="name one that buildx wrote"
            )
            problems[place] = (problem, True)
        elif not _is_cache(place):
            missing.append(_missing(place))
    if problems:
        is_wrong = any(wrong for _, wrong in problems.values())
        raise (InputError if is_wrong else SurroundingsError)(problem for problem, _ in problems.values())
    return tuple(missing)


def missing_places(caches: Caches, name: str) -> tuple[str, ...]:
    """What `prepare_places` says of the directories that caches of this image are read from."""
    return tuple(_missing(one) for one in _local(caches.from_, "src", (name,)) if not _is_cache(one))


def _is_cache(place: Path) -> bool:
    return (place / "index.json").is_file()


def _missing(place: Path) -> str:
    return f"there is no cache in {place} ({FROM}): steps are built without it"


def _local(options: Sequence[CacheOption], key: str, names: Sequence[str]) -> Iterator[Path]:
    places = (
        one.fields[key].replace(NAME_FIELD, name)
        for one in options
        if one.fields["type"] == "local"
        for name in names
    )
    return map(Path, dict.fromkeys(places))


def _make(place: Path) -> OSError | None:
    """Why the directory cannot be written; None where it can."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error


def _parse_all(texts: Sequence[str], option: str, problems: list[Problem]) -> tuple[CacheOption, ...]:
    found = []
    for text in texts:
        try:
            found.append(_parse(text, option))
        except _Bad as error:  # noqa: PERF203 -- each mistake is told
            problems.append(
                Problem(
                    what=f"{show(text)} is no cache: {error}",
                    where=Location(file="command line", key=option),
                    remedy="for example type=registry,ref=ghcr.io/acme/cache:{name}",
                )
            )
    return tuple(found)


def _parse(text: str, option: str) -> CacheOption:
    if not text.isprintable():
        raise _Bad("it has a character that cannot be printed")
    fields = _fields(text)
    kind = fields.get("type", "")
    if kind not in _KINDS:
        raise _Bad(f"its type is one of {', '.join(_KINDS)}")
    known = _KINDS[kind][option]
    for key, value in fields.items():
        if key != "type" and key not in known:
            raise _Bad(f"{kind} has no {show(key)} here; it has {', '.join(known)}")
        if key != "type":
            wrong = next(check_fields(value, _FIELDS), None)
            if wrong is not None:
                raise _Bad(f"it has {'; '.join(wrong)}")
            fields[key] = known[key](value)
    needed = {"registry": "ref", "local": "dest" if option == TO else "src"}.get(kind)
    if needed is not None and needed not in fields:
        raise _Bad(f"{kind} needs {needed}=")
    return CacheOption(fields=fields)


def _fields(text: str) -> dict[str, str]:
    try:
        rows = list(csv.reader([text], strict=True)) if text else []
    except csv.Error as error:
        raise _Bad(f"its quotes are wrong: {error}") from None
    words = rows[0] if rows else []
    if len(words) == 1 and "=" not in words[0]:
        words = ["type=registry", f"ref={words[0]}"]
    fields: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise _Bad(f"{show(word)} is not of the form key=value")
        if key in fields:
            raise _Bad(f"{show(key)} is there twice")
        fields[key] = value
    return fields


def _reference(value: str) -> str:
    try:
        parse_reference(value.replace(NAME_FIELD, _SAMPLE))
    except InvalidReference as error:
        raise _Bad(f"ref is no image reference: {error}") from None
    return value


def _path(value: str) -> str:
    if NAME_FIELD in value and NAME_FIELD not in Path(value).parts:
        raise _Bad(f"{NAME_FIELD} in a path is a whole part of it, as in caches/{NAME_FIELD}")
    # buildx takes it from its own directory, which need not be ours.
    return str(Path(value).absolute())


def _scope(value: str) -> str:
    if _SCOPE.fullmatch(value.replace(NAME_FIELD, _SAMPLE)) is None:
        raise _Bad("a scope is letters, digits, '.', '_', '/' and '-'")
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in words:
            raise _Bad(f"{show(value)} is none of {', '.join(words)}")
        return value

    return check


_WRITTEN: Mapping[str, Callable[[str], str]] = {
    "mode": _one_of("min", "max"),
    "compression": _one_of(*_COMPRESSIONS),
    "force-compression": _one_of(*_FLAG),
    "oci-mediatypes": _one_of(*_FLAG),
    "image-manifest": _one_of(*_FLAG),
    "ignore-error": _one_of(*_FLAG),
}
_KINDS: Mapping[str, Mapping[str, Mapping[str, Callable[[str], str]]]] = {
    "registry": {TO: {"ref": _reference, **_WRITTEN}, FROM: {"ref": _reference}},
    "local": {TO: {"dest": _path, **_WRITTEN}, FROM: {"src": _path}},
    # Its address and token come from the runner's environment, never from the command line.
    "gha": {
        TO: {"scope": _scope, "mode": _WRITTEN["mode"], "ignore-error": _WRITTEN["ignore-error"]},
        FROM: {"scope": _scope},
    },
}

"""The kinds of value that an image's keys have, beyond plain strings and lists."""

from __future__ import annotations

import datetime as dt
import posixpath
import re
from collections.abc import Mapping
from typing import NoReturn

from cudaforge.declaration.git import GIT_SCHEMA, check_git_address, is_git
from cudaforge.declaration.kinds import (
    CLAUSES_PATTERN,
    STRING,
    WISH,
    BadValue,
    Kind,
    Mistake,
    bad,
    list_kind,
    mapped,
    nearest,
    read_string,
    read_wish,
    text_kind,
    type_name,
    within,
)
from cudaforge.declaration.model import NO_SNAPSHOT, SNAPSHOT_OF_LOCK, CopyStep, FrameworkWish
from cudaforge.declaration.needed import RequirementsSource, normal_name
from cudaforge.declaration.text import has_credentials
from cudaforge.display import show
from cudaforge.records import record
from cudaforge.references import InvalidReference, parse_reference
from cudaforge.versions import VersionWish

_FRAMEWORK_NAME = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
_FRAMEWORK = re.compile(rf"\s*(?P<name>{_FRAMEWORK_NAME})\s*(?P<wish>(?:[<>=!~].*)?)")
_FRAMEWORK_HINT = 'for example "pytorch", "pytorch>=2.6,<2.9" or "pytorch==2.8.0+cu128"'
CPU = "none"
_BOOTSTRAP = r"bootstrap:[a-z0-9]+(?:[._-][a-z0-9]+)*"


def read_framework(value: object) -> FrameworkWish:
    """One framework, PEP 508 style: `pytorch>=2.6,<2.9`."""
    text = read_string(value)
    for part, name in (("[", "an extra"), (";", "a marker"), ("@", "an address")):
        if part in text:
            bad(f"{show(text)}: a framework takes no {name.split()[-1]}", _FRAMEWORK_HINT)
    match = _FRAMEWORK.fullmatch(text)
    if match is None:
        bad(f"{show(text)} is no framework", _FRAMEWORK_HINT)
    name, wish = match["name"].lower(), match["wish"]
    if not wish:
        return FrameworkWish(name=name)
    if re.match(r"=[^=]", wish):
        bad(f"{show(text)}: a version is asked for with ==", f'"{name}=={wish[1:].strip()[:40]}"')
    return FrameworkWish(name=name, version=read_wish(wish, hint=_FRAMEWORK_HINT))


FRAMEWORK = Kind(
    read=read_framework,
    schema={"type": "string", "pattern": rf"^\s*{_FRAMEWORK_NAME}({CLAUSES_PATTERN})?\s*$"},
)
_FRAMEWORK_LIST = list_kind(FRAMEWORK, example='["pytorch>=2.6", "jax"]')


def _read_frameworks(value: object) -> tuple[FrameworkWish, ...]:
    if isinstance(value, str):
        return (read_framework(value),)
    if not isinstance(value, list):
        bad(f"{type_name(value)} where a framework or a list of them is expected", _FRAMEWORK_HINT)
    frameworks = _FRAMEWORK_LIST.read(value)
    if not frameworks:
        bad("the list is empty", _FRAMEWORK_HINT)
    names = [framework.name for framework in frameworks]
    twice = tuple(
        Mistake(what=f"framework {show(name)} is there twice", path=(index,))
        for index, name in enumerate(names)
        if name in names[:index]
    )
    if twice:
        raise BadValue(*twice)
    return frameworks


FRAMEWORKS = Kind(
    read=_read_frameworks,
    schema={"anyOf": [FRAMEWORK.schema, {**_FRAMEWORK_LIST.schema, "minItems": 1}]},
)


@record()
class CudaWish:
    """A CUDA version, or None for the CPU twin (`cuda = "none"`)."""

    version: VersionWish | None


def _read_cuda(value: object) -> CudaWish:
    return CudaWish(version=None) if value == CPU else CudaWish(version=read_wish(value))


CUDA = Kind(read=_read_cuda, schema={"anyOf": [{"const": CPU}, WISH.schema]})

GPU = text_kind(
    r"[A-Za-z0-9](?:[A-Za-z0-9 ._+-]*[A-Za-z0-9+])?", allowed='a product such as "RTX 4090", or "sm_90"'
)
WORD = text_kind(
    r"[a-z0-9]+(?:[._-][a-z0-9]+)*", allowed="lower-case letters, digits and single '.', '_', '-'"
)
OS = text_kind(r"[a-z]+(?:[._-]?[a-z0-9]+)*", allowed='a system and its release, such as "ubuntu22.04"')


def _read_base(value: object) -> str:
    text = read_string(value)
    if re.fullmatch(_BOOTSTRAP, text):
        return text
    if has_credentials(text):
        bad(
            "an image reference has no user name or password",
            "log in with `docker login`, or `podman login --authfile ~/.docker/config.json`",
        )
    try:
        parse_reference(text)
    except InvalidReference as error:
        bad(
            f"{show(text)} is no image reference: {error}",
            'for example "python:3.12-slim-bookworm" or "bootstrap:debian12"',
        )
    return text


BASE = Kind(
    read=_read_base, schema={"type": "string", "minLength": 1, "maxLength": 512, "pattern": r"^[^\s]+$"}
)

_APT = r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?"
APT = text_kind(_APT, allowed='an OS package such as "git", or "git=1:2.39.5-0+deb12u2"')
_DAY = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


def _read_snapshot(value: object) -> str:
    """A day, SNAPSHOT_OF_LOCK or NO_SNAPSHOT."""
    if isinstance(value, bool):
        return SNAPSHOT_OF_LOCK if value else NO_SNAPSHOT
    text = read_string(value)
    try:
        day = dt.date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        bad(f"{show(text)} is no day", 'for example "2026-06-01"; true for the day of locking')
    return text


OS_SNAPSHOT = Kind(
    read=_read_snapshot,
    schema={"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^{_DAY.pattern}$"}]},
)
USER = text_kind(
    r"(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,9})(?::(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,9}))?",
    allowed='a name or a number, with a group or without: "app", "1000:1000"',
)
TAG = text_kind(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}",
    allowed="1 to 128 letters, digits, '_', '.' or '-', not starting with '.' or '-'",
    longest=128,
)
SECRET = text_kind(
    r"(?!cudaforge)[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}",
    allowed="letters, digits, '_', '.' and '-'; names that start with 'cudaforge' are taken",
)
LABEL_NAME = text_kind(
    r"(?!(?:[a-z]+\.)?cudaforge\.)[A-Za-z0-9]+(?:[._/-]+[A-Za-z0-9]+)*",
    allowed="letters, digits and '.', '_', '/', '-' between them; cudaforge.* is written by cudaforge",
)


def _read_package(value: object) -> str:
    text = read_string(value)
    if text.startswith("-"):
        bad(f"{show(text)} is an option, not a package", "package indexes belong in [network]")
    if re.match(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*\s*@\s*)?\.{1,2}/", text):
        return text  # a wheel of the project, which is looked at where the project is known
    # 14 ms of import, only for declarations that list packages.
    from packaging.requirements import InvalidRequirement, Requirement

    if re.match(r"(git\+)?[a-z]+://", text):
        bad(f"{show(text)} is an address without a name", "name @ address, or a version of a package")
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        bad(f"{show(text)} is no package requirement", 'PEP 508, for example "transformers>=4.44"')
    if requirement.url is not None and is_git(requirement.url):
        check_git_address(text, requirement.url)
    elif requirement.url is not None:
        _refuse_address(text, requirement.name)
    return str(requirement)


def _refuse_address(text: str, name: str) -> NoReturn:
    """Say why a package that comes from an address is not taken, and what is."""
    bad(
        f"{show(text)}: packages from an address are not supported",
        f'name a version of {name}, or put its wheel into the project: "./wheels/..."',
    )


PACKAGE_NAME = mapped(
    text_kind(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", allowed="the name of a package, no version"),
    normal_name,
)
PACKAGE = Kind(
    read=_read_package,
    schema={
        "type": "string",
        "minLength": 1,
        "pattern": rf"^([A-Za-z0-9][^@]*|([A-Za-z0-9][^@]*@ *)?\.\.?/.+|{GIT_SCHEMA})$",
    },
)
_SOURCE_KEYS = ("path", "extras", "groups")
_SOURCE_EXAMPLE = '{ path = ".", extras = ["serve"], groups = ["train"] }'


def _read_requirements(value: object) -> RequirementsSource:
    if isinstance(value, str):
        return RequirementsSource(path=PROJECT_PATH.read(value))
    if not isinstance(value, Mapping):
        bad(f"{type_name(value)} where a path or a table is expected", _SOURCE_EXAMPLE)
    unknown = next((key for key in value if key not in _SOURCE_KEYS), None)
    if unknown is not None:
        bad(f"unknown key {show(str(unknown))}", _did_you_mean(str(unknown), _SOURCE_KEYS))
    if "path" not in value:
        bad("'path' is missing", _SOURCE_EXAMPLE)
    return RequirementsSource(
        path=PROJECT_PATH.read(value["path"]),
        extras=_EXTRAS.read(value.get("extras", [])),
        groups=_EXTRAS.read(value.get("groups", [])),
    )


_EXTRAS = list_kind(
    text_kind(r"[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*", allowed="a name as the project writes it"),
    example='["train"]',
)


def _no_password(text: str) -> str:
    if has_credentials(text):
        bad(
            "a user name or password in an address would stay readable in the image",
            'name it in `secrets` and read it in a step of `run`: secrets = ["token"]',
        )
    return text


SAFE_STRING = mapped(STRING, _no_password)


def _read_command(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        bad("a string where a list is expected", 'one word per entry: ["python", "main.py"]')
    words = _COMMAND_WORDS.read(value)
    if words and not words[0]:
        bad("the program to start has no name", 'for example ["python", "main.py"]')
    return words


def _any_safe_string(value: object) -> str:
    return "" if value == "" else SAFE_STRING.read(value)


_COMMAND_WORDS = list_kind(
    Kind(read=_any_safe_string, schema={"type": "string"}), example='["python", "main.py"]', unique=False
)
COMMAND = Kind(read=_read_command, schema=_COMMAND_WORDS.schema)


def _read_workdir(value: object) -> str:
    text = read_string(value)
    if not text.startswith("/"):
        bad(f"{show(text)} is no absolute path", 'a path inside the image such as "/app"')
    if ".." in text.split("/"):
        bad(f"{show(text)} goes up with '..'", 'write where it leads, such as "/app"')
    return text


WORKDIR = Kind(read=_read_workdir, schema={"type": "string", "pattern": "^/", "maxLength": 4096})


def read_project_path(value: object) -> str:
    """A path below the project directory, normalised. Whether it exists is another question."""
    text = read_string(value)
    remedy = "a path relative to the project directory and inside it"
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        bad(f"{show(text)} is not a relative path", remedy)
    if "\\" in text:
        bad(f"{show(text)} has a backslash", "separate directories with '/'")
    if text.startswith(("-", "!")) or text != text.strip():
        bad(f"{show(text)} starts with '-' or '!', or has a space at an end", remedy)
    path = posixpath.normpath(text)
    if path == ".." or path.startswith("../"):
        bad(f"{show(text)} leaves the project directory", remedy)
    return path


PROJECT_PATH = Kind(read=read_project_path, schema={"type": "string", "minLength": 1, "pattern": "^[^/~!-]"})
REQUIREMENTS = Kind(
    read=_read_requirements,
    schema={
        "anyOf": [
            PROJECT_PATH.schema,
            {
                "type": "object",
                "properties": {
                    "path": {**PROJECT_PATH.schema, "description": "The file, or the project's directory."},
                    "extras": {**_EXTRAS.schema, "description": "Extras of the project."},
                    "groups": {**_EXTRAS.schema, "description": "Dependency groups of the project."},
                },
                "required": ["path"],
                "additionalProperties": False,
            },
        ]
    },
)
_COPY_KEYS = ("from", "to")
_COPY_EXAMPLE = '{ from = ".", to = "/app" }'


def _read_copy(value: object) -> CopyStep:
    if not isinstance(value, Mapping):
        bad(f"{type_name(value)} where a table is expected", _COPY_EXAMPLE)
    mistakes = [
        Mistake(what=f"unknown key {show(key)}", remedy=_did_you_mean(key, _COPY_KEYS), path=(key,))
        for key in value
        if key not in _COPY_KEYS
    ]
    read: dict[str, str] = {}
    for key, kind in zip(_COPY_KEYS, (PROJECT_PATH, WORKDIR), strict=True):
        if key not in value:
            if len(value) < len(_COPY_KEYS):  # else it is there, misspelt
                mistakes.append(Mistake(what=f"'{key}' is missing", remedy=_COPY_EXAMPLE))
            continue
        try:
            read[key] = kind.read(value[key])
        except BadValue as error:
            mistakes += within((key,), error)
    if mistakes:
        raise BadValue(*mistakes)
    return CopyStep(source=read["from"], target=read["to"])


def _did_you_mean(key: str, known: tuple[str, ...]) -> str:
    close = nearest(key, known)
    hint = f"did you mean '{close}'? " if close else ""
    return f"{hint}allowed: {', '.join(known)}"


COPY = Kind(
    read=_read_copy,
    schema={
        "type": "object",
        "properties": {"from": PROJECT_PATH.schema, "to": WORKDIR.schema},
        "required": list(_COPY_KEYS),
        "additionalProperties": False,
    },
)

IMAGE_NAME_PATTERN = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
IMAGE_NAME_MAX = 100
# Windows reserves these as file names, with any extension; checkouts and shared folders meet it.
_DEVICES = r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?"
_IMAGE_NAME = text_kind(
    IMAGE_NAME_PATTERN,
    allowed="lower-case letters and digits, with single '.', '_' or '-' between them",
    longest=IMAGE_NAME_MAX,
)


def _no_device(name: str) -> str:
    if re.fullmatch(_DEVICES, name):
        bad(f"{show(name)} is the name of a device on Windows and no file can have it", "another name")
    return name


IMAGE_NAME = mapped(_IMAGE_NAME, _no_device)

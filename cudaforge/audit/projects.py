"""Installers of whole projects: uv sync, poetry, pdm, pipenv, and pip with the project itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from cudaforge.audit.context import in_context
from cudaforge.audit.installers import Arguments, parse_arguments
from cudaforge.audit.locks import (
    Locked,
    Wanted,
    read_pipfile_lock,
    read_poetry_lock,
    read_project,
    read_pylock,
    read_toml,
    read_uv_lock,
)
from cudaforge.audit.names import normal
from cudaforge.audit.shell import Command
from cudaforge.audit.state import Image, Install, Origin, Python, ReadFile
from cudaforge.audit.words import Word
from cudaforge.records import record, replace

_PROJECT = "pyproject.toml"
_VALUES = (
    "--extra",
    "--extras",
    "-E",
    "--group",
    "-G",
    "--only-group",
    "--no-group",
    "--with",
    "--without",
    "--only",
    "--project",
    "--directory",
    "-C",
    "-P",
    "-p",
    "--python",
    "--categories",
)
_NO_DEV = ("--no-dev", "--no-default-groups", "--prod", "--production", "--no-self-dev")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
Reader = Callable[[str, Wanted], "tuple[Locked, ...] | None"]


@record()
class Tool:
    """An installer that has a lock file."""

    name: str
    lock: str
    read: Reader


_TOOLS: Mapping[str, Tool] = {
    "uv": Tool(name="uv", lock="uv.lock", read=read_uv_lock),
    "poetry": Tool(name="poetry", lock="poetry.lock", read=read_poetry_lock),
    "pdm": Tool(name="pdm", lock="pdm.lock", read=read_poetry_lock),
    "pipenv": Tool(name="pipenv", lock="Pipfile.lock", read=read_pipfile_lock),
}


def install_project(image: Image, command: Command, name: str, read: ReadFile, mounts: Sequence[str]) -> None:
    """`uv sync`, `poetry install`, `pdm install` and `sync`, `pipenv install` and `sync`."""
    if not command.is_certain:
        image.note_condition(command, "what is installed here")
        return
    if {"--only-root", "--only-install-project", "--dry-run"} & set(command.texts):
        return
    tool, values = _TOOLS[name], _options(command.arguments)
    directory = next(iter((*values("--project"), *values("--directory"), *values("-C"))), "")
    place = f"{directory.rstrip('/')}/" if directory else ""
    python = _environment(image, command, name, values)
    manifest = "Pipfile" if name == "pipenv" else _PROJECT
    lock = in_context(image, f"{place}{tool.lock}", mounts)
    text = read(lock) if lock is not None and not image.ignored(lock) else None
    wanted = _wanted(image, command, values, python)
    if name == "uv":
        _choose_python(image, python, text, directory, read, mounts)
    if lock is not None and text is not None:
        found = tool.read(text, wanted)
        if found is None:
            image.note_unknown(command.line, f"{lock} cannot be read")
            return
        _add(image, command, found, python, name, file=lock, extra=_sources(image, name, place, read, mounts))
        return
    is_frozen = bool({"--frozen", "--locked", "--deploy", "--frozen-lockfile"} & set(command.texts))
    manifest_path = in_context(image, f"{place}{manifest}", mounts)
    if is_frozen or manifest_path is None or name == "pipenv":
        missing = tool.lock if is_frozen and manifest_path is not None else manifest
        path = lock if missing == tool.lock else manifest_path
        image.note_missing(f"{place}{missing}", command.line, path, is_mounted=bool(mounts))
        return
    _of_project(image, command, manifest_path, wanted, python, name, read)


def note_export(image: Image, command: Command) -> None:
    """A requirements file that is made of a lock in the image: what is in it is not known here."""
    for at, text in enumerate(command.texts):
        name, equals, value = text.partition("=")
        if name in ("-o", "--output", "--output-file"):
            image.links[value if equals else "".join(command.texts[at + 1 : at + 2])] = "export"
    for redirect in command.redirects:
        image.links[redirect.target] = "export"


def _choose_python(
    image: Image, python: Python, lock: str | None, directory: str, read: ReadFile, mounts: Sequence[str]
) -> None:
    """uv takes the Python that the project names, and fetches it where the image has another one."""
    path = in_context(image, f"{directory or '.'}/.python-version", mounts)
    named = re.match(r"\s*(?:cpython-)?(3\.\d+)", read(path) or "") if path is not None else None
    match = re.search(r'^requires-python = "([^"]+)"', lock or "", re.MULTILINE)
    try:
        wish = SpecifierSet(match[1]) if match is not None else SpecifierSet()
    except InvalidSpecifier:
        wish = SpecifierSet()
    if named is not None:
        python.minor = named[1]
    elif python.minor is not None and not any(wish.contains(f"{python.minor}.{n}") for n in (0, 99)):
        python.minor = None


def _options(words: Sequence[Word]) -> Callable[[str], tuple[str, ...]]:
    """Gives the values of an option, those with commas in pieces."""
    found: dict[str, list[str]] = {}
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        if name in _VALUES:
            given = value if equals else (words[at + 1].text if at + 1 < len(words) else "")
            found.setdefault(name, []).extend(part for part in re.split(r"[,\s]+", given) if part)
    return lambda name: tuple(found.get(name, ()))


def _wanted(
    image: Image, command: Command, values: Callable[[str], tuple[str, ...]], python: Python
) -> Wanted:
    flags = set(command.texts)
    minor = python.minor or "3.11"
    only = {*values("--only"), *values("--only-group")}
    no_dev = bool(flags & set(_NO_DEV)) or (command.name == "pipenv" and not flags & {"--dev", "-d"})
    return Wanted(
        extras=frozenset(_plain({*values("--extra"), *values("--extras"), *values("-E")})),
        groups=frozenset({*values("--group"), *values("--with"), *values("-G")}),
        without=frozenset({*values("--without"), *values("--no-group")}),
        only=frozenset(only),
        all_extras="--all-extras" in flags,
        no_dev=no_dev or bool(command.assignments.get("UV_NO_DEV")),
        environment={
            "python_version": minor,
            "python_full_version": f"{minor}.0",
            "platform_machine": _MACHINES.get(image.scope.get("TARGETARCH") or "", "x86_64"),
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        },
    )


def _plain(names: set[str]) -> set[str]:
    return {normal(name) for name in names}


def _environment(
    image: Image, command: Command, name: str, values: Callable[[str], tuple[str, ...]]
) -> Python:
    """Where the packages go: the project's environment, or the Python that is there."""
    own = image.python_of("python3") or image.python_of("python") or Python(None, "unknown")
    given = command.assignments
    if name == "uv":
        asked = next(iter((*values("--python"), *values("-p"))), given.get("UV_PYTHON") or "")
        match = re.match(r"(?:cpython-?|python)?(3\.\d+)", asked.rpartition("/")[2])
        path = given.get("UV_PROJECT_ENVIRONMENT") or ".venv"
        if path.rstrip("/") in ("/usr/local", "/usr") or ("--active" in command.texts and own.path):
            return own
        return _venv(image, path, match[1] if match else own.minor)
    is_system = (
        "--system" in command.texts
        or (given.get("POETRY_VIRTUALENVS_CREATE") or "").lower() in ("false", "0")
        or "poetry-in-place" in image.links
        or (given.get("PIPENV_SYSTEM") or "") not in ("", "0")
    )
    if is_system or own.path is not None:
        return own
    return _venv(image, ".venv", own.minor)


def _venv(image: Image, path: str, minor: str | None) -> Python:
    place = path if path.startswith("/") else f"{image.workdir.rstrip('/')}/{path.removeprefix('./')}"
    place = place.rstrip("/")
    if place not in image.venvs:
        image.venvs[place] = Python(minor, "standalone", path=place)
    return image.venvs[place]


def _sources(image: Image, name: str, place: str, read: ReadFile, mounts: Sequence[str]) -> tuple[str, ...]:
    """Indexes that pdm's project names: its lock says of no package from where it comes."""
    path = in_context(image, f"{place}{_PROJECT}", mounts) if name == "pdm" else None
    text = read(path) if path is not None else None
    document = read_toml(text) if text is not None else None
    found: object = document
    for key in ("tool", "pdm", "source"):
        found = found.get(key) if isinstance(found, Mapping) else None
    sources = found if isinstance(found, list) else []
    urls = [one.get("url") for one in sources if isinstance(one, Mapping)]
    return tuple(url for url in urls if isinstance(url, str))


def _add(
    image: Image,
    command: Command,
    found: Sequence[Locked],
    python: Python,
    tool: str,
    *,
    file: str,
    extra: tuple[str, ...] = (),
) -> None:
    image.counter += 1
    python.is_used = True
    image.installs += [
        Install(
            requirement=one.requirement,
            python=python,
            origin=Origin(index=one.index, extra=extra),
            tool="uv" if tool == "uv" else "pip",
            line=one.line,
            text=str(one.requirement),
            file=file,
            command=image.counter,
            upgrades=True,
        )
        for one in found
    ]
    if not found:
        image.note_unknown(command.line, f"{file} has nothing that is installed here")


def _of_project(
    image: Image,
    command: Command,
    path: str,
    wanted: Wanted,
    python: Python,
    tool: str,
    read: ReadFile,
) -> None:
    """What a project asks for where no lock says more."""
    text = read(path) if not image.ignored(path) else None
    if text is None:
        image.note_missing(path, command.line, path, is_mounted=True)
        return
    found, why = read_project(text, wanted)
    if why is not None:
        image.note_unknown(command.line, f"what {path} requires is not known: {why}")
    if re.search(r"^\[\[?tool\.(?:uv|poetry|pdm)\.(?:sources|index|source)\b", text, re.MULTILINE):
        image.note_unknown(command.line, f"{path} names indexes of its own for packages")
        return
    if found:
        _add(image, command, found, python, tool, file=path)


def pip_project(
    image: Image,
    word: Word,
    template: Install,
    read: ReadFile,
    mounts: Sequence[str],
) -> None:
    """`pip install .`, `-e .`, `".[gpu]"` and other directories with a project."""
    directory, _, extras = word.text.partition("[")
    directory = directory.rstrip("/") or "/"
    path = in_context(image, f"{directory}/{_PROJECT}", mounts)
    text = read(path) if path is not None and not image.ignored(path) else None
    if path is None or text is None:
        image.note_unknown(word.line, f"what the project {word.text[:60]} needs is not known")
        return
    names = frozenset(_plain({one for one in re.split(r"[,\s]+", extras.rstrip("]")) if one}))
    found, why = read_project(text, Wanted(extras=names))
    if why is not None:
        image.note_unknown(word.line, f"what {path} requires is not known: {why}")
    image.installs += [
        replace(
            template,
            requirement=one.requirement,
            text=str(one.requirement),
            line=one.line,
            file=path,
        )
        for one in found
    ]


def sync_file(
    image: Image,
    command: Command,
    words: Sequence[Word],
    python: Python,
    read: ReadFile,
    mounts: Sequence[str],
) -> bool:
    """`uv pip sync pylock.toml`, `uv pip install -r pylock.toml`; whether it was one."""
    arguments: Arguments = parse_arguments(words)
    names = [*(word.text for word in arguments.operands), *arguments.all("file")]
    for name in names:
        if not re.fullmatch(r"(?:.*/)?pylock(?:\.[^.]+)?\.toml", name):
            continue
        path = in_context(image, name, mounts)
        text = read(path) if path is not None and not image.ignored(path) else None
        if path is None or text is None:
            image.note_missing(name, command.line, path, is_mounted=bool(mounts))
            return True
        wanted = _wanted(image, command, lambda _: (), python)
        found = read_pylock(text, wanted)
        if found is None:
            image.note_unknown(command.line, f"{path} cannot be read")
        else:
            _add(image, command, found, python, "uv", file=path)
        return True
    return False

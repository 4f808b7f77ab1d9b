"""What uv is asked to install."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.audit.context import in_context
from cudaforge.audit.installers import Arguments, install, is_on, note_redirects, parse_arguments
from cudaforge.audit.projects import install_project, note_export, sync_file
from cudaforge.audit.shell import Command
from cudaforge.audit.state import Image, Python, ReadFile
from cudaforge.records import replace

_BEGINS = re.compile(r"^[A-Za-z0-9]")


def uv(image: Image, command: Command, read: ReadFile, mounts: Sequence[str]) -> None:
    """`uv pip install` and `sync`, `uv venv`, `uv python install`, `uv sync`, `run`, `add` and `export`."""
    texts = [word.text for word in command.arguments]
    match texts[:2]:
        case ["pip", "install"]:
            _pip_install(image, command, read, mounts)
        case ["pip", "sync"]:
            _pip_sync(image, command, read, mounts)
        case ["pip", "compile"] | ["export", *_]:
            note_export(image, command)
        case ["venv", *_]:
            _uv_venv(image, command)
        case ["python", "install"] if len(texts) > 2:  # noqa: PLR2004
            image.programs.setdefault("uv-python", Python(_minor(texts[-1]), "standalone"))
        case ["sync", *_]:
            install_project(image, command, "uv", read, mounts)
        case ["run" | "add" as verb, *_]:
            _in_project(image, command, verb, read, mounts)
        case _:
            pass


def _in_project(image: Image, command: Command, verb: str, read: ReadFile, mounts: Sequence[str]) -> None:
    """What installs a project by the way, where there is one."""
    if {"--no-sync", "--no-project", "--isolated"} & set(command.texts):
        return
    if in_context(image, "pyproject.toml", mounts) is not None:
        install_project(image, command, "uv", read, mounts)
    if verb == "add":
        image.note_unknown(command.line, "what uv add changes in the project's lock is not known")
        arguments = parse_arguments(command.arguments[1:])
        install(image, command, arguments, _uv_python(image, command, arguments), "uv", read, mounts)


def _pip_install(image: Image, command: Command, read: ReadFile, mounts: Sequence[str]) -> None:
    arguments = parse_arguments(command.arguments[2:])
    note_redirects(image, command)
    python = _uv_python(image, command, arguments)
    is_allowed = "--break-system-packages" in arguments.flags or is_on(
        command.assignments.get("UV_BREAK_SYSTEM_PACKAGES")
    )
    is_refused = python.managed and not is_allowed and not image.unmanaged
    if _has_no_environment(image, command, arguments, python, read):
        image.note("no-venv", command, "uv pip", detail="managed" if is_refused else "")
    elif is_refused:
        image.note("pep668", command, "uv pip", detail=python.minor or "")
    if sync_file(image, command, command.arguments[2:], python, read, mounts):
        return
    backend = arguments.last("backend") or command.assignments.get("UV_TORCH_BACKEND")
    if backend == "auto":
        image.note_unknown(
            command.line, "--torch-backend auto chooses by the driver of the machine that builds"
        )
    install(image, command, arguments, python, "uv", read, mounts)


def _has_no_environment(
    image: Image, command: Command, arguments: Arguments, python: Python, read: ReadFile
) -> bool:
    """Whether uv certainly finds no virtual environment, and was not told to go without."""
    base = image.base
    if base is None or not base.is_known or base.contents or base.framework_image is not None:
        return False
    options = {name for name, _, _ in arguments.options}
    given = ("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_CONFIG_FILE")
    if (
        {"--target", "-t", "--prefix", "python"} & options
        or {"--system", "--config-file", "--user"} & arguments.flags
        or is_on(command.assignments.get("UV_SYSTEM_PYTHON"))
        or any(name in command.assignments for name in given)
        or python.path is not None
        or image.conda is not None
    ):
        return False
    here = image.place(".").rstrip("/").split("/")
    near = ["/".join(here[:end]) + "/.venv" for end in range(1, len(here) + 1)]
    settings = [path for name in ("uv.toml", "pyproject.toml") if (path := image.in_context(name))]
    return not (
        any(place in image.venvs or image.may_have(place) for place in near)
        or any("system" in (read(path) or "") for path in settings)
    )


def _pip_sync(image: Image, command: Command, read: ReadFile, mounts: Sequence[str]) -> None:
    """`uv pip sync FILE ...`: each file is a requirements file, or a pylock.toml."""
    words = command.arguments[2:]
    arguments = parse_arguments(words)
    python = _uv_python(image, command, arguments)
    if sync_file(image, command, words, python, read, mounts):
        return
    options = tuple(("file", word.text if word.is_sure else "$", word) for word in arguments.operands)
    given = replace(arguments, operands=(), options=(*arguments.options, *options))
    install(image, command, given, python, "uv", read, mounts)


def _uv_venv(image: Image, command: Command) -> None:
    arguments = parse_arguments(command.arguments[1:])
    asked = arguments.last("python")
    path = arguments.operands[-1].text if arguments.operands else ".venv"
    parent = image.python_of(asked) if asked else image.python_of("python3") or image.python_of("python")
    minor = parent.minor if parent is not None else _minor(asked or "")
    place = image.place(path)
    image.venvs[place.rstrip("/")] = Python(
        minor, parent.provider if parent is not None else "standalone", path=place.rstrip("/")
    )
    image.venvs[place.rstrip("/")].parent = parent


def _uv_python(image: Image, command: Command, arguments: Arguments) -> Python:
    asked = arguments.last("python") or command.assignments.get("UV_PYTHON")
    if asked:
        found = image.python_of(asked) or image.venvs.get(asked.rstrip("/"))
        if found is None and asked.startswith("3."):
            found = image.programs.get(f"python{asked}")
        if found is not None:
            return found
    active = command.assignments.get("VIRTUAL_ENV")
    if active and active in image.venvs:
        return image.venvs[active]
    is_system = "--system" in arguments.flags or is_on(command.assignments.get("UV_SYSTEM_PYTHON"))
    if not is_system:
        near = image.venvs.get(image.place(".venv"))
        if near is not None:
            return near
    python = image.python_of("python3") or image.python_of("python")
    return python or Python(_minor(asked or ""), "unknown")


def _minor(text: str) -> str | None:
    match = re.match(r"(?:cpython-|python)?(3\.\d+)", text)
    return match[1] if match else None

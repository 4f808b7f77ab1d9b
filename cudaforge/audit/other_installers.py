"""What uv and conda are asked to install."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cudaforge.audit.installers import Arguments, install, is_on, note_redirects, parse_arguments
from cudaforge.audit.shell import Command, Word
from cudaforge.audit.state import Image, Python, ReadFile
from cudaforge.records import replace

_BEGINS = re.compile(r"^[A-Za-z0-9]")


def uv(image: Image, command: Command, read: ReadFile, mounts: Sequence[str]) -> None:
    """`uv pip install`, `uv venv`, `uv python install`, `uv sync`."""
    texts = [word.text for word in command.arguments]
    if texts[:2] == ["pip", "install"]:
        arguments = parse_arguments(command.arguments[2:])
        note_redirects(image, command)
        python = _uv_python(image, command, arguments)
        is_allowed = "--break-system-packages" in arguments.flags or is_on(
            command.assignments.get("UV_BREAK_SYSTEM_PACKAGES")
        )
        if python.managed and not is_allowed and not image.unmanaged:
            image.note("pep668", command, "uv pip", detail=python.minor or "")
        if backend := arguments.last("backend"):
            image.note_unknown(command.line, f"--torch-backend {backend} chooses the index by itself")
        install(image, command, arguments, python, "uv", read, mounts)
    elif texts[:1] == ["venv"]:
        _uv_venv(image, command)
    elif texts[:2] == ["python", "install"] and len(texts) > 2:  # noqa: PLR2004
        python = Python(_minor(texts[-1]), "standalone")
        image.programs.setdefault("uv-python", python)
    elif texts[:1] in (["sync"], ["add"], ["run"]):
        image.note_unknown(command.line, f"what uv {texts[0]} installs stands in the project's lock")


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


def conda(image: Image, command: Command) -> Command | None:
    """conda and mamba; for `conda run` the command that it runs."""
    texts = [word.text for word in command.arguments]
    if texts[:1] == ["run"]:
        return _conda_run(command)
    python = image.conda or image.python_of("python") or Python(None, "conda")
    if texts[:1] == ["create"]:
        python = Python(None, "conda")
        for name in ("python", "python3", "pip", "pip3"):
            image.programs[name] = python
    if texts[:1] not in (["install"], ["create"], ["env"]):
        return None
    image.conda = python
    for name in ("python", "python3", "pip", "pip3"):
        image.programs.setdefault(name, python)
    if texts[:1] == ["env"]:
        image.note_unknown(command.line, "what an environment file of conda installs is not known")
        return None
    image.counter += 1
    for word in _conda_specs(command.arguments[1:]):
        name, _, version = re.sub(r"[<>!~]?=+", "=", word.text.rpartition("::")[2], count=1).partition("=")
        if name == "python" and version:
            python.minor = _minor(version) if "." in version else None
        elif _BEGINS.match(name):
            image.note("conda", replace(command, line=word.line), name, detail=version)
    return None


def _conda_specs(words: Sequence[Word]) -> Iterator[Word]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.text in ("-c", "--channel", "-n", "--name", "-p", "--prefix", "-f", "--file", "--solver"):
            skip = True
        elif not word.text.startswith("-") and word.is_sure:
            yield word


def _conda_run(command: Command) -> Command | None:
    words = list(command.arguments[1:])
    while words and words[0].text.startswith("-"):
        option = words.pop(0)
        if option.text in ("-n", "--name", "-p", "--prefix") and words:
            words.pop(0)
    return replace(command, words=tuple(words)) if words else None

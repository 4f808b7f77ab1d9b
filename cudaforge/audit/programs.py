"""What the programs of RUN do to an image: packages of the archive, Pythons, environments, links."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from cudaforge.audit.conda import activate, conda
from cudaforge.audit.installers import pip
from cudaforge.audit.leftovers import bring, change_directory, leave, note_no_ensurepip
from cudaforge.audit.other_installers import uv
from cudaforge.audit.projects import install_project, note_export
from cudaforge.audit.shell import Command
from cudaforge.audit.state import AptPackage, Image, Python, ReadFile
from cudaforge.audit.words import Word
from cudaforge.matrix.model import OperatingSystem
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record, replace

ACTIVATED = ("python", "python3", "pip", "pip3")
_PREFIXES = frozenset(("sudo", "exec", "time", "env", "nice", "command", "eatmydata"))
_PYTHON = re.compile(r"python(3(?:\.\d+)?)?")
_MINOR = re.compile(r"python(3\.\d+)(?:-(dev|venv|distutils|minimal|full|pip|nogil))?")
_APT_VALUES = ("-o", "-t", "-c", "--option", "--target-release", "-a")
_PIP_NAMES = re.compile(r"pip(?:3(?:\.\d+)?)?")


@record()
class Surroundings:
    """What a program is looked at with."""

    matrix: Matrix
    read: ReadFile
    mounts: Sequence[str] = ()


def run(
    image: Image, command: Command, *, matrix: Matrix, read: ReadFile, mounts: Sequence[str] = ()
) -> None:
    """Apply one command to the image, as far as it changes what an audit looks at."""
    around = Surroundings(matrix=matrix, read=read, mounts=mounts)
    command = _bare(command)
    if not command.words:
        return
    name = command.name
    if name in ("sh", "bash", "zsh", "ash") and "-c" in "".join(command.texts[1:3]):
        _nested(image, command, around)
        return
    leave(image, command)
    handler = _HANDLERS.get(name)
    if handler is not None:
        handler(image, command, around)
    elif _PIP_NAMES.fullmatch(name):
        pip(image, command, command.words[0].text, command.arguments, around.read, around.mounts)
    elif _PYTHON.fullmatch(name):
        _python(image, command, around)


def _bare(command: Command) -> Command:
    """Without what only starts the program that is meant."""
    words = list(command.words)
    while words and words[0].text.rpartition("/")[2] in _PREFIXES:
        words.pop(0)
        while words and (words[0].text.startswith("-") or re.match(r"\w+=", words[0].text)):
            words.pop(0)
    return replace(command, words=tuple(words))


def _nested(image: Image, command: Command, around: Surroundings) -> None:
    from cudaforge.audit.dockerfile import Piece
    from cudaforge.audit.shell import read_commands

    texts = [word for word in command.arguments if not word.text.startswith("-")]
    if texts and texts[0].is_sure:
        pieces = [Piece(line=texts[0].line, text=line) for line in texts[0].text.split("\n")]
        for inner in read_commands(pieces, image.scope, newlines=True):
            run(image, inner, matrix=around.matrix, read=around.read, mounts=around.mounts)


def _apt(image: Image, command: Command, _: Surroundings) -> None:
    words = _operands(command.arguments, _APT_VALUES)
    if not words or words[0].text not in ("install", "remove", "purge"):
        return
    if words[0].text != "install":
        _apt_removed(image, words[1:])
        return
    for word in words[1:]:
        if not word.is_sure:
            image.links["apt"] = word.raw
            continue
        name, *version = word.text.split("=", 1)
        name = name.partition(":")[0].partition("/")[0].rstrip("+")
        image.apt.append(AptPackage(name=name, version=version[0] if version else None, line=word.line))
        _apt_python(image, name)


def _apt_removed(image: Image, words: Sequence[Word]) -> None:
    gone = {word.text for word in words}
    image.apt = [one for one in image.apt if one.name not in gone]


def _archive_minor(os: OperatingSystem | None) -> str | None:
    return None if os is None else os.python or os.archive_python


def _apt_python(image: Image, name: str) -> None:
    os = image.base.os if image.base is not None else None
    minor = _archive_minor(os)
    match = _MINOR.fullmatch(name)
    if match is not None and (match[1] != minor or os is None):
        _add_minor(image, match[1], suffix=match[2])
        return
    if name in _BRINGS_PYTHON or (match is not None and match[2] in (None, "dev", "venv", "full")):
        python = _distro_python(image, os)
        if name in ("python3-pip", "pip"):  # the archive provides the one under the name of the other, too
            image.programs.setdefault("pip3", python)
            image.programs.setdefault("pip", python)
            python.has_pip = True
        if name in ("python-is-python3", "python-is-python"):
            image.programs.setdefault("python", python)


_BRINGS_PYTHON = frozenset(
    [
        "pip",
        "python3",
        "python3-pip",
        "python3-dev",
        "python3-venv",
        "python3-full",
        "python-is-python3",
        "python3-setuptools",
        "python3-wheel",
        "python3-virtualenv",
        "python3-minimal",
        "python3-numpy",
        "virtualenv",
        "pipx",
    ]
)


def _distro_python(image: Image, os: OperatingSystem | None) -> Python:
    for python in image.programs.values():
        if python.provider == "distro":
            return python
    python = Python(
        _archive_minor(os),
        "distro",
        pip=os.pip if os is not None else None,
        managed=os.externally_managed if os is not None else False,
    )
    python.has_pip = False
    for name in ("python3", f"python{python.minor}"):
        image.programs.setdefault(name, python)
    image.programs["/usr/bin/python3"] = python
    return python


def _add_minor(image: Image, minor: str, *, suffix: str | None) -> None:
    name = f"python{minor}"
    if name not in image.programs:
        image.programs[name] = Python(minor, "added")
    if suffix == "pip":
        image.programs[name].has_pip = True


def _python(image: Image, command: Command, around: Surroundings) -> None:
    program = command.words[0].text
    arguments = [word for word in command.arguments if word.text not in ("-u", "-B", "-I", "-s", "-E")]
    if arguments and re.fullmatch(r"-m\w.*", arguments[0].text):
        first = arguments[0]
        arguments = [replace(first, text="-m"), replace(first, text=first.text[2:]), *arguments[1:]]
    texts = [word.text for word in arguments]
    if texts[:1] == ["-m"] and len(texts) > 1:
        _module(image, command, program, arguments[1:], around)
    elif any(text.endswith("get-pip.py") for text in texts[:1]) or (
        (not texts or texts[0] == "-") and any("get-pip" in word.text for word in command.piped_from)
    ):
        _get_pip(image, program)
    elif texts[:1] == ["-c"] and len(texts) > 1 and not command.may_fail:
        image.note("python-code", command, texts[1])


def _module(
    image: Image, command: Command, program: str, words: Sequence[Word], around: Surroundings
) -> None:
    module = words[0].text
    if module == "pip":
        pip(image, command, program, tuple(words[1:]), around.read, around.mounts)
    elif module in ("venv", "virtualenv"):
        if module == "venv":
            note_no_ensurepip(image, command, program, words[1:])
        _make_venv(image, program, words[1:])
    elif module == "ensurepip":
        _get_pip(image, program, names=())
    elif module == "uv":
        uv(image, replace(command, words=tuple(words)), around.read, around.mounts)


def _get_pip(image: Image, program: str, *, names: Sequence[str] = ("pip", "pip3")) -> None:
    python = image.python_of(program)
    if python is None:
        return
    python.has_pip, python.pip = True, None
    for name in names:
        image.programs[name] = python


def _make_venv(image: Image, program: str, words: Sequence[Word]) -> None:
    chosen = next(
        (words[at + 1].text for at, word in enumerate(words[:-1]) if word.text in ("-p", "--python")), program
    )
    operands = [word for word in _operands(words, ("-p", "--python", "--prompt")) if word.is_sure]
    if not operands:
        return
    parent = image.python_of(chosen) or image.python_of(program)
    minor = parent.minor if parent is not None else None
    path = image.place(operands[-1].text)
    image.venvs[path] = Python(
        minor,
        parent.provider if parent is not None else "unknown",
        pip=parent.pip if parent else None,
        path=path,
    )
    image.venvs[path].has_pip, image.venvs[path].parent = True, parent


def _virtualenv(image: Image, command: Command, _: Surroundings) -> None:
    _make_venv(image, "python3", command.arguments)


def _source(image: Image, command: Command, _: Surroundings) -> None:
    if not command.arguments:
        return
    if command.arguments[0].text.rpartition("/")[2] == "activate" and (
        len(command.arguments) > 1 or command.arguments[0].text == "activate"
    ):
        activate(image, command.arguments[1].text if len(command.arguments) > 1 else "base")
    elif command.arguments[0].text.endswith("/bin/activate"):
        path = image.place(command.arguments[0].text.removesuffix("/bin/activate"))
        venv = image.venvs.get(path)
        if venv is not None:
            for name in ACTIVATED:
                image.programs[name] = venv


def _link(image: Image, command: Command, _: Surroundings) -> None:
    operands = [word.text for word in command.arguments if not word.text.startswith("-")]
    if len(operands) == 2:  # noqa: PLR2004 -- a target and a name
        _alias(image, operands[1].rpartition("/")[2] or operands[0].rpartition("/")[2], operands[0])
        image.links[operands[1]] = operands[0]


def _alternatives(image: Image, command: Command, _: Surroundings) -> None:
    texts = [word.text for word in command.arguments]
    if "--install" in texts:
        at = texts.index("--install")
        if len(texts) > at + 3:
            _alias(image, texts[at + 1].rpartition("/")[2], texts[at + 3])
    elif "--set" in texts and len(texts) > texts.index("--set") + 2:
        at = texts.index("--set")
        _alias(image, texts[at + 1], texts[at + 2])


def _alias(image: Image, name: str, target: str) -> None:
    python = image.python_of(target)
    if python is None or not (_PYTHON.fullmatch(name) or _PIP_NAMES.fullmatch(name)):
        return
    old = image.programs.get(name)
    image.programs[name] = python
    if name == "python3" and old is not None and old.provider == "distro":
        # The pip3 of the archive starts with /usr/bin/python3, which is now another one.
        for program in ("pip", "pip3"):
            if image.programs.get(program) is old:
                image.programs[program] = python
                python.has_pip = True


def _remove(image: Image, command: Command, _: Surroundings) -> None:
    if any("EXTERNALLY-MANAGED" in word.text for word in command.arguments):
        image.unmanaged = True


def _smi(image: Image, command: Command, _: Surroundings) -> None:
    if not command.may_fail:
        image.note("driver-program", command, command.name)


def _apk_or_dnf(image: Image, command: Command, _: Surroundings) -> None:
    words = _operands(command.arguments, ())
    if words and words[0].text in ("add", "install"):
        for word in words[1:]:
            name = word.text.partition("=")[0]
            image.apt.append(AptPackage(name=name, version=None, line=word.line))
            match = re.fullmatch(r"(?:python|py)(3(?:\.?\d+)?)(?:-pip|-devel)?", name)
            if match is not None:
                minor = match[1] if "." in match[1] else (f"3.{match[1][1:]}" if len(match[1]) > 1 else None)
                python = image.programs.setdefault(f"python{minor or 3}", Python(minor, "unknown"))
                python.has_pip = True
                for program in ("python3", "pip3", "pip"):
                    image.programs.setdefault(program, python)


def _uv(image: Image, command: Command, around: Surroundings) -> None:
    uv(image, command, around.read, around.mounts)


def _conda(image: Image, command: Command, around: Surroundings) -> None:
    before = dict(image.programs)
    inner = conda(image, command, around.read, around.mounts)
    if inner is not None:
        run(image, inner, matrix=around.matrix, read=around.read, mounts=around.mounts)
        image.programs = before


def _add_repository(image: Image, command: Command, _: Surroundings) -> None:
    if any("deadsnakes" in word.text for word in command.arguments):
        image.links["deadsnakes"] = "yes"


def _script(image: Image, command: Command, _: Surroundings) -> None:
    text = " ".join(command.texts)
    if re.search(r"(mini|ana|mamba)?(conda|forge).*\.sh", text, re.IGNORECASE):
        image.conda = Python(None, "conda")
        image.conda_channels = ["conda-forge"] if re.search(r"forge", text, re.IGNORECASE) else []


def _project(image: Image, command: Command, around: Surroundings) -> None:
    verbs = [word.text for word in _operands(command.arguments, ())][:1]
    if verbs in (["install"], ["sync"]) and command.name != "pixi":
        install_project(image, command, command.name, around.read, around.mounts)
    elif verbs in (["install"], ["add"], ["update"], ["lock"]):
        image.note_unknown(command.line, f"what {command.name} {verbs[0]} installs is not known")
    elif verbs in (["export"], ["requirements"]):
        note_export(image, command)
    elif verbs == ["config"] and "virtualenvs.create" in command.texts and "false" in command.texts:
        image.links["poetry-in-place"] = "yes"
    elif verbs == ["run"] and len(command.arguments) > 1:
        inner = replace(command, words=command.words[2:])
        run(image, inner, matrix=around.matrix, read=around.read, mounts=around.mounts)


def _operands(words: Sequence[Word], with_value: Sequence[str]) -> list[Word]:
    found: list[Word] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.text in with_value:
            skip = True
        elif not word.text.startswith("-"):
            found.append(word)
    return found


def _cd(image: Image, command: Command, _: Surroundings) -> None:
    change_directory(image, command)


def _bring(image: Image, command: Command, _: Surroundings) -> None:
    bring(image, command)


_HANDLERS: dict[str, Callable[[Image, Command, Surroundings], None]] = {
    "cd": _cd,
    "pushd": _cd,
    "git": _bring,
    "curl": _bring,
    "wget": _bring,
    "apt-get": _apt,
    "apt": _apt,
    "aptitude": _apt,
    "yum": _apk_or_dnf,
    "dnf": _apk_or_dnf,
    "microdnf": _apk_or_dnf,
    "apk": _apk_or_dnf,
    "virtualenv": _virtualenv,
    ".": _source,
    "source": _source,
    "ln": _link,
    "update-alternatives": _alternatives,
    "rm": _remove,
    "mv": _remove,
    "nvidia-smi": _smi,
    "uv": _uv,
    "poetry": _project,
    "pipenv": _project,
    "pdm": _project,
    "pixi": _project,
    "conda": _conda,
    "mamba": _conda,
    "micromamba": _conda,
    "add-apt-repository": _add_repository,
    "bash": _script,
    "sh": _script,
}

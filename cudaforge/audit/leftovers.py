"""What commands leave in an image that an audit cannot read: directories, files, and anything at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.audit.shell import Command
from cudaforge.audit.state import Image
from cudaforge.audit.words import Word

_UNDERSTOOD = frozenset(
    [
        ".",
        ":",
        "[",
        "[[",
        "add-apt-repository",
        "addgroup",
        "adduser",
        "alias",
        "apk",
        "apt",
        "apt-add-repository",
        "apt-cache",
        "apt-get",
        "apt-key",
        "apt-mark",
        "aptitude",
        "cd",
        "chmod",
        "chown",
        "chsh",
        "cmp",
        "command",
        "conda",
        "cp",
        "cut",
        "date",
        "debconf-set-selections",
        "declare",
        "df",
        "dnf",
        "dpkg-query",
        "dpkg-reconfigure",
        "du",
        "echo",
        "env",
        "exit",
        "export",
        "false",
        "file",
        "find",
        "free",
        "git",
        "gpg",
        "grep",
        "groupadd",
        "groupmod",
        "hash",
        "head",
        "hostname",
        "id",
        "ldconfig",
        "ln",
        "local",
        "locale-gen",
        "ls",
        "mamba",
        "md5sum",
        "microdnf",
        "micromamba",
        "mkdir",
        "mktemp",
        "mv",
        "npm",
        "nvcc",
        "nvidia-smi",
        "passwd",
        "pdm",
        "pip",
        "pip3",
        "pipenv",
        "pixi",
        "poetry",
        "popd",
        "printf",
        "pushd",
        "pwd",
        "readonly",
        "rm",
        "rmdir",
        "sed",
        "set",
        "sha256sum",
        "shift",
        "sleep",
        "sort",
        "source",
        "stat",
        "tail",
        "test",
        "touch",
        "tr",
        "trap",
        "true",
        "type",
        "ulimit",
        "umask",
        "uname",
        "unset",
        "update-alternatives",
        "update-ca-certificates",
        "update-locale",
        "useradd",
        "usermod",
        "uv",
        "virtualenv",
        "wait",
        "which",
        "whoami",
        "yum",
        "zypper",
    ]
)
_ENSUREPIP = re.compile(r"python3(\.\d+)?-(venv|full|all-venv)|pipx|.*[*?].*")
_IN_PLACE = re.compile(r"-[nErsz]*i.*|--in-place.*")
_FETCHERS = ("curl", "wget")
_INTERPRETER = re.compile(r"python(3(\.\d+)?)?|pip3?(\.\d+)?")
_SHELLS = ("sh", "bash", "dash", "zsh", "ash")
_CONDA_INSTALLER = re.compile(r"(mini|ana|mamba)(conda|forge)\d?.*\.sh$|micromamba.*\.sh$", re.IGNORECASE)
_VALUES = ("-b", "--branch", "--depth", "-c", "--config", "-j", "--jobs", "-o", "--origin", "--reference")


def _is_understood(command: Command) -> bool:
    """Whether all that a command may leave behind is known, as far as Pythons and requirement files go."""
    name = command.name
    if name in _UNDERSTOOD or name in _FETCHERS:
        return True
    if name in _SHELLS and any(_CONDA_INSTALLER.search(text) for text in command.texts[1:]):
        return True
    if name in _SHELLS:
        # What the web is asked for and the shell runs installs programs, seldom a Python.
        return bool(command.piped_from) and not re.search(
            r"python|conda|pyenv|rye|pixi|mise|asdf|astral|nix", " ".join(w.text for w in command.piped_from)
        )
    if _INTERPRETER.fullmatch(name):
        first = command.texts[1:2]
        return not first or first[0].startswith("-") or first[0].endswith("get-pip.py")
    return False


def leave(image: Image, command: Command) -> None:
    """Follows what a command does to files; one that is not understood may leave anything."""
    if not _is_understood(command):
        image.is_opaque = True
    for redirect in command.redirects:
        if ">" in redirect.operator:
            image.overwrite(redirect.target)
    operands = [word.text for word in command.arguments if word.is_sure and not word.text.startswith("-")]
    if command.name == "sed" and any(_IN_PLACE.fullmatch(text) for text in command.texts[1:]):
        for text in operands:
            image.overwrite(text)
    elif command.name in ("cp", "mv") and len(operands) > 1:
        _carry(image, operands[:-1], operands[-1])


def _carry(image: Image, sources: list[str], target: str) -> None:
    """Files of the build context under another name; what else is moved may hold anything."""
    place = image.place(target)
    for source in sources:
        path = image.in_context(source)
        image.overwrite(target)
        name = source.rstrip("/").rpartition("/")[2]
        inside = f"{place.rstrip('/')}/{name}"
        if path is not None:
            image.files[inside if target.endswith(("/", ".")) or len(sources) > 1 else place] = path


def change_directory(image: Image, command: Command) -> None:
    """Follows `cd`; a directory that is not known makes all that is there unknown."""
    words = [word for word in command.arguments if not word.text.startswith("-")]
    if not words or not words[0].is_sure or words[0].text.startswith("~"):
        image.directory = "/root" if not words or words[0].text == "~" else "/"
        image.brought.append(image.directory)
        return
    image.directory = image.place(words[0].text)


def bring(image: Image, command: Command) -> None:
    """The directory that a repository is cloned into, and the file that a download is written to."""
    texts = command.texts
    if command.name == "git":
        _clone(image, command)
    elif command.name == "wget" or any(
        re.fullmatch(r"-[a-zA-Z]*[OoJ].*|--output.*|--remote-.*", one) for one in texts
    ):
        for word in command.arguments:
            if not word.text.startswith(("http://", "https://", "-")):
                image.brought.append(image.place(word.text))
            elif not word.text.startswith("-"):
                image.brought.append(image.place(word.text.partition("?")[0].rstrip("/").rpartition("/")[2]))


def note_no_ensurepip(image: Image, command: Command, program: str, words: Sequence[Word]) -> None:
    """Notes `python3 -m venv` of a Python whose archive has ensurepip in a package of its own."""
    python, base = image.python_of(program), image.base
    if base is None or not base.is_known or base.contents or base.framework_image is not None:
        return
    if python is None or python.path is not None or python.provider not in ("distro", "added"):
        return
    if image.is_opaque or "apt" in image.links or any(word.text == "--without-pip" for word in words):
        return
    if base.systems and not any(_ENSUREPIP.fullmatch(one.name) for one in image.apt):
        minor = f"python{python.minor}" if python.provider == "added" else "python3"
        image.note("no-ensurepip", command, program, detail=f"{minor}-venv")


def _clone(image: Image, command: Command) -> None:
    texts = list(command.texts[1:])
    while texts and texts[0] in ("-C", "-c") and len(texts) > 1:
        texts = texts[2:]
    if texts[:1] == ["lfs"]:
        texts = texts[1:]
    if texts[:1] != ["clone"]:
        if texts[:1] in (["init"], ["pull"], ["fetch"], ["submodule"], ["checkout"]):
            image.brought.append(image.place("."))
        return
    operands = [
        text
        for at, text in enumerate(texts)
        if at and not text.startswith("-") and texts[at - 1] not in _VALUES
    ]
    if not operands or any("$" in one for one in operands):
        image.is_opaque = True
    elif len(operands) > 1:
        image.brought.append(image.place(operands[1]))
    else:
        name = re.split(r"[/:]", operands[0].rstrip("/"))[-1].removesuffix(".git")
        image.brought.append(image.place(name))

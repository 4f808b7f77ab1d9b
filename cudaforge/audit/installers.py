"""What pip, uv and conda are asked to install, and from where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement

from cudaforge.audit.context import NestedFiles, in_context
from cudaforge.audit.names import normal
from cudaforge.audit.requirements import Requirements, parse_requirement, read_requirements, wheel_url
from cudaforge.audit.shell import Command
from cudaforge.audit.state import Image, Install, Origin, Python, ReadFile
from cudaforge.audit.words import Word
from cudaforge.records import record, replace
from cudaforge.versions import find_version

_OWN_WHEEL = re.compile(r"-linux_(?:x86_64|aarch64)\.whl(?:[#?].*)?$")
_VALUES = {
    "-i": "index",
    "--index-url": "index",
    "--default-index": "index",
    "--pypi-url": "index",
    "--extra-index-url": "extra",
    "--index": "extra",
    "-f": "links",
    "--find-links": "links",
    "-r": "file",
    "--requirement": "file",
    "--requirements": "file",
    "-c": "constraint",
    "--constraint": "constraint",
    "--constraints": "constraint",
    "-e": "editable",
    "--editable": "editable",
    "-p": "python",
    "--python": "python",
    "--torch-backend": "backend",
    "--index-strategy": "strategy",
}
_OTHER_VALUES = frozenset(
    [
        "-t",
        "--target",
        "--prefix",
        "--root",
        "--src",
        "--platform",
        "--python-version",
        "--implementation",
        "--abi",
        "--only-binary",
        "--no-binary",
        "--progress-bar",
        "--timeout",
        "--retries",
        "--trusted-host",
        "--cache-dir",
        "--upgrade-strategy",
        "--proxy",
        "--cert",
        "--exists-action",
        "--config-settings",
        "-C",
        "--global-option",
        "--log",
        "--use-feature",
        "--report",
        "--override",
        "--link-mode",
        "--resolution",
        "--exclude-newer",
        "--keyring-provider",
        "--extra",
        "--group",
        "--prerelease",
        "-d",
        "--dest",
        "--default-timeout",
        "--upgrade-package",
        "--python-platform",
        "--build-constraint",
        "--refresh-package",
        "--allow-insecure-host",
        "--no-build-isolation-package",
        "--reinstall-package",
        "--overrides",
        "-b",
        "--builds",
    ]
)


@record()
class Arguments:
    """The command line of an installer."""

    operands: tuple[Word, ...]
    options: tuple[tuple[str, str, Word], ...]
    """What it means, its value, and where."""
    flags: frozenset[str]

    def all(self, meaning: str) -> tuple[str, ...]:
        """Every value of an option."""
        return tuple(value for name, value, _ in self.options if name == meaning)

    def last(self, meaning: str) -> str | None:
        """The value that counts."""
        values = self.all(meaning)
        return values[-1] if values else None


def parse_arguments(words: Sequence[Word]) -> Arguments:
    """The options of a command line, with their values, and its operands."""
    operands: list[Word] = []
    options: list[tuple[str, str, Word]] = []
    flags: set[str] = set()
    iterator = iter(words)
    for word in iterator:
        name, equals, value = word.text.partition("=")
        if not word.text.startswith("-") or word.text == "-":
            operands.append(word)
        elif name in _VALUES or name in _OTHER_VALUES:
            if not equals:
                after = next(iterator, None)
                value, word = (after.text, after) if after is not None else ("", word)  # noqa: PLW2901
            options.append((_VALUES.get(name, name), value if word.is_sure else "$", word))
        elif len(name) > 2 and name[:2] in ("-i", "-f", "-r", "-c", "-e") and name[1] != "-":  # noqa: PLR2004
            options.append((_VALUES[name[:2]], word.text[2:], word))
        else:
            flags.add(name)
    return Arguments(operands=tuple(operands), options=tuple(options), flags=frozenset(flags))


def pip(
    image: Image, command: Command, program: str, words: Sequence[Word], read: ReadFile, mounts: Sequence[str]
) -> None:
    """`pip install ...` by the program (`pip3`, or the Python of `python -m pip`)."""
    arguments = parse_arguments(words)
    if not arguments.operands or arguments.operands[0].text not in ("install", "uninstall"):
        return
    python = image.python_of(program)
    if arguments.operands[0].text == "uninstall":
        gone = {normal(word.text) for word in arguments.operands[1:]}
        image.installs = [
            one
            for one in image.installs
            if one.python is not python or normal(one.requirement.name) not in gone
        ]
        return
    operands = replace(arguments, operands=arguments.operands[1:])
    if not _usable(image, command, program, python):
        python = python or Python(None, "unknown")
    assert python is not None  # noqa: S101 -- _usable says so
    note_redirects(image, command)
    is_allowed = "--break-system-packages" in operands.flags or is_on(
        command.assignments.get("PIP_BREAK_SYSTEM_PACKAGES")
    )
    if python.managed and not is_allowed and not image.unmanaged and "--target" not in _names(operands):
        image.note("pep668", command, program, detail=python.minor or "")
    install(image, command, operands, python, "pip", read, mounts)


def _usable(image: Image, command: Command, program: str, python: Python | None) -> bool:
    """Notes a pip that is not there; what the facts cannot know is no such case."""
    base = image.base
    knows_all = (
        base is not None
        and base.is_known
        and not base.contents
        and base.framework_image is None
        and not image.may_have_program(program)
    )
    if python is None:
        if (
            knows_all
            and image.conda is None
            and "/" not in program
            and "$" not in program
            and "uv" not in image.links
            and not any(one.kind == "no-python" and one.text == program for one in image.loose)
        ):
            image.note("no-python", command, program)
        return False
    if not python.has_pip and knows_all:
        image.note("no-pip", command, program, detail=python.minor or "")
    python.is_used = True
    return True


def _names(arguments: Arguments) -> set[str]:
    return {name for name, _, _ in arguments.options}


def is_on(value: str | None) -> bool:
    """Whether a variable switches something on."""
    return value is not None and value.lower() in ("1", "true", "yes", "on")


def note_redirects(image: Image, command: Command) -> None:
    """Notes version limits that the shell takes for redirections."""
    for redirect in command.redirects:
        is_version = re.match(r"=?\s*\d", redirect.target) is not None
        if redirect.operator in (">", "<") and redirect.behind and is_version:
            spoken = f"{redirect.behind}{redirect.operator}{redirect.target}"
            image.note("redirect", replace(command, line=redirect.line), spoken, detail=redirect.operator)


def install(
    image: Image,
    command: Command,
    arguments: Arguments,
    python: Python,
    tool: str,
    read: ReadFile,
    mounts: Sequence[str],
) -> None:
    """Notes everything that an installer is asked for."""
    if not command.is_certain:
        image.note_condition(command, "what is installed here")
        return
    image.counter += 1
    origin = _origin(command, arguments, tool)
    template = Install(
        requirement=Requirement("none"),
        python=python,
        origin=origin,
        tool=tool,
        line=command.line,
        text="",
        command=image.counter,
        upgrades=bool({"-U", "--upgrade", "--force-reinstall", "--reinstall"} & arguments.flags),
        no_deps="--no-deps" in arguments.flags,
        prerelease="--pre" in arguments.flags,
        best_match=tool != "uv" or "unsafe" in (arguments.last("strategy") or ""),
        pip=python.pip if tool == "pip" else None,
    )
    first = len(image.installs)
    for word in arguments.operands:
        if _is_project(word):
            _editable(image, word, template, read, mounts)
        else:
            image.installs += _of_word(image, word, template)
    for meaning, value, word in arguments.options:
        if meaning in ("file", "constraint"):
            image.installs += _of_file(
                image, value, word, template, read, mounts, is_constraint=meaning == "constraint"
            )
        elif meaning == "editable":
            _editable(image, replace(word, text=value), template, read, mounts)
    if python in image.unread:
        image.installs[first:] = [replace(one, after_unread=True) for one in image.installs[first:]]
    _note_new_pip(arguments, python)


def _note_new_pip(arguments: Arguments, python: Python) -> None:
    for word in arguments.operands:
        requirement = parse_requirement(word.text)
        if requirement is not None and normal(requirement.name) == "pip":
            pinned = [one.version for one in requirement.specifier if one.operator in ("==", "===")]
            python.pip = find_version(pinned[0]) if pinned else None


def _origin(command: Command, arguments: Arguments, tool: str) -> Origin:
    prefix = "UV" if tool == "uv" else "PIP"
    given = command.assignments
    from_env = given.get(f"{prefix}_INDEX_URL") or given.get("UV_DEFAULT_INDEX" if tool == "uv" else "")
    extra = arguments.all("extra") or tuple((given.get(f"{prefix}_EXTRA_INDEX_URL") or "").split())
    links = arguments.all("links") or tuple((given.get(f"{prefix}_FIND_LINKS") or "").split())
    return Origin(
        index=arguments.last("index") or from_env,
        extra=extra,
        links=links,
        no_index="--no-index" in arguments.flags,
        backend=(arguments.last("backend") or given.get("UV_TORCH_BACKEND")) if tool == "uv" else None,
    )


def _is_project(word: Word) -> bool:
    is_path = word.text.startswith(("./", "../", ".[", "/")) and not word.text.endswith((".whl", ".tar.gz"))
    return word.is_sure and (word.text in (".", "./") or is_path)


def _editable(image: Image, word: Word, template: Install, read: ReadFile, mounts: Sequence[str]) -> None:
    """A project of the build context, or of a repository."""
    from cudaforge.audit.projects import pip_project

    if _is_project(word):
        pip_project(image, word, template, read, mounts)
    else:
        image.unread.add(template.python)
        image.note_unknown(word.line, f"what {word.text[:60]} needs is not known")


def _of_word(image: Image, word: Word, template: Install) -> Iterator[Install]:
    text = word.text
    if not word.is_sure:
        image.unread.add(template.python)
        image.note_unknown(word.line, f"{word.raw[:60]} depends on a value that is not given")
        return
    requirement = parse_requirement(text)
    if _OWN_WHEEL.search(text) and "pytorch.org" not in text:
        requirement = None  # built by somebody for a machine of theirs: no index has it
    if requirement is None:
        image.unread.add(template.python)
        image.note_unknown(word.line, f"what {text[:80]} installs is not known")
        return
    origin = template.origin
    if text.startswith(("http://", "https://")) or requirement.url is not None:
        origin = replace(origin, direct=True)
        if requirement.url is not None and wheel_url(requirement) is requirement:
            image.unread.add(template.python)
            image.note_unknown(word.line, f"what {text[:80]} installs is not known")
    yield replace(template, requirement=wheel_url(requirement), text=text, line=word.line, origin=origin)


def _of_file(
    image: Image,
    value: str,
    word: Word,
    template: Install,
    read: ReadFile,
    mounts: Sequence[str],
    *,
    is_constraint: bool,
) -> Iterator[Install]:
    path = in_context(image, value, mounts)
    if path is None or image.ignored(path):
        image.unread.add(template.python)
        if word.is_sure:
            image.note_missing(value, word.line, path, is_mounted=bool(mounts))
        else:
            image.note_unknown(word.line, f"what {value[:60]} requires is not known")
        return
    inner = NestedFiles(image, value, path, read, mounts)
    found: Requirements = read_requirements(path, inner.read, is_constraint=is_constraint)
    if found.unread:
        image.unread.add(template.python)
    for unread in found.unread:
        if unread in inner.missing:
            image.note_missing(inner.missing[unread], word.line, None, is_mounted=bool(mounts))
        else:
            image.note_unknown(word.line, f"{unread} is not there to be read")
    origin = Origin(
        index=found.index or template.origin.index,
        extra=(*template.origin.extra, *found.extra),
        links=(*template.origin.links, *found.links),
        no_index=template.origin.no_index,
        backend=template.origin.backend,
    )
    for line in found.lines:
        yield replace(
            template,
            requirement=wheel_url(line.requirement),
            text=line.text,
            line=line.line,
            file=line.file,
            origin=origin,
            is_constraint=line.is_constraint or is_constraint,
        )

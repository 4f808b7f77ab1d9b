"""What conda, mamba and micromamba are asked to install, into which environment, and from which channels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from cudaforge.audit.context import in_context
from cudaforge.audit.installers import install, parse_arguments
from cudaforge.audit.shell import Command
from cudaforge.audit.state import CondaRequest, Image, Install, Origin, Python, ReadFile
from cudaforge.audit.words import Word
from cudaforge.records import record, replace

_NAMES = ("python", "python3", "pip", "pip3")
_BASE = ("base", "root")
_ROOTS = ("/conda", "/miniconda3", "/miniconda", "/miniforge3", "/mambaforge", "/anaconda3")
_INSTALLS = ("install", "create", "update", "upgrade")
_MINOR = re.compile(r"(3\.\d+)(?:\.\d+|\.\*)?")
_SPEC = re.compile(r"(?:(?P<channel>[\w./:-]+)::)?(?P<name>[A-Za-z0-9_][\w.-]*)\s*(?P<rest>.*)", re.DOTALL)
_FRAMEWORKS: Mapping[str, str] = {
    "pytorch": "torch",
    "pytorch-gpu": "torch",
    "pytorch-cpu": "torch",
    "tensorflow": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-cpu": "tensorflow-cpu",
    "jax": "jax",
    "jaxlib": "jaxlib",
    "cupy": "cupy-cuda12x",
}
"""Names on conda channels to the package of the index that is the same thing."""
_VALUED = ("-c", "--channel", "-n", "--name", "-p", "--prefix", "-f", "--file", "--solver", "--platform")
_MOST_LINES = 5_000
_LONGEST_DOCUMENT = 262_144
_MOST_BRACKETS = 200


@record()
class Spec:
    """One package that conda is asked for."""

    name: str
    version: str
    """As conda writes it, `=2.1`, `>=2,<3`; empty for any."""
    build: str
    channel: str | None
    word: Word
    file: str | None = None


def conda(image: Image, command: Command, read: ReadFile, mounts: Sequence[str]) -> Command | None:
    """conda, mamba and micromamba; for `conda run` the command that it runs."""
    words = list(command.arguments)
    texts = [word.text for word in words]
    if texts[:1] == ["run"]:
        return _run(image, command)
    if texts[:1] == ["activate"]:
        activate(image, texts[1] if len(texts) > 1 else "base")
    elif texts[:1] == ["config"]:
        _configure(image, texts)
    elif texts[:1] == ["env"] and texts[1:2] in (["create"], ["update"]):
        _environment(image, command, words[2:], read, mounts)
    elif texts[:1] and texts[0] in _INSTALLS:
        files = [value for value in _values(words[1:], "-f", "--file") if value.endswith((".yml", ".yaml"))]
        if files:
            _environment(image, command, words[1:], read, mounts)
        else:
            _install(image, command, words[1:], texts[0], read, mounts)
    elif texts[:1] in (["remove"], ["uninstall"]):
        _remove(image, words[1:])
    return None


def activate(image: Image, name: str) -> None:
    """Put an environment first, until the RUN ends."""
    python = image.conda if name in _BASE else image.conda_envs.get(name.rpartition("/")[2])
    if python is not None:
        for program in _NAMES:
            image.programs[program] = python


def activate_shell(image: Image) -> None:
    """Put the environment first that SHELL runs every command in: `SHELL ["conda", "run", "-n", ...]`."""
    words = tuple(Word(text=text, line=1) for text in image.shell)
    if len(words) > 1 and words[0].text in ("conda", "mamba", "micromamba") and words[1].text == "run":
        _run(image, Command(words=words, line=1, assignments={}))


def _run(image: Image, command: Command) -> Command | None:
    words = list(command.arguments[1:])
    before = dict(image.programs)
    while words and words[0].text.startswith("-"):
        option = words.pop(0)
        name, equals, value = option.text.partition("=")
        if name in ("-n", "--name", "-p", "--prefix") and (equals or words):
            activate(image, value if equals else words.pop(0).text)
        elif name in ("--cwd",) and words and not equals:
            words.pop(0)
    if not words:
        image.programs = before
        return None
    return replace(command, words=tuple(words))


def _configure(image: Image, texts: Sequence[str]) -> None:
    for option, value in zip(texts, texts[2:], strict=False):
        if option in ("--add", "--prepend") and texts[texts.index(option) + 1] == "channels":
            image.conda_channels.insert(0, value)
        elif option == "--append" and texts[texts.index(option) + 1] == "channels":
            image.conda_channels.append(value)


def _values(words: Sequence[Word], *names: str) -> tuple[str, ...]:
    found = []
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        if name in names:
            if equals:
                found.append(value)
            elif at + 1 < len(words):
                found.append(words[at + 1].text)
    return tuple(found)


def _target(image: Image, words: Sequence[Word], *, is_new: bool, named: str | None = None) -> Python:
    """The environment that is meant; a new one, or one that nothing is known of, is made."""
    name = next(iter(_values(words, "-n", "--name", "-p", "--prefix")), named)
    if name is None:
        active = image.python_of("python")
        is_conda = active is not None and active.provider == "conda"
        python = active if is_conda else image.conda
    elif name in _BASE or name.endswith(
        ("/conda", "/miniconda3", "/miniforge3", "/mambaforge", "/anaconda3")
    ):
        python = image.conda
    else:
        short = name.rstrip("/").rpartition("/")[2]
        python = None if is_new else image.conda_envs.get(short)
        if python is None:
            path = name if name.startswith("/") else None
            python = image.conda_envs[short] = Python(None, "conda", path=path or f"conda:{short}")
            if path is not None:
                image.venvs[path.rstrip("/")] = python
        return python
    if python is None:
        python = Python(None, "conda")
    if image.conda is None:
        image.conda = python
        for program in _NAMES:
            image.programs.setdefault(program, python)
    return python


def _install(
    image: Image, command: Command, words: Sequence[Word], verb: str, read: ReadFile, mounts: Sequence[str]
) -> None:
    if not command.is_certain:
        image.note_condition(command, "what is installed here")
        return
    python = _target(image, words, is_new=verb == "create")
    specs = [spec for word in _operands(words) if (spec := parse_spec(word)) is not None]
    for value in _values(words, "-f", "--file"):
        specs += _of_list(image, value, words[0], read, mounts)
    if any(not word.is_sure for word in _operands(words)):
        image.note_unknown(
            command.line, f"{command.name} {verb}: a package depends on a value that is not given"
        )
    channels = _values(words, "-c", "--channel")
    flags = {word.text for word in words}
    _apply(
        image,
        command,
        python,
        specs,
        (*channels, *image.conda_channels),
        closed="--override-channels" in flags,
    )


def _operands(words: Sequence[Word]) -> Iterator[Word]:
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word.text in _VALUED:
            skip = True
        elif not word.text.startswith("-"):
            yield word


def parse_spec(word: Word, file: str | None = None) -> Spec | None:
    """What a package specification of conda asks for; None for what is none."""
    text = word.text.strip()
    bracket = re.fullmatch(r"([^\[\]]+)\[(.*)\]", text)
    if bracket is not None:
        inside = dict(re.findall(r"(\w+)=['\"]?([^'\",]+(?:,[^'\"=]+)?)['\"]?", bracket[2]))
        version, build = inside.get("version", ""), inside.get("build", "")
        text = f"{bracket[1]} {version}" + (f" {build}" if build else "")
    match = _SPEC.fullmatch(text)
    if match is None or not word.is_sure or text.endswith((".tar.bz2", ".conda")):
        return None
    version, build = _version_and_build(match["rest"].strip())
    name = match["name"].lower()
    return Spec(name=name, version=version, build=build, channel=match["channel"], word=word, file=file)


def _version_and_build(rest: str) -> tuple[str, str]:
    """`=2.1=py310*`, `2.1 py310*`, `==2.1`, `>=2,<3`."""
    if " " in rest:
        version, _, build = rest.partition(" ")
        version = f"=={version}" if version[:1].isdigit() and not version.endswith("*") else version
        return version, build.strip()
    match = re.fullmatch(r"(=?=?)([^=<>!~,]*)=([^=]+)", rest)
    if match is not None and match[2]:
        return f"=={match[2]}" if match[2] != "*" else "", match[3]
    return rest, ""


def specifier(version: str) -> SpecifierSet | None:
    """A version wish of conda as pip writes it; None for what pip has no words for."""
    parts = []
    for part in filter(None, (one.strip() for one in version.split(","))):
        match = re.fullmatch(r"(=?)([\d][\w.]*?)(\.?\*)?", part)
        if match is not None:
            is_exact = match[2].count(".") > 1 and not match[3]
            parts.append(f"=={match[2]}" if is_exact else f"=={match[2]}.*")
        elif part not in ("*", "=*"):
            parts.append(part)
    try:
        return SpecifierSet(",".join(parts))
    except InvalidSpecifier:
        return None


def _apply(
    image: Image,
    command: Command,
    python: Python,
    specs: Sequence[Spec],
    channels: Sequence[str],
    *,
    closed: bool,
) -> None:
    image.counter += 1
    request = CondaRequest(
        specs={spec.name: (spec.version, spec.build) for spec in specs},
        channels=tuple(dict.fromkeys(map(_channel, channels))),
        is_closed=closed or command.name == "micromamba" or "nodefaults" in channels,
        driver=command.assignments.get("CONDA_OVERRIDE_CUDA"),
    )
    for spec in specs:
        if spec.name == "python":
            match = _MINOR.search(spec.version)
            python.minor = match[1] if match and not set(spec.version) & set("<>!") else None
        else:
            image.note("conda", replace(command, line=spec.word.line), spec.name, detail=spec.version)
        if spec.name in _FRAMEWORKS:
            image.installs.append(_framework(image, spec, python, request))


def _framework(image: Image, spec: Spec, python: Python, request: CondaRequest) -> Install:
    name, wished = _FRAMEWORKS[spec.name], specifier(spec.version)
    if spec.channel is not None:
        request = replace(request, channels=(_channel(spec.channel),), is_closed=True)
    return Install(
        requirement=Requirement(f"{name}{wished or ''}"),
        python=python,
        origin=Origin(),
        tool="conda",
        line=spec.word.line,
        text=spec.word.text,
        file=spec.file,
        command=image.counter,
        conda=replace(request, package=spec.name, build=spec.build, is_clear=wished is not None),
    )


def _channel(text: str) -> str:
    """The plain name of a channel, from its address, too."""
    plain = text.rstrip("/").removesuffix("/linux-64").removesuffix("/noarch")
    return "/".join(plain.rpartition("://")[2].split("/")[1:]) if "://" in plain else plain


def _remove(image: Image, words: Sequence[Word]) -> None:
    python = _target(image, words, is_new=False)
    gone = {word.text for word in _operands(words)}
    image.installs = [
        one
        for one in image.installs
        if one.python is not python or one.conda is None or one.conda.package not in gone
    ]


def _of_list(image: Image, value: str, word: Word, read: ReadFile, mounts: Sequence[str]) -> Iterator[Spec]:
    """The specifications of a plain list, one a line."""
    path = in_context(image, value, mounts)
    text = read(path) if path is not None else None
    if text is None:
        image.note_missing(value, word.line, path, is_mounted=bool(mounts))
        return
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], 1):
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare and not bare.startswith("@"):
            spec = parse_spec(Word(text=bare, line=number), path)
            if spec is not None:
                yield spec


def _environment(
    image: Image, command: Command, words: Sequence[Word], read: ReadFile, mounts: Sequence[str]
) -> None:
    """`conda env create -f environment.yml`, its `pip:` section included."""
    if not command.is_certain:
        image.note_condition(command, "what is installed here")
        return
    value = next(iter(_values(words, "-f", "--file")), "environment.yml")
    path = in_context(image, value, mounts)
    text = read(path) if path is not None else None
    if text is None or path is None:
        image.note_missing(value, command.line, path, is_mounted=bool(mounts))
        return
    document = _document(text)
    dependencies = document.get("dependencies") if document is not None else None
    if document is None or not isinstance(dependencies, list):
        image.note_unknown(command.line, f"{path} cannot be read as an environment of conda")
        return
    name = document.get("name")
    python = _target(image, words, is_new=True, named=name if isinstance(name, str) else None)
    at = _Lines(text)
    specs = [
        spec
        for one in dependencies
        if isinstance(one, str) and (spec := parse_spec(Word(text=one, line=at.of(one)), path))
    ]
    listed = document.get("channels")
    channels = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    _apply(image, command, python, specs, (*channels, *image.conda_channels), closed="nodefaults" in channels)
    for one in dependencies:
        if isinstance(one, dict) and isinstance(one.get("pip"), list):
            entries = [_beside(str(entry), value) for entry in one["pip"][:_MOST_LINES]]
            words = tuple(_pip_words(entries, at, command.line))
            before = len(image.installs)
            install(image, command, parse_arguments(words), python, "pip", read, mounts)
            image.installs[before:] = [
                pip if pip.file is not None else replace(pip, file=path) for pip in image.installs[before:]
            ]


def _beside(entry: str, environment: str) -> str:
    """An entry of a `pip:` section; files that it names are looked for where the environment's file is."""
    match = re.fullmatch(r"(-r|-c|--requirement|--constraint)[\s=]+([^/\s].*)", entry.strip())
    directory = environment.rpartition("/")[0]
    if match is None or not directory or "://" in match[2]:
        return entry
    return f"{match[1]} {directory}/{match[2]}"


def _pip_words(entries: Sequence[str], at: _Lines, line: int) -> Iterator[Word]:
    for entry in entries:
        is_option = entry.startswith("-")
        for part in entry.split(None, 1) if is_option else [entry]:
            # What an option names stands in another file: its line is that of the command.
            yield Word(text=part, raw=part, line=line if is_option else at.of(entry))


class _Lines:
    """On which lines of a YAML file its entries stand."""

    def __init__(self, text: str) -> None:
        self._lines = [
            re.sub(r"\s+#.*$", "", line).strip().removeprefix("- ").strip(" \"'")
            for line in text.splitlines()
        ]

    def of(self, entry: str) -> int:
        """The first line that says it; 1 where none does."""
        bare = entry.strip()
        return self._lines.index(bare) + 1 if bare in self._lines else 1


def _document(text: str) -> Mapping[str, object] | None:
    import yaml

    if len(text) > _LONGEST_DOCUMENT or max(text.count("["), text.count("{")) > _MOST_BRACKETS:
        return None  # no environment that somebody wrote, and slow to read
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None

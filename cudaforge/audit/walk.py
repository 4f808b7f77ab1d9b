"""Going through the stages of a Dockerfile that end up in the image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cudaforge.audit.bases import Base, find_base
from cudaforge.audit.conda import activate_shell
from cudaforge.audit.copying import PACKAGES, copy_files, depend, take, take_uv
from cudaforge.audit.dockerfile import Dockerfile, Instruction, Piece
from cudaforge.audit.dockerignore import read_dockerignore
from cudaforge.audit.model import Asked
from cudaforge.audit.programs import ACTIVATED as _ACTIVATED
from cudaforge.audit.programs import run
from cudaforge.audit.shell import read_commands
from cudaforge.audit.state import Image, Python, ReadFile
from cudaforge.audit.substitution import Expanded, expand, unquote
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_IS_SCRIPT = re.compile(r"\s*(?:<<|(?:\S*/)?(?:sh|bash|ash|dash|zsh)\b)")


@record()
class _Stage:
    """One stage as it stands in the file."""

    name: str
    start: Instruction
    body: tuple[Instruction, ...]


def walk(
    dockerfile: Dockerfile, asked: Asked, matrix: Matrix, read: ReadFile, *, file: str = "Dockerfile"
) -> Image:
    """The state of the image that the last stage makes; `file` is the Dockerfile's name in its context."""
    return _Walker(dockerfile, asked, matrix, read, file).final()


class _Walker:
    """Knows the stages, and makes the state of each that is needed, once."""

    def __init__(
        self, dockerfile: Dockerfile, asked: Asked, matrix: Matrix, read: ReadFile, file: str
    ) -> None:
        self._asked, self._matrix, self._read = asked, matrix, read
        self._globals: dict[str, str | None] = {}
        self._stages: list[_Stage] = []
        self._made: dict[int, Image] = {}
        self._split(dockerfile.instructions)
        text = read(f"{file}.dockerignore")
        text = read(".dockerignore") if text is None else text
        self._ignored = read_dockerignore(text) if text is not None else None

    def _split(self, instructions: Sequence[Instruction]) -> None:
        current: list[Instruction] | None = None
        start: Instruction | None = None
        name = ""
        self._globals.update(_platform_args(self._asked.platform))
        for one in instructions:
            if one.keyword == "FROM" and not one.on_build:
                if start is not None and current is not None:
                    self._stages.append(_Stage(name=name, start=start, body=tuple(current)))
                start, current = one, []
                match = re.search(r"\s[aA][sS]\s+(\S+)\s*$", one.text)
                name = match[1].lower() if match else ""
            elif current is None:
                if one.keyword == "ARG":
                    self._declare(one, self._globals, self._globals)
            else:
                current.append(one)
        if start is not None and current is not None:
            self._stages.append(_Stage(name=name, start=start, body=tuple(current)))

    def final(self) -> Image:
        """The state after the last stage."""
        return self._image(len(self._stages) - 1)

    def _image(self, number: int) -> Image:
        for one in sorted(self._needed(number)):
            if one not in self._made:
                self._made[one] = self._make(one)
        return self._made[number]

    def _needed(self, number: int) -> set[int]:
        """A stage with all that it is made from: made in order, a long chain needs no deep stack."""
        found: set[int] = set()
        left = [number]
        while left:
            one = left.pop()
            if one in found or one in self._made:
                continue
            found.add(one)
            stage = self._stages[one]
            names = [unquote(expand(stage.start.text.split()[0], self._globals).text)]
            names += [name for step in stage.body if (name := step.flag("from")) is not None]
            left += [other for name in names if (other := self._find(name, one)) is not None]
        return found

    def _make(self, number: int) -> Image:
        stage = self._stages[number]
        image = self._start(number, stage)
        for one in stage.body:
            if not one.on_build:
                self._apply(image, one, number)
        return image

    def _find(self, name: str, before: int) -> int | None:
        for number in range(before - 1, -1, -1):
            if self._stages[number].name == name.lower() or (name.isdigit() and int(name) == number):
                return number
        return None

    def _start(self, number: int, stage: _Stage) -> Image:
        image = self._started(number, stage)
        if self._ignored is not None:
            image.ignored = self._ignored
        flag = stage.start.flag("platform")
        if flag is not None:
            expanded = expand(flag, self._globals)
            image.platform = unquote(expanded.text) if expanded.is_sure else None
        return image

    def _started(self, number: int, stage: _Stage) -> Image:
        raw = stage.start.text.split()[0]
        expanded = expand(raw, self._globals)
        text = unquote(expanded.text)
        parent = self._find(text, number)
        if parent is not None:
            image = self._image(parent).child()
            image.scope = {**_platform_args(self._asked.platform), **_env_of(image)}
            return image
        line = stage.start.line
        if not expanded.is_sure or not text:
            image = Image(Base(text=raw, line=line), {"PATH": _PATH})
            image.note_unknown(
                line, f"the base image {raw} depends on a value that is not given: --build-arg"
            )
            return image
        base = find_base(self._matrix, text, line)
        image = Image(base, {**_platform_args(self._asked.platform), "PATH": _PATH})
        _give_python(image, base)
        if not base.is_known and text != "scratch":
            image.note_unknown(line, f"the facts do not say what is in {text}")
        return image

    def _apply(self, image: Image, one: Instruction, number: int) -> None:
        match one.keyword:
            case "ARG":
                self._declare(one, image.scope, dict(image.scope), image)
            case "ENV":
                _set_env(image, one)
            case "WORKDIR":
                path = unquote(expand(one.text.strip(), image.scope).text)
                image.workdir = path if path.startswith("/") else f"{image.workdir.rstrip('/')}/{path}"
            case "USER":
                image.user = unquote(expand(one.text.strip(), image.scope).text)
            case "SHELL":
                image.shell = one.exec_form or image.shell
            case "COPY" | "ADD":
                self._copy(image, one, number)
            case "RUN":
                self._run(image, one)
            case "CMD":
                image.command = one
            case "ENTRYPOINT":
                image.entrypoint, image.command = one, None
            case _:
                pass

    def _declare(
        self,
        one: Instruction,
        target: dict[str, str | None],
        scope: Mapping[str, str | None],
        image: Image | None = None,
    ) -> None:
        for name, value in _pairs(one.text, allow_bare=True):
            if image is not None and name in image.env:
                continue
            if name in self._asked.build_args:
                target[name] = self._asked.build_args[name]
            elif value is not None:
                expanded = expand(value, scope)
                target[name] = unquote(expanded.text) if expanded.is_sure else None
            elif image is not None and name in self._globals:
                target[name] = self._globals[name]
            elif value is None and name not in target:
                # Declared without a value: the build may give one.
                target[name] = None

    def _copy(self, image: Image, one: Instruction, number: int) -> None:
        source_stage = one.flag("from")
        words = one.exec_form or tuple(_words(one.text))
        words = tuple(unquote(expand(word, image.scope).text) for word in words)
        if len(words) < 2:  # noqa: PLR2004 -- a source and a target
            return
        *sources, target = words
        if source_stage is not None:
            found = self._find(source_stage, number)
            image.brought.append(image.place(target))
            if found is not None:
                depend(image, self._image(found))
                take(image, self._image(found), sources, target, one.line)
            elif any(PACKAGES.search(path) for path in sources):
                image.note_unknown(one.line, f"what {source_stage} has in {' '.join(sources)} is not known")
            take_uv(image, source_stage, words)
            return
        copy_files(image, one, sources, target)

    def _run(self, image: Image, one: Instruction) -> None:
        words = one.exec_form
        image.counter += 1
        mounts = [flag for flag in one.flags if flag.startswith("--mount=") and "type=bind" in flag]
        if words is not None:
            pieces: tuple[Piece, ...] = (
                Piece(line=one.line, text=" ".join(_quoted(word) for word in words)),
            )
            newlines = False
        elif one.heredocs and _IS_SCRIPT.match(one.text):
            pieces, newlines = one.heredocs[0].pieces, True
            if pieces and re.match(r"#!.*(python|perl|node)", pieces[0].text):
                return
            pieces = _joined(pieces)
        else:
            pieces, newlines = one.pieces, False
        activated = dict(image.programs)
        if words is None:
            activate_shell(image)
        outer: list[str | None] = [None]
        for command in read_commands(pieces, image.scope, newlines=newlines):
            outer = outer[: command.nesting + 1]
            while len(outer) <= command.nesting:
                outer.append(outer[-1])
            image.directory = outer[-1]
            run(image, command, matrix=self._matrix, read=self._read, mounts=mounts)
            outer[-1] = image.directory
        image.directory = None
        _deactivate(image, activated)


def _deactivate(image: Image, before: Mapping[str, Python]) -> None:
    """What a virtual environment was activated for ends with its RUN."""
    for name, python in list(image.programs.items()):
        if python.path is not None and before.get(name) is not python and name in _ACTIVATED:
            if name in before:
                image.programs[name] = before[name]
            else:
                del image.programs[name]


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Lines of a script with their continuations resolved; each keeps the line that it begins on."""
    joined: list[Piece] = []
    open_line: Piece | None = None
    for piece in pieces:
        text = piece.text
        if open_line is not None:
            text = open_line.text + text
        line = open_line.line if open_line is not None else piece.line
        if text.endswith("\\"):
            open_line = Piece(line=line, text=text[:-1])
            continue
        open_line = None
        joined.append(Piece(line=line, text=text))
    if open_line is not None:
        joined.append(open_line)
    return tuple(joined)


def _quoted(word: str) -> str:
    import shlex

    return shlex.quote(word)


def _platform_args(platform: str) -> dict[str, str | None]:
    system, _, rest = platform.partition("/")
    arch, _, variant = rest.partition("/")
    given: dict[str, str | None] = {}
    for prefix in ("TARGET", "BUILD"):
        given |= {
            f"{prefix}PLATFORM": platform,
            f"{prefix}OS": system,
            f"{prefix}ARCH": arch,
            f"{prefix}VARIANT": variant,
        }
    return given


def _env_of(image: Image) -> dict[str, str | None]:
    return {**image.env, "PATH": image.scope.get("PATH")}


def _words(text: str) -> list[str]:
    """Words at spaces outside of quotes."""
    return re.findall(r"(?:[^\s\"'\\]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+", text)


def _pairs(text: str, *, allow_bare: bool) -> list[tuple[str, str | None]]:
    words = _words(text)
    if not allow_bare and words and "=" not in words[0]:
        name, _, value = text.strip().partition(" ")
        return [(name, value.strip())]
    found: list[tuple[str, str | None]] = []
    for word in words:
        name, equals, value = word.partition("=")
        found.append((unquote(name), value if equals else None))
    return found


def _set_env(image: Image, one: Instruction) -> None:
    before = dict(image.scope)
    for name, value in _pairs(one.text, allow_bare=False):
        expanded: Expanded = expand(value or "", before, escape=one.escape)
        text = unquote(expanded.text, escape=one.escape)
        image.scope[name] = text if expanded.is_sure else None
        image.env[name] = text
        image.env_lines[name] = next(
            (piece.line for piece in one.pieces if re.search(rf"\b{re.escape(name)}[= ]", piece.text)),
            one.line,
        )


def _give_python(image: Image, base: Base) -> None:
    if base.python is None and base.framework_image is None:
        return
    python = Python(base.python, "image")
    for name in ("python", "python3", "pip", "pip3"):
        image.programs[name] = python
    if base.python is not None:
        image.programs[f"python{base.python}"] = image.programs[f"pip{base.python}"] = python

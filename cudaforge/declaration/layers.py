"""One declaration file as typed values, and the chain of files that it extends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cudaforge.declaration.addresses import REGISTRY
from cudaforge.declaration.axes import MATRIX
from cudaforge.declaration.fields import DEFAULT_FIELDS, MATRICES_FIELDS, NETWORK_FIELDS, PROJECT_FIELDS
from cudaforge.declaration.fleet import FLEET_FIELDS
from cudaforge.declaration.kinds import STRING, BadValue, Kind, Mistake, bad, list_kind, map_kind
from cudaforge.declaration.positions import find_lines
from cudaforge.declaration.source import SourceFile, place, read_source
from cudaforge.declaration.tables import Field, Values, any_field, read_fields, table_kind
from cudaforge.declaration.values import IMAGE_NAME
from cudaforge.display import show, show_path
from cudaforge.errors import InputError, Location, Problem
from cudaforge.records import record

SCHEMA_VERSION = 1
MAX_CHAIN = 32


def _read_schema_version(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        bad("the schema is a number", f"schema = {SCHEMA_VERSION}")
    if value > SCHEMA_VERSION:
        bad("the file is written for a newer cudaforge", "upgrade cudaforge")
    if value < SCHEMA_VERSION:
        bad("there is no such schema", f"schema = {SCHEMA_VERSION}")
    return value


_EXTENDS_LIST = list_kind(STRING, example='["base.toml"]')


def _read_extends(value: object) -> tuple[str, ...]:
    return (STRING.read(value),) if isinstance(value, str) else _EXTENDS_LIST.read(value)


SCHEMA = Field(
    name="schema",
    kind=Kind(read=_read_schema_version, schema={"const": SCHEMA_VERSION}),
    doc="Version of this file format.",
)
EXTENDS = Field(
    name="extends",
    kind=Kind(read=_read_extends, schema={"anyOf": [STRING.schema, _EXTENDS_LIST.schema]}),
    doc="Files of the project whose values hold where this file says nothing; of several, the last wins.",
)
PROJECT = Field(name="project", kind=table_kind(PROJECT_FIELDS), doc="The project as a whole.")
DEFAULTS = Field(name="defaults", kind=table_kind(DEFAULT_FIELDS), doc="Merged under every image.")
IMAGE = table_kind((*DEFAULT_FIELDS, any_field(MATRIX)))
IMAGES = Field(
    name="images",
    kind=map_kind(IMAGE_NAME, IMAGE, example="[images.train]"),
    doc="The images to make, by name.",
)
REGISTRIES = Field(
    name="registries",
    kind=map_kind(REGISTRY, REGISTRY, example='{ "docker.io" = "localhost:5000/hub" }'),
    doc="Mirrors: the registry that stands in for another.",
)
NETWORK = Field(name="network", kind=table_kind(NETWORK_FIELDS), doc="The site's network.")
MATRICES = Field(name="matrices", kind=table_kind(MATRICES_FIELDS), doc="Additions to the facts.")
FLEET = Field(name="fleet", kind=table_kind(FLEET_FIELDS), doc="The machines that images have to run on.")
TOP_FIELDS: tuple[Field[object], ...] = (
    any_field(SCHEMA),
    any_field(EXTENDS),
    any_field(PROJECT),
    any_field(DEFAULTS),
    any_field(IMAGES),
    any_field(REGISTRIES),
    any_field(NETWORK),
    any_field(MATRICES),
    any_field(FLEET),
)


@record()
class Layer:
    """One file: where it is, what it says, and what is wrong with it by itself."""

    path: Path
    source: SourceFile
    values: Values
    mistakes: tuple[Mistake, ...]

    def location(self, *path: str | int) -> Location:
        """The place of a key in this file."""
        return place(self.source.name, find_lines(self.source.text), path)

    def has(self, *path: str | int) -> bool:
        """Whether this file writes the key."""
        found: object = self.source.tree
        for part in path:
            if not isinstance(found, Mapping) or part not in found:
                return False
            found = found[part]
        return True


class Layers:
    """A declaration file and all that it extends, the most special first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = real_directory(path)
        self.layers: list[Layer] = []
        self.problems: list[Problem] = []
        if not os.path.lexists(path):
            what = f"there is no {show_path(path)}"
            raise InputError(Problem(what=what, remedy="`cudaforge init` writes one to start from"))
        self._read(path, chain=(), name=show_path(path))
        # Read most general last, so that a file that two others extend is merged once, under both.
        self.layers.reverse()

    def merged(self) -> Values:
        """What all files say together."""
        values = Values({})
        for layer in reversed(self.layers):
            values = layer.values.over(values)
        return values

    def location(self, *path: str | int) -> Location:
        """The place of a key in the most special file that writes it."""
        for length in range(len(path), 0, -1):
            for layer in self.layers:
                if layer.has(*path[:length]):
                    return layer.location(*path)
        return self.layers[0].location(*path)

    def _read(self, path: Path, *, chain: tuple[Path, ...], name: str) -> None:
        real = Path(os.path.realpath(path))
        if any(Path(os.path.realpath(layer.path)) == real for layer in self.layers):
            return
        source = read_source(path, name=name)
        values, mistakes = read_fields(source.tree, TOP_FIELDS)
        layer = Layer(path=path, source=source, values=values, mistakes=mistakes)
        extended: tuple[str, ...] | None = values.get(EXTENDS)
        for index, other in enumerate(extended or ()):
            key = (EXTENDS.name, index) if not isinstance(source.tree[EXTENDS.name], str) else (EXTENDS.name,)
            try:
                self._extend(layer, other, chain=(*chain, real))
            except BadValue as error:
                self.problems += (
                    Problem(what=one.what, where=layer.location(*key), remedy=one.remedy)
                    for one in error.mistakes
                )
            except InputError as error:
                self.problems += (_blamed(problem, layer.location(*key)) for problem in error.problems)
        self.layers.append(layer)

    def _extend(self, layer: Layer, other: str, *, chain: tuple[Path, ...]) -> None:
        target = _inside(self.root, layer.path.parent / other, shown=other)
        if target in chain:
            cycle = [*chain[chain.index(target) :], target]
            bad(
                f"the files extend each other: {' -> '.join(self._name(path) for path in cycle)}",
                "break the circle",
            )
        if len(chain) >= MAX_CHAIN:
            bad(
                f"more than {MAX_CHAIN} files that extend each other",
                "put the shared values into fewer files",
            )
        self._read(target, chain=chain, name=self._name(target))

    def _name(self, path: Path) -> str:
        """The path as the user would write it, next to the file that was named."""
        below = os.path.relpath(path, self.root)
        return show_path(Path(os.path.dirname(self.path)) / below)  # noqa: PTH120 -- keeps "./" out


def _blamed(problem: Problem, where: Location) -> Problem:
    """A file that cannot be read is a mistake at the place that names it."""
    return problem if problem.where else Problem(what=problem.what, where=where, remedy=problem.remedy)


def _inside(root: Path, path: Path, *, shown: str) -> Path:
    if "://" in shown or Path(shown).is_absolute():
        bad(f"{show(shown)} is not a relative path", "a file of the project, named relative to this one")
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        bad(f"{show(shown)} is outside the project directory", f"a file below {show_path(root)}")
    return real


def real_directory(path: Path) -> Path:
    """The directory of a file, without links. Raises InputError where the current one is gone."""
    try:
        return Path(os.path.realpath(path.parent))
    except FileNotFoundError:
        what = "the current directory does not exist any more"
        raise InputError(Problem(what=what, remedy="change to a directory that does")) from None

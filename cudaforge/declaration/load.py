"""Reading a declaration file: every mistake at once, or a Declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from cudaforge.declaration import fields
from cudaforge.declaration.files import check_ca_bundle, check_copy_source, overlay_digest
from cudaforge.declaration.fleet import check_fleet, make_fleet
from cudaforge.declaration.images import (
    ImageMistake,
    check_image,
    check_needed,
    find_clashes,
    find_wheel_clashes,
    make_images,
)
from cudaforge.declaration.kinds import BadValue
from cudaforge.declaration.layers import (
    DEFAULTS,
    FLEET,
    IMAGES,
    MATRICES,
    NETWORK,
    PROJECT,
    REGISTRIES,
    Layers,
)
from cudaforge.declaration.meaning import declaration_digest
from cudaforge.declaration.model import CopyStep, Declaration, Fleet, ImageDeclaration, Network
from cudaforge.declaration.needed import NOTHING_NEEDED, Needed
from cudaforge.declaration.requirements import read_requirements
from cudaforge.declaration.tables import NOTHING, Values
from cudaforge.declaration.wheels import is_local, read_local_wheel
from cudaforge.errors import InputError, Location, Problem

DEFAULT_PROJECT = "cudaforge"
"""The same wherever a checkout lies, so that tags do not depend on a directory's name."""

_OF_PACKAGES = frozenset(one.name for one in (fields.PACKAGES, fields.REQUIREMENTS, fields.BUILD_FROM_SOURCE))

T = TypeVar("T")


def load_declaration(path: Path) -> Declaration:
    """The declaration in a file, what it extends merged and its matrices expanded.

    Raises InputError with every mistake in it.
    """
    layers = Layers(path)
    return _Loader(layers).load()


def load_without_packages(path: Path) -> Declaration:
    """The declaration in a file as `load_declaration` reads it, but for the packages of its images, of which
    nothing is read or judged. Its digests are others.

    Raises InputError with every other mistake in it.
    """
    return _Loader(Layers(path), left_out=_OF_PACKAGES).load()


class _Loader:
    """`left_out` are fields of images that are not looked at."""

    def __init__(self, layers: Layers, left_out: frozenset[str] = frozenset()) -> None:
        self.layers = layers
        self.left_out = left_out
        self.root = layers.root
        self.merged = layers.merged()
        self.problems: list[Problem] = list(layers.problems)
        for layer in layers.layers:
            counting = (one for one in layer.mistakes if left_out.isdisjoint(map(str, one.path)))
            self.problems += layer.source.problems(tuple(counting))

    def load(self) -> Declaration:
        images = self._images()
        overlays = self._overlays()
        network = self._network()
        fleet = self._fleet()
        if self.problems:
            raise InputError(_in_order(self.problems))
        project = self.merged.get(PROJECT) or NOTHING
        name = project.get(fields.PROJECT_NAME) or DEFAULT_PROJECT
        registry = project.get(fields.PROJECT_REGISTRY)
        return Declaration(
            path=self.layers.path,
            root=self.root,
            project=name,
            registry=registry,
            images=images,
            registries=self.merged.get(REGISTRIES) or {},
            network=network,
            overlays=tuple(self.root / overlay for overlay in overlays),
            fleet=fleet,
            digest=declaration_digest(
                project=name, registry=registry, images=images, overlays=overlays.values()
            ),
        )

    def _images(self) -> tuple[ImageDeclaration, ...]:
        tables = self.merged.get(IMAGES)
        if not tables and not self._has_broken_images():
            where = Location(file=self.layers.layers[0].source.name, key=IMAGES.name)
            remedy = 'add one: [images.train] with framework = "pytorch"'
            self.problems.append(Problem(what="the declaration has no images", where=where, remedy=remedy))
        defaults = self.merged.get(DEFAULTS) or NOTHING
        self._check_copies((DEFAULTS.name,), defaults)
        images: list[ImageDeclaration] = []
        for name, table in (tables or {}).items():
            self._check_copies((IMAGES.name, name), table)
            image = table.over(defaults)
            found = tuple(check_image(name, image))
            self._tell(found)
            needed = NOTHING_NEEDED
            if not self.left_out:
                needed = self._packages(name, image).and_also(self._requirements(name, image))
                self._tell(check_needed(name, needed))
            if not found:
                images += make_images(name, image, needed)
        self._tell((*find_clashes(images), *find_wheel_clashes(images)))
        return tuple(images)

    def _has_broken_images(self) -> bool:
        return self._has_mistakes_in(IMAGES.name, "image")

    def _has_mistakes_in(self, *tables: str) -> bool:
        return any(
            mistake.path and mistake.path[0] in tables
            for layer in self.layers.layers
            for mistake in layer.mistakes
        )

    def _tell(self, mistakes: Iterable[ImageMistake]) -> None:
        self.problems += (
            Problem(what=one.what, where=self.layers.location(*one.path), remedy=one.remedy)
            for one in mistakes
        )

    def _check_copies(self, key: tuple[str | int, ...], values: Values) -> None:
        steps: tuple[CopyStep, ...] = values.get(fields.COPY) or ()
        is_whole = not any(layer.mistakes for layer in self.layers.layers)
        for index, step in enumerate(steps):
            # Beside broken entries, which are missing here, the numbers are not those of the file.
            path = (*key, fields.COPY.name, *((index, "from") if is_whole else ()))
            self._attempt(path, partial(check_copy_source, self.root, step.source))

    def _packages(self, name: str, image: Values) -> Needed:
        """The packages of an image; those that are files of the project looked at."""
        needed = NOTHING_NEEDED
        for text in image.get(fields.PACKAGES) or ():
            found: Needed | None = Needed(packages=(text,))
            if is_local(text):
                key = self._key(name, fields.PACKAGES.name)
                found = self._attempt(key, partial(read_local_wheel, self.root, text))
            needed = needed.and_also(found or NOTHING_NEEDED)
        return needed

    def _requirements(self, name: str, image: Values) -> Needed:
        source = image.get(fields.REQUIREMENTS)
        if source is None:
            return NOTHING_NEEDED
        key = self._key(name, fields.REQUIREMENTS.name)
        return self._attempt(key, partial(read_requirements, self.root, source)) or NOTHING_NEEDED

    def _key(self, name: str, field: str) -> tuple[str | int, ...]:
        """Where an image's field is written: in its table, or in the defaults."""
        key: tuple[str | int, ...] = (IMAGES.name, name, field)
        is_own = any(layer.has(*key) for layer in self.layers.layers)
        return key if is_own else (DEFAULTS.name, field)

    def _overlays(self) -> dict[str, str]:
        digests: dict[str, str] = {}
        overlays: tuple[str, ...] | None = (self.merged.get(MATRICES) or NOTHING).get(fields.OVERLAYS)
        for index, path in enumerate(overlays or ()):
            key = (MATRICES.name, fields.OVERLAYS.name, index)
            digests[path] = self._attempt(key, partial(overlay_digest, self.root, path)) or ""
        return digests

    def _network(self) -> Network:
        values = self.merged.get(NETWORK) or NOTHING
        bundle = values.get(fields.CA_BUNDLE)
        found: Path | None = None
        if bundle is not None:
            key = (NETWORK.name, fields.CA_BUNDLE.name)
            found = self._attempt(key, lambda: check_ca_bundle(self.root, bundle))
        return Network(
            ca_bundle=found,
            http_proxy=values.get(fields.HTTP_PROXY),
            https_proxy=values.get(fields.HTTPS_PROXY),
            no_proxy=values.get(fields.NO_PROXY_HOSTS),
            index=values.get(fields.DEFAULT_INDEX),
            extra_indexes=values.get(fields.EXTRA_INDEXES) or (),
            find_links=values.get(fields.FIND_LINKS_PLACES) or (),
            indexes=values.get(fields.INDEXES) or {},
            python_mirror=values.get(fields.PYTHON_MIRROR),
            os_snapshots=values.get(fields.OS_SNAPSHOTS) or {},
        )

    def _fleet(self) -> Fleet | None:
        values = self.merged.get(FLEET)
        if values is None or self._has_mistakes_in(FLEET.name):
            return None
        self.problems += (
            Problem(what=one.what, where=self.layers.location(FLEET.name, *one.path), remedy=one.remedy)
            for one in check_fleet(values)
        )
        return make_fleet(values)

    def _attempt(self, key: tuple[str | int, ...], read: Callable[[], T]) -> T | None:
        """What `read` gives; None after noting its mistakes at `key`."""
        try:
            return read()
        except BadValue as error:
            where = self.layers.location(*key)
            self.problems += (
                Problem(what=one.what, where=where, remedy=one.remedy) for one in error.mistakes
            )
        except InputError as error:
            self.problems += (
                one
                if one.where
                else Problem(what=one.what, where=self.layers.location(*key), remedy=one.remedy)
                for one in error.problems
            )
        return None


def _in_order(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Each problem once, file by file in the order of their lines."""
    files: dict[str, None] = {}
    unique = list(dict.fromkeys(problems))
    for problem in unique:
        files.setdefault(problem.where.file if problem.where else "")
    order = {name: number for number, name in enumerate(files)}

    def rank(problem: Problem) -> tuple[int, int]:
        if problem.where is None:
            return order[""], 0
        return order[problem.where.file], problem.where.line or 0

    return iter(sorted(unique, key=rank))

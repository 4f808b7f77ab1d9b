"""A directory with all that a lock's images are built from, for building with the network off."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.model import Declaration
from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import copy_atomically, hash_file, held_lock, write_error
from cudaforge.lockfile.model import WHEELS_DIRECTORY, Lock, LockedBase, LockedImage, LockedWheel
from cudaforge.pipeline.collected import (
    collect_steps,
    find_built,
    find_debs,
    find_uncollected,
    refuse_others,
)
from cudaforge.pipeline.decide import Note
from cudaforge.pipeline.host import state_directory
from cudaforge.pipeline.places import base_directory, python_file, source_file
from cudaforge.pipeline.pruning import Pruned, has_lists, list_needs, prune
from cudaforge.pipeline.store import PID, check_store, open_store, tidy_store
from cudaforge.pipeline.store_troubles import collect_again, in_the_way, not_collected, require_file_place
from cudaforge.records import record
from cudaforge.references import parse_reference
from cudaforge.registry.mirrors import move

if TYPE_CHECKING:
    from cudaforge.bootstrap import BootstrapImage
    from cudaforge.builder import Vendored
    from cudaforge.engine import Engine
    from cudaforge.packages.site import Site

_PULL_SECONDS = 3600.0
_WAIT_SECONDS = 3600.0


@record()
class Collected:
    """What a directory was filled with."""

    directory: Path
    files: int
    size: int
    """Bytes of all its files."""
    pruned: Pruned | None = None
    """What was taken out; None where that was not asked for."""


def vendor(
    lock: Lock,
    declaration: Declaration,
    directory: Path,
    *,
    prune_rest: bool = False,
    on_note: Note,
) -> Collected:
    """Collect the bases, OS packages, wheels, sources and Pythons of the lock in the directory; what is there
    is kept, but for what no project needs any more with `prune_rest`, once all is there.

    Raises InputError for a directory that is not empty and not of this kind, for one that no build can be
    given, and for images that get OS packages by something else than apt; SurroundingsError where site,
    registry or engine fail, or where the engine does not run the programs of a platform whose OS packages are
    wanted.
    """
    refuse_others(lock.images)
    open_store(directory)
    for text in _in_images(lock.images, declaration, directory):
        on_note(text)
    with held_lock(directory / PID, timeout=_WAIT_SECONDS, on_wait=on_note):
        tidy_store(directory)
        collector = _Collector(lock, declaration, directory, on_note)
        wanted = collector.find_wanted_steps(lock.images)
        for image in lock.images:
            on_note(f"{image.name}: collecting")
            collector.collect(image)
        collector.collect_steps(wanted)
        is_listed = has_lists(directory)
        own = list_needs(lock, declaration, directory)
        pruned = prune(directory, own, is_listed=is_listed) if prune_rest else None
    files = [path for path in directory.rglob("*") if path.is_file() and path.name != PID]
    size = sum(path.stat().st_size for path in files)
    return Collected(directory=directory, files=len(files), size=size, pruned=pruned)


def _in_images(images: Iterable[LockedImage], declaration: Declaration, directory: Path) -> Iterator[str]:
    """That what is collected would get into the images, too."""
    place = directory.resolve()
    if place.is_relative_to(state_directory(declaration).resolve()):
        return  # which is never sent
    for image in images:
        for copy in image.copy:
            if place.is_relative_to((declaration.root / copy.source).resolve()):
                yield (
                    f"{image.name}: copy takes {copy.source}, and {directory} is in it: "
                    "name a directory outside, or leave it out by .dockerignore"
                )


class _Collector:
    def __init__(self, lock: Lock, declaration: Declaration, directory: Path, on_note: Note) -> None:
        from cudaforge.pipeline.providers import find_providers

        self._providers = find_providers(declaration, lock)
        self._site, self._indexes = self._providers.site, self._providers.indexes
        self._own = declaration.root / WHEELS_DIRECTORY
        self._root = declaration.root
        self._state = state_directory(declaration)
        self._directory = directory
        self._on_note = on_note

    def find_wanted_steps(self, images: Sequence[LockedImage]) -> Sequence[tuple[LockedImage, str]]:
        """The images and platforms of which something is missing that only steps can give. Raises
        SurroundingsError where no engine is there for that, or one without BuildKit."""
        from cudaforge.engine import connect

        wanted = find_uncollected(images, self._directory, on_note=self._on_note)
        if wanted and connect().is_podman:
            names = ", ".join(dict.fromkeys(image.name for image, _ in wanted))
            raise SurroundingsError(
                Problem(
                    what=f"what steps install in {names} is collected by BuildKit, and here Podman builds",
                    remedy="collect it where there is Docker with buildx; Podman builds from the directory",
                )
            )
        return wanted

    def collect(self, image: LockedImage) -> None:
        from cudaforge.packages.collect import collect_wheels
        from cudaforge.packages.foreign import fetch_uv

        places = collect_wheels(
            [wheel for wheel in image.closure.wheels if not self._has_source(wheel)],
            self._directory,
            python=image.python,
            indexes=self._indexes,
            site=self._site,
            own=self._own,
            on_damaged=self._say_damaged,
        )
        for place in places:
            source = place.path or self._providers.find_source(place.wheel, place.address)
            _copy(source, source_file(self._directory, place.wheel), hash_file(source))
        if image.standalone is not None:
            for platform in image.platforms:
                archive = self._providers.find_python(image, platform)
                _copy(archive, self._directory / "pythons" / archive.name, archive.name.partition(".")[0])
        for platform in image.platforms:
            fetch_uv(platform, site=self._site, cache=self._directory)
        self._collect_base(image)

    def collect_steps(self, wanted: Sequence[tuple[LockedImage, str]]) -> None:
        """What steps install in images whose bases are there."""
        from cudaforge.builder.bases import BaseContexts
        from cudaforge.builder.collect import Collecting
        from cudaforge.builder.inputs import Sources
        from cudaforge.engine import connect, own_builder

        if not wanted:
            return
        named, providers = own_builder(connect()), self._providers
        sources = Sources(
            root=self._root,
            own_wheels=self._own,
            site=self._site,
            indexes=self._indexes,
            bases=BaseContexts(named, self._find_base),
            find_python=providers.find_python,
            find_source=providers.find_source,
            find_uv=providers.find_uv,
            environment=os.environ,
        )

        def prepare(image: LockedImage, platform: str) -> Collecting:
            return Collecting(
                image=image,
                platform=platform,
                base=self._find_base(image),
                named=named,
                sources=sources,
                state=self._state,
            )

        collect_steps(wanted, self._directory, named=named, prepare=prepare, on_note=self._on_note)

    def _has_source(self, wheel: LockedWheel) -> bool:
        """Whether what a wheel is built from is there; a commit has no hash to tell it by."""
        path = source_file(self._directory, wheel)
        is_there = wheel.is_built and bool(wheel.sha256) and path.is_file()
        return is_there and hash_file(path) == wheel.sha256

    def _say_damaged(self, file: Path) -> None:
        self._on_note(f"{file} is damaged: it is not what was collected; collecting anew")

    def _find_base(self, image: LockedImage) -> BootstrapImage:
        return find_base(self._directory, image)

    def _collect_base(self, image: LockedImage) -> None:
        place = base_directory(self._directory, image.base)
        if _find_base(place, image.base):
            file = find_damaged_blob(place)
            if file is None:
                return
            self._say_damaged(file)
        if image.base.is_bootstrap:
            from cudaforge.pipeline.bases import assemble_locked_base

            made = assemble_locked_base(image, site=self._site)
            _put(place, lambda new: copy_layout(made.layout, new))
        else:
            _put(place, lambda new: _save_base(image, self._site, new))


def open_vendored(directory: Path) -> Vendored:
    """What builds take out of the directory. Raises InputError where it is none that `vendor` filled."""
    from cudaforge.builder import Vendored

    check_store(directory)
    return Vendored(
        find_wheel=lambda wheel: find_wheel(directory, wheel),
        find_base=lambda image: find_base(directory, image).layout,
        find_debs=lambda image, platform: find_debs(directory, image, platform),
        find_built=lambda image, platform: find_built(directory, image, platform),
        remedy=collect_again(directory),
    )


def find_wheel(directory: Path, wheel: LockedWheel) -> Path:
    """A locked wheel, or what it is built from. Raises SurroundingsError where it is not there."""
    from cudaforge.packages.collect import wheel_file

    path = source_file(directory, wheel) if wheel.is_built else wheel_file(directory, wheel)
    return _there(path, f"{wheel.package} {wheel.version} ({wheel.filename})", directory)


def find_python(directory: Path, image: LockedImage, platform: str) -> Path:
    """The archive of an image's standalone Python for a platform. Raises SurroundingsError where it is not
    there, and NegativeAnswer where it is not the locked one."""
    archive = image.standalone.find_archive(platform) if image.standalone is not None else None
    if archive is None:
        raise NegativeAnswer(
            Problem(what=f"the lock has no Python for {image.name}", remedy="cudaforge lock")
        )
    path = _there(python_file(directory, archive), archive.path, directory)
    if hash_file(path) != archive.sha256:
        raise NegativeAnswer(
            Problem(
                what=f"{path} is another file than the one that was locked",
                remedy=collect_again(directory),
            )
        )
    return path


def find_uv(directory: Path, platform: str) -> Path:
    """The uv program for images of a platform. Raises SurroundingsError where it is not there."""
    from cudaforge.packages.foreign import uv_file
    from cudaforge.packages.uv import uv_binary

    path = uv_file(platform, directory)
    if path is None:
        return uv_binary(platform)
    return _there(path, f"uv {path.parent.name} for {platform}", directory)


def find_base(directory: Path, image: LockedImage) -> BootstrapImage:
    """The base of an image. Raises SurroundingsError where it is not there, or not whole."""
    place = base_directory(directory, image.base)
    if place.exists() and not place.is_dir():
        raise SurroundingsError(in_the_way(place, directory))
    found = _find_base(place, image.base)
    if found is None:
        raise not_collected(f"the base {image.base.reference} of {image.name}", directory)
    return found


def _find_base(place: Path, base: LockedBase) -> BootstrapImage | None:
    """A base that is there with all its files."""
    from cudaforge.bootstrap import find_image

    found = find_image(place)
    return found if found is not None and found.digest == base.digest and _has_all(place, base) else None


def find_damaged_blob(layout: Path) -> Path | None:
    """A file of an OCI image layout whose hash is not its name."""
    blobs = sorted(path for path in (layout / "blobs" / "sha256").iterdir() if path.is_file())
    return next((path for path in blobs if hash_file(path) != path.name), None)


def _has_all(place: Path, base: LockedBase) -> bool:
    """Whether the manifest of every platform is there."""
    blobs = place / "blobs"
    return all((blobs / one.digest.replace(":", "/")).is_file() for one in base.manifests)


def _save_base(image: LockedImage, site: Site, new: Path) -> None:
    """Let the engine pull a base for every platform, and take it from its store as it came from the
    registry."""
    from cudaforge.engine import connect

    engine = connect()
    if not engine.has_containerd_store:
        raise SurroundingsError(
            Problem(
                what="this engine's image store does not keep images as registries have them",
                because=(f"{image.base.reference} has to stay {image.base.digest}",),
                remedy="let Docker, with its containerd image store, collect them"
                if engine.is_podman
                else 'turn the containerd image store on: "features": {"containerd-snapshotter": true}',
            )
        )
    moved = move(parse_reference(image.base.reference), site.registries)
    _pull(engine, f"{str(moved).partition('@')[0]}@{image.base.digest}", image.platforms, new)


def _pull(engine: Engine, reference: str, platforms: Iterable[str], new: Path) -> None:
    for platform in platforms:
        engine.pull_image(reference, platform=platform, timeout=_PULL_SECONDS)
    with tempfile.TemporaryDirectory(prefix="cudaforge-", dir=new.parent) as scratch:
        archive = Path(scratch) / "base.tar"
        engine.save_image(reference, archive, timeout=_PULL_SECONDS)
        with tarfile.open(archive, "r:") as packed:
            for member in packed:
                name = member.name.removeprefix("./")
                is_layout = name in ("oci-layout", "index.json") or name.startswith("blobs/sha256/")
                if member.isreg() and is_layout and ".." not in name:
                    target = new / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    content = packed.extractfile(member)
                    with target.open("wb") as file:
                        shutil.copyfileobj(content, file)  # type: ignore[arg-type]  # it is a regular file


def copy_layout(source: Path, target: Path) -> None:
    """Copy the files of an OCI image layout into a directory. Raises OSError with the reason of the first
    that cannot be, which `shutil.copytree` would not tell."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _put(place: Path, fill: Callable[[Path], object]) -> None:
    """A directory that is there whole or not at all."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as name:
            new = Path(name) / "layout"
            new.mkdir()
            fill(new)
            shutil.rmtree(place, ignore_errors=True)
            new.rename(place)
    except OSError as error:
        raise write_error(place, error) from None


def _copy(source: Path, target: Path, sha256: str) -> None:
    if target.is_file() and hash_file(target) == sha256:
        return
    if not copy_atomically(source, target, sha256=sha256):
        raise SurroundingsError(Problem(what=f"{source} changed while it was copied", remedy="try again"))


def _there(path: Path, what: str, directory: Path) -> Path:
    require_file_place(path, directory)
    if not path.is_file():
        raise not_collected(what, directory)
    return path

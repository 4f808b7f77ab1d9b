"""What goes into an image's build, put into private directories for the time that it runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cudaforge.bootstrap import CollectedDeb
from cudaforge.builder.archives import OsArchive, site_archive, vendored_archive, write_archive_secrets
from cudaforge.builder.bases import BaseFinder
from cudaforge.builder.command import BuildInputs, mirror_contexts
from cudaforge.builder.scratch import write_private
from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.files import write_error
from cudaforge.lockfile.model import LockedImage
from cudaforge.packages.addresses import redact
from cudaforge.packages.fetch import (
    OTHER_FILE_REMEDY,
    FilledClosure,
    SourceProvider,
    WheelProvider,
    fill_closure,
)
from cudaforge.packages.site import Site
from cudaforge.packages.uv import uv_binary
from cudaforge.records import record
from cudaforge.references import parse_reference
from cudaforge.renderer.model import (
    BASE_CONTEXT,
    BUILT_CONTEXT,
    CA_SECRET,
    CLOSURE_SECRET,
    PYTHON_ARCHIVE,
    PYTHON_CONTEXT,
    SITE_SECRET,
    UV_CONTEXT,
    WHEELS_CONTEXT,
    RenderedImage,
    platform_path,
)

PythonProvider = Callable[[LockedImage, str], Path]
"""Finds the archive of an image's standalone Python for one of its platforms, as a file of this machine."""
UvProvider = Callable[[str], Path]
"""Finds the uv program for a platform."""
DebProvider = Callable[[LockedImage, str], Mapping[CollectedDeb, Path]]
"""Finds the OS packages that an image's steps install on one of its platforms, as files that are what they
are said to be."""
BuiltProvider = Callable[[LockedImage, str], Mapping[str, Path]]
"""Finds the wheels that were built for one of an image's platforms from their source, by their names."""

_HIDDEN = "***"
_SHORTEST_SECRET = 4
"""Shorter values stand in too many words to be taken out of a log."""


@record()
class Vendored:
    """A directory that has all that builds need, so that no step has a network."""

    find_wheel: WheelProvider
    find_base: Callable[[LockedImage], Path]
    """The OCI image layout of an image's base."""
    find_debs: DebProvider
    find_built: BuiltProvider
    remedy: str
    """What to do about a file in it that is not the locked one."""


@record()
class Sources:
    """Where this site has what builds need."""

    root: Path
    own_wheels: Path
    """Where the project's own wheels lie beside the lock."""
    site: Site
    indexes: Mapping[str, str]
    """Public addresses of the package indexes that locks name."""
    bases: BaseFinder
    find_python: PythonProvider
    find_source: SourceProvider
    find_uv: UvProvider = uv_binary
    environment: Mapping[str, str]
    """Has the values of the declaration's secrets."""
    vendored: Vendored | None = None
    """What is built from where the network is off."""


def prepare_inputs(
    image: LockedImage, rendered: RenderedImage, sources: Sources, *, private: Path, staging: Path
) -> BuildInputs:
    """Write the Dockerfile and the secrets into `private`, wheels that are files into `staging/wheels`, and
    OS packages that are into `staging/debs`.

    Raises InputError for a secret that has no value, and what filling the closure, making the base and
    finding what is vendored raise.
    """
    wheels = staging / "wheels"
    dockerfile = private / "Dockerfile"
    write_private(dockerfile, rendered.dockerfile.encode())
    write_private(private / "Dockerfile.dockerignore", rendered.ignore.encode())
    own_secrets = _write_secrets(image, sources.environment, private)
    closure = _fill(image, sources, wheels)
    archive = _archive(image, rendered, sources, staging / "debs")
    contexts = {
        UV_CONTEXT: str(_uv_context(image, sources, private)),
        WHEELS_CONTEXT: str(wheels),
        **archive.contexts,
        **_built_context(image, sources, staging / "built"),
        **_python_context(image, sources, private),
        **_base_context(image, sources, private),
    }
    unknown = [name for name in rendered.contexts if name not in contexts]
    if unknown:
        raise SurroundingsError(
            Problem(what=f"the Dockerfile of {image.name} needs a context {unknown[0]} that no one gives")
        )
    return BuildInputs(
        dockerfile=dockerfile,
        context=sources.root,
        tags=image.tags,
        contexts=contexts,
        secrets={
            CLOSURE_SECRET: _written(private / "pylock.toml", closure.pylock_text),
            **site_secrets(sources.site, private),
            **write_archive_secrets(archive, private),
            **own_secrets,
        },
        platforms=image.platforms,
        has_ssh=_check_ssh(image, sources.environment),
        has_no_network=sources.vendored is not None,
        needs_host_network=sources.vendored is None
        and (closure.needs_host_network or sources.site.needs_host_network or archive.needs_host_network),
    )


def secret_cleaner(image: LockedImage, environment: Mapping[str, str]) -> Callable[[str], str]:
    """A function that takes this image's secrets, and passwords in addresses, out of a text."""
    hidden = sorted(_hidden_texts(environment.get(name, "") for name in image.secrets), key=len, reverse=True)

    def clean(text: str) -> str:
        for secret in hidden:
            text = text.replace(secret, _HIDDEN)
        return redact(text)

    return clean


def _hidden_texts(values: Iterable[str]) -> set[str]:
    texts = {text.strip() for value in values for text in (value, *value.splitlines())}
    return {text for text in texts if len(text) >= _SHORTEST_SECRET}


def _base_context(image: LockedImage, sources: Sources, private: Path) -> Mapping[str, str]:
    if sources.vendored is not None and not image.base.is_bootstrap:
        layout = sources.vendored.find_base(image)
        return {from_text(image): f"oci-layout://{layout}@{image.base.digest}"}
    if image.base.is_bootstrap:
        return {BASE_CONTEXT: sources.bases.find_context(image, private)}
    return mirror_contexts(image.base.reference, image.base.digest, sources.site.registries)


def from_text(image: LockedImage) -> str:
    """What stands behind FROM, where the base is no bootstrapped one."""
    base = image.base
    pinned = f"@{base.digest}" if base.digest and parse_reference(base.reference).digest is None else ""
    return f"{base.reference}{pinned}"


def _fill(image: LockedImage, sources: Sources, staging: Path) -> FilledClosure:
    vendored = sources.vendored
    return fill_closure(
        image.closure.wheels,
        python=image.python,
        indexes=sources.indexes,
        site=sources.site,
        staging=staging,
        own=sources.own_wheels,
        find_source=sources.find_source,
        find_wheel=vendored.find_wheel if vendored is not None else None,
        remedy=vendored.remedy if vendored is not None else OTHER_FILE_REMEDY,
    )


def _archive(image: LockedImage, rendered: RenderedImage, sources: Sources, staging: Path) -> OsArchive:
    if sources.vendored is None:
        return site_archive(image, sources.site, rendered.dockerfile)
    debs: dict[CollectedDeb, Path] = {}
    for platform in image.platforms:
        debs |= sources.vendored.find_debs(image, platform)
    return vendored_archive(image, debs, staging)


def _built_context(image: LockedImage, sources: Sources, staging: Path) -> Mapping[str, str]:
    """What stands in for the stage that builds wheels, where the network is off."""
    if sources.vendored is None or not any(wheel.is_built for wheel in image.closure.wheels):
        return {}
    found: dict[str, Path] = {}
    for platform in image.platforms:
        for name, path in sources.vendored.find_built(image, platform).items():
            if found.setdefault(name, path) != path:
                raise SurroundingsError(
                    Problem(
                        what=f"{name} of {image.name} is another file on each of its platforms",
                        remedy="make one image for each platform: a matrix with the axis `platforms`",
                    )
                )
    for name, path in found.items():
        _alone(path, staging / "wheels" / name)
    return {BUILT_CONTEXT: str(staging)}


def site_secrets(site: Site, private: Path) -> Mapping[str, Path]:
    """The build secrets by which steps see this site, written into `private`."""
    exports, bundle = site.build_secrets()
    secrets = {SITE_SECRET: _written(private / "site.sh", exports)} if exports else {}
    return {**secrets, CA_SECRET: bundle} if bundle is not None else secrets


def _written(path: Path, text: str) -> Path:
    write_private(path, text.encode())
    return path


def _write_secrets(image: LockedImage, environment: Mapping[str, str], private: Path) -> Mapping[str, Path]:
    missing = [name for name in image.secrets if name not in environment]
    if missing:
        raise InputError(
            Problem(
                what=f"{image.name} needs the secret {name}, and the environment has no value for it",
                remedy=f"export {name}=...",
            )
            for name in missing
        )
    written = {}
    for number, name in enumerate(image.secrets):
        # A secret's name may be no file name.
        written[name] = private / f"secret-{number}"
        write_private(written[name], environment[name].encode("utf-8", "surrogateescape"))
    return written


def _uv_context(image: LockedImage, sources: Sources, private: Path) -> Path:
    """A directory with nothing but uv: BuildKit takes in the whole of a named context."""
    for platform in image.platforms:
        _alone(sources.find_uv(platform), private / "uv" / platform_path(image, platform) / "uv")
    return private / "uv"


def _python_context(image: LockedImage, sources: Sources, private: Path) -> Mapping[str, str]:
    if image.standalone is None:
        return {}
    for platform in image.platforms:
        archive = sources.find_python(image, platform)
        _alone(archive, private / "python" / platform_path(image, platform) / PYTHON_ARCHIVE)
    return {PYTHON_CONTEXT: str(private / "python")}


def _alone(source: Path, target: Path) -> None:
    """The file as `target`, in a directory of what was put there like it and nothing else."""
    directory = target.parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copy2(source, target)
    except OSError as error:
        raise write_error(directory, error) from None


def _check_ssh(image: LockedImage, environment: Mapping[str, str]) -> bool:
    if image.ssh and not environment.get("SSH_AUTH_SOCK"):
        raise SurroundingsError(
            Problem(
                what=f"{image.name} needs your SSH agent, and none is running",
                because=("SSH_AUTH_SOCK is not set",),
                remedy='start one: eval "$(ssh-agent)"; ssh-add',
            )
        )
    return image.ssh

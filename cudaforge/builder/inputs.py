"""What goes into an image's build, put into private directories for the time that it runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cudaforge.bootstrap import ArchiveAccess, find_archive_access
from cudaforge.builder.bases import BaseFinder
from cudaforge.builder.command import BuildInputs, mirror_contexts
from cudaforge.builder.scratch import disk_error, write_private
from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.packages.addresses import is_loopback, redact
from cudaforge.packages.fetch import FilledClosure, SourceProvider, WheelProvider, fill_closure
from cudaforge.packages.site import Site
from cudaforge.packages.uv import uv_binary
from cudaforge.records import record
from cudaforge.references import parse_reference
from cudaforge.renderer import dump_apt_config
from cudaforge.renderer.model import (
    APT_CONFIG_SECRET,
    APT_SOURCES_SECRET,
    BASE_CONTEXT,
    CA_SECRET,
    CLOSURE_SECRET,
    PYTHON_ARCHIVE,
    PYTHON_CONTEXT,
    SITE_SECRET,
    SNAPSHOT_SECRET,
    UV_CONTEXT,
    WHEELS_CONTEXT,
    RenderedImage,
    platform_path,
)
from cudaforge.renderer.snapshot import snapshot_lines

PythonProvider = Callable[[LockedImage, str], Path]
"""Finds the archive of an image's standalone Python for one of its platforms, as a file of this machine."""
UvProvider = Callable[[str], Path]
"""Finds the uv program for a platform."""

_ADDRESS = re.compile(r"https?://[^\s\"';]+")
_HIDDEN = "***"
_SHORTEST_SECRET = 4
"""Shorter values stand in too many words to be taken out of a log."""


@record()
class Vendored:
    """A directory that has all that builds need, so that no step has a network."""

    find_wheel: WheelProvider
    find_base: Callable[[LockedImage], Path]
    """The OCI image layout of an image's base."""


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
    """Write the Dockerfile and the secrets into `private`, wheels that are files into `staging`.

    Raises InputError for a secret that has no value, and what filling the closure and making the base raise.
    """
    dockerfile = private / "Dockerfile"
    write_private(dockerfile, rendered.dockerfile.encode())
    write_private(private / "Dockerfile.dockerignore", rendered.ignore.encode())
    own_secrets = _write_secrets(image, sources.environment, private)
    closure = _fill(image, sources, staging)
    is_offline = sources.vendored is not None
    access = None if is_offline else _archive_access(image, rendered)
    contexts = {
        UV_CONTEXT: str(_uv_context(image, sources, private)),
        WHEELS_CONTEXT: str(staging),
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
            **_site_secrets(sources.site, closure, private),
            **_archive_secrets(access, private),
            **_snapshot_secrets(image, sources.site, private),
            **own_secrets,
        },
        platforms=image.platforms,
        has_ssh=_check_ssh(image, sources.environment),
        has_no_network=is_offline,
        needs_host_network=not is_offline
        and (
            closure.needs_host_network
            or sources.site.needs_host_network
            or _is_on_this_machine(access)
            or is_loopback(_snapshot_mirror(image, sources.site) or "")
        ),
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
    return fill_closure(
        image.closure.wheels,
        python=image.python,
        indexes=sources.indexes,
        site=sources.site,
        staging=staging,
        own=sources.own_wheels,
        find_source=sources.find_source,
        find_wheel=sources.vendored.find_wheel if sources.vendored is not None else None,
    )


def _site_secrets(site: Site, closure: FilledClosure, private: Path) -> Mapping[str, Path]:
    secrets = {CLOSURE_SECRET: private / "pylock.toml"}
    write_private(secrets[CLOSURE_SECRET], closure.pylock_text.encode())
    exports, bundle = site.build_secrets()
    if exports:
        secrets[SITE_SECRET] = private / "site.sh"
        write_private(secrets[SITE_SECRET], exports.encode())
    if bundle is not None:
        secrets[CA_SECRET] = bundle
    return secrets


def _archive_access(image: LockedImage, rendered: RenderedImage) -> ArchiveAccess | None:
    """How apt reaches this site's archive, for a bootstrapped base; other bases have their own sources."""
    if not image.base.is_bootstrap or f"id={APT_SOURCES_SECRET}," not in rendered.dockerfile:
        return None
    return find_archive_access(image.base.codename)


def _archive_secrets(access: ArchiveAccess | None, private: Path) -> Mapping[str, Path]:
    if access is None:
        return {}
    secrets = {APT_SOURCES_SECRET: private / "apt.list", APT_CONFIG_SECRET: private / "apt.conf"}
    write_private(secrets[APT_SOURCES_SECRET], access.sources.encode())
    write_private(secrets[APT_CONFIG_SECRET], dump_apt_config(access.config).encode())
    return secrets


def _snapshot_mirror(image: LockedImage, site: Site) -> str | None:
    """This site's address for the service that the image's snapshot is of."""
    return site.os_snapshots.get(image.snapshot.service) if image.snapshot is not None else None


def _snapshot_secrets(image: LockedImage, site: Site, private: Path) -> Mapping[str, Path]:
    mirror = _snapshot_mirror(image, site)
    if image.snapshot is None or mirror is None:
        return {}
    secrets = {SNAPSHOT_SECRET: private / "snapshot.list"}
    lines = snapshot_lines(image.snapshot, address=mirror)
    write_private(secrets[SNAPSHOT_SECRET], "".join(f"{line}\n" for line in lines).encode())
    return secrets


def _is_on_this_machine(access: ArchiveAccess | None) -> bool:
    addresses = _ADDRESS.findall(f"{access.sources}\n{access.config}") if access is not None else ()
    return any(is_loopback(address) for address in addresses)


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
    """A new directory with the file as `target`, and nothing else in it."""
    directory = target.parent
    try:
        directory.mkdir(parents=True)
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copy2(source, target)
    except OSError as error:
        raise disk_error(error, directory) from None


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

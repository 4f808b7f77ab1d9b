"""What the host knows about OS archives: its release, its apt sources, how it reaches the network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from cudaforge import process
from cudaforge.bootstrap.sources import (
    Release,
    SnapshotSite,
    Source,
    choose_sources,
    dump_sources,
    expand_mirrors,
    parse_os_release,
    parse_sources,
)
from cudaforge.display import show
from cudaforge.errors import InputError, Problem, SurroundingsError
from cudaforge.records import record, replace

_ETC_APT = Path("/etc/apt")
_OS_RELEASE = Path("/etc/os-release")
_QUERY_SECONDS = 30.0
# Proxies, certificates, time-outs: how an archive is reached. Hooks and directories stay the host's alone.
_REACHING = re.compile(r"Acquire::(http|https|ftp|Proxy|Check-|Retries|ForceIPv)[^\n]*")


@record()
class ArchiveAccess:
    """What apt in an image needs to reach this site's archive: for build-only mounts, never a layer."""

    sources: str
    """Contents of a file in /etc/apt/sources.list.d, with a name that ends in `.list`."""
    config: str
    """Contents of a file in /etc/apt/apt.conf.d; empty where the host has nothing special."""


def find_host_codename() -> str:
    """The codename of the host's own release: what `bootstrap:host` means here.

    Raises InputError where the host's system is none that apt serves.
    """
    _require_apt()
    return _host_release().codename


def find_archive_access(codename: str) -> ArchiveAccess:
    """How apt inside an image of that release reaches the archives that the host uses.

    Raises SurroundingsError where the host's apt knows no archive of that release.
    """
    return ArchiveAccess(sources=dump_sources(find_sources(codename)), config=load_reaching_config())


def find_sources(codename: str) -> tuple[Source, ...]:
    """The host's archives of a release, main first, each with a keyring to check it by.

    Raises SurroundingsError where the host has no apt, or its apt knows no archive for that release.
    """
    _require_apt()
    release = _host_release()
    keyring = f"/usr/share/keyrings/{release.distribution}-archive-keyring.gpg"
    everything = expand_mirrors(parse_sources(_read_source_files()), _read)
    sources = choose_sources(everything, codename=codename, host_codename=release.codename, keyring=keyring)
    if not sources:
        raise SurroundingsError(
            Problem(
                what=f"the host's apt sources name no archive for {show(codename)}",
                because=(f"looked for the component main of {release.codename} or {codename} in {_ETC_APT}",),
                remedy="add the archive to apt's sources, or declare a base image from a registry",
            )
        )
    _require_keyrings(sources)
    return sources


def dated_sources(lines: Sequence[str], *, service: SnapshotSite) -> tuple[Source, ...]:
    """The archives of a snapshot service that lines of a `sources.list` name, each with a keyring of this
    host to check it by.

    Raises SurroundingsError where the host has no apt, or lacks a keyring.
    """
    _require_apt()
    parsed = parse_sources({"dated.list": "\n".join(lines)})
    sources = tuple(replace(source, service=service) for source in parsed)
    _require_keyrings(sources)
    return sources


def load_reaching_config() -> str:
    """The part of the host's apt configuration that says how archives are reached, in apt's syntax."""
    argv = ["apt-config", "dump", "--format", '%F "%v";%n', "Acquire"]
    done = process.run(argv, timeout=_QUERY_SECONDS, env={"LC_ALL": "C"})
    lines = (line for line in done.stdout.splitlines() if _REACHING.fullmatch(line))
    return "".join(f"{line}\n" for line in lines if not line.endswith(' "";'))


def _host_release() -> Release:
    release = parse_os_release(_read(str(_OS_RELEASE)))
    if release is None:
        raise InputError(
            Problem(
                what="this host's own OS release is unknown",
                because=(f"{_OS_RELEASE} names no ID and VERSION_CODENAME",),
                remedy='name the release: base = "bootstrap:debian12"',
            )
        )
    return release


def _require_apt() -> None:
    if shutil.which("apt-get") is None:
        raise SurroundingsError(
            Problem(
                what="bootstrapping a base needs apt, and this host has none",
                remedy="run on Debian or Ubuntu, or declare a base image from a registry",
            )
        )


def _require_keyrings(sources: tuple[Source, ...]) -> None:
    missing = sorted({str(source.keyring) for source in sources if not Path(str(source.keyring)).is_file()})
    if missing:
        raise SurroundingsError(
            Problem(
                what=f"the archive's signatures cannot be checked: {', '.join(missing)} is missing",
                remedy="install the keyring package of the host's distribution (debian-archive-keyring)",
            )
        )


def _read_source_files() -> dict[str, str]:
    parts = _ETC_APT / "sources.list.d"
    names = sorted(part for part in parts.glob("*") if part.suffix in {".list", ".sources"})
    return {str(name): _read(str(name)) for name in (_ETC_APT / "sources.list", *names)}


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

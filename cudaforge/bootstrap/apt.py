"""The host's apt, asked in a private state directory: the host's own lists and packages are not touched."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cudaforge import process
from cudaforge.bootstrap.deadline import Deadline
from cudaforge.bootstrap.model import BootstrapPackage
from cudaforge.bootstrap.sources import (
    Source,
    describe_archive,
    dump_sources,
    find_service,
    parse_stanzas,
    way_to_archive,
)
from cudaforge.errors import CudaforgeError, InputError, Location, Problem, SurroundingsError
from cudaforge.records import record

_HELPER = "/usr/lib/apt/apt-helper"
_INSTALLED = re.compile(
    r"Inst (?P<name>[^\s:]+)\S* (?:\[[^\]]*\] )?\((?P<version>\S+) .*\[(?P<architecture>[^\]]+)\]\)"
)
_COMPLAINT = re.compile(r"^[EW]: (?P<text>.*)$", re.MULTILINE)
_EMPTY_COMPLAINTS = ("Some index files failed to download", "Download Failed", "Unable to fetch some")
_SHOWN_COMPLAINTS = 3
_DISTRUST = re.compile(
    "GPG error|not signed|no longer signed|NO_PUBKEY|BADSIG|EXPKEYSIG|EXPSIG|[Ii]nvalid signature"
)
_FULL = re.compile(r"No space left on device|You don't have enough free space")
_MORE_SPACE = "free some space there, or name a place on another disk in XDG_CACHE_HOME"
_NO_RELEASE = re.compile(r"The repository '(?P<archive>[^']*)' does not have a Release file")
_UNREACHABLE = re.compile(
    "failure resolving|Could not resolve|Could not connect|Connection (?:refused|timed out|failed)"
    "|Unable to connect|Network is unreachable|No route to host|Cannot initiate the connection"
)
_UNKNOWN_PACKAGE = re.compile(
    r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate"
)


@record()
class AptState:
    """A state directory of apt's, set up for some sources and one architecture."""

    config: Path
    sources: tuple[Source, ...]


def prepare_state(
    directory: Path, *, sources: tuple[Source, ...], architecture: str, reaching: str
) -> AptState:
    """Write apt's configuration for a private state in `directory`; lists already there are kept."""
    for part in ("lists/partial", "archives/partial"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    (directory / "status").write_bytes(b"")
    listed = dump_sources(sources, architecture=architecture)
    (directory / "sources.list").write_text(listed, encoding="utf-8")
    config = directory / "apt.conf"
    # A proxy's password may be among the host's settings.
    config.touch(mode=0o600)
    config.write_text(_dump_config(directory, architecture, reaching), encoding="utf-8")
    return AptState(config=config, sources=sources)


def refresh_lists(state: AptState, deadline: Deadline) -> None:
    """Bring the package lists up to date and check their signatures. Raises SurroundingsError."""
    done = _run(state, ["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"], deadline)
    if done.returncode != 0:
        raise _translate(done, state.sources, place=state.config.parent)


def resolve_packages(
    state: AptState, names: Sequence[str], deadline: Deadline
) -> tuple[BootstrapPackage, ...]:
    """The packages with all they depend on, as the lists have them, sorted by name.

    Raises InputError for packages that the archive lacks or that exclude each other.
    """
    done = _run(state, ["apt-get", "install", "-q", "-y", "--simulate", *names], deadline)
    if done.returncode != 0:
        raise _translate(done, state.sources, place=state.config.parent)
    wanted = [match.groupdict() for match in map(_INSTALLED.match, done.stdout.splitlines()) if match]
    queries = [f"{row['name']}:{row['architecture']}={row['version']}" for row in wanted]
    shown = _run(state, ["apt-cache", "show", *queries], deadline)
    if shown.returncode != 0:
        raise _translate(shown, state.sources, place=state.config.parent)
    return parse_packages(shown.stdout)


def parse_packages(text: str) -> tuple[BootstrapPackage, ...]:
    """The packages that `apt-cache show` describes, sorted by name.

    A package that two archives have, as after a security update, is taken from one of them.
    """
    found: dict[tuple[str, str], BootstrapPackage] = {}
    for fields in parse_stanzas(text):
        package = BootstrapPackage(
            name=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            filename=fields["filename"],
            sha256=fields["sha256"],
            size=int(fields["size"]),
        )
        known = found.get((package.name, package.architecture))
        if known is None or package.filename < known.filename:
            found[package.name, package.architecture] = package
    return tuple(found[key] for key in sorted(found))


def fetch_files(
    state: AptState, downloads: Sequence[tuple[str, Path, str]], deadline: Deadline
) -> tuple[str, ...]:
    """Download each (address, destination, SHA-256); what fails is left out. Returns apt's complaints.

    Raises SurroundingsError only for what would hit every file: a full disk, no apt.
    """
    words = [word for address, path, digest in downloads for word in (address, str(path), f"SHA256:{digest}")]
    done = _run(state, [_HELPER, "download-file", *words], deadline)
    if done.returncode != 0 and _FULL.search(done.stderr):
        raise _translate(done, state.sources, place=downloads[0][1].parent)
    return find_complaints(done.stdout + done.stderr)


def find_complaints(output: str) -> tuple[str, ...]:
    """What apt called an error or a warning, each once, in its order; without those that say nothing."""
    texts = (match["text"].strip() for match in _COMPLAINT.finditer(output))
    return tuple(dict.fromkeys(text for text in texts if not text.startswith(_EMPTY_COMPLAINTS)))


def _run(state: AptState, argv: Sequence[str], deadline: Deadline) -> process.Completed:
    # The deadline is the caller's; LC_ALL because the output is read.
    env = {"APT_CONFIG": str(state.config), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    # apt that is stopped while it checks a signature leaves files of its own in the place for such.
    with tempfile.TemporaryDirectory(dir=state.config.parent, prefix="tmp-") as scratch:
        return process.run(argv, timeout=deadline.remaining(), env={**env, "TMPDIR": scratch})


def _dump_config(directory: Path, architecture: str, reaching: str) -> str:
    settings = {
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        # As root apt would fetch as the user _apt, who cannot write here.
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
        "Dir::State": f"{directory}",
        "Dir::State::lists": f"{directory}/lists",
        "Dir::State::status": f"{directory}/status",
        "Dir::State::extended_states": f"{directory}/extended_states",
        "Dir::Cache": f"{directory}",
        "Dir::Cache::archives": f"{directory}/archives",
        "Dir::Etc::sourcelist": f"{directory}/sources.list",
        "Dir::Log": f"{directory}",
    }
    # Hooks, preferences and pins of the host are for the host's own packages.
    nothing = ("sourceparts", "parts", "main", "preferences", "preferencesparts", "trusted", "trustedparts")
    own = {**settings, **{f"Dir::Etc::{name}": "/dev/null" for name in nothing}}
    architectures = f'APT::Architectures {{ "{architecture}"; }};\n'
    return architectures + "".join(f'{key} "{value}";\n' for key, value in own.items()) + reaching


def is_unreachable(complaint: str) -> bool:
    """Whether apt complains about the way to an archive, not about what it has."""
    return _UNREACHABLE.search(complaint) is not None


def _translate(done: process.Completed, sources: Sequence[Source] = (), *, place: Path) -> CudaforgeError:
    """The error for what apt says. `place` is the directory that it wrote to."""
    output = done.stdout + done.stderr
    because = find_complaints(output)[:_SHOWN_COMPLAINTS]
    archive = describe_archive(sources)
    unknown = sorted({match[1] or match[2] for match in _UNKNOWN_PACKAGE.finditer(output)})
    if unknown:
        return InputError(Problem(what=f"{archive} has no package {', '.join(unknown)}", because=because))
    if "unmet dependencies" in output:
        return InputError(Problem(what="these OS packages cannot be installed together", because=because))
    if _FULL.search(output):
        what = f"the disk of {place} is full"
        return SurroundingsError(
            Problem(what=what, where=Location(file=str(place)), because=because, remedy=_MORE_SPACE)
        )
    what, remedy = _explain(output, done, sources)
    return SurroundingsError(Problem(what=what, because=because, remedy=remedy))


def _explain(output: str, done: process.Completed, sources: Sequence[Source]) -> tuple[str, str]:
    """What went wrong around us, and what to do about it."""
    archive, way = describe_archive(sources), way_to_archive(sources)
    is_dated = find_service(sources) is not None
    if _DISTRUST.search(output):
        keys = "update the keyring package of the host's distribution, or "
        mended = f"correct its address: {way}" if is_dated else "mend its apt sources"
        return f"{archive} is not signed by a key that is trusted for it", keys + mended
    if is_unreachable(output):
        return f"{archive} cannot be reached", way
    if is_dated:
        return f"{archive} does not serve what it was asked for", way
    if _NO_RELEASE.search(output):
        return (
            "the host's OS archive does not have that release",
            "choose a release of the host's own distribution, or a base image from a registry",
        )
    return f"{archive} cannot be used: `{' '.join(done.argv[:2])}` failed", way

"""The host's apt sources: which archives it uses, and which of them serve a release."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from cudaforge.records import record, replace

_SECTIONS = {"main": "", "updates": "-updates", "security": "-security"}
_ALIASES = frozenset({"stable", "oldstable", "oldoldstable", "testing"})
_UNRELEASED = frozenset({"sid", "unstable"})
_ONE_LINE = re.compile(r"(?P<type>deb|deb-src)\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>\S.*)")


@record()
class SnapshotSite:
    """A snapshot service where a site has it."""

    name: str
    """As the matrix has it: `debian`."""
    address: str

    @property
    def remedy(self) -> str:
        """What to do where it does not give what it should."""
        return (
            "see that it answers there and has that day, or name another address of it: "
            f"[network.os_snapshots] {self.name}; another day, or none, is os_snapshot"
        )

    def __str__(self) -> str:
        return f"the snapshot service {self.name} at {self.address}"


@record()
class Source:
    """One archive, suite by suite, as apt is told of it."""

    address: str
    suite: str
    components: tuple[str, ...]
    keyring: str | None
    """Absolute path of the keyring that the host trusts for it, if it names one."""
    is_dated: bool = False
    """Whether it is of a day that is past, so that an index which has run out is right."""
    service: SnapshotSite | None = None
    """None for archives of the host."""


@record()
class Release:
    """An OS release, as /etc/os-release states it."""

    distribution: str
    """`debian`, `ubuntu`."""
    codename: str


def parse_os_release(text: str) -> Release | None:
    """The release, or None where the file does not say what a package archive calls it."""
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    values = {key: value.strip().strip("\"'") for key, value in fields.items()}
    distribution = values.get("ID", "")
    codename = values.get("VERSION_CODENAME") or values.get("UBUNTU_CODENAME")
    if not codename and distribution == "debian":
        codename = "sid"
    return Release(distribution=distribution, codename=codename) if distribution and codename else None


def parse_sources(files: Mapping[str, str]) -> tuple[Source, ...]:
    """The binary sources in the files of /etc/apt, given by name; both of apt's formats are understood."""
    found: list[Source] = []
    for name, text in files.items():
        found += _parse_stanzas(text) if name.endswith(".sources") else _parse_lines(text)
    return tuple(found)


def expand_mirrors(sources: Sequence[Source], read: Callable[[str], str]) -> tuple[Source, ...]:
    """Replace `mirror+file:` addresses by the first mirror that their file lists: it is unknown elsewhere."""
    return tuple(_expand_mirror(source, read) for source in sources)


def choose_sources(
    sources: Sequence[Source], *, codename: str, host_codename: str, keyring: str
) -> tuple[Source, ...]:
    """The sources of a release: those that name it, else the host's own archives asked for that release.

    Main, updates and security, where the host has them; only the component `main`.
    """
    named = tuple(_find_sections(sources, names={codename}))
    chosen = named or tuple(_find_sections(sources, names={host_codename, *_ALIASES}))
    sections = _SECTIONS.keys() if codename not in _UNRELEASED else {"main"}
    return tuple(
        dict.fromkeys(
            replace(
                source,
                suite=codename + _SECTIONS[section],
                components=("main",),
                keyring=source.keyring or keyring,
            )
            for section, source in chosen
            if section in sections
        )
    )


def dump_sources(sources: Sequence[Source], *, architecture: str | None = None) -> str:
    """The sources as a `.list` file."""
    limit = f"arch={architecture} " if architecture else ""
    return "".join(
        f"deb [{limit}{'check-valid-until=no ' if source.is_dated else ''}signed-by={source.keyring}] "
        f"{source.address} {source.suite} {' '.join(source.components)}\n"
        for source in sources
    )


def describe_archive(sources: Sequence[Source]) -> str:
    """What people call the archive of these sources: a snapshot service by its address."""
    service = find_service(sources)
    return "the OS archive" if service is None else str(service)


def way_to_archive(sources: Sequence[Source]) -> str:
    """What to do where the archive of these sources does not give what it should."""
    service = find_service(sources)
    return "see that `apt-get update` works on this host" if service is None else service.remedy


def find_service(sources: Sequence[Source]) -> SnapshotSite | None:
    """The snapshot service that the sources are of."""
    return next((source.service for source in sources if source.service is not None), None)


def _find_sections(sources: Sequence[Source], *, names: set[str]) -> Iterator[tuple[str, Source]]:
    for source in sources:
        if "main" not in source.components:
            continue
        for section, suffix in _SECTIONS.items():
            if any(source.suite == name + suffix for name in names):
                yield section, source


def _parse_lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.split("#")[0].strip())
        if not match or match["type"] != "deb":
            continue
        words = match["rest"].split()
        options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
        found = _sources([words[0]], words[1:2], words[2:], options.get("signed-by", ""))
        is_dated = options.get("check-valid-until") == "no"
        yield from (replace(source, is_dated=is_dated) for source in found)


def _parse_stanzas(text: str) -> Iterator[Source]:
    for fields in parse_stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        yield from _sources(
            fields.get("uris", "").split(),
            fields.get("suites", "").split(),
            fields.get("components", "").split(),
            fields.get("signed-by", ""),
        )


def _sources(
    addresses: Sequence[str], suites: Sequence[str], components: Sequence[str], signed_by: str
) -> Iterator[Source]:
    # Signed-By may also hold a fingerprint or a whole key; those only work together with the host's files.
    keyring = signed_by if signed_by.startswith("/") and len(signed_by.split()) == 1 else None
    for address in addresses:
        if address.startswith("cdrom:"):
            continue
        for suite in suites:
            yield Source(address=address, suite=suite, components=tuple(components), keyring=keyring)


def parse_stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a deb822 text, with lower-case keys; comment lines are left out."""
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif line[0].isspace():
            fields[key] = f"{fields.get(key, '')}\n{line.strip()}"
        else:
            key, _, value = line.partition(":")
            key = key.lower()
            fields[key] = value.strip()


def _expand_mirror(source: Source, read: Callable[[str], str]) -> Source:
    scheme, _, path = source.address.partition(":")
    if scheme != "mirror+file":
        return source
    mirrors = [line.split()[0] for line in read("/" + path.lstrip("/")).splitlines() if line.strip()]
    usable = [mirror for mirror in mirrors if not mirror.startswith("#")]
    return replace(source, address=usable[0]) if usable else source

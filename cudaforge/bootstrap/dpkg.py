"""dpkg's database for packages that were unpacked without dpkg, so that apt and dpkg carry on from there."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from cudaforge.bootstrap.deb import Deb
from cudaforge.bootstrap.sources import parse_stanzas
from cudaforge.bootstrap.tree import Tree
from cudaforge.records import record

_ADMIN = "var/lib/dpkg"
_INTEREST = re.compile(r"interest(?P<noawait>-noawait)?(?:-await)?\s+(?P<name>\S+)")
_ALTERNATIVE = "update-alternatives --install "


@record()
class Alternative:
    """One program that offers to stand under a common name, as a postinst announces it."""

    link: str
    name: str
    path: str
    priority: int
    followers: tuple[tuple[str, str, str], ...]
    """(link, name, path) of what changes along: `nawk` with `awk`."""


def add_database(tree: Tree, debs: Sequence[Deb]) -> None:
    """Write `/var/lib/dpkg` as if dpkg had installed these packages, in this order."""
    stanzas = []
    for deb in debs:
        fields = _fields(deb)
        qualified = info_name(fields)
        stanzas.append(status_stanza(deb.control["control"].decode(), conffile_sums(deb, tree)))
        _add_info(tree, deb, qualified)
    tree.add_file(f"{_ADMIN}/status", "\n".join(stanzas).encode())
    tree.add_file(f"{_ADMIN}/info/format", b"1\n")
    for name in ("available", "diversions", "statoverride"):
        tree.add_file(f"{_ADMIN}/{name}", b"")
    for name in ("alternatives", "parts", "triggers", "updates"):
        tree.add_directory(f"{_ADMIN}/{name}")
    for name, lines in trigger_files(debs).items():
        tree.add_file(f"{_ADMIN}/triggers/{name}", "".join(lines).encode())


def add_alternatives(tree: Tree, debs: Sequence[Deb]) -> None:
    """Make the links that update-alternatives would have made: `awk`, `which`, `pager`."""
    offers: dict[str, list[Alternative]] = {}
    for deb in debs:
        for offer in parse_alternatives(deb.control.get("postinst", b"").decode(errors="replace")):
            if tree.has_target(offer.path):
                offers.setdefault(offer.name, []).append(offer)
    for name, choices in sorted(offers.items()):
        best = max(choices, key=lambda choice: choice.priority)
        followers = tuple(follower for follower in best.followers if tree.has_target(follower[2]))
        for link, common, path in ((best.link, name, best.path), *followers):
            tree.add_symlink(link.lstrip("/"), f"/etc/alternatives/{common}")
            tree.add_symlink(f"etc/alternatives/{common}", path)
        tree.add_file(f"{_ADMIN}/alternatives/{name}", dump_alternative(choices).encode())


def info_name(fields: Mapping[str, str]) -> str:
    """What the package's files in `/var/lib/dpkg/info` start with."""
    if fields.get("multi-arch") == "same":
        return f"{fields['package']}:{fields['architecture']}"
    return fields["package"]


def status_stanza(control: str, conffiles: Sequence[tuple[str, str]]) -> str:
    """A package's stanza in `/var/lib/dpkg/status`, installed and configured."""
    first, _, rest = control.strip().partition("\n")
    lines = [first, "Status: install ok installed", *rest.splitlines()]
    if conffiles:
        lines += ["Conffiles:", *(f" {path} {digest}" for path, digest in conffiles)]
    return "\n".join(lines) + "\n"


def conffile_sums(deb: Deb, tree: Tree) -> tuple[tuple[str, str], ...]:
    """The package's configuration files with their MD5 sums, by which dpkg sees whether they were edited."""
    paths = [line.strip() for line in deb.control.get("conffiles", b"").decode().splitlines()]
    contents = ((path, tree.find_bytes(path.lstrip("/"))) for path in paths if path.startswith("/"))
    return tuple(
        (path, hashlib.md5(content, usedforsecurity=False).hexdigest())
        for path, content in contents
        if content is not None
    )


def file_list(deb: Deb) -> str:
    """The package's `.list`: each path as the package has it, the root as `/.`."""
    return "".join(f"/{path}\n" for path in (".", *(entry.path for entry in deb.entries)))


def trigger_files(debs: Sequence[Deb]) -> dict[str, list[str]]:
    """`/var/lib/dpkg/triggers`: who is told when a path (`File`) or a named trigger (its name) fires."""
    files: dict[str, list[str]] = {"File": [], "Unincorp": []}
    for deb in debs:
        package = _fields(deb)["package"]
        for line in deb.control.get("triggers", b"").decode().splitlines():
            match = _INTEREST.fullmatch(line.strip())
            if not match:
                continue
            listener = package + ("/noawait" if match["noawait"] else "")
            if match["name"].startswith("/"):
                files["File"].append(f"{match['name']} {listener}\n")
            else:
                files.setdefault(match["name"], []).append(f"{listener}\n")
    return files


def parse_alternatives(script: str) -> Iterator[Alternative]:
    """What a postinst offers to update-alternatives, unless only a shell could tell."""
    for line in script.replace("\\\n", " ").splitlines():
        _, found, words = line.strip().partition(_ALTERNATIVE)
        if not found or "$" in words or "`" in words:
            continue
        offer = _parse_offer(words.split("||")[0].split(";")[0])
        if offer is not None:
            yield offer


def _parse_offer(text: str) -> Alternative | None:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        return None
    if len(words) < 4 or not words[3].isdigit():  # noqa: PLR2004  (link, name, path, priority)
        return None
    link, name, path, priority, *rest = words
    marks = [position for position, word in enumerate(rest) if word == "--slave"]
    groups = [tuple(rest[mark + 1 : mark + 4]) for mark in marks]
    followers = tuple((group[0], group[1], group[2]) for group in groups if len(group) == 3)  # noqa: PLR2004
    return Alternative(link=link, name=name, path=path, priority=int(priority), followers=followers)


def dump_alternative(choices: Sequence[Alternative]) -> str:
    """A file of `/var/lib/dpkg/alternatives`."""
    followers = {name: link for choice in choices for link, name, _ in choice.followers}
    lines = ["auto", choices[0].link]
    for name in sorted(followers):
        lines += [name, followers[name]]
    lines.append("")
    for choice in sorted(choices, key=lambda choice: choice.path):
        paths = {name: path for _, name, path in choice.followers}
        lines += [choice.path, str(choice.priority), *(paths.get(name, "") for name in sorted(followers))]
    return "\n".join([*lines, "", ""])


def _add_info(tree: Tree, deb: Deb, qualified: str) -> None:
    prefix = f"{_ADMIN}/info/{qualified}"
    tree.add_file(f"{prefix}.list", file_list(deb).encode(errors="surrogateescape"))
    for name, content in deb.control.items():
        if name != "control":
            mode = 0o755 if name in {"preinst", "postinst", "prerm", "postrm", "config"} else 0o644
            tree.add_file(f"{prefix}.{name}", content, mode=mode)


def _fields(deb: Deb) -> dict[str, str]:
    return next(parse_stanzas(deb.control["control"].decode()))

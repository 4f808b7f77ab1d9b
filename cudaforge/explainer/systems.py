"""What operating systems and compilers have: glibc, ends of life, the GCC that a CUDA accepts."""

from __future__ import annotations

from cudaforge.codes import Code
from cudaforge.explainer.scene import Ruling, Scene
from cudaforge.matrix.model import OperatingSystem
from cudaforge.versions import find_version

_SHOWN = 3
_FAMILIES = ("debian", "ubuntu")


def glibc_rule(scene: Scene) -> tuple[Ruling, ...]:
    """Which systems have the glibc that is asked for."""
    wanted = find_version(scene.match.groups.get("version", ""))
    symbol = scene.match.groups.get("symbol", "")
    if wanted is None:
        return ()
    named = _named(scene)
    able = [row for row in _alive(scene) if row.glibc >= wanted and row.python is not None]
    text = f"the image's OS is too old for this binary: its glibc lacks {symbol}"
    if named is not None and named.glibc < wanted:
        text += f" ({named.id} has glibc {named.glibc})"
    remedy = f"take {_listed(able)}, which have it, or an older build of the package" if able else None
    source = able[0].source.citation() if able else ""
    return (Ruling(code=Code.GLIBC_TOO_OLD, text=text, remedy=remedy, source=source),)


def system_rule(scene: Scene) -> tuple[Ruling, ...]:
    """Whether the release is past its end of life."""
    codename = scene.match.groups.get("codename", "")
    row = next((one for one in scene.matrix.systems.values() if one.codename == codename), None)
    if row is None or row.eol is None:
        return ()
    if row in _alive(scene):
        text = (
            f"{row.id} ({codename}) is not past its end of life ({row.eol}): the archive that was asked "
            "does not have it"
        )
        remedy = "check the archive's address and suite in sources.list; a mirror may be behind"
        return (Ruling(code=Code.NETWORK_FAILED, text=text, remedy=remedy, source=row.source.citation()),)
    newer = [one for one in _alive(scene) if one.family == row.family]
    text = f"{row.id} ({codename}) is past its end of life since {row.eol}, and gone from the archive"
    remedy = (
        f"take a base with {_listed(newer)}; for a last build point apt at archive.debian.org or "
        "old-releases.ubuntu.com"
    )
    return (Ruling(code=Code.EOL_OS, text=text, remedy=remedy, source=row.source.citation()),)


def compiler_rule(scene: Scene) -> tuple[Ruling, ...]:
    """Which CUDA accepts the compilers up to that one, and which the next."""
    newest = find_version(scene.match.groups.get("version", ""))
    if newest is None:
        return ()
    known = [row for row in scene.matrix.cuda_releases if row.gcc is not None]
    these = [row for row in known if row.gcc == newest]
    later = next((row for row in known if row.gcc is not None and row.gcc > newest), None)
    if not these:
        return ()
    first, last = these[0].version.minor(), these[-1].version.minor()
    span = f"CUDA {first}" if first == last else f"CUDA {first} to {last}"
    text = f"the C++ compiler is newer than {newest}, the newest GCC that this nvcc accepts ({span})"
    remedy = f"NVCC_PREPEND_FLAGS='-ccbin /usr/bin/g++-{newest}', with that GCC installed"
    if later is not None:
        remedy += f"; or CUDA {later.version.minor()}, which accepts GCC {later.gcc}"
    return (
        Ruling(
            code=Code.HOST_COMPILER_UNSUPPORTED, text=text, remedy=remedy, source=these[0].source.citation()
        ),
    )


def _named(scene: Scene) -> OperatingSystem | None:
    for text in scene.facts.systems:
        plain = text.replace(" ", "")
        for row in scene.matrix.systems.values():
            if plain in (row.id, row.id.replace(".", ""), row.codename):
                return row
    return None


def _alive(scene: Scene) -> list[OperatingSystem]:
    return [
        row
        for row in scene.matrix.systems.values()
        if row.family in _FAMILIES and (row.eol is None or row.eol > scene.today)
    ]


def _listed(rows: list[OperatingSystem]) -> str:
    names = [row.id for row in rows][-_SHOWN:]
    return " or ".join(names)

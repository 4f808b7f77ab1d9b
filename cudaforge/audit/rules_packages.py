"""Findings about packages: pins, names, indexes, and what does not go together."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.specifiers import SpecifierSet

from cudaforge.audit.choice import is_pinned
from cudaforge.audit.names import (
    channels,
    companions_by_name,
    find_distribution,
    frameworks_by_name,
    is_shown,
    normal,
)
from cudaforge.audit.outcome import Clash, Installed
from cudaforge.audit.rules_python import is_missing_index, is_open_ended
from cudaforge.audit.scene import Scene, title, where
from cudaforge.audit.state import Install
from cudaforge.codes import Code
from cudaforge.matrix.companion import CompanionRole
from cudaforge.versions import Version, VersionWish, find_version

_FIRST_PYTHON = Version("3.9")


def check_indexes(scene: Scene) -> None:
    """Indexes that do not exist: what is not found there needs no second finding."""
    for install in scene.image.installs:
        _check_shown(scene, install)
        found = is_missing_index(scene, install)
        if found is None:
            continue
        url, better = found
        line, file = where(install, scene)
        at = _line_of(scene, install, url)
        scene.error(
            Code.INDEX_DOES_NOT_EXIST,
            at or line,
            f"{url} does not exist: there is no channel of that name",
            "indexes.toml, which has every channel of its family",
            file=None if at else file,
            fix=scene.mend(at, url, better) if at and better else None,
            advice=f"{better} exists" if better else None,
        )


def _check_shown(scene: Scene, install: Install) -> None:
    """A package that the only index which is asked is not known to have."""
    looked = channels(scene.matrix, install)
    package = normal(install.requirement.name)
    is_open = looked.default or looked.unknown or looked.missing or looked.is_open or install.origin.links
    if install.is_constraint or install.origin.direct or install.conda or is_open or not looked.named:
        return
    if not any(is_shown(scene.matrix, name, package) for name in looked.named):
        scene.unknown(
            install.line,
            f"{install.requirement.name} is looked for on {', '.join(looked.named)} alone, which is not "
            "known to have it: --extra-index-url adds an index, --index-url replaces the common one",
        )


def _line_of(scene: Scene, install: Install, text: str) -> int | None:
    lines = scene.dockerfile.lines
    if install.file is None:
        for one in scene.dockerfile.instructions:
            if one.line <= install.line <= one.end:
                found = [number for number in range(one.line, one.end + 1) if text in lines[number - 1]]
                if found:
                    return found[0]
    return next((number for number, line in enumerate(lines, 1) if text in line), None)


def check(scene: Scene) -> None:
    """All others."""
    for installed in scene.installed():
        _unpinned(scene, installed)
        _numpy(scene, installed)
    for install in scene.image.installs:
        _retired(scene, install)
    _extras(scene)
    _twice(scene)
    _same_modules(scene)
    for clash in scene.outcome.clashes:
        _clash(scene, clash)
    _swaps(scene)
    _same_wheels(scene)
    for install in scene.outcome.unknown_companions:
        scene.unknown(install.line, f"{install.text}: the facts know no such release")
    for install, row in scene.outcome.unproven_companions:
        scene.unknown(
            install.line,
            f"{install.text}: its makers name {row.needs}, and pip compiles it for another release",
        )


def _unpinned(scene: Scene, installed: Installed) -> None:
    install = installed.install
    if install is None or installed.is_pinned or installed.is_by_companion is not None:
        return
    line, file = where(install, scene)
    is_open = is_open_ended(install)
    tell = scene.warn if is_open else scene.note
    extras = f"[{','.join(sorted(install.requirement.extras))}]" if install.requirement.extras else ""
    row = find_distribution(scene.matrix, normal(install.requirement.name))
    name = row.replaced_by if row is not None and row.replaced_by else install.requirement.name
    name = install.conda.package if install.conda is not None else name
    pinned = f"{name}{extras}=={installed.version.public()}"
    tell(
        Code.UNPINNED_FRAMEWORK,
        line,
        f"{install.text} is {title(installed, scene)} on {scene.asked.as_of}, and another on another day",
        installed.build.source.citation() if installed.build else "the package index",
        file=file,
        fix=scene.mend_install(install, pinned),
        advice=f"write {pinned}",
    )


def _retired(scene: Scene, install: Install) -> None:
    row = find_distribution(scene.matrix, normal(install.requirement.name))
    if row is None or row.retired is None or row.retired > scene.asked.as_of or install.is_constraint:
        return
    line, file = where(install, scene)
    if row.replaced_by is None:
        scene.note(
            Code.PACKAGE_RETIRED,
            line,
            f"{install.requirement.name}: {row.effect}, since {row.retired}",
            row.source.citation(),
            file=file,
            advice="plan to move on",
        )
        return
    pins = [one.version for one in install.requirement.specifier if one.operator in ("==", "===")]
    pinned = find_version(pins[0]) if pins else None
    if pinned is not None and row.versions is not None and not row.versions.allows(pinned):
        return
    tell = scene.error if pinned is None or not pins else scene.warn
    new = f"{row.replaced_by}{install.requirement.specifier}"
    tell(
        Code.PACKAGE_RETIRED,
        line,
        f"{install.requirement.name}: {row.effect}, since {row.retired}",
        row.source.citation(),
        file=file,
        fix=scene.mend_install(install, new),
        advice=f"install {new}",
    )


def _extras(scene: Scene) -> None:
    for install, choice in scene.outcome.extras:
        extra = choice.missing_extra
        row = find_distribution(scene.matrix, normal(install.requirement.name), extra)
        if extra is None or row is None:
            continue
        line, file = where(install, scene)
        kept = {one for one in install.requirement.extras if normal(one) != extra}
        wanted = sorted(kept | ({row.replaced_by} if row.replaced_by else set()))
        extras = f"[{','.join(wanted)}]" if wanted else ""
        new = f"{install.requirement.name}{extras}{install.requirement.specifier}"
        scene.error(
            Code.EXTRA_REMOVED,
            line,
            f"{install.requirement.name} {choice.version} has no extra {extra}: pip goes on without",
            row.source.citation(),
            file=file,
            fix=scene.mend_install(install, new),
            advice=f"install {new}",
        )


def _twice(scene: Scene) -> None:
    """Two pins of one package in one installation."""
    seen: dict[tuple[int, str], Install] = {}
    for install in scene.image.installs:
        if not is_pinned(install) or install.requirement.marker is not None or install.conda is not None:
            continue
        key = (install.command, normal(install.requirement.name))
        other = seen.setdefault(key, install)
        if other is install or other.requirement.specifier == install.requirement.specifier:
            continue
        line, file = where(install, scene)
        place = f"{other.file}:{other.line}" if other.file else f"line {other.line}"
        scene.error(
            Code.CONFLICTING_PACKAGES,
            line,
            f"{install.text} and {other.text} ({place}) are installed together: pip refuses",
            "PEP 440: no version satisfies both",
            file=file,
            advice="keep one of them",
        )


def _same_modules(scene: Scene) -> None:
    """Two packages that bring one framework, side by side: each writes over the other's files."""
    names = frameworks_by_name(scene.matrix)
    seen: dict[tuple[int, str], Install] = {}
    for install in scene.image.installs:
        name = normal(install.requirement.name)
        row = find_distribution(scene.matrix, name)
        is_moved = row is not None and row.replaced_by is not None
        is_sure = install.requirement.marker is None and not install.is_constraint and install.conda is None
        if name not in names or is_moved or not is_sure:
            continue
        other = seen.setdefault((id(install.python), names[name]), install)
        if normal(other.requirement.name) == name:
            continue
        line, file = where(install, scene)
        place = f"{other.file}:{other.line}" if other.file else f"line {other.line}"
        scene.warn(
            Code.CONFLICTING_PACKAGES,
            line,
            f"{name} and {normal(other.requirement.name)} ({place}) hold the same modules: the one that is "
            "written last spoils the other",
            "PEP 427: a wheel is unpacked over what is there",
            file=file,
            advice="keep one of them; pip uninstall takes both away, and what is kept is installed again",
        )


def _clash(scene: Scene, clash: Clash) -> None:
    line, file = where(clash.install, scene)
    row = clash.row
    is_companion = row.role is CompanionRole.COMPANION
    code = Code.COMPANION_MISMATCH if is_companion or not clash.is_impossible else Code.CONFLICTING_PACKAGES
    ending = ": pip refuses" if clash.is_impossible else ", and --no-deps installs it all the same"
    right = _right_release(scene, clash)
    extras = (
        f"[{','.join(sorted(clash.install.requirement.extras))}]" if clash.install.requirement.extras else ""
    )
    local = next((one.version.partition("+")[2] for one in clash.install.requirement.specifier), "")
    new = f"{row.package}{extras}=={right}{'+' + local if local else ''}" if right else None
    scene.error(
        code,
        line,
        f"{row.package} {row.version} needs {_package(scene, clash.framework)} {row.needs}, and "
        f"{title(clash.framework, scene)} is installed with it{ending}",
        row.source.citation(),
        file=file,
        fix=scene.mend_install(clash.install, new) if new else None,
        advice=f"install {new}" if new else f"install {_package(scene, clash.framework)} {row.needs}",
    )


def _right_release(scene: Scene, clash: Clash) -> str | None:
    version = clash.framework.version.public()
    minor = clash.install.python.minor
    rows = [
        row
        for row in scene.matrix.companions(clash.framework.framework)
        if row.package == clash.row.package
        and row.goes_with(version)
        and (not row.pythons or minor is None or minor in row.pythons)
    ]
    return rows[-1].version.public().text if rows else None


def _package(scene: Scene, installed: Installed) -> str:
    names = frameworks_by_name(scene.matrix)
    if installed.install is not None and normal(installed.install.requirement.name) in names:
        return installed.install.requirement.name
    return installed.framework


def _swaps(scene: Scene) -> None:
    """A later installation that replaces what an earlier one put there."""
    companions = companions_by_name(scene.matrix)
    for swap in scene.outcome.swaps:
        name = normal(swap.by.requirement.name)
        if swap.before.install is None or name not in companions:
            continue
        line, file = where(swap.by, scene)
        scene.warn(
            Code.COMPANION_MISMATCH,
            line,
            f"{swap.by.text} does not go with {title(swap.before, scene)}: pip replaces that by "
            f"{title(swap.after, scene)}",
            swap.after.build.source.citation() if swap.after.build else "the package's metadata",
            file=file,
            advice="install both in one command, with releases that go together",
        )


def _numpy(scene: Scene, installed: Installed) -> None:
    build = installed.build
    row = find_distribution(scene.matrix, "numpy")
    if build is None or row is None or row.versions is None or installed.install is None:
        return
    limits = [text for text in build.constraints if text.startswith("numpy<")]
    if not limits or row.released is None or row.released > scene.asked.as_of:
        return
    numpy = [
        one
        for one in scene.image.installs
        if normal(one.requirement.name) == "numpy" and one.python is installed.python
    ]
    last = next((one for one in reversed(numpy) if not one.is_constraint), None)
    if last is None or not _gives_new(numpy, row.versions, installed.install.python.minor):
        return
    line, file = where(last, scene)
    scene.error(
        Code.NUMPY_ABI,
        line,
        f"{title(installed, scene)} was built against NumPy 1, and {last.text} gives NumPy 2: {row.effect}",
        f"{build.source.citation()} {row.source.citation()}",
        file=file,
        fix=scene.mend_install(last, limits[0]),
        advice=f"install {limits[0]}",
    )


def _gives_new(numpy: Sequence[Install], new: VersionWish, minor: str | None) -> bool:
    """Whether pip installs one of the new releases: they are asked for, or nothing holds them back."""
    spec = SpecifierSet()
    for one in numpy:
        spec &= one.requirement.specifier
    if any(new.allows(pin) for pin in _pins(spec)):
        return True
    return spec.contains("2.0.0") and minor is not None and Version(minor) >= _FIRST_PYTHON


def _pins(spec: SpecifierSet) -> list[Version]:
    found = [find_version(one.version) for one in spec if one.operator in ("==", "===", ">=", "~=")]
    return [one for one in found if one is not None]


def _same_wheels(scene: Scene) -> None:
    """Two frameworks that pin one library wheel to releases that no release satisfies."""
    with_wheels = [
        one for one in scene.installed() if one.build is not None and one.build.cudnn_package and one.install
    ]
    for at, first in enumerate(with_wheels):
        for second in with_wheels[at + 1 :]:
            one, other = first.build, second.build
            if one is None or other is None or one.cudnn is None or other.cudnn is None:
                continue
            if one.cudnn_package != other.cudnn_package or first.python is not second.python:
                continue
            if any(
                one.cudnn.allows(row.version) and other.cudnn.allows(row.version)
                for row in scene.matrix.cudnn_releases
            ):
                continue
            line, file = where(second.install, scene)
            together = first.install and second.install and first.install.command == second.install.command
            (scene.error if together else scene.warn)(
                Code.CONFLICTING_PACKAGES,
                line,
                f"{title(first, scene)} needs {one.cudnn_package} {one.cudnn} and {title(second, scene)} "
                f"needs {other.cudnn}: "
                + ("pip refuses" if together else "the later one breaks the earlier one"),
                f"{one.source.citation()} {other.source.citation()}",
                file=file,
                advice="put them in two images, or take releases that share a cuDNN",
            )

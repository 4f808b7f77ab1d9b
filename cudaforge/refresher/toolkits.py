"""New releases of CUDA and cuDNN, from their wheels and from NVIDIA's manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cudaforge.matrix.model import CudaRelease, CudnnRelease
from cudaforge.matrix.pins import pin_of
from cudaforge.matrix.sources import Strength
from cudaforge.records import replace
from cudaforge.refresher.changes import new_releases
from cudaforge.refresher.model import Change, FoundRelease, Proposal
from cudaforge.refresher.redistrib import VendorRelease
from cudaforge.versions import Version

_OF_A_MINOR = ("driver",)
_OF_A_NEW_MINOR = ("driver", "minor_driver", "capabilities", "gcc", "clang", "compat_package")
_COMPONENTS = 3


def metapackages(rows: Sequence[CudaRelease]) -> tuple[str, ...]:
    """The packages on the index that stand for a release as a whole."""
    return tuple(dict.fromkeys(pin[0] for row in rows if (pin := pin_of(row.metapackage or ""))))


def compare_cuda(
    rows: Sequence[CudaRelease], package: str, found: Mapping[str, FoundRelease], *, index: str
) -> tuple[tuple[Change, ...], tuple[Proposal, ...]]:
    """Releases of the metapackage that came after the newest that a row names, and rows for them."""
    pins = [pin for row in rows if (pin := pin_of(row.metapackage or ""))]
    known = [version for name, version in pins if name == package]
    changes = new_releases("cuda", known, found, source=f"{index}: {package}")
    proposals = []
    for change in changes:
        wheel = change.row.partition(" ")[2]
        version = _release(wheel)
        if Version(version) not in {row.version for row in rows}:
            entry = {"version": version, "metapackage": f"{package}=={wheel}"}
            proposals.append(
                _cuda_proposal(rows, version, entry, Strength.INDEX, f"{package} on the package index")
            )
    return tuple(replace(one, row=f"cuda {_release(one.row.partition(' ')[2])}") for one in changes), tuple(
        proposals
    )


def _release(version: str) -> str:
    """13.4.1 of a metapackage 13.4.1.0."""
    return ".".join(version.split(".")[:_COMPONENTS])


def compare_cuda_feed(
    rows: Sequence[CudaRelease], found: Sequence[VendorRelease], *, feed: str
) -> tuple[tuple[Change, ...], tuple[Proposal, ...]]:
    """Releases whose manifests came after the newest row, and other days of release."""
    changes: list[Change] = []
    proposals: list[Proposal] = []
    by_version = {row.version: row for row in rows}
    for one in found:
        version = Version(one.version)
        row = by_version.get(version)
        if row is not None:
            changes += _other_day(f"cuda {row.version}", row.released, one.released, feed)
        elif version > max(by_version):
            changes.append(_vendor_change("cuda", one, feed))
            entry = {"version": one.version, **({"released": one.released} if one.released else {})}
            basis = f"redistrib_{one.version}.json of {feed}"
            proposals.append(_cuda_proposal(rows, one.version, entry, Strength.VENDOR, basis))
    return tuple(changes), tuple(proposals)


def _cuda_proposal(
    rows: Sequence[CudaRelease], version: str, entry: Mapping[str, object], strength: Strength, basis: str
) -> Proposal:
    minor = Version(version).release[:2]
    is_new_minor = all(row.version.release[:2] != minor for row in rows)
    return Proposal(
        row=f"cuda {version}",
        file="cuda.toml",
        table="cuda",
        block={},
        entries=(entry,),
        strength=strength,
        basis=basis,
        missing=_OF_A_NEW_MINOR if is_new_minor else _OF_A_MINOR,
    )


def cudnn_packages(rows: Sequence[CudnnRelease]) -> Mapping[str, str]:
    """The wheel package of each CUDA major, as the newest row that has one names it."""
    return {major: package for row in rows for major, package in row.packages.items()}


def compare_cudnn(
    rows: Sequence[CudnnRelease], found: Mapping[str, Mapping[str, FoundRelease]], *, index: str
) -> tuple[tuple[Change, ...], tuple[Proposal, ...], tuple[str, ...]]:
    """Releases that no row has, by CUDA major, and wheels that a row does not name; rows for the releases;
    and which releases have none, since nobody says their GPUs, in words."""
    changes: list[Change] = []
    fresh: dict[Version, dict[str, FoundRelease]] = {}
    packages = cudnn_packages(rows)
    by_version = {row.version: row for row in rows}
    for major, releases in found.items():
        source = f"{index}: {packages[major]}"
        own = [str(row.version) for row in rows if major in row.packages]
        for change in new_releases("cudnn", own, releases, source=source):
            version = Version(change.row.partition(" ")[2])
            row = by_version.get(version)
            if row is None:
                fresh.setdefault(version, {})[major] = releases[change.row.partition(" ")[2]]
                if len(fresh[version]) > 1:
                    continue
                changes.append(change)
            else:
                new = f"{packages[major]} {version}"
                changes.append(replace(change, kind="differs", field="packages", new=new, old="none"))
    proposed = [_cudnn_proposal(rows, version, wheels, packages) for version, wheels in sorted(fresh.items())]
    return (
        tuple(changes),
        tuple(one for one in proposed if isinstance(one, Proposal)),
        tuple(one for one in proposed if isinstance(one, str)),
    )


def _cudnn_proposal(
    rows: Sequence[CudnnRelease],
    version: Version,
    wheels: Mapping[str, FoundRelease],
    packages: Mapping[str, str],
) -> Proposal | str:
    """The row of a release, or why it has none: one that says no oldest GPU would promise all."""
    majors = sorted(wheels, key=int)
    # The support matrix that says it is one for a minor release.
    alike = [row for row in rows if row.version.release[:2] == version.release[:2]]
    models = {major: row for row in alike for major in majors if major in row.capability_min}
    unsaid = [major for major in majors if major not in models]
    if unsaid:
        return (
            f"cudnn {version}: left out: its GPUs are not known, no row of {version.minor()} has a "
            f"capability_min for CUDA {' and '.join(unsaid)}; add it by hand, from the support matrix"
        )
    days = [one.released for one in wheels.values() if one.released]
    entry: dict[str, object] = {"version": str(version)}
    if days:
        entry["released"] = min(days)
    entry["packages"] = {major: packages[major] for major in majors}
    entry["capability_min"] = {major: str(models[major].capability_min[major]) for major in majors}
    newest = {major: most for major in majors if (most := models[major].capability_max.get(major))}
    entry["capability_max"] = {major: str(most) for major, most in newest.items()} or ""
    cuda = {major: named for major in majors if (named := models[major].cuda.get(major)) is not None}
    entry["cuda"] = cuda or ""
    return Proposal(
        row=f"cudnn {version}",
        file="cudnn.toml",
        table="cudnn",
        block={},
        entries=(entry,),
        strength=Strength.INDEX,
        basis=f"{', '.join(packages[major] for major in majors)} on the package index",
    )


def compare_cudnn_feed(
    rows: Sequence[CudnnRelease], found: Sequence[VendorRelease], *, feed: str
) -> tuple[Change, ...]:
    """Releases whose manifests came after the newest row. Their rows come from the wheels."""
    newest = max(row.version for row in rows)
    return tuple(_vendor_change("cudnn", one, feed) for one in found if Version(one.version) > newest)


def wanted_labels(labels: Sequence[str], known: Sequence[Version], *, most: int) -> tuple[str, ...]:
    """The labels of a feed that are worth reading: those of the newest known release and later, of the
    later ones at most the first `most`. A label of cuDNN has one component less than its release."""
    newest = max(known)
    start = [label for label in labels if newest.has_prefix(Version(label))]
    later = [label for label in labels if label not in start and Version(label) > newest]
    return (*start[:1], *later[:most])


def _vendor_change(subject: str, one: VendorRelease, feed: str) -> Change:
    tells = [f"released {one.released}"] if one.released else []
    tells += [" ".join(one.platforms)] if one.platforms else []
    tells += [f"CUDA {', '.join(one.majors)}"] if one.majors else []
    return Change(
        kind="release",
        row=f"{subject} {one.version}",
        field="version",
        old=None,
        new="; ".join(tells) or "there",
        source=feed,
    )


def _other_day(row: str, old: str | None, new: str | None, feed: str) -> list[Change]:
    """A row may have the month alone."""
    if old is None or new is None or new.startswith(old):
        return []
    return [Change(kind="differs", row=row, field="released", old=old, new=new, source=feed)]

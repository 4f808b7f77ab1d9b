"""Tags of images: which are new, which are gone, and what the new ones say of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from cudaforge.matrix.model import BaseImage, FrameworkImage
from cudaforge.matrix.sources import Strength
from cudaforge.records import record, replace
from cudaforge.refresher.model import Change, Proposal, Tombstone
from cudaforge.registry import ImageConfig
from cudaforge.versions import Version, find_version

_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_PLATFORMS = ("linux/amd64", "linux/arm64")
_BRANCH = re.compile(r"brand=([a-z]+),driver>=(\d+),driver<(\d+)")
_GATE = re.compile(r"cuda[<>=!]{1,2}\d+(?:\.\d+)*(?:,cuda[<>=!]{1,2}\d+(?:\.\d+)*)*")
_PACKAGE_RELEASE = re.compile(r"(\d+(?:\.\d+)+)(?:-\d+)?")


@record()
class NewTag:
    """A tag of a known family that no row has."""

    reference: str
    version: str
    """What is new of it: the CUDA, or the Python."""
    like: BaseImage
    """The newest row of its family."""


def repository_of(reference: str) -> tuple[str, str]:
    """Repository and tag of a row's reference."""
    repository, _, tag = reference.rpartition(":")
    return repository, tag


def compare_tags(
    table: str, rows: Sequence[BaseImage | FrameworkImage], tags: Iterable[str], *, source: str
) -> tuple[tuple[Change, ...], tuple[Tombstone, ...]]:
    """Rows of one repository whose tag is gone, and removed ones whose tag is there again. Rows that
    nobody has seen yet are left out."""
    there = set(tags)
    changes, tombstones = [], []
    for row in rows:
        tag = repository_of(row.reference)[1]
        if row.source.strength is Strength.INFERRED:
            continue
        if tag not in there and row.removed is None:
            changes.append(_change("gone", row.reference, "tag", tag, None, source))
            tombstones.append(
                Tombstone(
                    table=table,
                    reference=row.reference,
                    strength=Strength.INDEX,
                    basis=f"tags of {source}; the rest as {row.source.id}",
                )
            )
        elif tag in there and row.removed is not None:
            changes.append(_change("differs", row.reference, "removed", row.removed, "there", source))
    return tuple(changes), tuple(tombstones)


def find_new_bases(rows: Sequence[BaseImage], tags: Iterable[str]) -> tuple[NewTag, ...]:
    """Tags of one repository that differ from a known one in their CUDA or Python alone, newer than the
    oldest of it, oldest first."""
    known = {repository_of(row.reference)[1] for row in rows}
    families: dict[tuple[str, str], list[tuple[Version, BaseImage]]] = {}
    for row in rows:
        repository, tag = repository_of(row.reference)
        value = str(row.cuda or row.python or "")
        before, found, after = tag.partition(value)
        if value and found:
            families.setdefault((f"{repository}:{before}", after), []).append((Version(value), row))
    new = []
    for tag in set(tags) - known:
        for (before, after), members in families.items():
            version = _between(tag, before.rpartition(":")[2], after)
            versions = [one for one, _ in members]
            if version is None or version <= min(versions):
                continue
            newest, like = max(members, key=lambda member: member[0])
            if len(version.release) == len(newest.release):
                reference = f"{before.rpartition(':')[0]}:{tag}"
                new.append((version, NewTag(reference=reference, version=str(version), like=like)))
    return tuple(one for _, one in sorted(new, key=lambda item: (item[0], item[1].reference)))


def _between(tag: str, before: str, after: str) -> Version | None:
    middle = tag.removeprefix(before).removesuffix(after)
    if f"{before}{middle}{after}" != tag or _NUMBER.fullmatch(middle) is None:
        return None
    return find_version(middle)


def find_new_framework_images(
    rows: Sequence[FrameworkImage], tags: Iterable[str], *, source: str
) -> tuple[Change, ...]:
    """Tags of one repository of the form of a known one, whose first number is newer than all known ones."""
    newest: dict[str, Version] = {}
    for row in rows:
        tag = repository_of(row.reference)[1]
        form, first = _form(tag)
        if first is not None:
            newest[form] = max(first, newest.get(form, first))
    found = []
    for tag in tags:
        form, first = _form(tag)
        if first is not None and form in newest and first > newest[form]:
            found.append((first, tag))
    repository = repository_of(rows[0].reference)[0]
    return tuple(
        _change("tag", f"{repository}:{tag}", "reference", None, "there", source)
        for _, tag in sorted(found, key=lambda one: one[1])
    )


def _form(tag: str) -> tuple[str, Version | None]:
    numbers = _NUMBER.findall(tag)
    form = _NUMBER.sub(lambda match: "#" + "." * match[0].count("."), tag)
    return form, Version(numbers[0]) if numbers and len(numbers[0]) < 32 else None  # noqa: PLR2004


def new_tag_change(new: NewTag, source: str) -> Change:
    """A new tag as a difference."""
    return _change("tag", new.reference, "reference", None, "there", source)


def propose_base(new: NewTag, configs: Sequence[ImageConfig], *, source: str) -> Proposal:
    """The row of a new tag: what its configuration says, and the system and flavor of its family."""
    known = [
        one for one in configs if one.platform.split("/")[:2] in [name.split("/") for name in _PLATFORMS]
    ]
    key = "cuda" if new.like.cuda is not None else "python"
    block: dict[str, object] = {key: new.version}
    entry: dict[str, object] = {"reference": new.reference, "os": new.like.os}
    missing = []
    platforms = sorted({"/".join(one.platform.split("/")[:2]) for one in known})
    if platforms:
        block["platforms"] = " ".join(platforms)
    else:
        missing.append("platforms")
    sizes = [one.size for one in known if one.platform.startswith(_PLATFORMS[0]) and one.size is not None]
    if sizes:
        entry["size"] = sizes[0]
    if new.like.flavor is not None:
        entry["flavor"] = new.like.flavor
    if key == "cuda" and known:
        missing += _read_cuda(known, new, block, entry)
    return Proposal(
        row=new.reference,
        file="base_images.toml",
        table="base_images",
        block=block,
        entries=(entry,),
        strength=Strength.MEASURED,
        basis=f"manifests and configurations of {source}: NVIDIA_REQUIRE_CUDA, NV_CUDNN_VERSION, "
        "NV_CUDA_COMPAT_PACKAGE; system and flavor as the tag says",
        missing=tuple(missing),
    )


def _read_cuda(
    configs: Sequence[ImageConfig], new: NewTag, block: dict[str, object], entry: dict[str, object]
) -> Iterator[str]:
    """What only CUDA images say; yields what is missing."""
    env = configs[0].env
    clauses = env.get("NVIDIA_REQUIRE_CUDA", "").split()
    gates = [clause for clause in clauses if _GATE.fullmatch(clause)]
    if gates:
        block["gate"] = " ".join(gates)
    else:
        yield "gate"
    brands, branches = _branches(clauses)
    if branches:
        block["gate_branches"] = branches
        block["gate_brands"] = brands
    compat = [
        "/".join(one.platform.split("/")[:2]) for one in configs if one.env.get("NV_CUDA_COMPAT_PACKAGE")
    ]
    if compat:
        block["compat_platforms"] = " ".join(sorted(compat))
    if new.like.cudnn is not None:
        match = _PACKAGE_RELEASE.fullmatch(env.get("NV_CUDNN_VERSION", ""))
        if match:
            entry["cudnn"] = match[1]
        else:
            yield "cudnn"


def _branches(clauses: Sequence[str]) -> tuple[str, list[int]]:
    """Brands and branches, where every brand is let pass on every branch: else none."""
    pairs = [match.groups() for clause in clauses if (match := _BRANCH.fullmatch(clause))]
    brands = list(dict.fromkeys(brand for brand, _, _ in pairs))
    branches = sorted({int(first) for _, first, _ in pairs})
    is_whole = len(pairs) == len(brands) * len(branches) and all(int(b) == int(a) + 1 for _, a, b in pairs)
    return (" ".join(brands), branches) if is_whole else ("", [])


def gather(proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """One proposal for all images that share their block."""
    groups: dict[str, list[Proposal]] = {}
    for one in proposals:
        groups.setdefault(repr((one.block, one.missing)), []).append(one)
    return tuple(_joined(group) if len(group) > 1 else group[0] for group in groups.values())


def _joined(group: Sequence[Proposal]) -> Proposal:
    return replace(
        group[0],
        row=f"{group[0].row} and {len(group) - 1} more",
        entries=tuple(entry for one in group for entry in one.entries),
    )


def _change(kind: str, row: str, field: str, old: str | None, new: str | None, source: str) -> Change:
    return Change(kind=kind, row=row, field=field, old=old, new=new, source=source)

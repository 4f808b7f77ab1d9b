"""The block of a new release of a framework: the form of the release before it, and facts read anew.

What is carried over is how builds are installed (`like`, `build`, `platforms` and their like). Every fact
comes from the new release's own wheels; what they do not say is left out and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cudaforge.matrix.expand import expand_document
from cudaforge.matrix.model import CudaRelease
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.sources import Strength
from cudaforge.records import record
from cudaforge.refresher.facts import Artefacts, Facts, Unread, read_facts
from cudaforge.refresher.model import Proposal
from cudaforge.versions import Version

_FACTS = frozenset(
    {
        "version",
        "released",
        "pythons",
        "glibc",
        "cuda",
        "cudnn",
        "nccl",
        "cubins",
        "ptx",
        "size",
        "installed",
        "cuda_size",
        "cuda_installed",
        "source",
        "constraints",
        "parameters",
    }
)
_SHARED = ("pythons", "glibc")


@record()
class Frame:
    """The file of a framework, as people write it."""

    file: str
    """`frameworks/pytorch.toml`."""
    document: Mapping[str, object]

    def rows(self, block: Mapping[str, object]) -> tuple[Raw, ...]:
        """The complete rows of a block in this file."""
        general = {
            key: self.document[key] for key in ("framework", "defaults", "shapes") if key in self.document
        }
        expanded = expand_document(self.file, {"schema": 1, **general, "releases": [dict(block)]})
        return expanded.rows["builds"]

    def blocks(self) -> list[Mapping[str, object]]:
        """The releases, as written."""
        found = self.document.get("releases")
        return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def propose_release(
    frame: Frame, framework: str, version: str, artefacts: Artefacts, toolkits: Sequence[CudaRelease]
) -> Proposal | str:
    """The builds of a release that the file does not have; the reason where nothing can be said of it."""
    wanted = Version(version).public()
    before = [block for block in frame.blocks() if Version(str(block.get("version"))) < wanted]
    if not before:
        return "the file has no earlier release to go by"
    known = [block for block in frame.blocks() if Version(str(block.get("version"))) == wanted]
    there = {
        (row.get("build"), platform)
        for block in known
        for row in frame.rows(block)
        for platform in str(row.get("platforms")).split()
    }
    model = max(before, key=lambda block: Version(str(block["version"])))
    entries: list[dict[str, object]] = []
    missing: dict[str, None] = {}
    days: list[str] = []
    is_measured = True
    for form in _forms(frame, model, str(wanted)):
        for facts, platforms in _by_facts(form, there, artefacts, toolkits, missing):
            row = form.new
            entry = _ordered({**form.entry, **_place(platforms, row), **_values(facts.values, row)})
            name = f"{entry.get('build', row.get('build'))} {' '.join(platforms)}"
            missing.update({f"{key} of {name}": None for key in facts.missing})
            if needed := _needed(facts, row):
                missing[f"{name} is left out: a row without {needed} would promise too much"] = None
                continue
            entries.append(entry)
            days += [facts.released] if facts.released else []
            is_measured = is_measured and facts.is_measured
    if not entries:
        return "; ".join(missing) or "no build of it has wheels for Linux"
    block: dict[str, object] = {"version": str(wanted)}
    if days and not known:
        block["released"] = min(days)
    block.update({key: value for key, value in model.items() if key not in (*_FACTS, "builds")})
    if not known:
        block.update(_lifted(entries))
    return Proposal(
        row=f"{framework} {wanted}",
        file=frame.file,
        table="releases",
        block=block,
        entries=tuple(entries),
        strength=Strength.MEASURED if is_measured else Strength.INDEX,
        basis=f"the wheels of {framework} {wanted} on their package index: tags, METADATA, and what their "
        "libraries say" + (f"; not read: {', '.join(missing)}" if missing else ""),
        missing=tuple(missing),
    )


@record()
class _Form:
    """One build of the release before: how it is written, its complete row, and the new row without facts."""

    entry: Mapping[str, object]
    old: Raw
    new: Raw


def _forms(frame: Frame, model: Mapping[str, object], version: str) -> Iterator[_Form]:
    builds = model.get("builds")
    shared = {key: value for key, value in model.items() if key not in (*_FACTS, "builds")}
    for entry in builds if isinstance(builds, list) else [{}]:
        likes = entry.get("like")
        for like in likes if isinstance(likes, list) else [likes]:
            written = {**entry, **({"like": like} if like is not None else {})}
            old = frame.rows({**model, "builds": [written]})
            kept = {key: value for key, value in written.items() if key not in _FACTS}
            new = frame.rows({**shared, "version": version, "builds": [kept]})
            if len(old) == len(new) == 1:
                yield _Form(entry=kept, old=old[0], new=new[0])


def _by_facts(
    form: _Form,
    there: set[tuple[object, str]],
    artefacts: Artefacts,
    toolkits: Sequence[CudaRelease],
    missing: dict[str, None],
) -> Iterator[tuple[Facts, list[str]]]:
    """Platforms that say the same go together."""
    groups: list[tuple[Facts, list[str]]] = []
    for platform in str(form.new.get("platforms")).split():
        if (form.new.get("build"), platform) in there:
            continue
        try:
            facts = read_facts(form.old, form.new, platform, artefacts, toolkits)
        except Unread as error:
            missing[f"{form.new.get('build')} {platform} ({error})"] = None
            continue
        for known, platforms in groups:
            if known == facts:
                platforms.append(platform)
                break
        else:
            groups.append((facts, [platform]))
    yield from groups


def _place(platforms: Sequence[str], row: Raw) -> dict[str, object]:
    return {} if row.get("platforms") == " ".join(platforms) else {"platforms": " ".join(platforms)}


def _values(values: Mapping[str, object], row: Raw) -> dict[str, object]:
    """What the form alone does not say already."""
    return {key: value for key, value in values.items() if row.get(key) != value}


def _needed(facts: Facts, row: Raw) -> str:
    """What must not be missing: nothing written means that no cuDNN is needed and, where a compiler makes
    code at run time, that it makes all."""
    needed = ["cuda", "cudnn", *(["cubins"] if "compiler" in row else [])]
    return " and ".join(key for key in needed if key in facts.missing)


def _ordered(entry: Mapping[str, object]) -> dict[str, object]:
    """How the build is installed stands before its facts."""
    return {key: entry[key] for key in sorted(entry, key=lambda key: key in _FACTS)}


def _lifted(entries: list[dict[str, object]]) -> dict[str, object]:
    """What all builds share is written once."""
    lifted: dict[str, object] = {}
    for key in _SHARED:
        values = {repr(entry.get(key)) for entry in entries}
        if len(values) == 1 and key in entries[0]:
            lifted[key] = entries[0][key]
            for entry in entries:
                del entry[key]
    return lifted

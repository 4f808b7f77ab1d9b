"""Laying overlays on the facts that cudaforge comes with: what counts where several files speak of one row.

Of what is said of one setting, the source that is stronger counts; of sources as strong, the overlay, and of
overlays the later: it was put there on purpose, while the dates of the matrix move with each release. A row
that says `overrides` counts whatever its strength. What an overlay's row leaves out stays as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from cudaforge.matrix.expand import OVERRIDES
from cudaforge.matrix.findings import Finding
from cudaforge.matrix.overlay import Overlay, mistakes_of_overlays
from cudaforge.matrix.proof import identity_of, proven_row, text_of, words_of
from cudaforge.matrix.reader import Raw, read_source
from cudaforge.matrix.rows import KEYS, label, section_name
from cudaforge.matrix.sources import Dispute, Part, Source, Strength
from cudaforge.records import record, replace

_STRENGTHS = tuple(reversed(Strength))
_WORDS = {
    "cuda": "CUDA ",
    "cudnn": "cuDNN ",
    "drivers": "driver branch ",
    "pythons": "Python ",
    "standalone_pythons": "standalone Python ",
    "distributions": "package ",
    "conda_builds": "conda build ",
    "wheel_tags": "wheels for glibc ",
    "makers": "maker ",
    "indexes": "index ",
    "broken": "what is broken with ",
}
_NOTHING = "nothing"

SectionRows = tuple[Sequence[Raw], Mapping[str, "Raw | Source"]]
"""The rows of one part of the compiled form, and the sources that they name."""


class Sections(Protocol):
    """The compiled form that overlays are laid on."""

    def section(self, name: str) -> SectionRows:
        """One part; empty where there is none of that name."""

    def sections_of(self, subject: str, keys: Iterable[str]) -> Iterable[str]:
        """The parts that may hold rows of a subject whose first keys are these."""


@record()
class LaidRow:
    """A row that an overlay has its part in."""

    subject: str
    row: object
    name: str
    """The overlay, as messages about mistakes name it."""


@record()
class Laid:
    """The parts of the compiled form that overlays change, whole, and the rows that they are heard in."""

    sections: Mapping[str, SectionRows]
    rows: tuple[LaidRow, ...]


@record(eq=False)
class _Claim:
    """What one file says of a row."""

    said: Raw
    """Without its source; an empty text takes a setting away."""
    source: Source
    name: str = ""
    """The overlay as messages name it; empty for the matrix."""
    why: str | None = None
    position: int = -1

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The strongest has the highest."""
        return self.why is not None, _STRENGTHS.index(self.source.strength), self.position


def lay_on(overlays: Sequence[Overlay], base: Sections) -> Laid:
    """The facts with the overlays on them.

    Raises InputError with every row of an overlay that cannot be read, or says too little to be a new row.
    """
    work = _Work(base)
    for subject in dict.fromkeys(subject for overlay in overlays for subject in overlay.rows):
        work.take(subject, _claims(subject, overlays))
    if work.mistakes:
        raise mistakes_of_overlays(dict.fromkeys(work.mistakes))
    return Laid(sections=work.sections, rows=tuple(work.rows))


def _claims(subject: str, overlays: Sequence[Overlay]) -> list[_Claim]:
    return [
        _Claim(
            said={key: value for key, value in row.items() if key not in ("source", OVERRIDES)},
            source=replace(_source(overlay.sources, row), overlay=True),
            name=overlay.name,
            why=None if row.get(OVERRIDES) is None else str(row[OVERRIDES]),
            position=position,
        )
        for position, overlay in enumerate(overlays)
        for row in overlay.rows.get(subject, ())
    ]


def _source(sources: Mapping[str, Raw | Source], row: Raw) -> Source:
    name = str(row["source"])
    found = sources[name]
    return found if isinstance(found, Source) else read_source(name, found)


class _Work:
    """The parts changed so far."""

    def __init__(self, base: Sections) -> None:
        self._base = base
        self.sections: dict[str, tuple[list[Raw], dict[str, Raw | Source]]] = {}
        self.rows: list[LaidRow] = []
        self.mistakes: list[tuple[str, Finding]] = []

    def take(self, subject: str, claims: Sequence[_Claim]) -> None:
        """Lay what overlays say of one subject on it."""
        said: dict[Hashable, list[_Claim]] = {}
        for claim in claims:
            for atom in _atoms(subject, claim.said):
                said.setdefault(atom, []).append(claim)
        for name in self._base.sections_of(subject, _first_keys(subject, claims)):
            self._take_out(subject, name, said)
        together: dict[tuple[int, ...], tuple[list[_Claim], list[Hashable]]] = {}
        for atom, about in said.items():
            place = tuple(id(claim) for claim in about)
            together.setdefault(place, (sorted(about, key=lambda one: one.rank), []))[1].append(atom)
        for about, atoms in together.values():
            self._settle(subject, about, atoms)

    def _take_out(self, subject: str, name: str, said: dict[Hashable, list[_Claim]]) -> None:
        """Move rows that overlays speak of out of a part, to those that speak of them."""
        rows, sources = self._open(name)
        kept: list[Raw] = []
        for row in rows:
            atoms = _atoms(subject, row)
            if not any(atom in said for atom in atoms):
                kept.append(row)
                continue
            claim = _Claim(said=_without_source(row), source=_source(sources, row))
            for atom in atoms:
                if atom in said:
                    said[atom].append(claim)
            rest = [atom for atom in atoms if atom not in said]
            if rest:
                kept.append({**row, "platforms": _platforms(rest)})
        rows[:] = kept

    def _as_new(self, subject: str, settled: _Settled) -> Iterator[tuple[str, Finding]]:
        """Mistakes of a row that nobody knows: it may be a known one, misspelled."""
        for name, finding in settled.mistakes:
            if not finding.what.endswith(" is missing"):
                yield name, finding
                continue
            parts = self._base.sections_of(subject, [str(settled.raw.get(KEYS[subject][0]))])
            known = [label(subject, row) for part in parts for row in self._open(part)[0]]
            near = difflib.get_close_matches(finding.row, known, n=3, cutoff=0.5)
            hint = f"; nearest known: {', '.join(near)}" if near else ""
            what = f"{finding.what}: no known row has this key, and a new row says everything{hint}"
            yield name, replace(finding, what=what)

    def _open(self, name: str) -> tuple[list[Raw], dict[str, Raw | Source]]:
        if name not in self.sections:
            rows, sources = self._base.section(name)
            self.sections[name] = list(rows), dict(sources)
        return self.sections[name]

    def _settle(self, subject: str, claims: Sequence[_Claim], atoms: Sequence[Hashable]) -> None:
        settled = _Settled(subject, claims, atoms)
        if settled.mistakes:
            self.mistakes += (
                settled.mistakes
                if any(not claim.name for claim in claims)
                else self._as_new(subject, settled)
            )
            return
        rows, sources = self._open(section_name(subject, settled.raw))
        name = f"{subject}:{len(sources)}"
        sources[name] = settled.source
        rows.append({**settled.raw, "source": name})
        if settled.heard is not None:
            self.rows.append(LaidRow(subject=subject, row=settled.row, name=settled.heard.name))


class _Settled:
    """One row out of all that is said of it, weakest first."""

    def __init__(self, subject: str, claims: Sequence[_Claim], atoms: Sequence[Hashable]) -> None:
        self._subject = subject
        own = next((claim for claim in claims if not claim.name), None)
        # The matrix says whole rows: what is weaker than it is not heard.
        counted = claims[claims.index(own) :] if own is not None else claims
        self.heard = next((claim for claim in reversed(counted) if claim.name), None)
        said, self._owner = _laid({}, counted)
        # Where `12.8` means the row of 12.8.0, it stays 12.8.0.
        self.raw: dict[str, object] = {**said, **_only(counted[0].said, KEYS[subject])}
        if subject == "builds":
            self.raw["platforms"] = _platforms(atoms)
        self._parts = _parts(subject, self._owner)
        self.source = _weakest(self._parts) or counted[-1].source
        self.mistakes: list[tuple[str, Finding]] = []
        self.row: object = None
        row = self._proven(self.raw, self.heard or claims[0])
        if row is None:
            return
        disputes = tuple(one for claim in claims for one in self._disputes(claim, row))
        several = self._parts if len(self._parts) > 1 else ()
        self.source = replace(self.source, parts=several, disputes=disputes)
        self.row = proven_row(subject, self.raw, self.source)

    def _proven(self, raw: Raw, claim: _Claim) -> object:
        try:
            return proven_row(self._subject, raw, self.source)
        except ValueError as error:
            row = label(self._subject, claim.said)
            finding = Finding(file=claim.source.file, row=row, what=str(error))
            self.mistakes.append((claim.name, finding))
            return None

    def _disputes(self, claim: _Claim, row: object) -> Iterator[Dispute]:
        raw, _ = _laid(self.raw, [claim])
        other = self._proven({**raw, **_only(self.raw, KEYS[self._subject])}, claim)
        if other is None:
            return
        for field in claim.said:
            owner = self._owner.get(field)
            if owner is None or owner is claim or field in KEYS[self._subject]:
                continue
            if getattr(row, field) != getattr(other, field):
                yield Dispute(
                    row=_WORDS.get(self._subject, "") + label(self._subject, self.raw),
                    field=field,
                    value=text_of(getattr(row, field)) or _NOTHING,
                    source=owner.source,
                    other=text_of(getattr(other, field)) or _NOTHING,
                    other_source=claim.source,
                    reason=_reason(owner, claim),
                )


def _laid(below: Raw, claims: Iterable[_Claim]) -> tuple[dict[str, object], dict[str, _Claim]]:
    """What the claims say, each over the ones before it, and who has said it last."""
    raw, owner = dict(below), dict[str, _Claim]()
    for claim in claims:
        raw.update(claim.said)
        owner.update(dict.fromkeys(claim.said, claim))
    return {key: value for key, value in raw.items() if value != ""}, owner


def _parts(subject: str, owner: Mapping[str, _Claim]) -> tuple[Part, ...]:
    """Who has the last word on each setting, be it that there is none."""
    fields: dict[Source, list[str]] = {}
    for key, claim in owner.items():
        if key not in KEYS[subject]:
            fields.setdefault(claim.source, []).append(key)
    return tuple(Part(fields=tuple(names), source=source) for source, names in fields.items())


def _weakest(parts: Iterable[Part]) -> Source | None:
    """The source of what is only inferred in a row: it must not make a yes through a stronger neighbour."""
    return next((one.source for one in parts if one.source.strength is Strength.INFERRED), None)


def _reason(counts: _Claim, other: _Claim) -> str:
    if counts.why is not None:
        return f"it overrides ({counts.why})"
    one, two = counts.source.strength, other.source.strength
    if one is not two:
        return f"{one.value} is stronger than {two.value}"
    over = "an earlier one" if other.name else "the matrix"
    return f"of sources as strong, an overlay comes before {over}"


def _atoms(subject: str, row: Raw) -> list[Hashable]:
    """What a row is about: a build on one platform, anything else as a whole."""
    if subject != "builds":
        return [identity_of(subject, row)]
    *rest, _ = identity_of(subject, row)
    return [(*rest, platform) for platform in words_of(row.get("platforms"))]


def _platforms(atoms: Iterable[Hashable]) -> list[str]:
    return [str(atom[-1]) for atom in atoms if isinstance(atom, tuple)]


def _first_keys(subject: str, claims: Iterable[_Claim]) -> list[str]:
    return list(dict.fromkeys(str(claim.said.get(KEYS[subject][0])) for claim in claims))


def _without_source(row: Raw) -> Raw:
    return {key: value for key, value in row.items() if key != "source"}


def _only(row: Raw, keys: Iterable[str]) -> Raw:
    return {key: row[key] for key in keys if key in row}

"""Verdicts as one self-contained HTML page: no script, nothing loaded, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence

from cudaforge.display import visible
from cudaforge.records import record
from cudaforge.report.evidence import Curve, Proof, curves, machine_of
from cudaforge.report.tables import seconds_text
from cudaforge.resources import find_resource
from cudaforge.units import bytes_text
from cudaforge.verifier.model import CheckState, Tier, Verdict

TEMPLATE = "report.html.j2"
_WIDTH, _HEIGHT = 600.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 12.0, 28.0
_TITLES = {
    Tier.STATIC: "The image itself",
    Tier.CPU: "On the CPU",
    Tier.GPU: "On the GPU",
}


@record()
class Tick:
    """One labelled place on an axis."""

    place: float
    label: str


@record()
class Line:
    """One curve, drawn."""

    label: str
    points: str
    """As SVG has it: `x,y x,y`."""
    last: str


@record()
class Chart:
    """The curves of one image on common axes."""

    width: float
    height: float
    left: float
    right: float
    bottom: float
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    description: str


@record()
class Place:
    """An image in the grid. `number` is its place on the page, from 1."""

    number: int
    proof: Proof

    @property
    def kind(self) -> str:
        """`good`, `bad` or `open`."""
        return _kind(self.proof)


@record()
class Grid:
    """Images by what they are made of."""

    pythons: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Place, ...], ...]], ...]
    """Each with its label and a cell for each of `pythons`."""


def page_text(proofs: Sequence[Proof], *, tool: str) -> str:
    """The whole page. `tool` is what verified, with its version."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(find_resource("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shown"] = visible
    largest = max((proof.made.size or 0 for proof in proofs if proof.made), default=0)
    slowest = max(map(_seconds, proofs), default=0.0)
    return environment.get_template(TEMPLATE).render(
        proofs=[_section(proof, largest=largest, slowest=slowest) for proof in proofs],
        grid=grid_of(proofs),
        has_builds=any(proof.made for proof in proofs),
        good=sum(proof.is_good for proof in proofs),
        tool=tool,
    )


def _seconds(proof: Proof) -> float:
    """What building and verifying the image took."""
    verified = proof.verdict.seconds if proof.verdict is not None else 0.0
    return verified + (proof.made.seconds if proof.made is not None else 0.0)


def grid_of(proofs: Sequence[Proof]) -> Grid | None:
    """The images by framework and CUDA, and by Python; None where that would be a single cell."""
    cells: dict[str, dict[str, list[Place]]] = {}
    for number, proof in enumerate(proofs, start=1):
        versions = dict(proof.versions)
        python = versions.pop("python", "?")
        versions.pop("cudnn", None)
        cuda = versions.pop("cuda", None)
        row = ", ".join(f"{name} {version}" for name, version in versions.items()) or "?"
        row += f" (CUDA {cuda})" if cuda else " (no CUDA)"
        cells.setdefault(row, {}).setdefault(python, []).append(Place(number=number, proof=proof))
    pythons = sorted({python for row in cells.values() for python in row}, key=_numbers)
    if len(cells) * len(pythons) <= 1:
        return None
    return Grid(
        pythons=tuple(pythons),
        rows=tuple(
            (row, tuple(tuple(found.get(python, ())) for python in pythons)) for row, found in cells.items()
        ),
    )


def _numbers(version: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part) if part.isdecimal() else -1, part) for part in version.split("."))


def _section(proof: Proof, *, largest: int, slowest: float) -> dict[str, object]:
    verdict, made, seconds = proof.verdict, proof.made, _seconds(proof)
    return {
        "name": proof.name,
        "reference": proof.reference,
        "is_good": proof.is_good,
        "word": proof.word,
        "kind": _kind(proof),
        "failed": proof.failed,
        "summary": proof.summary,
        "image_id": verdict.image_id if verdict is not None else "",
        "time": seconds_text(seconds) if verdict is not None or made is not None else "",
        "time_share": _share(seconds, slowest),
        "size": bytes_text(made.size) if made is not None and made.size is not None else "",
        "size_share": _share(made.size or 0 if made is not None else 0, largest),
        "build": made,
        "entry": proof.entry,
        "versions": proof.versions,
        "dockerfile": proof.dockerfile,
        "log": proof.log,
        "machine": machine_of(verdict) if verdict is not None else (),
        "tiers": _tiers(verdict) if verdict is not None else (),
        "chart": chart_of(curves(verdict)) if verdict is not None else None,
    }


def _kind(proof: Proof) -> str:
    """Good, bad, or open: nobody has looked."""
    if proof.is_good:
        return "good"
    return "bad" if proof.verdict is not None or proof.failed is not None else "open"


def _share(part: float, whole: float) -> int:
    """Per cent of the largest, at least one for what is there at all."""
    return max(1, round(100 * part / whole)) if part and whole else 0


def _tiers(verdict: Verdict) -> list[dict[str, object]]:
    tiers = []
    for tier in Tier:
        checks = [check for check in verdict.checks if check.tier is tier]
        if checks:
            passed = sum(check.state is CheckState.PASS for check in checks)
            tiers.append({"title": _TITLES[tier], "checks": checks, "passed": passed})
    return tiers


def chart_of(found: Sequence[Curve]) -> Chart | None:
    """The curves on common axes, zero at the bottom; None where there is none."""
    if not found:
        return None
    steps = max(len(curve.losses) for curve in found) - 1
    top = max(max(curve.losses) for curve in found)
    top = top if top > 0 else 1.0
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(step: float) -> float:
        return round(_LEFT + (right - _LEFT) * step / max(steps, 1), 2)

    def y(loss: float) -> float:
        return round(bottom - (bottom - _TOP) * min(max(loss, 0.0) / top, 1.0), 2)

    lines = tuple(
        Line(
            label=f"{curve.framework} on the {curve.device}",
            points=" ".join(f"{x(step)},{y(loss)}" for step, loss in enumerate(curve.losses)),
            last=f"{curve.losses[0]:.3g} to {curve.losses[-1]:.3g}",
        )
        for curve in found
    )
    return Chart(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        bottom=bottom,
        lines=lines,
        across=tuple(Tick(place=x(step), label=str(step)) for step in sorted({0, steps // 2, steps})),
        up=tuple(Tick(place=y(part), label=f"{part:.3g}") for part in (0.0, top / 2, top)),
        description="; ".join(f"{line.label}: loss {line.last}" for line in lines),
    )

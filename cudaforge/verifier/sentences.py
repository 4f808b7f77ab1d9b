"""The sentence on where an image runs, by what is locked and known of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cudaforge.verifier.situation import Situation
from cudaforge.versions import Version


def static_sentence(situation: Situation, *, found: Sequence[str] = ()) -> str:
    """`runs on sm_90, sm_120; needs driver >= 525.60.13, 570.26 for sm_120`. What was `found` in the files
    counts where nothing is locked."""
    image, expected = situation.image, situation.expected
    if situation.is_cpu_twin:
        return "made for CPUs alone"
    code = list(image.architectures or found)
    code += [f"whatever the driver compiles {name} for" for name in image.ptx]
    said = f"runs on {', '.join(code)}" if code else "nobody says which GPUs it runs on"
    floor = expected.floor or image.driver_floor
    if floor is None:
        return said
    later: dict[str, list[str]] = {}
    for name in image.architectures or found:
        needed = expected.gpu_floors.get(name)
        if needed is not None and Version(needed) > Version(floor):
            later.setdefault(needed, []).append(name)
    more = "".join(
        f", {needed} for {_and(names)}" for needed, names in sorted(later.items(), key=_by_version)
    )
    return f"{said}; needs driver >= {floor}{more}"


def _by_version(item: tuple[str, list[str]]) -> Version:
    return Version(item[0])


def _and(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last

"""Names that the matrix does not know, and the ones that were probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cudaforge.display import show
from cudaforge.errors import Location, Problem
from cudaforge.matrix.gpu_names import parse_capability, sm
from cudaforge.matrix.tables import Matrix
from cudaforge.records import replace
from cudaforge.resolver.packages import normal

_SHOWN = 8
_NEAREST = 3
_NEAR_GPU = 0.7
_BRANDS = frozenset({"nvidia", "geforce", "quadro", "tesla", "gpu", "graphics"})
_CAPABILITY = re.compile(r"(?:sm_?|compute_?)?[0-9]{1,3}(?:\.[0-9]*)?[af]?")


def wish_problem(key: str, what: str, *, remedy: str | None = None) -> Problem:
    """What is wrong with the wish under a key."""
    return Problem(what=what, where=Location(file="", key=key), remedy=remedy)


def unknown_name(key: str, kind: str, name: str, known: Iterable[str]) -> Problem:
    """That there is none of that kind by that name, and those that there are."""
    names = list(dict.fromkeys(known))
    near = near_names(name, names)
    remedy: str | None
    if near:
        remedy = "did you mean " + " or ".join(near) + "?"
    else:
        words = set(name.lower().split())
        related = [one for one in names if words & set(one.lower().split())] or names
        # The newest of a table stand last.
        shown = ", ".join(related[-_SHOWN:])
        remedy = ("known, among others: " if len(names) > _SHOWN else "known: ") + shown if names else None
    return wish_problem(key, f"{kind} {show(name)} is not known", remedy=remedy)


def unknown_framework(written: str, name: str, matrix: Matrix) -> Problem:
    """That there is no such framework; of a package, how it is asked for."""
    names = [known for one in matrix.frameworks.values() for known in (one.name, *one.aliases)]
    problem = unknown_name("framework", "framework", name, names)
    how = f'packages = ["{written}"], on the command line "package={written}"'
    hosts = [
        one.name
        for one in matrix.frameworks.values()
        if any(row.package == normal(name) for row in matrix.companions(one.name))
    ]
    if hosts:
        return replace(
            problem,
            what=f"{show(name)} is a package that goes with {' and '.join(hosts)}, and no framework",
            remedy=f"ask for it as a package beside its framework: {how}",
        )
    if near_names(name, names):
        return problem
    return replace(problem, remedy=f"{problem.remedy}; if it is a Python package: {how}")


def near_names(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """The names that are written almost so, the nearest first; at most three."""
    import difflib  # seldom needed

    by_lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=_NEAREST, cutoff=cutoff)
    return [by_lower[one] for one in near]


def like_base(reference: str, matrix: Matrix, remedy: str) -> str:
    """What to do about a base that is not known: before the remedy, the known tags that are most like it."""
    repository, _, tag = reference.partition(":")
    tags = {}
    for image in matrix.base_images:
        name, _, known = image.reference.partition(":")
        if name == repository and image.removed is None:
            tags[known] = image.reference
    near = [tags[one] for one in near_names(tag, tags)]
    return f"did you mean {' or '.join(near)}? If not, {remedy}" if near else remedy


def gpu_names(matrix: Matrix) -> list[str]:
    """All names that GPUs have."""
    return [name for gpu in matrix.gpus for name in (gpu.name, *gpu.aliases)]


def unknown_gpu(text: str, matrix: Matrix) -> Problem:
    """That a GPU is not known, and those that are called alike; for a capability, those that there are."""
    maker = _maker(text, matrix)
    if maker is not None:
        return wish_problem(
            "gpus",
            f"GPU {show(text)} is made by {maker}: only NVIDIA GPUs are known",
            remedy="ask for NVIDIA GPUs ('cudaforge data list gpus'); for an image without a GPU: "
            'cuda = "none", and no gpus',
        )
    if _CAPABILITY.fullmatch(text.strip().lower()):
        known = sorted({gpu.capability for gpu in matrix.gpus})
        named = parse_capability(text)
        meant = named or parse_capability(re.sub("^(sm|compute)_?", "sm_", text.strip().lower()))
        below = [one for one in known if meant is not None and one <= meant]
        hint = f"did you mean {sm((below or known)[-1 if below else 0])}? " if meant else ""
        remedy = (
            f"{hint}compute capabilities that are known: {', '.join(map(str, known))}; "
            "a GPU that is newer than the facts goes into an overlay ([matrices] overlays)"
        )
    else:
        plain = {_plain_gpu(name): name for name in reversed(gpu_names(matrix))}
        words = _words(text)
        with_it = sorted((one for one, name in plain.items() if words and words <= _words(name)), key=len)
        near = [*dict.fromkeys((*with_it, *near_names(_plain_gpu(text), plain, cutoff=_NEAR_GPU)))][:_NEAREST]
        hint = f"did you mean {' or '.join(plain[one] for one in near)}? " if near else ""
        remedy = f"{hint}'cudaforge data list gpus' lists what is known"
    return wish_problem("gpus", f"GPU {show(text)} is not known", remedy=remedy)


def _maker(text: str, matrix: Matrix) -> str | None:
    """Who else makes what has such a name."""
    from fnmatch import fnmatchcase  # seldom needed

    named = re.findall(r"[a-z0-9]+", text.lower())
    if "nvidia" in named:
        return None
    return next(
        (
            maker.name
            for maker in matrix.makers
            if any(fnmatchcase(word, known) for word in (*named, "".join(named)) for known in maker.words)
        ),
        None,
    )


def _plain_gpu(name: str) -> str:
    """A name without what many names have in common."""
    return "".join(word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in _BRANDS)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower())) - _BRANDS

"""The base that a wish names: known, made from an archive, or the user's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cudaforge.declaration.model import Wishes
from cudaforge.display import show
from cudaforge.errors import Problem
from cudaforge.matrix.model import CudaProvider, OperatingSystem
from cudaforge.matrix.tables import Matrix
from cudaforge.resolver.candidates import BOOTSTRAP, HOST, OwnBase
from cudaforge.resolver.model import PythonProvider
from cudaforge.resolver.names import (
    like_base,
    unknown_name,
    wish_problem,
)
from cudaforge.versions import InvalidVersion, Version

_REGISTRY = re.compile(r"(?:localhost|[^/]*[.:][^/]*)/")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_LIBRARY = "library/"


def named_base(
    wishes: Wishes, matrix: Matrix, host_os: str | None, problems: list[Problem]
) -> tuple[str | None, OwnBase | None]:
    """The base as the environments call it, and what the declaration says of one that is not known."""
    written = wishes.base
    if written is None:
        return None, None
    if written.startswith(BOOTSTRAP):
        return _bootstrap(written, matrix.systems, host_os, problems), None
    known = {system.image for system in matrix.systems.values()}
    known |= {image.reference for image in matrix.base_images}
    for name in _names_of(written):
        if name in known:
            return name, None
    return written, _own_base(wishes, written, matrix, problems)


def _bootstrap(
    written: str,
    systems: Mapping[str, OperatingSystem],
    host_os: str | None,
    problems: list[Problem],
) -> str | None:
    wanted = written.removeprefix(BOOTSTRAP)
    able = [one.id for one in systems.values() if one.bootstrap_packages]
    if wanted == HOST:
        if host_os is None or host_os not in able:
            seen = f"this host is {host_os}" if host_os else "it is not known what this host runs"
            problems.append(
                wish_problem(
                    "base", f"{written} cannot be made: {seen}", remedy="known: " + _bootstraps(able)
                )
            )
            return None
        wanted = host_os
    if wanted not in able:
        problems.append(
            unknown_name("base", "bootstrapped base", written, [f"{BOOTSTRAP}{one}" for one in able])
        )
        return None
    return f"{BOOTSTRAP}{wanted}"


def _bootstraps(able: Iterable[str]) -> str:
    return ", ".join(f"{BOOTSTRAP}{one}" for one in able)


def _names_of(written: str) -> tuple[str, ...]:
    """The reference without its digest, then without its registry: mirrors keep the names below theirs."""
    bare = _DIGEST.sub("", written)
    without_registry = _REGISTRY.sub("", bare, count=1) if _REGISTRY.match(bare) else bare
    return tuple(dict.fromkeys((bare, without_registry, without_registry.removeprefix(_LIBRARY))))


def _own_base(wishes: Wishes, written: str, matrix: Matrix, problems: list[Problem]) -> OwnBase | None:
    is_bare = wishes.python_provider == PythonProvider.STANDALONE.value
    said = (("os", wishes.os), *(() if is_bare else (("python", wishes.python),)))
    missing = [key for key, value in said if value is None]
    if wishes.cuda_provider == CudaProvider.SYSTEM.value:
        missing += [key for key, value in (("cuda", wishes.cuda), ("cudnn", wishes.cudnn)) if value is None]
    python = None if is_bare else _exact(wishes.python)
    if missing or (python is None and not is_bare):
        what = f"base image {show(written)} is not known to the matrix"
        keys = ", ".join(missing) if missing else "python as a plain minor version"
        remedy = like_base(_names_of(written)[-1], matrix, f"say what it has: {keys}")
        problems.append(wish_problem("base", what, remedy=remedy))
        return None
    return OwnBase(
        reference=written,
        os=wishes.os or "",
        python="" if python is None else str(python.minor()),
        python_provider=_own_python_provider(wishes),
        cuda=_exact(wishes.cuda),
        cudnn=_exact(wishes.cudnn),
    )


def _own_python_provider(wishes: Wishes) -> PythonProvider:
    """A base that says which Python it has brings it, unless another provider is asked for."""
    asked = wishes.python_provider
    return PythonProvider.IMAGE if asked is None else PythonProvider(asked)


def _exact(wish: object) -> Version | None:
    """The version of a wish that names one: `3.11`, `==3.11`, `==3.11.*`."""
    if wish is None:
        return None
    try:
        return Version(str(wish).removeprefix("==").strip().removesuffix(".*"))
    except InvalidVersion:
        return None

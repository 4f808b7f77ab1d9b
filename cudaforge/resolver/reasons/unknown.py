"""Wishes that the matrix does not cover: what is known nearest, and what is not confirmed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cudaforge.matrix.model import CudaRelease, CudnnRelease
from cudaforge.resolver.candidates import BuildCandidate, is_confirmed
from cudaforge.resolver.case import Case
from cudaforge.resolver.coverage import is_seen
from cudaforge.resolver.names import near_names
from cudaforge.resolver.reasons.view import (
    REFRESH,
    Said,
    View,
    anchor,
    as_list,
    as_some,
    names,
    nearest,
    not_known,
    span,
)
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, wished_patches
from cudaforge.resolver.solver import Restriction
from cudaforge.versions import Version

_NEAREST_BUILDS = 6


def _unknown_release(view: View) -> Said:
    table = view.case.scene.frameworks[view.bound.position]
    wish = str(view.case.question.wishes.frameworks[view.bound.position])
    known = [one for one in reversed(table.candidates) if one.is_confirmed]
    public, _, label = wish.partition("+")
    number = anchor(public)
    same = [one.label for one in known if number is not None and one.version == number]
    if label and same:
        return not_known(view, wish, as_list(map(str, same)))
    return not_known(view, wish, nearest((one.version for one in known), wish))


def _unknown_build(view: View) -> Said:
    table = view.case.scene.frameworks[view.bound.position]
    known = dict.fromkeys(one.row.build for one in table.candidates if one.is_confirmed)  # newest first
    label = view.case.question.wishes.build or ""
    near = [*near_names(label, known), *known][:_NEAREST_BUILDS]
    return not_known(view, f"build {label} of {table.framework.name}", as_list(near))


def _unknown_cuda(view: View) -> Said:
    wish = str(view.case.question.wishes.cuda)
    rows = (row for row in view.case.scene.tables.cuda if row is not None and is_confirmed(row.source))
    return not_known(view, f"CUDA {wish}", nearest((row.version.minor() for row in rows), wish))


def _unknown_cudnn(view: View) -> Said:
    wish = str(view.case.question.wishes.cudnn)
    rows = (row for row in view.case.scene.tables.cudnn if row is not None and is_confirmed(row.source))
    return not_known(view, f"cuDNN {wish}", nearest((row.version for row in rows), wish))


def _unknown_python(view: View) -> Said:
    wish, tables = str(view.case.question.wishes.python), view.case.scene.tables
    known = [Version(minor) for minor in tables.by_python]
    if wished_patches(view.case.question.wishes.python):
        known = [row.version for row in tables.matrix.standalone_pythons] or known
    return not_known(view, f"a base with Python {wish}", nearest(known, wish))


def _unknown_toolkit(view: View) -> Said:
    wish = str(view.case.question.wishes.toolkit)
    known = (one.toolkit for one in view.case.scene.tables.environments if one.toolkit is not None)
    return not_known(view, f"a base with CUDA toolkit {wish}", nearest(known, wish))


def _unknown_python_provider(view: View) -> Said:
    known = sorted(one.value for one in view.case.scene.tables.by_python_provider)
    what = f"a Python of provider {view.case.question.wishes.python_provider}"
    return not_known(view, what, as_list(known))


def _unconfirmed(view: View) -> Said | None:
    variable = view.bound.constraint.variable if isinstance(view.bound.constraint, Restriction) else CUDA
    tail = "known only from facts that are not confirmed"
    if variable == CUDA:
        return _unconfirmed_rows("CUDA", view.cuda(), tail)
    if variable == CUDNN:
        return _unconfirmed_rows("cuDNN", view.cudnn(), tail)
    if variable == ENVIRONMENT:
        rows = [one for one in view.environments() if not is_confirmed(one.source)]
        return (f"{as_some(one.reference for one in rows)}: {tail}", rows[0].source) if rows else None
    builds = [one for one in view.builds() if not one.is_confirmed]
    name = view.case.scene.frameworks[view.bound.position].framework.name
    return (f"{name} {names(builds)} is {tail}", builds[0].row.source) if builds else None


def _unconfirmed_rows(
    name: str, rows: Sequence[CudaRelease] | Sequence[CudnnRelease], tail: str
) -> Said | None:
    inferred = [row for row in rows if not is_confirmed(row.source)]
    return (
        (f"{name} {span(row.version for row in inferred)} is {tail}", inferred[0].source)
        if inferred
        else None
    )


def _unconfirmed_gpu(view: View) -> Said:
    return f"{view.gpu} is known only from facts that are not confirmed", view.gpu_source


def _unseen_code(view: View) -> Said | None:
    table = view.case.scene.frameworks[view.bound.position]
    builds = [one for one in view.builds() if not is_seen(one)]
    if not builds:
        return None
    what = f"which GPUs {table.framework.name} {names(builds)} has code for"
    return f"{what} is not known, so that none is claimed; {view.gpu} is asked for", builds[0].row.source


def _without_python(view: View) -> Said | None:
    tables, base = view.case.scene.tables, view.case.question.base
    if any(one.reference == base for one in tables.environments):
        return None
    rows = [one for one in tables.matrix.base_images if one.reference == base and one.removed is None]
    if not rows:
        return None
    return f"nothing is known that brings Python to {rows[0].os}, the OS of {base}", rows[0].source


def unreleased(case: Case) -> str:
    """That of a framework nothing is known, or nothing by the day that facts are taken from."""
    name = case.scene.frameworks[case.unreleased[0]].framework.name
    matrix = case.scene.tables.matrix
    if matrix.day is not None:
        return f"no release of {name} is known to have been there on {matrix.day}"
    return f"no release of {name} is in the matrix of {matrix.as_of}; {REFRESH}"


def is_loadable(view: View, build: BuildCandidate) -> bool:
    """Whether the matrix knows a CUDA and a cuDNN that the build loads."""
    tables = view.case.scene.tables
    return all(
        (row.cuda is None or tables.cuda_wished(row.cuda) != 0)
        and (row.cudnn is None or tables.cudnn_wished(row.cudnn) != 0)
        for row in build.rows
    )


def _unseen_libraries(view: View) -> Said | None:
    builds = [one for one in view.builds() if not is_loadable(view, one)]
    if not builds or builds[-1] is not view.builds()[-1]:  # the old ones are not what is asked for
        return None
    name = view.case.scene.frameworks[view.bound.position].framework.name
    wanted = [
        f"CUDA {one.row.cuda}" + (f" with cuDNN {one.row.cudnn}" if one.row.cudnn is not None else "")
        for one in builds
    ]
    what = f"what {name} {names(builds)} loads, {as_some(wanted)},"
    return f"{what} is not in the matrix of {view.case.scene.tables.matrix.as_of}", builds[0].row.source


UNKNOWN: dict[str, Callable[[View], Said | None]] = {
    "framework-version": _unknown_release,
    "framework-build": _unknown_build,
    "cuda-version": _unknown_cuda,
    "cudnn-version": _unknown_cudnn,
    "python-version": _unknown_python,
    "toolkit-version": _unknown_toolkit,
    "python-provider": _unknown_python_provider,
}
UNCONFIRMED: dict[str, Callable[[View], Said | None]] = {
    "confirmed": _unconfirmed,
    "gpu-confirmed": _unconfirmed_gpu,
}
UNSEEN: dict[str, Callable[[View], Said | None]] = {
    "gpu-code": _unseen_code,
    "base": _without_python,
    "cuda-libraries": _unseen_libraries,
    "cudnn-libraries": _unseen_libraries,
}
"""Rules that values fail for want of a fact, next to those that fail by one."""

"""What is said of bases, their systems and their Pythons."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cudaforge.matrix.model import BaseImage
from cudaforge.resolver.candidates import Environment, has_installer
from cudaforge.resolver.model import PythonProvider
from cudaforge.resolver.reasons.view import Said, View, as_list, as_some
from cudaforge.resolver.solver import indexes
from cudaforge.versions import Version


def removed(view: View) -> Said | None:
    """That a base was removed, and what replaces it."""
    gone = [one for one in view.environments() if one.removed is not None]
    return _is_gone(gone[0]) if gone else None


def _is_gone(one: Environment | BaseImage) -> Said:
    since = "" if one.removed == "unknown" else f" ({one.removed})"
    instead = f"; {one.replaced_by} replaces it" if one.replaced_by else ""
    return f"{one.reference} was removed{since}{instead}", one.source


def bootstrapped(view: View) -> Said:
    """That a bootstrapped base is for one platform alone."""
    base, platforms = view.case.question.base, view.bound.about
    return f"{base} is made of the packages of one architecture, and the image is for {platforms}", None


def named_base(view: View) -> Said | None:
    """What the base that is asked for has, or that it was removed."""
    tables, question = view.case.scene.tables, view.case.question
    found = [one for one in tables.environments if one.reference == question.base]
    if not found:
        rows = [one for one in tables.matrix.base_images if one.reference == question.base]
        return _is_gone(rows[0]) if rows and rows[0].removed is not None else None
    one = found[0]
    cuda = f", CUDA {one.toolkit}" if one.toolkit is not None else ", no CUDA"
    python = f", Python {one.python}" if one.standalone is None else ""
    return f"{one.reference} has {one.os.id}{python}{cuda}", one.source


def named_os(view: View) -> Said | None:
    """Which Pythons there are on the OS that is asked for."""
    system = view.case.scene.tables.matrix.systems[view.case.question.wishes.os or ""]
    tables, asked = view.case.scene.tables, view.case.question.wishes.python_provider
    there = [tables.environments[index] for index in indexes(tables.by_os.get(system.id, 0))]
    meant = [one for one in there if asked in (None, one.python_provider.value)]
    pythons = {one.python for one in meant if one.standalone is None}
    standalone = {one.python for one in meant if one.standalone is not None and has_installer(one.os)}
    if not pythons | standalone:
        if any(one.standalone is not None for one in meant):
            return None  # that its packages cannot be installed is told by the rule on that
        whose = f" of provider {asked}" if asked is not None else ""
        return f"nothing is known that brings a Python{whose} to {system.id}", system.source
    parts = [as_list(sorted(one, key=Version)) for one in (pythons, standalone - pythons) if one]
    own = parts[0] if pythons else f"a standalone {parts[0]}"
    more = f" and a standalone {parts[1]}" if len(parts) > 1 else ""
    return f"on {system.id} there is Python {own}{more}", system.source


def os_packages(view: View) -> Said | None:
    """Systems whose packages cannot be installed."""
    able = [one for one in view.environments() if one.standalone is not None and not has_installer(one.os)]
    names = as_some(dict.fromkeys(one.os.id for one in able))
    return (f"OS packages of {names} cannot be installed yet", able[0].os.source) if able else None


def _bases_left(view: View, what: str, values: Callable[[Environment], Iterable[str]]) -> Said | None:
    """What the bases that the rest leaves are like."""
    left = view.environments()
    if not left:
        return None
    has = (
        f"{left[0].reference} has"
        if len({one.reference for one in left}) == 1
        else "bases that are left have"
    )
    known = [value for one in left for value in values(one)]
    return f"{has} {what} {as_some(known)}" if known else f"{has} no {what}", left[0].source


def python_left(view: View) -> Said | None:
    """The Pythons of the bases that are left."""
    return _bases_left(view, "Python", lambda one: (one.python,))


def provider_left(view: View) -> Said | None:
    """Where the Pythons of the bases that are left come from."""
    words = {
        PythonProvider.DISTRO: "of the OS archive",
        PythonProvider.IMAGE: "of their own",
        PythonProvider.STANDALONE: "of an archive of its own",
    }
    return _bases_left(view, "Python", lambda one: (words[one.python_provider],))


def toolkit_left(view: View) -> Said | None:
    """The toolkits of the bases that are left."""
    return _bases_left(view, "CUDA toolkit", lambda one: () if one.toolkit is None else (str(one.toolkit),))


def flavor_left(view: View) -> Said | None:
    """The flavors of the bases that are left."""
    return _bases_left(view, "flavor", lambda one: sorted(it.value for it in one.flavors))

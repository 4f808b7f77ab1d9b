"""Rules of forward compatibility that wishes contradict, in words."""

from __future__ import annotations

from cudaforge.resolver.question import GpuWish
from cudaforge.resolver.reasons.view import Said, View, as_list, as_some
from cudaforge.versions import Version


def forward_gpus(view: View) -> Said | None:
    """Which GPUs it works on."""
    wish = view.bound.about
    if not isinstance(wish, GpuWish):
        return None
    kinds = as_list(sorted(wish.kinds)) or "not known"
    return f"forward compatibility works on data-centre GPUs alone; {view.gpu} is {kinds}", view.gpu_source


def forward_base(view: View) -> Said | None:
    """The base has no package for it."""
    some = [one for one in view.environments() if one.toolkit is not None] or view.environments()
    if not some:
        return None
    names = as_some(one.reference for one in some)
    return f"no forward-compatibility package for {view.bound.about} is known in {names}", some[0].source


def forward_cuda(view: View) -> Said | None:
    """The package runs no CUDA that is new enough."""
    bases = [one for one in view.environments() if one.toolkit is not None]
    if not bases or not view.cuda():
        return None
    newest = max(bases, key=lambda one: one.toolkit or Version("0"))
    oldest = view.cuda()[0].version
    return f"the forward-compatibility package in {newest.reference} runs no CUDA {oldest}", newest.source


def forward_driver(view: View) -> Said | None:
    """The drivers that the package works on."""
    tables = view.case.scene.tables
    toolkits = [one.toolkit for one in view.environments() if one.toolkit is not None]
    rows = [row for row in map(tables.release, dict.fromkeys(toolkits)) if row is not None and row.driver]
    if not rows:
        return None
    row = min(rows, key=lambda one: one.version)
    branches = as_list(map(str, row.compat_branches))
    return f"{row.compat_package} works on driver branches {branches} and from {row.driver} on", row.source


def forward_branch(view: View) -> Said | None:
    """The GPU's last driver branch is too old for the package."""
    wish = view.bound.about
    tables = view.case.scene.tables
    toolkits = [one.toolkit for one in view.environments() if one.toolkit is not None]
    rows = [row for row in map(tables.release, dict.fromkeys(toolkits)) if row is not None and row.driver]
    if not isinstance(wish, GpuWish) or not rows:
        return None
    row = min(rows, key=lambda one: one.version)
    made = f"{row.compat_package} is made from driver {row.driver}"
    return f"{view.gpu} is supported up to driver branch {wish.last_branch}; {made}", view.gpu_source

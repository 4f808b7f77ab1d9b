"""The part of `matrix` that speaks to CI systems."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cudaforge.cli.output import write_text

if TYPE_CHECKING:
    from cudaforge.declaration.model import Declaration
    from cudaforge.lockfile.model import Lock


def chosen_part(declaration: Declaration, *, shard: str | None, since: str | None) -> Lock:
    """The declaration's lock with the images that have changed, and of these one shard's."""
    from cudaforge.pipeline import decide, planning

    part = planning.parse_shard(shard) if shard is not None else None
    lock = decide.load_current_lock(declaration)
    if since is not None:
        lock = planning.only_changed(lock, declaration, since)
    return planning.only_shard(lock, part) if part is not None else lock


def write_plan(lock: Lock, *, form: str, max_jobs: int | None) -> None:
    """Print the lock's images as jobs, on one line for GitHub, or their names."""
    from cudaforge.report import ci

    if form == "names":
        write_text(" ".join(image.name for image in lock.images))
        return
    jobs = ci.plan_jobs(lock.images, max_jobs or ci.GITHUB_MOST_JOBS)
    if form == "github":
        write_text(json.dumps(ci.github_matrix(jobs)))
    else:
        write_text(json.dumps(ci.gitlab_pipeline(jobs), indent=2))

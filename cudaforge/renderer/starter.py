"""What `init` writes: a declaration to start from, and files for CI systems."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.renderer.image import template_environment
from cudaforge.renderer.mark import describe_mark, seal
from cudaforge.renderer.model import RenderedFile

CI_FILES: Mapping[str, Mapping[str, str]] = {
    "github": {".github/workflows/cudaforge.yml": "ci/github.j2"},
    "gitlab": {".gitlab-ci.yml": "ci/gitlab.j2", ".gitlab/cudaforge.yml": "ci/gitlab_job.j2"},
}
"""For each CI system its files, relative to the repository, with their templates."""


def render_starter(*, project: str, framework: str, release: str) -> str:
    """The text of a declaration to start from. All three are checked names; `release` is an example."""
    template = template_environment().get_template("starter.toml.j2")
    return template.render(project=project, framework=framework, release=release)


def render_ci(
    system: str, *, directory: str, file: str, branch: str, requirement: str
) -> tuple[RenderedFile, ...]:
    """The files for a CI system. `directory` is the project's in the repository, `file` the declaration in
    it, `requirement` what pip installs cudaforge by. Raises UnsafeText for what cannot be carried."""
    below = "" if directory == "." else f"{directory}/"
    context = {
        "mark": describe_mark("cudaforge init"),
        "directory": directory,
        "file": file,
        "branch": branch,
        "requirement": requirement,
        "state": f"{below}.cudaforge",
        "results": f"{below}results",
        "report": f"{below}report.html",
    }
    environment = template_environment()
    return tuple(
        RenderedFile(path=path, text=seal(path, environment.get_template(template).render(context)))
        for path, template in CI_FILES[system].items()
    )

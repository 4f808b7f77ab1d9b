"""What `init` writes: a declaration to start from, and files for CI systems."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cudaforge.lockfile.model import USUAL_DECLARATION
from cudaforge.quoting import UnsafeText, find_unsafe_character
from cudaforge.renderer.image import template_environment
from cudaforge.renderer.mark import describe_mark, seal
from cudaforge.renderer.model import RenderedFile

CI_FILES: Mapping[str, Mapping[str, str]] = {
    "github": {".github/workflows/cudaforge{project}.yml": "ci/github.j2"},
    "gitlab": {".gitlab-ci.yml": "ci/gitlab.j2", ".gitlab/cudaforge.yml": "ci/gitlab_job.j2"},
}
"""For each CI system its files, relative to the repository, with their templates. Of several projects in one
repository GitHub has a file for each."""
_PLAIN = re.compile(r"[\W_]+")
_EXPRESSION = "${{"
_OF = re.compile(r"^# For (?P<declaration>.+)$", re.MULTILINE)


def render_starter(*, project: str, framework: str, release: str) -> str:
    """The text of a declaration to start from. All three are checked names; `release` is an example."""
    template = template_environment().get_template("starter.toml.j2")
    return template.render(project=project, framework=framework, release=release)


def render_ci(
    system: str, *, directory: str, file: str, branch: str, requirement: str
) -> tuple[RenderedFile, ...]:
    """The files for a CI system. `directory` is the project's in the repository, `file` the declaration in
    it, `requirement` what pip installs cudaforge by. Raises UnsafeText for what cannot be carried."""
    declaration = file if directory == "." else f"{directory}/{file}"
    unsafe = find_unsafe_character(declaration)
    if unsafe is not None or _EXPRESSION in declaration:
        raise UnsafeText(f"it has {unsafe or 'what CI systems replace: ' + _EXPRESSION}")
    other = "" if declaration == USUAL_DECLARATION else declaration.removesuffix(f"/{USUAL_DECLARATION}")
    if directory.startswith("-"):  # no option of `cd`
        directory = f"./{directory}"
    below = "" if directory == "." else f"{directory}/"
    context = {
        "mark": describe_mark("cudaforge init"),
        "declaration": declaration,
        "title": f"cudaforge {other}".strip(),
        "directory": directory,
        "file": file,
        "branch": branch,
        "requirement": requirement,
        "needs_git": "git+" in requirement,
        "state": f"{below}.cudaforge",
        "results": f"{below}results",
        "report": f"{below}report.html",
    }
    environment = template_environment()
    name = _PLAIN.sub("-", other.removesuffix(".toml")).strip("-")
    paths = {
        path.format(project=f"-{name}" if name else ""): template
        for path, template in CI_FILES[system].items()
    }
    return tuple(
        RenderedFile(path=path, text=seal(path, environment.get_template(template).render(context)))
        for path, template in paths.items()
    )


def declaration_of(text: str) -> str | None:
    """The declaration that a CI file of ours is for, relative to the repository; None where it says none."""
    found = _OF.search(text)
    return found["declaration"] if found is not None else None

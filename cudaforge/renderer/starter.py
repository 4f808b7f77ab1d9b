"""The starter declaration that `init` writes."""

from __future__ import annotations

from cudaforge.renderer.image import template_environment


def render_starter(*, project: str, framework: str, release: str) -> str:
    """The text of a declaration to start from. All three are checked names; `release` is an example."""
    template = template_environment().get_template("starter.toml.j2")
    return template.render(project=project, framework=framework, release=release)

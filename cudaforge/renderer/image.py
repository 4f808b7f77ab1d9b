"""One lock entry to the text of its Dockerfile."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from cudaforge.errors import InputError
from cudaforge.lockfile.model import LockedImage
from cudaforge.quoting import dump_words, quote_env, quote_shell
from cudaforge.renderer.checks import check_image
from cudaforge.renderer.context import has_apt, make_context, make_ignore_context
from cudaforge.renderer.mark import describe_mark, seal
from cudaforge.renderer.model import (
    APT_CONFIG_SECRET,
    APT_SOURCES_PATH,
    APT_SOURCES_SECRET,
    BASE_CONTEXT,
    CA_SECRET,
    CLOSURE_SECRET,
    PYTHON_CONTEXT,
    SITE_SECRET,
    SNAPSHOT_SECRET,
    UV_CONTEXT,
    WHEELS_CONTEXT,
    RenderedImage,
)
from cudaforge.resources import find_resource

if TYPE_CHECKING:
    import jinja2

_NOT_ASCII = re.compile(r"[^\x20-\x7e]")


def render_image(image: LockedImage) -> RenderedImage:
    """The Dockerfile of one image, a function of its lock entry alone.

    Raises InputError with every value of the entry that no Dockerfile can carry.
    """
    problems = check_image(image)
    if problems:
        raise InputError(problems)
    base = (BASE_CONTEXT,) if image.base.is_bootstrap else ()
    python = (PYTHON_CONTEXT,) if image.standalone is not None else ()
    return RenderedImage(
        name=image.name,
        dockerfile=_render("Dockerfile.j2", image, make_context(image), dockerfile_path(image.name)),
        ignore=_render("dockerignore.j2", image, make_ignore_context(image), ignore_path(image.name)),
        contexts=(*base, *python, UV_CONTEXT, WHEELS_CONTEXT),
        secrets=(
            CLOSURE_SECRET,
            SITE_SECRET,
            CA_SECRET,
            *((APT_SOURCES_SECRET, APT_CONFIG_SECRET) if has_apt(image) else ()),
            *((SNAPSHOT_SECRET,) if image.snapshot is not None else ()),
            *image.secrets,
        ),
    )


def render_collection(image: LockedImage) -> str:
    """A Dockerfile whose last stage has, as files, the OS packages that apt would install on the base.

    It takes the secrets that the image's own Dockerfile takes. Raises InputError as `render_image` does.
    """
    return _render_part("collect.j2", image)


def render_built(image: LockedImage) -> str:
    """A Dockerfile whose last stage has, as files, the wheels that the image's build makes from their source.

    It takes the contexts and secrets that the image's own Dockerfile takes. Raises InputError as
    `render_image` does.
    """
    return _render_part("built.j2", image)


def _render_part(template: str, image: LockedImage) -> str:
    problems = check_image(image)
    if problems:
        raise InputError(problems)
    return template_environment().get_template(template).render(make_context(image))


def dump_apt_config(reaching: str) -> str:
    """The file for APT_CONFIG_SECRET: takes the sources of APT_SOURCES_SECRET and none of the base's.

    `reaching` is apt configuration of the site: proxies, time-outs.
    """
    return f'Dir::Etc::sourcelist "{APT_SOURCES_PATH}";\nDir::Etc::sourceparts "-";\n{reaching}'


def extend_ignore(ignore: str, own: str) -> str:
    """The ignore file for a build where the project has a `.dockerignore` of its own.

    BuildKit reads one file alone, so its patterns follow ours: what they exclude is not sent either.
    """
    return f"{ignore}\n# The project's own .dockerignore\n{own}"


def dockerfile_path(name: str) -> str:
    """Where the image's Dockerfile goes, relative to the output directory."""
    return f"{name}/Dockerfile"


def ignore_path(name: str) -> str:
    """Where BuildKit looks for the ignore file of that Dockerfile."""
    return f"{dockerfile_path(name)}.dockerignore"


def _render(template: str, image: LockedImage, context: Mapping[str, object], path: str) -> str:
    mark = describe_mark(f"lock entry {image.digest}")
    text = template_environment().get_template(template).render(context)
    return seal(path, f"# {mark}\n# Change the declaration instead of this file.\n{text}")


@lru_cache(maxsize=1)
def template_environment() -> jinja2.Environment:
    """Where templates come from, and how they quote. Made once."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(find_resource("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- Dockerfiles, not HTML; every value goes through a filter
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["env"] = quote_env
    environment.filters["shell"] = quote_shell
    environment.filters["json"] = dump_words
    environment.filters["yaml_string"] = _quote_yaml
    environment.filters["yaml_text"] = _dump_scalar
    return environment


def _dump_scalar(text: str) -> str:
    """One line as YAML: as it is where YAML reads it so, else in quotes."""
    import yaml

    try:
        is_plain = yaml.safe_load(f"- {text}") == [text]
    except yaml.YAMLError:
        is_plain = False
    return text if is_plain else _quote_yaml(text)


def _quote_yaml(text: str) -> str:
    """One line as YAML in quotes. JSON's escapes are not YAML's beyond the first 65,536 characters."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _NOT_ASCII.sub(lambda match: f"\\U{ord(match[0]):08x}", quoted)

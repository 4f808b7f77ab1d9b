"""The lock as a `docker-bake.json`, for people and CI systems that build with `docker buildx bake`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.renderer.image import dockerfile_path
from cudaforge.renderer.mark import describe_mark, seal
from cudaforge.renderer.model import (
    BASE_CONTEXT,
    CLOSURE_SECRET,
    PYTHON_CONTEXT,
    UV_CONTEXT,
    WHEELS_CONTEXT,
    RenderedFile,
)

BAKE_PATH = "docker-bake.json"
OVERRIDE_PATH = "docker-bake.override.json"
"""Bake reads it after the other by itself."""
PROJECT_VARIABLE = "CUDAFORGE_PROJECT"
"""Directory of the declaration."""
INPUTS_VARIABLE = "CUDAFORGE_INPUTS"
"""Directory with, per image, `NAME/uv/uv`, `NAME/pylock.toml`, `NAME/wheels/`, `NAME/base/` if bootstrapped,
`NAME/python/python.tar.gz` if Python is a standalone one; of an image of several platforms `NAME/uv/arm64/uv`
and its like."""
_MARK_VARIABLE = "CUDAFORGE_MADE"


def render_bake(lock: Lock) -> str:
    """The bake file. It is run in the directory that it stands in: `docker buildx bake`."""
    document = {
        "variable": {
            # Bake refuses comments and unknown keys; a variable that nothing uses carries the mark.
            _MARK_VARIABLE: {"default": describe_mark("cudaforge.lock")},
            PROJECT_VARIABLE: {"default": ".."},
            INPUTS_VARIABLE: {"default": "../.cudaforge/bake"},
        },
        "group": {"default": {"targets": [target_name(image.name) for image in lock.images]}},
        "target": {target_name(image.name): _target(image) for image in lock.images},
    }
    return seal(BAKE_PATH, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def render_override(
    *, project: str, inputs: str, targets: Mapping[str, Mapping[str, object]]
) -> RenderedFile:
    """What one site adds to the bake file: where project and inputs are, as seen from the directory that bake
    is run in, and attributes of targets by the names of their images."""
    document = {
        "variable": {
            _MARK_VARIABLE: {"default": describe_mark("cudaforge.lock and this site")},
            PROJECT_VARIABLE: {"default": project},
            INPUTS_VARIABLE: {"default": inputs},
        },
        "target": {target_name(name): dict(attributes) for name, attributes in targets.items()},
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return RenderedFile(path=OVERRIDE_PATH, text=seal(OVERRIDE_PATH, text))


def secret_entries(image: LockedImage) -> tuple[str, ...]:
    """The secrets of an image as bake takes them: the closure, and the user's own by their variables."""
    closure = f"id={CLOSURE_SECRET},src=${{{INPUTS_VARIABLE}}}/{image.name}/pylock.toml"
    return (closure, *(f"id={secret}" for secret in image.secrets))


def target_name(name: str) -> str:
    """The bake target of an image. Bake takes no dots, and no image's name has two `_` in a row."""
    return name.replace(".", "__")


def _target(image: LockedImage) -> Mapping[str, object]:
    inputs = f"${{{INPUTS_VARIABLE}}}"
    contexts = {UV_CONTEXT: f"{inputs}/{image.name}/uv", WHEELS_CONTEXT: f"{inputs}/{image.name}/wheels"}
    if image.base.is_bootstrap:
        digest = f"@{image.base.digest}" if image.base.digest else ""
        contexts[BASE_CONTEXT] = f"oci-layout://{inputs}/{image.name}/base{digest}"
    if image.standalone is not None:
        contexts[PYTHON_CONTEXT] = f"{inputs}/{image.name}/python"
    target: dict[str, object] = {
        "context": f"${{{PROJECT_VARIABLE}}}",
        # A plain path would be taken relative to the context.
        "dockerfile": f"cwd://{dockerfile_path(image.name)}",
        "contexts": contexts,
        "secret": list(secret_entries(image)),
        "tags": list(image.tags),
        "platforms": list(image.platforms),
    }
    if image.ssh:
        target["ssh"] = ["default"]
    return target

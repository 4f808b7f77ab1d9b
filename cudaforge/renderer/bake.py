"""The lock as a `docker-bake.json`, for people and CI systems that build with `docker buildx bake`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.renderer.image import dockerfile_path
from cudaforge.renderer.mark import describe_mark, seal
from cudaforge.renderer.model import BASE_CONTEXT, CLOSURE_SECRET, PYTHON_CONTEXT, UV_CONTEXT, WHEELS_CONTEXT

BAKE_PATH = "docker-bake.json"
PROJECT_VARIABLE = "CUDAFORGE_PROJECT"
"""Directory of the declaration."""
INPUTS_VARIABLE = "CUDAFORGE_INPUTS"
"""Directory with `uv/uv` and, per image, `NAME/pylock.toml`, `NAME/wheels/`, `NAME/base/` if bootstrapped,
`NAME/python/python.tar.gz` if Python is a standalone one."""
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


def target_name(name: str) -> str:
    """The bake target of an image. Bake takes no dots, and no image's name has two `_` in a row."""
    return name.replace(".", "__")


def _target(image: LockedImage) -> Mapping[str, object]:
    inputs = f"${{{INPUTS_VARIABLE}}}"
    contexts = {UV_CONTEXT: f"{inputs}/uv", WHEELS_CONTEXT: f"{inputs}/{image.name}/wheels"}
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
        "secret": [
            f"id={CLOSURE_SECRET},src={inputs}/{image.name}/pylock.toml",
            *(f"id={secret}" for secret in image.secrets),
        ],
        "tags": list(image.tags),
        "platforms": list(image.platforms),
    }
    if image.ssh:
        target["ssh"] = ["default"]
    return target

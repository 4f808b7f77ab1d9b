"""Locked images to images in the engine's store, by BuildKit or Podman."""

from cudaforge.builder.errors import BuildAborted, BuildRefused
from cudaforge.builder.inputs import Vendored
from cudaforge.builder.model import (
    BuildEvent,
    BuildResult,
    BuildState,
    EventKind,
    Reproducible,
    result_to_json,
)
from cudaforge.builder.project import build_images

__all__ = [
    "BuildAborted",
    "BuildEvent",
    "BuildRefused",
    "BuildResult",
    "BuildState",
    "EventKind",
    "Reproducible",
    "Vendored",
    "build_images",
    "result_to_json",
]

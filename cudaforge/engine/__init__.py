"""The container engine: finding it, naming what is wrong with it, running containers, looking at images.

The Docker SDK is imported by `connect`, not by this package: it is slow to import.
"""

from cudaforge.engine.client import Engine, connect
from cudaforge.engine.errors import (
    BuildxUnusable,
    EngineAbsent,
    EngineDenied,
    EngineDied,
    EngineError,
    EngineFrozen,
    EngineRefused,
    EngineTooOld,
    EngineUnreachable,
    PodmanUnusable,
    ask_twice,
)
from cudaforge.engine.filesystem import ImageFilesystem
from cudaforge.engine.gpus import select_gpus
from cudaforge.engine.model import (
    RUN_LABEL,
    ContainerOutcome,
    ContainerSpec,
    GpuMethod,
    GpuOffer,
    GpuRequest,
    ImageFacts,
    Mount,
)
from cudaforge.engine.named import NamedBuilder, connect_named, own_builder
from cudaforge.engine.podman import LocalPodman
from cudaforge.engine.words import DOCKER, EngineWords, words_of, words_of_host

__all__ = [
    "DOCKER",
    "RUN_LABEL",
    "BuildxUnusable",
    "ContainerOutcome",
    "ContainerSpec",
    "Engine",
    "EngineAbsent",
    "EngineDenied",
    "EngineDied",
    "EngineError",
    "EngineFrozen",
    "EngineRefused",
    "EngineTooOld",
    "EngineUnreachable",
    "EngineWords",
    "GpuMethod",
    "GpuOffer",
    "GpuRequest",
    "ImageFacts",
    "ImageFilesystem",
    "LocalPodman",
    "Mount",
    "NamedBuilder",
    "PodmanUnusable",
    "ask_twice",
    "connect",
    "connect_named",
    "own_builder",
    "select_gpus",
    "words_of",
    "words_of_host",
]

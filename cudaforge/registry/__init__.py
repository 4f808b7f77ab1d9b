"""Asking image registries: digests, tags, what an image says of itself; and attaching something to an image.
Opens network connections; starts no programs."""

from cudaforge.registry.client import RegistryDigest, resolve_digest
from cudaforge.registry.credentials import Credentials, docker_config_path, docker_credentials
from cudaforge.registry.images import ImageConfig, read_image
from cudaforge.registry.mirrors import mirrored
from cudaforge.registry.referrers import Attached, Subject, attach, find_subject
from cudaforge.registry.session import Access
from cudaforge.registry.tags import list_tags

__all__ = [
    "Access",
    "Attached",
    "Credentials",
    "ImageConfig",
    "RegistryDigest",
    "Subject",
    "attach",
    "docker_config_path",
    "docker_credentials",
    "find_subject",
    "list_tags",
    "mirrored",
    "read_image",
    "resolve_digest",
]

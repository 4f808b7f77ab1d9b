"""Asking image registries which digest a tag has now. Opens network connections; starts no programs."""

from cudaforge.registry.client import RegistryDigest, resolve_digest
from cudaforge.registry.credentials import Credentials, docker_config_path, docker_credentials
from cudaforge.registry.mirrors import mirrored

__all__ = [
    "Credentials",
    "RegistryDigest",
    "docker_config_path",
    "docker_credentials",
    "mirrored",
    "resolve_digest",
]

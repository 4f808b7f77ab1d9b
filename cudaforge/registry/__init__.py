"""Asking image registries: digests, tags, what an image says of itself; and attaching something to an image.
Opens network connections; starts no programs."""

from cudaforge.registry.attached import AttachedDocument, Referrer, list_attached, read_attached
from cudaforge.registry.client import RegistryDigest, resolve_digest
from cudaforge.registry.credentials import Credentials, docker_config_path, docker_credentials
from cudaforge.registry.images import ImageConfig, read_image
from cudaforge.registry.mirrors import mirrored
from cudaforge.registry.pushing import Member, asked_pause, find_member, push_index, upload_refusal
from cudaforge.registry.referrers import Attached, Subject, attach, find_subject
from cudaforge.registry.session import Access, NoSuchImage
from cudaforge.registry.tags import list_tags

__all__ = [
    "Access",
    "Attached",
    "AttachedDocument",
    "Credentials",
    "ImageConfig",
    "Member",
    "NoSuchImage",
    "Referrer",
    "RegistryDigest",
    "Subject",
    "asked_pause",
    "attach",
    "docker_config_path",
    "docker_credentials",
    "find_member",
    "find_subject",
    "list_attached",
    "list_tags",
    "mirrored",
    "push_index",
    "read_attached",
    "read_image",
    "resolve_digest",
    "upload_refusal",
]

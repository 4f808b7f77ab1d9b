"""NVIDIA's redistributable manifests: `redistrib_<version>.json` files in a directory on the web.

`release_date`, `release_label` and, for each component, `version` and its platforms (`linux-x86_64`,
`linux-sbsa`), for cuDNN by CUDA major within each platform (`cuda12`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from cudaforge.errors import Problem
from cudaforge.records import record
from cudaforge.versions import InvalidVersion, Version
from cudaforge.web import Client, Unreachable
from cudaforge.web.client import OK, shown

_NAME = re.compile(r"redistrib_([0-9]+(?:\.[0-9]+){1,3})\.json")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MAJOR = re.compile(r"cuda(\d{1,3})")
_PLATFORMS = {"linux-x86_64": "linux/amd64", "linux-sbsa": "linux/arm64"}
_MAX_LISTING = 16 * 1024 * 1024
_MAX_MANIFEST = 8 * 1024 * 1024


@record()
class VendorRelease:
    """One release as its manifest has it."""

    version: str
    """Of the release (`12.9.1`), or of the product's own component where there is one (`9.10.2.21`)."""
    released: str | None
    """ISO date; None where the manifest does not say."""
    platforms: tuple[str, ...]
    majors: tuple[str, ...]
    """CUDA majors that it has files for; empty where it is not divided by them."""


def list_releases(client: Client, feed: str) -> tuple[str, ...]:
    """The labels of all releases in a directory, oldest first. Raises Unreachable."""
    answer = client.get(feed, headers={"Accept": "text/html"}, max_body=_MAX_LISTING)
    if answer.status != OK:
        raise Unreachable(Problem(what=f"{shown(feed)} answered with status {answer.status}"))
    labels = set(_NAME.findall(answer.body.decode("utf-8", "replace")))
    if not labels:
        raise Unreachable(Problem(what=f"{shown(feed)} answered with no list of redistrib_<version>.json"))
    return tuple(sorted(labels, key=Version))


def read_release(client: Client, feed: str, label: str, *, product: str) -> VendorRelease:
    """What the manifest of one release says. Raises Unreachable."""
    url = f"{feed.rstrip('/')}/redistrib_{quote(label)}.json"
    answer = client.get(url, max_body=_MAX_MANIFEST)
    if answer.status != OK:
        raise Unreachable(Problem(what=f"{shown(url)} answered with status {answer.status}"))
    try:
        values: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, Mapping):
        raise Unreachable(Problem(what=f"{shown(url)} answered with what is no manifest"))
    components = [one for one in values.values() if isinstance(one, Mapping) and "version" in one]
    if not components:
        raise Unreachable(Problem(what=f"{shown(url)} answered with a manifest without components"))
    own = values.get(product)
    version = own.get("version") if isinstance(own, Mapping) else None
    date = values.get("release_date")
    return VendorRelease(
        version=version if isinstance(version, str) and _is_version(version) else label,
        released=date if isinstance(date, str) and _DATE.fullmatch(date) else None,
        platforms=tuple(name for key, name in _PLATFORMS.items() if any(key in one for one in components)),
        majors=_majors(components),
    )


def _majors(components: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    found = {
        match[1]
        for one in components
        for key in _PLATFORMS
        if isinstance(variants := one.get(key), Mapping)
        for variant in variants
        if isinstance(variant, str) and (match := _MAJOR.fullmatch(variant))
    }
    return tuple(sorted(found, key=int))


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True

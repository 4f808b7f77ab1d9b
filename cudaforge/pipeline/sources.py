"""Asking the sources of facts, each host until it has been silent once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from cudaforge.errors import InputError, NegativeAnswer, SurroundingsError
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import CudaRelease
from cudaforge.matrix.pins import pin_of
from cudaforge.measurer import Limits, Measured, measure_wheel
from cudaforge.packages.site import Site
from cudaforge.pipeline.host import cache_directory
from cudaforge.pipeline.outside import registry_access
from cudaforge.refresher import FoundRelease, default_index, read_project
from cudaforge.refresher.metadata import read_requirements
from cudaforge.refresher.model import WheelFile
from cudaforge.refresher.redistrib import VendorRelease, list_releases, read_release
from cudaforge.refresher.toolkits import wanted_labels
from cudaforge.registry import ImageConfig, list_tags, read_image
from cudaforge.versions import Version
from cudaforge.web import Client, RemoteFile
from cudaforge.web.cache import Cache

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_SECONDS = 30.0
_ALL_SECONDS = 900.0
_TAG_SECONDS = 120.0
_PLATFORMS = ("linux/amd64", "linux/arm64")
_MOST_MANIFESTS = 12
_Answer = TypeVar("_Answer")


class Sources:
    """Indexes, registries and feeds as this site reaches them. Answers are kept for the run, so that nothing
    is asked twice. `asked` are the sources that answered, `reasons` those that did not."""

    def __init__(self, site: Site, indexes: Mapping[str, str]) -> None:
        self._addresses = {**indexes, **site.named_indexes, DEFAULT_INDEX: site.index_url or default_index()}
        self._client = Client(
            timeout=_SECONDS,
            run_timeout=_ALL_SECONDS,
            ca_bundle=site.ca_bundle,
            proxies=site.proxies,
            cache=Cache(cache_directory() / "web"),
        )
        self._access = registry_access(site, timeout=_TAG_SECONDS)
        self._silent: dict[str, str] = {}
        self._kept: dict[object, object] = {}
        self.asked: dict[str, None] = {}
        self.reasons: dict[str, str] = {}

    def releases(self, index: str, package: str) -> Mapping[str, FoundRelease] | None:
        """The releases of a package; None where the index cannot be asked."""
        address = self._addresses.get(index)
        if address is None:
            return None
        name = f"{index}: {package}"
        return self._ask(name, address, lambda: read_project(self._client, address, package))

    def tags(self, repository: str) -> tuple[str, ...] | None:
        """The tags of a repository; None where its registry cannot be asked, or has no such repository."""
        return self._ask(
            repository, f"oci://{_host(repository)}", lambda: list_tags(repository, self._access)
        )

    def image(self, reference: str) -> tuple[ImageConfig, ...] | None:
        """What an image says of itself; None where it cannot be read."""

        def ask() -> tuple[ImageConfig, ...]:
            return read_image(reference, self._access, platforms=_PLATFORMS)

        return self._quietly(("image", reference), reference, ask)

    def feed(self, url: str, product: str, known: Sequence[Version]) -> tuple[VendorRelease, ...] | None:
        """The releases of a feed from the newest known one on; None where it cannot be asked."""

        def ask() -> tuple[VendorRelease, ...]:
            labels = wanted_labels(list_releases(self._client, url), known, most=_MOST_MANIFESTS)
            return tuple(read_release(self._client, url, label, product=product) for label in labels)

        return self._ask(url, url, ask)

    def requirements(self, wheel: WheelFile) -> tuple[Requirement, ...] | None:
        """What a wheel requires; None where it cannot be read."""
        if not wheel.url:
            return None
        key = ("METADATA", wheel.url)
        return self._quietly(key, wheel.filename, lambda: read_requirements(self._client, wheel))

    def measure(self, wheel: WheelFile) -> Measured | None:
        """What a wheel says of itself, without what is too large to fetch; None where it cannot be read."""
        if not wheel.url:
            return None

        def ask() -> Measured:
            return measure_wheel(RemoteFile(self._client, wheel.url), wheel.filename, limits=Limits())

        return self._quietly(("measured", wheel.url), wheel.filename, ask)

    def libraries_of(self, release: CudaRelease) -> Mapping[str, str]:
        """The wheels that the release's metapackage pins, with their versions; none where nobody says."""
        pin = pin_of(release.metapackage or "")
        found = self.releases(DEFAULT_INDEX, pin[0]) if pin is not None else None
        wheels = found[pin[1]].wheels if found and pin is not None and pin[1] in found else ()
        requires = self.requirements(wheels[0]) if wheels else None
        pins = {one.name.lower(): list(one.specifier) for one in requires or ()}
        return {
            name: limits[0].version.removesuffix(".*") for name, limits in pins.items() if len(limits) == 1
        }

    def _ask(self, name: str, address: str, ask: Callable[[], _Answer]) -> _Answer | None:
        host = urlsplit(address).netloc
        if host not in self._silent:
            try:
                found = self._once(name, ask)
            except NegativeAnswer as error:
                self.reasons[name] = error.problems[0].what
                return None
            except SurroundingsError as error:
                self._silent[host] = error.problems[0].what
            else:
                self.asked[name] = None
                return found
        self.reasons[name] = self._silent[host]
        return None

    def _quietly(self, key: object, name: str, ask: Callable[[], _Answer]) -> _Answer | None:
        try:
            return self._once(key, ask)
        except (SurroundingsError, NegativeAnswer, InputError) as error:
            self.reasons[name] = error.problems[0].what
            return None

    def _once(self, key: object, ask: Callable[[], _Answer]) -> _Answer:
        if key not in self._kept:
            self._kept[key] = ask()
        kept: _Answer = self._kept[key]  # type: ignore[assignment]  # what `ask` of this key answered
        return kept


def _host(repository: str) -> str:
    from cudaforge.references import parse_reference

    return parse_reference(repository).registry

"""Pinning bases: each once, with the manifest of every platform of the image."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.errors import NegativeAnswer
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import LockedBase, PlatformManifest
from cudaforge.packages.site import DeclaredNetwork, read_site
from cudaforge.pipeline.bases import BasePins, bootstrapped_base
from cudaforge.pipeline.outside import DigestSource
from tests.unit.registry.server import Server, serving
from tests.unit.registry.test_registry_client import IMAGES, INDEX, digest_of, manifests

AMD, BOTH = ("linux/amd64",), ("linux/amd64", "linux/arm64")
REFERENCE = "registry.example/team/app:1"


def request(reference: str, platforms: tuple[str, ...] = BOTH, packages: tuple[str, ...] = ()) -> BaseRequest:
    return BaseRequest(
        reference=reference, codename="bookworm", platforms=platforms, bootstrap_packages=packages
    )


def base(mark: str, platforms: tuple[str, ...] = BOTH) -> LockedBase:
    several = platforms if len(platforms) > 1 else ()
    return LockedBase(
        reference=REFERENCE,
        digest=f"sha256:{mark * 64}",
        codename="bookworm",
        manifests=tuple(PlatformManifest(platform=one, digest=f"sha256:{mark * 64}") for one in several),
    )


class Registry:
    """Gives another digest each time."""

    def __init__(self) -> None:
        self.asked: list[BaseRequest] = []

    def find(self, request: BaseRequest) -> LockedBase:
        self.asked.append(request)
        return base("abcdef"[len(self.asked) - 1], request.platforms)


def pins(registry: Registry, *previous: LockedBase) -> BasePins:
    return BasePins(previous=previous, find_base=registry.find, make_base=registry.find)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with serving(manifests(IMAGES)) as running:
        yield running


def source(tmp_path: Path) -> DigestSource:
    declared = DeclaredNetwork(indexes={}, registries={}, root=tmp_path)
    site = read_site(declared, environ={}, offline=False, prefix=tmp_path)
    return DigestSource(site=site, allow_unpinned=False, on_note=lambda _: None)


def test_the_index_and_the_manifest_of_each_platform_are_pinned(server: Server, tmp_path: Path) -> None:
    reference = f"{server.host}/team/app:1"
    found = source(tmp_path).find(request(reference))
    assert found.digest == digest_of(INDEX)
    assert {one.platform: one.digest for one in found.manifests} == {
        "linux/amd64": digest_of(b"linux/amd64"),
        "linux/arm64": digest_of(b"linux/arm64/v8"),
    }
    assert source(tmp_path).find(request(reference, AMD)).manifests == ()


def test_a_base_of_one_platform_makes_no_image_of_several(server: Server, tmp_path: Path) -> None:
    with pytest.raises(NegativeAnswer, match="has no image for linux/amd64 and linux/arm64"):
        source(tmp_path).find(request(f"{server.host}/team/app:single"))


def test_images_of_the_same_platforms_share_a_base() -> None:
    registry = Registry()
    known = pins(registry)
    assert known.pin(request(REFERENCE)) == known.pin(request(REFERENCE))
    assert known.pin(request(REFERENCE, AMD)).manifests == ()
    assert len(registry.asked) == 2


def test_what_an_earlier_lock_pinned_is_kept_while_the_platforms_stay() -> None:
    registry = Registry()
    own = base("9")
    assert pins(registry, own).pin(request(REFERENCE), own=own) == own
    assert not registry.asked
    assert pins(registry, own).pin(request(REFERENCE, AMD), own=own) == base("a", AMD)
    single = base("8", AMD)
    assert pins(registry, single).pin(request(REFERENCE), own=single) == base("b")


def test_a_bootstrapped_base_of_several_platforms_is_refused_with_the_way_round() -> None:
    with pytest.raises(NegativeAnswer) as caught:
        bootstrapped_base(
            request("bootstrap:debian12", packages=("python3",)),
            site=read_site(DeclaredNetwork(indexes={}, registries={}, root=Path()), environ={}),
            offline=True,
        )
    (problem,) = caught.value.problems
    assert problem.what == "bootstrap:debian12 cannot be bootstrapped for linux/amd64 and linux/arm64 at once"
    assert "axis `platforms`" in str(problem.remedy)

"""Pinning bases: each once, with the manifest of every platform of the image."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import LockedBase, PlatformManifest
from cudaforge.once import NotAsked
from cudaforge.packages.site import DeclaredNetwork, read_site
from cudaforge.pipeline.bases import BasePins, bootstrapped_base
from cudaforge.pipeline.outside import DigestSource
from cudaforge.records import replace
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


class Silent(Registry):
    """Has the images of one platform alone, and none of the second one."""

    def find(self, request: BaseRequest) -> LockedBase:
        self.asked.append(request)
        if request.reference != REFERENCE:
            raise SurroundingsError(Problem(what="the registry is silent"))
        if request.platforms != AMD:
            raise NegativeAnswer(Problem(what=f"no image for {request.platforms[0]}"))
        return base("a", AMD)


def test_a_base_that_cannot_be_had_is_asked_for_once_by_all_images() -> None:
    registry = Silent()
    known = pins(registry)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(known.pin, request("registry.example/other:1", AMD)) for _ in range(20)]
        errors = [one.exception(10) for one in waiting]
    assert {str(error) for error in errors} == {"the registry is silent"}
    assert len(registry.asked) == 1


def test_what_one_platform_lacks_another_may_have() -> None:
    registry = Silent()
    known = pins(registry)
    with pytest.raises(NegativeAnswer, match="no image for linux/arm64"):
        known.pin(request(REFERENCE, ("linux/arm64",)))
    assert known.pin(request(REFERENCE, AMD)) == base("a", AMD)
    assert len(registry.asked) == 2


def test_several_images_ask_for_different_bases_at_a_time() -> None:
    together = threading.Barrier(3)

    def find(one: BaseRequest) -> LockedBase:
        together.wait(10)
        return replace(base("a", AMD), reference=one.reference)

    known = BasePins(find_base=find, make_base=find)
    with ThreadPoolExecutor(3) as pool:
        asked = [request(f"registry.example/team/app:{number}", AMD) for number in range(3)]
        found = list(pool.map(known.pin, asked))
    assert [one.reference for one in found] == [one.reference for one in asked]


def test_after_the_pins_are_closed_what_is_known_is_given_and_nothing_is_asked() -> None:
    registry = Registry()
    known = pins(registry, base("9", AMD))
    known.pin(request(REFERENCE))
    known.close()
    assert known.pin(request(REFERENCE)) == base("a")
    assert known.pin(request(REFERENCE, AMD)) == base("9", AMD)
    with pytest.raises(NotAsked):
        known.pin(request("registry.example/other:1"))
    assert len(registry.asked) == 1

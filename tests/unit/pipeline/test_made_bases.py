"""Pinning bases once per run: what is made here is of one platform, what a registry has is of all."""

from cudaforge.lockfile.compose import BaseRequest
from cudaforge.lockfile.model import LockedBase, OsPackage
from cudaforge.pipeline.bases import BasePins
from cudaforge.records import replace


def request(platform: str, reference: str = "bootstrap:debian12") -> BaseRequest:
    packages = ("python3.11",) if reference.startswith("bootstrap:") else ()
    return BaseRequest(
        reference=reference, codename="bookworm", platforms=(platform,), bootstrap_packages=packages
    )


def made(one: BaseRequest) -> LockedBase:
    architecture = one.platforms[0].partition("/")[2]
    package = OsPackage(
        name="python3.11", version="1", architecture=architecture, filename="p", sha256="0" * 64, size=1
    )
    return LockedBase(
        reference=one.reference, digest=f"of {architecture}", codename=one.codename, packages=(package,)
    )


def registry_base(one: BaseRequest) -> LockedBase:
    return LockedBase(reference=one.reference, digest=f"asked for {one.platforms[0]}", codename=one.codename)


def pins(*previous: LockedBase) -> BasePins:
    return BasePins(previous=previous, find_base=registry_base, make_base=made)


def test_each_platform_has_a_made_base_of_its_own():
    both = pins()
    first, second, again = (
        both.pin(request(platform)).digest for platform in ("linux/amd64", "linux/arm64", "linux/amd64")
    )
    assert (first, second, again) == ("of amd64", "of arm64", "of amd64")


def test_a_base_of_an_earlier_lock_is_kept_for_its_platform_alone():
    earlier = made(request("linux/amd64"))
    assert pins(earlier).pin(request("linux/amd64")) is earlier
    assert pins(earlier).pin(request("linux/arm64"), own=earlier).digest == "of arm64"


def test_a_registry_s_base_is_asked_for_once():
    both = pins()
    found = {both.pin(request(one, "debian:12")).digest for one in ("linux/amd64", "linux/arm64")}
    assert found == {"asked for linux/amd64"}


def test_a_base_whose_packages_are_gone_is_made_anew_once() -> None:
    earlier = made(request("linux/amd64"))
    asked: list[BaseRequest] = []

    def make(one: BaseRequest) -> LockedBase:
        asked.append(one)
        return replace(made(one), digest="of today")

    known = BasePins(previous=[earlier], gone={"of amd64"}, find_base=registry_base, make_base=make)
    for own in (earlier, None, earlier):
        assert known.pin(request("linux/amd64"), own=own).digest == "of today"
    assert len(asked) == 1

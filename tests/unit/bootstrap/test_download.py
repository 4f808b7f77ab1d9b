import pytest

from cudaforge.bootstrap import SnapshotSite, download
from cudaforge.bootstrap.model import BootstrapPackage
from cudaforge.bootstrap.sources import Source
from cudaforge.errors import SurroundingsError

PACKAGE = BootstrapPackage(
    name="bash", version="5.2", architecture="amd64", filename="pool/bash.deb", sha256="a" * 64, size=1
)


def complain(*complaints: str, count: int = 1) -> tuple[str, str | None, tuple[str, ...]]:
    with pytest.raises(SurroundingsError) as caught:
        download._require_all([PACKAGE] * count, complaints)
    (problem,) = caught.value.problems
    return problem.what, problem.remedy, problem.because


def test_a_package_that_is_gone_asks_for_a_new_lock():
    other = "Failed to fetch http://x/pool/other.deb  404  Not Found"
    what, remedy, because = complain("Failed to fetch http://x/pool/bash.deb  404  Not Found", other)
    assert what == "the OS archive no longer has bash 5.2"
    assert "cudaforge lock" in (remedy or "")
    with pytest.raises(download.PackagesGone):
        download._require_all([PACKAGE], because)
    assert because == ("Failed to fetch http://x/pool/bash.deb  404  Not Found",)


def test_other_bytes_than_the_lock_has_are_said():
    what, _, _ = complain(
        "Failed to fetch http://x/pool/bash.deb  Hash Sum mismatch",
        "Failed to fetch http://y/pool/bash.deb  404  Not Found",
    )
    assert what == "the OS archive has other files than the lock for bash 5.2"


def test_an_archive_that_is_away_is_not_one_without_the_package():
    what, _, _ = complain("Failed to fetch http://x/pool/bash.deb  Temporary failure resolving 'x'")
    assert what == "bash 5.2 cannot be fetched: the OS archive cannot be reached"


def test_many_packages_are_counted():
    what, _, because = complain(count=5)
    assert what == "bash 5.2, bash 5.2, bash 5.2 and 2 more cannot be fetched from the OS archive"
    assert because == ()


@pytest.mark.parametrize(
    "said", ["404  Not Found", "Temporary failure resolving 'x'", "500  Internal Server Error"]
)
def test_a_snapshot_service_is_named_with_its_setting(said: str):
    service = SnapshotSite(name="debian", address="http://x/archive")
    source = Source(address="http://x/archive/d", suite="s", components=(), keyring="/k", service=service)
    with pytest.raises(SurroundingsError) as caught:
        download._require_all([PACKAGE], (f"Failed to fetch http://x/pool/bash.deb  {said}",), (source,))
    (problem,) = caught.value.problems
    assert "the snapshot service debian at http://x/archive" in problem.what
    assert "[network.os_snapshots] debian" in (problem.remedy or "")
    assert "apt-get" not in (problem.remedy or "")

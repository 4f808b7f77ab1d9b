import hashlib
import tarfile

import pytest

from cudaforge.bootstrap.assemble import assemble_bootstrap
from cudaforge.bootstrap.download import refuse_missing
from cudaforge.bootstrap.model import BootstrapPackage, BootstrapPlan
from cudaforge.errors import SurroundingsError
from tests.unit.bootstrap.debs import CONTROL, make_deb


def plan_with(cache, *names: str) -> BootstrapPlan:
    """A plan whose packages are in the cache."""
    (cache / "debs").mkdir(parents=True, exist_ok=True)
    packages = []
    for name in names:
        info = tarfile.TarInfo(f"./usr/bin/{name}")
        info.mode = 0o755
        deb = make_deb(
            control={"control": CONTROL.format(name=name, multi="no").encode()}, data=[(info, b"x")]
        )
        digest = hashlib.sha256(deb).hexdigest()
        (cache / "debs" / f"{digest}.deb").write_bytes(deb)
        packages.append(
            BootstrapPackage(
                name=name,
                version="1.0",
                architecture="amd64",
                filename=f"pool/{name}.deb",
                sha256=digest,
                size=len(deb),
            )
        )
    return BootstrapPlan(codename="bookworm", architecture="amd64", packages=tuple(packages))


def test_a_base_is_made_once_and_then_found(tmp_path):
    plan = plan_with(tmp_path, "aa", "bb")
    image = assemble_bootstrap(plan, cache=tmp_path, fetch=refuse_missing)

    def never(*_: object) -> None:
        raise AssertionError

    assert assemble_bootstrap(plan, cache=tmp_path, fetch=never) == image
    left = sorted(path.name for path in (tmp_path / "bases").iterdir())
    assert left == [image.layout.name, f"{image.layout.name}.lock"]


def test_two_caches_get_the_same_digest(tmp_path):
    first = assemble_bootstrap(plan_with(tmp_path / "1", "aa"), cache=tmp_path / "1", fetch=refuse_missing)
    second = assemble_bootstrap(plan_with(tmp_path / "2", "aa"), cache=tmp_path / "2", fetch=refuse_missing)
    assert first.digest == second.digest


def test_offline_says_what_is_missing(tmp_path):
    plan = plan_with(tmp_path, "aa")
    next((tmp_path / "debs").glob("*.deb")).unlink()
    with pytest.raises(SurroundingsError) as caught:
        assemble_bootstrap(plan, cache=tmp_path, fetch=refuse_missing)
    assert caught.value.problems[0].because == ("aa 1.0",)


def test_a_damaged_package_is_removed_and_nothing_half_made_stays(tmp_path):
    plan = plan_with(tmp_path, "aa")
    stored = next((tmp_path / "debs").glob("*.deb"))
    stored.write_bytes(b"?" * stored.stat().st_size)
    with pytest.raises(SurroundingsError, match="was damaged and has been removed"):
        assemble_bootstrap(plan, cache=tmp_path, fetch=refuse_missing)
    assert not stored.exists()
    assert [path.suffix for path in (tmp_path / "bases").iterdir()] == [".lock"]


def test_an_interruption_leaves_nothing_half_made(tmp_path):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemble_bootstrap(plan_with(tmp_path, "aa"), cache=tmp_path, fetch=interrupt)
    assert [path.suffix for path in (tmp_path / "bases").iterdir()] == [".lock"]

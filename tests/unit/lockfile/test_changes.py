"""No difference between two locks is left out, and each says what it means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.lockfile.changes import Status, compare_images, compare_locks
from cudaforge.lockfile.effects import Effect, KnownGpus, known_gpus
from cudaforge.lockfile.model import (
    DroppedPoint,
    LockedCopy,
    LockedImage,
    LockedVerify,
    LockedWheel,
    OsPackage,
)
from cudaforge.lockfile.text import dump_lock, load_lock
from cudaforge.matrix import load_matrix
from cudaforge.records import field_names, replace
from cudaforge.versions import Version
from tests.support.locks import (
    BASE_DIGEST,
    BOTH_IMAGE,
    CPU_IMAGE,
    GPU_IMAGE,
    SNAPSHOT,
    STANDALONE,
    STANDALONE_IMAGE,
    make_lock,
)
from tests.unit.lockfile.test_lock_properties import images, locks

NOBODY = KnownGpus(names={}, embedded=frozenset((Version("8.7"),)))
OTHER = {
    "image": "other",
    "tags": ("other:1",),
    "base": replace(GPU_IMAGE.base, digest="sha256:" + "9" * 64),
    "frameworks": (replace(GPU_IMAGE.frameworks[0], proof="other"),),
    "cuda": "13.0",
    "cudnn": "10",
    "nccl": None,
    "cuda_provider": "system",
    "toolkit": "12.8",
    "driver_floor": "580",
    "gate": "",
    "forward_compat": True,
    "architectures": ("sm_90", "sm_80"),
    "ptx": (),
    "python": "3.12",
    "python_provider": "distro",
    "standalone": STANDALONE,
    "os": "debian13",
    "os_family": "other",
    "flavor": "devel",
    "platforms": ("linux/arm64",),
    "os_packages": ("git",),
    "snapshot": SNAPSHOT,
    "base_user": "ubuntu",
    "closure": replace(GPU_IMAGE.closure, sha256="8" * 64),
    "companions": {"torchvision": "0.24.0"},
    "copy": (LockedCopy(source="src", target="/app"),),
    "workdir": "/",
    "env": {},
    "command": None,
    "entrypoint": (),
    "user": "root",
    "labels": {"a": "b"},
    "max_size": 1,
    "run": ("true",),
    "secrets": ("token",),
    "ssh": True,
    "template": "own.j2",
    "verify": LockedVerify(gpu="off", steps=20, memory_limit=None, timeout=300.0),
}


def changes(old: LockedImage, new: LockedImage):
    return compare_images(old, new, gpus=NOBODY).changes


def effect(field: str, old: LockedImage = GPU_IMAGE, **new: object) -> Effect:
    (change,) = [one for one in changes(old, replace(old, **new)) if one.field == field]
    return change.effect


@pytest.mark.parametrize("field", sorted(set(field_names(LockedImage)) - {"name", "digest"}))
def test_whatever_is_locked_is_compared(field: str) -> None:
    found = changes(GPU_IMAGE, replace(GPU_IMAGE, **{field: OTHER[field]}))
    assert found
    assert {change.field.partition(".")[0] for change in found} == {field}


@settings(max_examples=40)
@given(locks())
def test_a_lock_does_not_differ_from_itself(made) -> None:
    lock, closures = made
    again = load_lock(dump_lock(lock), file="cudaforge.lock", read_closure=closures.__getitem__)
    assert compare_locks(lock, again, gpus=NOBODY).is_empty


@settings(max_examples=60)
@given(locks(), locks())
def test_two_locks_without_a_difference_say_the_same(one, other) -> None:
    old, new = one[0], replace(other[0], declared=one[0].declared)  # told by the declaration's digest
    found = compare_locks(old, new, gpus=NOBODY)
    assert found.is_empty == (dump_lock(old) == dump_lock(new))


@settings(max_examples=100)
@given(images("a"), images("a"), st.data())
def test_every_field_that_differs_is_named(one, other, data) -> None:
    old, new = one[0], other[0]
    fields = data.draw(st.sets(st.sampled_from(sorted(OTHER)), max_size=3))
    new = replace(new, **{field: OTHER[field] for field in fields})
    named = {change.field.partition(".")[0] for change in changes(old, new)}
    named |= {"closure"} if "packages" in named else set()
    differing = {
        field for field in field_names(LockedImage) if getattr(old, field) != getattr(new, field)
    } - {"digest"}
    assert differing <= named | ({"closure"} if old.python != new.python else set())
    assert named <= differing | {"closure"} | {"packages"}


@pytest.mark.parametrize(
    ("field", "old", "new", "expected"),
    [
        ("driver_floor", "525.60.13", "580.65.06", Effect.LOSS),
        ("driver_floor", "525.9", "525.60.13", Effect.LOSS),
        ("driver_floor", "580", "525.60.13", Effect.GAIN),
        ("driver_floor", "580", None, Effect.MOVE),
        ("cuda", "12.8", "12.10", Effect.MOVE),
        ("cuda", "12.10", "12.9", Effect.LOSS),
        ("cuda", "12.8", "13.0", Effect.LOSS),
        ("cuda", None, "13.0", Effect.GAIN),
        ("cuda", "12.8", None, Effect.LOSS),
        ("cudnn", "8.9", "9.1", Effect.LOSS),
        ("python", "3.9", "3.10", Effect.LOSS),
        ("python", "3.12", "3.12", None),
        ("os", "debian12", "debian13", Effect.LOSS),
        ("flavor", "devel", "runtime", Effect.LOSS),
        ("flavor", "base", "runtime", Effect.GAIN),
        ("forward_compat", True, False, Effect.LOSS),
        ("user", "app", "root", Effect.MOVE),
        ("cuda", "no version", "13.0", Effect.MOVE),
    ],
)
def test_what_a_difference_means(field: str, old: object, new: object, expected: Effect | None) -> None:
    before = replace(GPU_IMAGE, **{field: old})
    if expected is None:
        assert changes(before, replace(before, **{field: new})) == ()
    else:
        assert effect(field, before, **{field: new}) is expected


@pytest.mark.parametrize(
    ("dropped", "left", "expected"),
    [
        ("sm_70", ("sm_75", "sm_80"), Effect.LOSS),
        ("sm_86", ("sm_80", "sm_90"), Effect.MOVE),
        ("sm_80", ("sm_86",), Effect.LOSS),
        ("sm_87", ("sm_80",), Effect.LOSS),
        ("sm_103", ("sm_100",), Effect.MOVE),
        ("strange", ("sm_80",), Effect.LOSS),
    ],
)
def test_code_that_goes_is_a_loss_unless_what_is_left_runs(
    dropped: str, left: tuple[str, ...], expected: Effect
) -> None:
    before = replace(GPU_IMAGE, architectures=(*left, dropped))
    assert effect("architectures", before, architectures=left) is expected


def test_losses_stand_before_gains_before_the_rest() -> None:
    new = replace(
        GPU_IMAGE, user="root", architectures=("sm_90", "sm_120"), platforms=("linux/amd64", "linux/arm64")
    )
    effects = [change.effect for change in changes(GPU_IMAGE, new)]
    assert effects == sorted(effects, key=tuple(Effect).index)
    assert set(effects) == set(Effect)


def test_frameworks_packages_and_bases_are_compared_by_name() -> None:
    framework = replace(GPU_IMAGE.frameworks[0], version="2.9.1", reported="2.9.1+cu130", build="cu130")
    jax = replace(framework, name="jax", reported="0.8.1", version="0.8.1", build="cuda13")
    found = changes(GPU_IMAGE, replace(GPU_IMAGE, frameworks=(framework, jax)))
    assert [(one.field, one.old, one.new, one.effect) for one in found] == [
        ("frameworks.jax", None, "0.8.1", Effect.GAIN),
        ("frameworks.pytorch", "2.8.0+cu128", "2.9.1+cu130", Effect.MOVE),
    ]
    older = replace(jax, build="cuda12")
    both = replace(GPU_IMAGE, frameworks=(jax,)), replace(GPU_IMAGE, frameworks=(older,))
    assert [(one.field, one.old, one.new) for one in changes(*both)] == [
        ("frameworks.jax.build", "cuda13", "cuda12")
    ]
    wheel = GPU_IMAGE.closure.wheels[0]
    numpy = LockedWheel(
        package="numpy",
        version="2",
        filename="numpy-2-py3-none-any.whl",
        index="default",
        sha256="0" * 64,
        size=1,
    )
    closure = replace(GPU_IMAGE.closure, sha256="7" * 64, wheels=(replace(wheel, sha256="6" * 64), numpy))
    found = changes(GPU_IMAGE, replace(GPU_IMAGE, closure=closure))
    assert [one.field for one in found] == ["packages.numpy", "packages.torch"]
    assert "6" * 64 in str(found[1].new)
    package = OsPackage(name="x", version="1", architecture="all", filename="x.deb", sha256="1" * 64, size=1)
    base = replace(CPU_IMAGE.base, packages=(*CPU_IMAGE.base.packages, package), digest=None)
    assert [one.field for one in changes(CPU_IMAGE, replace(CPU_IMAGE, base=base))] == ["base.packages.x"]


def test_what_is_known_by_its_hash_alone_is_told_as_such() -> None:
    missing = replace(GPU_IMAGE.closure, wheels=(), is_missing=True)
    assert changes(GPU_IMAGE, replace(GPU_IMAGE, closure=missing)) == ()
    other = replace(GPU_IMAGE, closure=replace(missing, sha256="9" * 64))
    change = compare_images(GPU_IMAGE, other, gpus=NOBODY)
    assert [one.field for one in change.changes] == ["closure"]
    assert change.new_bytes is None


def test_images_that_come_and_go_and_what_belongs_to_none() -> None:
    old = replace(make_lock(GPU_IMAGE), dropped=(DroppedPoint(name="a", core=("x",)),))
    new = replace(make_lock(CPU_IMAGE), matrix="8" * 64, tools={"uv": "1"}, project="other")
    found = compare_locks(old, new, gpus=NOBODY)
    assert {one.field for one in found.changes} == {
        "project",
        "matrix",
        "tools.uv",
        "tools.cudaforge",
        "dropped.a",
    }
    assert {one.name: one.status for one in found.images} == {
        CPU_IMAGE.name: Status.ADDED,
        GPU_IMAGE.name: Status.REMOVED,
    }
    assert [one.status for one in compare_locks(None, new, gpus=NOBODY).images] == [Status.ADDED]
    both = make_lock(GPU_IMAGE, CPU_IMAGE)
    turned = replace(both, images=both.images[::-1])
    assert [one.field for one in compare_locks(both, turned, gpus=NOBODY).changes] == ["images"]


def test_the_gpus_of_the_facts_have_names() -> None:
    gpus = known_gpus(load_matrix())
    assert gpus.names["sm_70"][0] == "V100"
    assert any("5090" in name for name in gpus.names["sm_120"][:2])
    assert Version("8.7") in gpus.embedded
    assert Version("9.0") not in gpus.embedded


def test_one_reference_may_stand_for_two_bases() -> None:
    from cudaforge.lockfile.compose import entry_digest
    from cudaforge.lockfile.pylock import closure_file, dump_closure, load_closure

    text = dump_closure((), python="3.11")

    def made(name: str, digest: str | None) -> LockedImage:
        image = replace(
            GPU_IMAGE,
            name=name,
            base=replace(GPU_IMAGE.base, digest=digest),
            closure=load_closure(text, file=closure_file(name)),
        )
        return replace(image, digest=entry_digest(image))

    lock = make_lock(made("a", BASE_DIGEST), made("b", "sha256:" + "9" * 64), made("c", None))
    again = load_lock(dump_lock(lock), file="cudaforge.lock", read_closure=lambda file: text)
    assert again == lock
    assert dump_lock(again) == dump_lock(lock)


def test_of_a_standalone_python_the_release_is_told_and_else_the_archive():
    newer = replace(STANDALONE_IMAGE, standalone=replace(STANDALONE, version="3.11.18"))
    (change,) = compare_images(STANDALONE_IMAGE, newer, gpus=NOBODY).changes
    assert (change.field, change.old, change.new) == ("standalone", "3.11.17", "3.11.18")
    other = (replace(STANDALONE.archives[0], sha256="9" * 64),)
    again = replace(STANDALONE_IMAGE, standalone=replace(STANDALONE, archives=other))
    (change,) = compare_images(STANDALONE_IMAGE, again, gpus=NOBODY).changes
    assert "8" * 64 in change.old
    assert "9" * 64 in change.new


def test_another_platform_is_told_alone_and_packages_once_for_all() -> None:
    wheels = BOTH_IMAGE.closure.wheels
    one = replace(
        BOTH_IMAGE,
        platforms=("linux/amd64",),
        base=replace(BOTH_IMAGE.base, manifests=()),
        standalone=STANDALONE,
        closure=replace(BOTH_IMAGE.closure, sha256="7" * 64, wheels=(replace(wheels[0], platforms=()),)),
    )
    told = {(change.field, change.old, change.new) for change in changes(one, BOTH_IMAGE)}
    assert ("platforms", None, "linux/arm64") in told
    assert {field for field, _, _ in told} == {"platforms", "standalone"}
    newer = replace(
        BOTH_IMAGE.closure,
        sha256="7" * 64,
        wheels=tuple(replace(wheel, version="2.8.1+cu128") for wheel in wheels),
    )
    told = {
        (change.field, change.old, change.new)
        for change in changes(BOTH_IMAGE, replace(BOTH_IMAGE, closure=newer))
    }
    assert told == {("packages.torch", "2.8.0+cu128", "2.8.1+cu128")}
    moved = replace(
        BOTH_IMAGE.closure, sha256="7" * 64, wheels=(wheels[0], replace(wheels[1], sha256="6" * 64))
    )
    (change,) = changes(BOTH_IMAGE, replace(BOTH_IMAGE, closure=moved))
    assert change.field == "packages.torch"
    assert "6" * 64 in str(change.new)


def test_the_manifest_of_a_platform_is_told_where_the_index_stayed() -> None:
    first, second = BOTH_IMAGE.base.manifests
    other = replace(BOTH_IMAGE.base, manifests=(first, replace(second, digest=f"sha256:{'c' * 64}")))
    (change,) = changes(BOTH_IMAGE, replace(BOTH_IMAGE, base=other))
    assert change.field == "base.manifests.linux/arm64"

"""Any lock comes back from its text as it was, and says the same bytes again."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.errors import NegativeAnswer
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.model import Declared, DroppedPoint, Lock, LockedCopy, LockedImage
from cudaforge.lockfile.pylock import closure_file, dump_closure, load_closure
from cudaforge.lockfile.text import dump_lock, load_lock
from cudaforge.packages.model import LockedWheel
from cudaforge.records import replace
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, SNAPSHOT, make_lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
WORDS = st.lists(TEXTS, max_size=3).map(tuple)
TABLES = st.dictionaries(TEXTS, TEXTS, max_size=3)
WRITTEN = st.dictionaries(TEXTS, TEXTS | WORDS | st.booleans() | st.integers(0, 2**50), max_size=3)
NAMES = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True)
HASHES = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
WHEELS = st.builds(
    lambda package, version, index, sha256, size: LockedWheel(
        package=package,
        version=version,
        filename=f"{package.replace('-', '_')}-{version}-py3-none-any.whl",
        index=index,
        sha256=sha256,
        size=size,
    ),
    NAMES,
    st.from_regex(r"[0-9]+\.[0-9]+(\+cu[0-9]{3})?", fullmatch=True),
    NAMES,
    HASHES,
    st.none() | st.integers(0, 2**40),
)


@st.composite
def images(draw, name: str) -> tuple[LockedImage, str]:
    wheels = draw(st.lists(WHEELS, max_size=4, unique_by=lambda wheel: wheel.package))
    text = dump_closure(wheels, python="3.11")
    image = replace(
        draw(st.sampled_from((GPU_IMAGE, CPU_IMAGE))),
        name=name,
        closure=load_closure(text, file=closure_file(name)),
        env=draw(TABLES),
        labels=draw(TABLES),
        command=draw(st.none() | WORDS),
        entrypoint=draw(st.none() | WORDS),
        run=draw(WORDS),
        gate=draw(st.none() | TEXTS),
        ssh=draw(st.booleans()),
        snapshot=draw(st.none() | st.just(SNAPSHOT)),
        max_size=draw(st.none() | st.integers(0, 2**50)),
        copy=tuple(LockedCopy(source=one, target=other) for one, other in draw(TABLES).items()),
    )
    return replace(image, digest=entry_digest(image)), text


@st.composite
def locks(draw) -> tuple[Lock, dict[str, str]]:
    made = [draw(images(name)) for name in draw(st.lists(NAMES, max_size=3, unique=True))]
    lock = Lock(
        project=draw(NAMES),
        declaration=draw(HASHES),
        matrix=draw(HASHES),
        tools=draw(TABLES),
        images=tuple(image for image, _ in made),
        dropped=tuple(
            DroppedPoint(name=name, core=draw(WORDS.filter(all)))  # every wish says something
            for name in draw(st.sets(NAMES, max_size=2))
        ),
        declared=tuple(
            Declared(images=draw(WORDS), values=draw(WRITTEN)) for _ in range(draw(st.integers(0, 2)))
        ),
    )
    return lock, {image.closure.file: text for image, text in made}


@settings(max_examples=50)
@given(locks())
def test_every_lock_comes_back(made):
    lock, closures = made
    text = dump_lock(lock)
    assert load_lock(text, file="cudaforge.lock", read_closure=closures.__getitem__) == lock
    assert dump_lock(lock) == text


@settings(max_examples=50)
@given(locks(), st.data())
def test_any_byte_that_changes_what_is_locked_is_noticed(made, data):
    """A lock that reads at all after an edit of an entry's text either is refused or says the same."""
    lock, closures = made
    text = dump_lock(lock)
    start = text.find("[[images]]")
    if start < 0:
        return
    position = data.draw(st.integers(start, len(text) - 1))
    edited = text[:position] + data.draw(st.sampled_from("ax0 \"'=\n[")) + text[position + 1 :]
    try:
        again = load_lock(edited, file="cudaforge.lock", read_closure=closures.__getitem__)
    except NegativeAnswer:
        return
    assert all(image in lock.images for image in again.images)


@given(st.permutations(("A", "B", "C")))
def test_the_order_of_tables_is_not_part_of_the_identity(order):
    image = replace(GPU_IMAGE, env={name: name for name in order})
    assert entry_digest(image) == entry_digest(replace(GPU_IMAGE, env={"A": "A", "B": "B", "C": "C"}))


@pytest.mark.parametrize(
    "change",
    [
        {"python": "3.12"},
        {"gate": ""},
        {"command": ()},
        {"command": None},
        {"env": {}},
        {"ssh": True},
        {"snapshot": SNAPSHOT},
        {"closure": replace(GPU_IMAGE.closure, sha256="0" * 64)},
    ],
)
def test_whatever_is_locked_is_part_of_the_identity(change):
    assert entry_digest(replace(GPU_IMAGE, **change)) != entry_digest(GPU_IMAGE)


def test_bytes_do_not_depend_on_locale_time_zone_or_hash_seed():
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1])\n"
        "from cudaforge.lockfile.text import dump_lock\n"
        "from tests.support.locks import CPU_IMAGE, GPU_IMAGE, make_lock\n"
        "print(hashlib.sha256(dump_lock(make_lock(GPU_IMAGE, CPU_IMAGE)).encode()).hexdigest())"
    )
    root = str(Path(__file__).parents[3])
    seen = {
        subprocess.run(
            [sys.executable, "-c", program, root],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], **variables},
        ).stdout
        for variables in (
            {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"},
            {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "1"},
            {"LC_ALL": "POSIX", "PYTHONHASHSEED": "2", "HOME": "/nonexistent"},
        )
    }
    assert len(seen) == 1


def test_the_digest_is_over_canonical_json():
    """Computed again from the lock's own text, by whoever reads it with other tools."""
    image = replace(GPU_IMAGE, env={"B": "2", "A": "\u00e9"})
    document = tomllib.loads(dump_lock(make_lock(image)))
    (entry,) = document["images"]
    (entry["base"],) = document["bases"]
    entry["closure"] = entry["closure"]["sha256"]
    del entry["digest"]
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert entry_digest(image) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()

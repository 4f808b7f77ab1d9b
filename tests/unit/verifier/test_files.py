"""Reading files that may be anything: shared objects, fat binaries; what is kept of it."""

import contextlib
import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudaforge.pipeline.findings import KeptFindings
from cudaforge.verifier.probes import inspection, inventory, kernels, ldpath
from cudaforge.verifier.probes.elf import Malformed, read_elf
from cudaforge.verifier.probes.ldpath import Loader, find_preloads
from tests.support.artefacts import fat_binary, library

NEEDED, SONAME, RPATH, RUNPATH = 1, 14, 15, 29


def shared_object(*entries: tuple[int, str], machine: int = 62) -> bytes:
    """A file with nothing but what the loader reads: program headers and a dynamic section."""
    strings, dynamic = b"\0", b""
    for tag, text in entries:
        dynamic += struct.pack("<QQ", tag, len(strings))
        strings += text.encode() + b"\0"
    start = 64 + 2 * 56
    dynamic += struct.pack("<QQQQ", 5, start, 0, 0)
    body = strings + dynamic
    total = start + len(body)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, total, total, 4096)
    place = start + len(strings)
    return head + load + struct.pack("<IIQQQQQQ", 2, 6, place, place, place, len(dynamic), 0, 8) + body


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`place("a/libx.so", (NEEDED, "liby.so"))` writes a library; the system has none of its own."""
    monkeypatch.setattr(ldpath, "_CACHE", str(tmp_path / "ld.so.cache"))
    monkeypatch.setattr(ldpath, "_defaults", lambda _: [str(tmp_path / "default")])

    def write(name: str, *entries: tuple[int, str], machine: int = 62) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shared_object(*entries, machine=machine))
        return str(path)

    write("bin/python")
    return write


def taken(loader: Loader) -> dict[str, str]:
    return {one.name: one.way for one in loader.loaded[1:]}


def test_what_a_library_says(place):
    elf = read_elf(place("l.so", (NEEDED, "liba.so"), (SONAME, "libl.so.1"), (RUNPATH, "$ORIGIN:/opt")))
    assert (elf.needed, elf.soname, elf.rpath, elf.runpath) == (
        ["liba.so"],
        "libl.so.1",
        [],
        ["$ORIGIN", "/opt"],
    )


def test_the_loader_s_order(place, tmp_path: Path):
    """RPATH before LD_LIBRARY_PATH before RUNPATH before the default directories; each only where it is."""
    for directory in ("own", "env", "default"):
        place(f"{directory}/libx.so.1")
    env = str(tmp_path / "env")
    python = str(tmp_path / "bin/python")
    for tag, search, way in (
        (RPATH, env, "rpath"),
        (RUNPATH, env, "LD_LIBRARY_PATH"),
        (RUNPATH, "", "runpath"),
        (None, env, "LD_LIBRARY_PATH"),
        (None, "", "default"),
    ):
        paths = [(tag, "$ORIGIN/own")] if tag else []
        root = place("root.so", (NEEDED, "libx.so.1"), *paths)
        loader = Loader(python, search)
        loader.load(root)
        assert taken(loader)["libx.so.1"] == way


def test_an_rpath_is_inherited_and_a_runpath_is_not(place, tmp_path: Path):
    place("own/libx.so.1", (NEEDED, "liby.so.1"))
    place("own/liby.so.1")
    for tag, missing in ((RPATH, []), (RUNPATH, ["liby.so.1"])):
        loader = Loader(str(tmp_path / "bin/python"), "")
        loader.load(place("root.so", (NEEDED, "libx.so.1"), (tag, "$ORIGIN/own")))
        assert [one.name for one in loader.missing] == missing


def test_what_is_loaded_is_not_looked_for_again(place, tmp_path: Path):
    first = place("a/first.so", (NEEDED, "libx.so.1"), (RPATH, "$ORIGIN"))
    place("a/libx.so.1")
    loader = Loader(str(tmp_path / "bin/python"), "")
    loader.load(first)
    loader.load(place("b/second.so", (NEEDED, "libx.so.1")))
    assert loader.missing == []


def test_what_is_preloaded_comes_first(place, tmp_path: Path):
    """By its soname, too, whatever the file is called; what cannot be loaded is passed by."""
    first = place("first/other-name.so", (SONAME, "libx.so.1"), (NEEDED, "liby.so.1"))
    for name in ("env/libx.so.1", "own/libx.so.1", "default/liby.so.1"):
        place(name)
    (tmp_path / "text.so").write_text("no library")
    root = place("root.so", (NEEDED, "libx.so.1"), (RPATH, "$ORIGIN/own"))
    preload = [str(tmp_path / "none.so"), str(tmp_path / "text.so"), first]
    loader = Loader(str(tmp_path / "bin/python"), str(tmp_path / "env"), preload=preload)
    loader.load(root)
    assert taken(loader) == {"other-name.so": "LD_PRELOAD", "liby.so.1": "default", "root.so": "path"}
    assert next(loader.everywhere("libx.so.1")) == (first, "LD_PRELOAD")


def test_preloads_are_named_by_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "preload").write_text("/c.so /d.so\n/e.so\n")
    monkeypatch.setattr(ldpath, "_PRELOADS", str(tmp_path / "preload"))
    assert find_preloads({"LD_PRELOAD": "/a.so:/b.so "}) == ["/a.so", "/b.so", "/c.so", "/d.so", "/e.so"]
    monkeypatch.setattr(ldpath, "_PRELOADS", str(tmp_path / "none"))
    assert find_preloads({}) == []


def test_libraries_for_other_machines_are_passed_by(place, tmp_path: Path):
    place("env/libx.so.1", machine=183)
    place("default/libx.so.1")
    loader = Loader(str(tmp_path / "bin/python"), str(tmp_path / "env"))
    loader.load(place("root.so", (NEEDED, "libx.so.1")))
    assert taken(loader)["libx.so.1"] == "default"


def test_libraries_that_need_each_other(place, tmp_path: Path):
    place("default/liba.so", (NEEDED, "libb.so"))
    place("default/libb.so", (NEEDED, "liba.so"))
    loader = Loader(str(tmp_path / "bin/python"), "")
    loader.load(place("root.so", (NEEDED, "liba.so")))
    assert sorted(taken(loader)) == ["liba.so", "libb.so", "root.so"]


def test_no_regular_file_is_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.so")
    (tmp_path / "loop.so").symlink_to("loop.so")
    for name in ("pipe.so", "loop.so", "none.so", "."):
        with pytest.raises((Malformed, OSError)):
            read_elf(str(tmp_path / name))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_to_a_file_is_read_or_refused(tmp_path: Path, data: st.DataObject):
    whole = bytearray(
        data.draw(
            st.sampled_from(
                [
                    shared_object((NEEDED, "liba.so"), (SONAME, "libl.so.1"), (RPATH, "/opt")),
                    library(needed=("libcudart.so.12",), code=[fat_binary(cubins=(90, 120), ptx=(120,))]),
                ]
            )
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.so"
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    for read in (read_elf, kernels.read_window, kernels.read_flags):
        with contextlib.suppress(Malformed, OSError, ValueError):
            read(str(path))


def test_the_code_of_a_library(tmp_path: Path):
    path = tmp_path / "l.so"
    path.write_bytes(
        library(
            code=[fat_binary(cubins=(80, 120), ptx=(120,)), fat_binary(cubins=(80,))], text=b"sm_80 sm_90"
        )
    )
    assert kernels.read_window(str(path)) == {
        "path": str(path),
        "containers": 2,
        "cubins": {"80": 2, "120": 1},
        "ptx": {"120": 1},
    }
    assert kernels.read_flags(str(path)) == ["sm_80 sm_90"]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("libcudnn.so.9", "cudnn"),
        ("libcudnn_ops.so.9", "cudnn"),
        ("libcublasLt.so.12", "cublasLt"),
        ("libcudart-d0da41ae.so.11.0", "cudart"),
        ("libnvJitLink.so.12", "nvJitLink"),
        ("libcudnn_frontend.py", None),
        ("libc.so.6", None),
    ],
)
def test_libraries_of_cuda(name: str, family: str | None):
    match = inspection.FAMILY.fullmatch(name)
    assert (match["name"] if match else None) == family


def test_samples_tell_files_of_one_size_apart(tmp_path: Path):
    one, other = bytearray(1 << 20), bytearray(1 << 20)
    other[-1] = 1
    for name, content in (("a", one), ("b", one), ("c", other)):
        (tmp_path / name).write_bytes(content)
    digests = [inventory.sample(str(tmp_path / name), 1 << 20) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_findings_are_kept_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cudaforge.pipeline.findings._MOST_KEPT", 3)
    kept = KeptFindings(tmp_path / "kept")
    assert kept.find("a") is None
    for number, key in enumerate("abcd"):
        kept.keep(key, {"schema": number})
        os.utime(tmp_path / "kept" / f"{key}.json", (number, number))
    assert [kept.find(key) for key in "abcd"] == [None, {"schema": 1}, {"schema": 2}, {"schema": 3}]
    (tmp_path / "kept" / "d.json").write_text("{")
    assert kept.find("d") is None
    (tmp_path / "file").write_text(json.dumps({}))
    KeptFindings(tmp_path / "file").keep("a", {})  # no directory: nothing is kept, and nothing is raised

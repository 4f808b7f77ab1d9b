import struct

import pytest

from cudaforge.bootstrap.ldcache import add_loader_cache, dump_cache, find_soname
from cudaforge.bootstrap.tree import Tree

LIBRARIES = "usr/lib/x86_64-linux-gnu"


def elf(soname: str | None) -> bytes:
    """The smallest 64-bit ELF file with a dynamic section."""
    strings = b"\0" + (soname or "").encode() + b"\0"
    dynamic = struct.pack("<QQ", 5, 0x1000 + 176 + 48) + (struct.pack("<QQ", 14, 1) if soname else b"")
    dynamic = (dynamic + struct.pack("<QQ", 0, 0)).ljust(48, b"\0")
    size = 176 + len(dynamic) + len(strings)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0, size, size, 4096)
    dyn = struct.pack("<IIQQQQQQ", 2, 6, 176, 0x1000 + 176, 0, len(dynamic), len(dynamic), 8)
    return header + load + dyn + dynamic + strings


def names(cache: bytes) -> list[str]:
    (count,) = struct.unpack_from("<I", cache, 20)
    keys = [struct.unpack_from("<iIIIQ", cache, 48 + 24 * position)[1] for position in range(count)]
    return [cache[key : cache.index(b"\0", key)].decode() for key in keys]


def test_a_soname_is_found():
    assert find_soname(elf("libx.so.1")) == "libx.so.1"


@pytest.mark.parametrize("content", [b"", b"/* linker script */", elf(None), elf("libx.so.1")[:150]])
def test_other_files_have_none(content: bytes):
    assert find_soname(content) is None


def test_only_libraries_that_go_by_their_own_name_are_listed():
    tree = Tree()
    tree.add_file(f"{LIBRARIES}/libx.so.1.2", elf("libx.so.1"))
    tree.add_symlink(f"{LIBRARIES}/libx.so.1", "libx.so.1.2")
    tree.add_symlink(f"{LIBRARIES}/libx.so", "libx.so.1")
    tree.add_symlink(f"{LIBRARIES}/libdangling.so.1", "nowhere")
    tree.add_file(f"{LIBRARIES}/sub/libplugin.so.1", elf("libplugin.so.1"))
    tree.add_file(f"{LIBRARIES}/libc.so.6", elf("libc.so.6"))
    add_loader_cache(tree, architecture="amd64")
    assert names(tree.find_bytes("etc/ld.so.cache") or b"") == ["libx.so.1", "libc.so.6"]


def test_digits_are_compared_as_numbers():
    found = {name: f"/lib/{name}" for name in ("liba.so.9", "liba.so.10", "liba2.so.1", "libab.so.1")}
    assert names(dump_cache(found, flags=0x0303)) == ["liba2.so.1", "libab.so.1", "liba.so.10", "liba.so.9"]


def test_an_unknown_architecture_does_without():
    tree = Tree()
    add_loader_cache(tree, architecture="riscv64")
    assert "etc/ld.so.cache" not in tree

"""Whatever the bytes: an answer or one clear reason, in bounded time and memory."""

import contextlib
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.errors import InputError
from cudaforge.measurer import LocalFile, Malformed, measure_wheel
from cudaforge.measurer.elf import read_elf
from cudaforge.measurer.fatbins import read_window
from cudaforge.measurer.inflated import Inflated
from tests.support.artefacts import TORCH_REQUIRES, fat_binary, library, make_wheel, torch_files

MUCH = 32 * 2**20


class Held:
    """Bytes as a file."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length >= 0
        return self._content[offset : offset + length]


LIBRARY = library(
    needed=["libcudart.so.12", "libcudnn.so.9"],
    glibc=["2.2.5", "2.17"],
    code=[fat_binary(cubins=(80, 90, 120), ptx=(120,)), fat_binary(cubins=(80,))],
    text=b"sm_80 sm_90",
)
places = st.tuples(st.integers(0, len(LIBRARY) - 1), st.integers(0, 2**64 - 1), st.sampled_from((1, 2, 4, 8)))


def mutated(content: bytes, changes: list[tuple[int, int, int]], end: int | None = None) -> bytes:
    changed = bytearray(content)
    for place, value, width in changes:
        changed[place : place + width] = (value % 256**width).to_bytes(width, "little")
    return bytes(changed[: len(content)][:end])


@settings(max_examples=400, deadline=2000)
@given(changes=st.lists(places, max_size=6), end=st.none() | st.integers(0, len(LIBRARY)))
def test_a_library_with_any_bytes_changed(changes, end) -> None:
    file = Held(mutated(LIBRARY, changes, end))
    tracemalloc.start()
    try:
        window = read_window(file, read_elf(file))
        assert window is None or window.containers > 0
    except Malformed:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MUCH


@settings(max_examples=100, deadline=2000)
@given(content=st.binary(max_size=300))
def test_any_bytes_that_begin_like_a_library(content: bytes) -> None:
    for start in (b"", b"\x7fELF\x02\x01\x01", LIBRARY[:64]):
        with pytest.raises(Malformed):
            read_elf(Held(start + content))


@settings(max_examples=60, deadline=5000)
@given(data=st.data())
def test_a_wheel_with_any_bytes_changed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("wheel")
    path = make_wheel(directory, "torch", "2.8.0", torch_files(), requires=TORCH_REQUIRES)
    content = path.read_bytes()
    where = st.tuples(
        st.integers(0, len(content) - 1), st.integers(0, 2**64 - 1), st.sampled_from((1, 2, 4, 8))
    )
    changes = data.draw(st.lists(where, min_size=1, max_size=6))
    path.write_bytes(mutated(content, changes, data.draw(st.none() | st.integers(0, len(content)))))
    with contextlib.suppress(InputError):
        assert measure_wheel(LocalFile(path), path.name).package


def test_more_names_than_any_library_has() -> None:
    with pytest.raises(Malformed, match="names more than"):
        read_elf(Held(library(glibc=[f"2.{number}" for number in range(12_000)])))
    with pytest.raises(Malformed, match="names more than"):
        read_elf(Held(library(needed=[f"lib{number}.so" for number in range(12_000)])))


@settings(max_examples=100, deadline=2000)
@given(
    parts=st.lists(st.tuples(st.integers(0, 299_999), st.integers(0, 5000)), min_size=1, max_size=12),
    seed=st.integers(0, 255),
)
def test_an_unpacked_stream_reads_the_same_from_any_place(parts, seed: int) -> None:
    content = bytes((seed + place * place // 7) % 251 for place in range(300_000))
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    stream = Inflated(Held(packed), size=len(content))
    for offset, length in parts:
        assert stream.read_at(offset, length) == content[offset : offset + length]


def test_a_stream_far_longer_than_its_marks_are_apart() -> None:
    content = b"".join(number.to_bytes(4, "little") for number in range(3_000_000))
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    stream = Inflated(Held(packed), size=len(content))
    for offset in (11_999_000, 0, 5_000_003, 4_999_999, 11_000_000, 4):
        assert stream.read_at(offset, 64) == content[offset : offset + 64]


def test_a_stream_that_is_cut_off_or_broken_or_too_short() -> None:
    packed = zlib.compress(b"some content" * 1000)[2:-4]
    for stream in (
        Inflated(Held(packed[:-9]), size=12_000),
        Inflated(Held(b"\xff" * 100), size=12_000),
        Inflated(Held(packed), size=12_001),
    ):
        with pytest.raises(Malformed):
            stream.read_at(0, 12_001)


def test_the_path_of_a_file_that_goes_away(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"):
        LocalFile(tmp_path / "gone.whl")

"""Two archives of one image, compared file by file."""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from cudaforge.builder.layers import compare_archived, read_archived
from cudaforge.errors import SurroundingsError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS = {"": bytes, "+gzip": lambda data: gzip.compress(data, mtime=0), "+zstd": zstd.compress}
MEDIA = "application/vnd.oci.image"


def tar_of(files: dict[str, bytes], *, time: int = 0, mode: int = 0o644, sort: bool = True) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in sorted(files) if sort else files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(files[name]), time, mode
            archive.addfile(info, io.BytesIO(files[name]))
    return written.getvalue()


def write_image(
    path: Path, *layers: bytes, packing: str = "+zstd", level: dict | None = None, nested: bool = False
) -> Path:
    blobs: dict[str, bytes] = {}

    def add(kind: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"{MEDIA}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    config = {"os": "linux", "config": {"Env": ["A=1"]}, **(level or {})}
    config["history"] = [
        {"created_by": "ENV A", "empty_layer": True},
        *({"created_by": f"step {number}"} for number, _ in enumerate(layers, 1)),
    ]
    manifest = {
        "config": add("config.v1+json", json.dumps(config).encode()),
        "layers": [add(f"layer.v1.tar{packing}", PACKERS[packing](layer)) for layer in layers],
    }
    index = {"manifests": [add("manifest.v1+json", json.dumps(manifest).encode())]}
    if nested:
        unknown = {"digest": "sha256:0", "platform": {"architecture": "unknown"}}
        index["manifests"].insert(0, unknown)
        index = {"manifests": [add("index.v1+json", json.dumps(index).encode())]}
    blobs["index.json"] = json.dumps(index).encode()
    path.write_bytes(tar_of(blobs))
    return path


def compare(first: Path, second: Path) -> tuple[str, ...]:
    return compare_archived(read_archived(first), read_archived(second))


@pytest.mark.parametrize("packing", PACKERS)
def test_every_kind_of_difference_is_named(tmp_path: Path, packing: str):
    same = tar_of({"etc/same": b"1"})
    one = write_image(tmp_path / "1", same, tar_of({"a": b"1", "b": b"1", "gone": b""}), packing=packing)
    other = write_image(
        tmp_path / "2",
        same,
        tar_of({"a": b"2", "b": b"12", "new": b""}, time=5, mode=0o755),
        packing=packing,
        level={"config": {"Env": ["A=2"]}},
    )
    assert compare(one, other) == (
        "layer 2 (step 2): /a: mode 644, then 755, time 0, then 5, other content",
        "layer 2 (step 2): /b: mode 644, then 755, time 0, then 5, size 1, then 2",
        "layer 2 (step 2): /gone: only in the first",
        "layer 2 (step 2): /new: only in the second",
        "configuration: config.Env differs",
    )


def test_another_order_and_another_compression_are_told(tmp_path: Path):
    files = {"b": b"", "a": b""}
    one = write_image(tmp_path / "1", tar_of(files))
    assert compare(one, write_image(tmp_path / "2", tar_of(files, sort=False))) == (
        "layer 1 (step 1): the files are in another order",
    )
    assert compare(one, write_image(tmp_path / "3", tar_of(files), packing="+gzip")) == (
        "the same files and settings, compressed or described in another way",
    )
    assert compare(one, write_image(tmp_path / "4", tar_of(files), tar_of(files))) == (
        "number of layers: 1, then 2",
        "configuration: history differs",
    )


def test_equal_images_differ_in_nothing(tmp_path: Path):
    files = tar_of({"a": b"1"})
    plain = write_image(tmp_path / "1", files)
    nested = write_image(tmp_path / "2", files, nested=True)
    assert read_archived(plain).digest == read_archived(nested).digest
    assert compare(plain, nested) == ()


@pytest.mark.parametrize(
    "content", [b"", b"no tar", tar_of({"index.json": b"{"}), tar_of({"index.json": b"[]"})]
)
def test_what_is_no_image_is_told(tmp_path: Path, content: bytes):
    path = tmp_path / "again.tar"
    path.write_bytes(content)
    with pytest.raises(SurroundingsError, match=r"again\.tar"):
        read_archived(path)


def test_a_damaged_layer_is_told(tmp_path: Path):
    one = write_image(tmp_path / "1", tar_of({"a": b"1"}))
    other = write_image(tmp_path / "2", b"no tar at all" * 100)
    with pytest.raises(SurroundingsError, match="cannot be read as an image"):
        compare(one, other)

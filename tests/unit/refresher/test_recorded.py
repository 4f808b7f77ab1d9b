"""Recorded real answers of the package index, with addresses and digests left out, against the facts.

`torch.json` is its page of torch, as far as the releases 2.14.1 and 2.15.0; `torch-2.15.0.METADATA` the head
of the METADATA in the wheel of 2.15.0 for Python 3.12 on x86_64.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from cudaforge.matrix import load_matrix
from cudaforge.measurer.metadata import applying
from cudaforge.refresher import compare_index, read_project
from cudaforge.refresher.metadata import exact, read_requirements
from cudaforge.refresher.model import WheelFile
from cudaforge.web import Client, Unreachable
from tests.unit.web.servers import answer, serving

RECORDED = Path(__file__).parents[2] / "recorded" / "pages"
METADATA = (RECORDED / "torch-2.15.0.METADATA").read_bytes()
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


def test_the_page_agrees_with_the_rows_of_both_releases():
    body = (RECORDED / "torch.json").read_bytes()
    with serving(lambda one: answer(one, body, Content_Type=JSON_TYPE)) as url:
        found = read_project(Client(timeout=5), url, "torch")
    assert set(found) == {"2.14.1", "2.15.0"}
    builds = [row for row in load_matrix().builds("pytorch") if str(row.version) in found]
    assert compare_index(builds, "torch", found, index="default") == ()
    assert found["2.15.0"].released == "2026-10-28"
    assert all(wheel.size for wheel in found["2.15.0"].wheels)


def wheel(url: str, *, has_metadata: bool) -> WheelFile:
    return WheelFile(
        filename="torch-2.15.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        url=f"{url}/torch.whl",
        platforms=("linux/amd64",),
        pythons=("3.12",),
        size=None,
        has_metadata=has_metadata,
    )


def whole(metadata: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("torch/big.so", b"0" * 300_000)
        archive.writestr("torch-2.15.0.dist-info/METADATA", metadata)
    return content.getvalue()


def parts(body: bytes):
    def handle(request) -> None:
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        end = min(int(last) + 1, len(body))
        size = f"bytes {first}-{end - 1}/{len(body)}"
        answer(request, body[int(first) : end], 206, Content_Range=size)

    return serving(handle)


@pytest.mark.parametrize("beside", [True, False])
def test_the_metadata_pins_what_the_row_says(beside):
    """Beside the wheel, and out of it by ranges."""
    served = serving(lambda one: answer(one, METADATA)) if beside else parts(whole(METADATA))
    with served as url:
        requires = read_requirements(Client(timeout=5), wheel(url, has_metadata=beside))
    pins = {
        one.name: exact(one)
        for one, extra in applying(requires, platform="linux/amd64", python="3.12")
        if not extra
    }
    (row,) = [
        one
        for one in load_matrix().builds("pytorch")
        if (str(one.version), one.index, one.platforms) == ("2.15.0", "default", ("linux/amd64",))
    ]
    assert row.cudnn is not None
    assert row.cuda is not None
    assert pins[str(row.cudnn_package)] == str(row.cudnn)
    assert pins[str(row.nccl_package)] == str(row.nccl)
    assert pins["cuda-toolkit"] == str(row.cuda)
    assert pins["triton"] is None
    assert "optree" not in pins


@pytest.mark.parametrize(
    "body", [b"", b"PK\x03\x04 broken", whole(METADATA)[:-30], whole(b"Name: torch\n\n"), b"<html>" * 99]
)
def test_a_wheel_that_cannot_be_read_is_told_by_its_name(body):
    with parts(body) as url, pytest.raises(Unreachable, match=r"torch|part"):
        read_requirements(Client(timeout=5), wheel(url, has_metadata=False))

"""Dumps of nvidia-smi: what they say, and what is refused of files that pretend to be one."""

from __future__ import annotations

import pytest

from cudaforge.errors import InputError, Problem
from cudaforge.fleet.dump import Dump, parse_dump
from tests.unit.fleet.dumps import dump


def refused(data: str | bytes) -> Problem:
    with pytest.raises(InputError) as caught:
        parse_dump(data if isinstance(data, bytes) else data.encode(), "host.xml")
    (problem,) = caught.value.problems
    assert problem.where is not None
    assert problem.where.file == "host.xml"
    assert problem.remedy is not None
    assert "nvidia-smi -q -x" in problem.remedy
    assert problem.what.isprintable()
    return problem


def line(problem: Problem) -> int | None:
    return problem.where.line if problem.where else None


def test_driver_and_products_are_read() -> None:
    text = dump("535.161.08", "NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB", "Tesla T4")
    expected = Dump(driver="535.161.08", gpus=("NVIDIA A100-SXM4-80GB", "Tesla T4"))
    assert parse_dump(text.encode(), "host.xml") == expected


def test_a_divided_gpu_is_there_as_a_whole() -> None:
    text = dump("550.54.15", "NVIDIA H100 80GB HBM3", is_divided=True)
    assert parse_dump(text.encode(), "host.xml").gpus == ("NVIDIA H100 80GB HBM3",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_shell_may_have_written_another_encoding(encoding: str) -> None:
    """PowerShell's > writes UTF-16."""
    data = dump("566.36", "NVIDIA GeForce RTX 4070 Laptop GPU").replace("\n", "\r\n").encode(encoding)
    assert parse_dump(data, "host.xml").driver == "566.36"


@pytest.mark.parametrize("version", ["", "_v4", "_v10", "_v13"])
def test_old_and_new_formats_are_alike_in_what_matters(version: str) -> None:
    text = dump("270.41.06", "GeForce 9800 GTX/9800 GTX+", version=version)
    assert parse_dump(text.encode(), "x").gpus == ("GeForce 9800 GTX/9800 GTX+",)


LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE nvidia_smi_log [\n<!ENTITY a "ha">\n'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">\n' for i in range(12))
    + "]>\n<nvidia_smi_log><driver_version>&m;</driver_version></nvidia_smi_log>"
)


def test_entities_are_refused_where_they_are_declared() -> None:
    problem = refused(LAUGHS)
    assert "declares an entity" in problem.what
    assert line(problem) == 3


@pytest.mark.parametrize(
    "declared", ['<!ENTITY x SYSTEM "file:///etc/passwd">', '<!ENTITY % x SYSTEM "http://example.org/x">%x;']
)
def test_nothing_outside_is_loaded(declared: str) -> None:
    text = dump("535.1", "Tesla T4").replace('SYSTEM "nvsmi_device_v12.dtd"', f"[{declared}]")
    assert "declares an entity" in refused(text.replace("535.1", "&x;")).what


GOOD = dump("535.1", "Tesla T4")


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ("", "not XML", 1),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "not XML", 1),
        ("==============NVSMI LOG==============\n\nDriver Version : 566.36\n", "not XML", 1),
        (GOOD[: GOOD.index("</mig_mode>")], "not XML", 18),
        (GOOD + GOOD, "not XML", GOOD.count("\n") + 1),
        ("<html>\n<body/></html>", "'html' where 'nvidia_smi_log' is expected", 1),
        (GOOD.replace("535.1", "N/A"), "'N/A' is no driver version", 5),
        (GOOD.replace("535.1", ""), "the text is empty", 5),
        (GOOD.replace("<product_name>Tesla T4</product_name>", ""), "a GPU without a product_name", None),
        (GOOD.replace("Tesla T4", "T4\u202e"), "U+202E", 9),
        (GOOD.replace("Tesla T4", "T" * 300), "longer than 255", 9),
        (dump("535.1"), "tells of no GPU", None),
        (GOOD.replace("driver_version", "other"), "tells of no driver", None),
        ('<?xml version="1.0" encoding="nonsense"?>\n<nvidia_smi_log/>', "encoding", 1),
        ('<?xml version="1.0" encoding="shift-jis"?>\n<nvidia_smi_log/>', "encoding", 1),
    ],
)
def test_what_is_no_dump_is_refused_with_its_line(text: str, said: str, at: int | None) -> None:
    problem = refused(text)
    assert said in problem.what
    if at is not None:
        assert line(problem) == at


def test_deep_nesting_ends_soon() -> None:
    assert (
        "no driver"
        in refused("<nvidia_smi_log>" + "<a>" * 200_000 + "</a>" * 200_000 + "</nvidia_smi_log>").what
    )


def test_names_elsewhere_in_the_tree_mean_nothing() -> None:
    text = GOOD.replace("<serial>", "<other><product_name>RTX 5090</product_name></other><serial>")
    assert parse_dump(text.encode(), "x").gpus == ("Tesla T4",)

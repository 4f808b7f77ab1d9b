"""`resolve --fleet` at the command line: where nodes come from, exit codes, text and JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from tests.unit.fleet.dumps import dump

IMAGE = 'schema = 1\n[images.train]\nframework = "pytorch"\n'
SPLIT = IMAGE.replace('"pytorch"', '"pytorch>=2.11"')
FLEET = """
[fleet.nodes]
v100 = { gpus = ["V100"], driver = "580.65.06", count = 12 }
b200 = { gpus = ["B200"], driver = "580.65.06", count = 4 }
"""


@pytest.fixture(autouse=True)
def in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def declare(text: str, **dumps: str) -> None:
    Path("cudaforge.toml").write_text(text)
    for name, one in dumps.items():
        Path("hosts").mkdir(exist_ok=True)
        Path("hosts", f"{name}.xml").write_text(one)


def answer(capsys: pytest.CaptureFixture[str], *words: str, rc: int = 0) -> dict[str, object]:
    assert run_command_line(["resolve", *words, "--json"]) == rc
    seen = capsys.readouterr()
    assert seen.err == ""
    document = json.loads(seen.out)
    assert document["schema"] == 1
    (image,) = document["images"]
    return image


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run_command_line(["resolve", *words]) == 2
    return capsys.readouterr().err


def test_one_image_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    declare(IMAGE + FLEET)
    image = answer(capsys, "--fleet")
    assert (image["name"], image["status"]) == ("train", "resolved")
    (one,) = image["fleet"]["images"]
    assert image["fleet"]["unserved"] == []
    assert image["fleet"]["is_smallest"] is True
    assert one["resolution"]["frameworks"][0]["name"] == "pytorch"
    assert one["nodes"][0] == {
        "name": "v100",
        "gpus": ["V100"],
        "driver": "580.65.06",
        "count": 12,
        "driver_floor": one["nodes"][0]["driver_floor"],
    }


def test_two_images_where_one_is_not_enough(capsys: pytest.CaptureFixture[str]) -> None:
    declare(SPLIT + FLEET)
    assert run_command_line(["resolve", "--fleet"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("train: 2 images serve 16 nodes\n\ntrain (1 of 2): resolved\n")
    assert "  serves     12 nodes with V100, driver 580.65.06 (v100)\n" in text
    assert "  serves     4 nodes with B200, driver 580.65.06 (b200)\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_who_is_not_served_is_named_with_the_reason_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(IMAGE + FLEET + 'old = { gpus = ["RTX 5090"], driver = "535.104.05" }\n')
    assert run_command_line(["resolve", "--fleet"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("train: 1 image serves 16 of 17 nodes\n")
    block = text[text.index("train: no image serves\n") :]
    assert "  1 node with RTX 5090, driver 535.104.05 (old)\n" in block
    assert "  wishes   driver=535.104.05 and gpu=RTX 5090 cannot all hold\n" in block
    assert '  try      driver = "570.26"  gives ' in block
    image = answer(capsys, "--fleet", rc=1)
    assert image["status"] == "partial"
    (unserved,) = image["fleet"]["unserved"]
    assert [node["name"] for node in unserved["nodes"]] == ["old"]
    assert unserved["conflict"]["fixes"][0]["change"] == {"driver": "570.26"}


def test_dumps_are_nodes_called_like_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    declare(
        IMAGE + '[fleet]\ndumps = ["hosts/*.xml"]\n',
        gpu02=dump("535.161.08", "Tesla T4"),
        gpu01=dump("535.161.08", "NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"),
    )
    nodes = answer(capsys, "--fleet")["fleet"]["images"][0]["nodes"]
    assert [(one["name"], one["gpus"], one["count"]) for one in nodes] == [
        ("gpu01", ["NVIDIA A100-SXM4-80GB"], 1),
        ("gpu02", ["Tesla T4"], 1),
    ]


@pytest.mark.parametrize("entry", ["hosts", "hosts/a.xml", "**/a.xml", "hosts/[a-b].xml"])
def test_an_entry_is_a_file_a_directory_or_a_pattern(entry: str, capsys: pytest.CaptureFixture[str]) -> None:
    declare(IMAGE + f'[fleet]\ndumps = ["{entry}"]\n', a=dump("570.86", "NVIDIA H100 80GB HBM3"))
    (one,) = answer(capsys, "--fleet")["fleet"]["images"]
    assert [node["name"] for node in one["nodes"]] == ["a"]


def test_nodes_of_one_name_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    text = IMAGE + '[fleet]\ndumps = ["hosts", "more"]\n[fleet.nodes.b]\ngpus = ["T4"]\n'
    declare(text, a=dump("570.86", "Tesla T4"), b=dump("570.86", "Tesla T4"))
    Path("more").mkdir()
    Path("more/a.xml").write_text(dump("570.86", "Tesla T4"))
    (one,) = answer(capsys, "--fleet")["fleet"]["images"]
    assert sorted(node["name"] for node in one["nodes"]) == ["b", "hosts/a.xml", "hosts/b.xml", "more/a.xml"]


def test_a_product_that_nobody_knows_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    declare(
        IMAGE + '[fleet]\ndumps = ["hosts"]\n',
        a=dump("595.10", "NVIDIA RTX 9999", "Tesla T4"),
        b=dump("570.86", "Tesla T4"),
    )
    image = answer(capsys, "--fleet", rc=1)
    assert [node["name"] for node in image["fleet"]["images"][0]["nodes"]] == ["b"]
    (unserved,) = image["fleet"]["unserved"]
    assert unserved["conflict"]["core"] == ["gpu=NVIDIA RTX 9999"]
    assert unserved["conflict"]["reasons"][0]["kind"] == "unknown"


def test_words_ask_about_dumps_without_any_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.xml").write_text(dump("570.86", "NVIDIA H100 80GB HBM3"))
    Path("more").mkdir()
    Path("more/b.xml").write_text(dump("535.161.08", "NVIDIA GeForce RTX 4090"))
    image = answer(capsys, "pytorch", "--dump", "a.xml", "--dump", "more")
    assert image["name"] == "adhoc"
    assert len(image["fleet"]["images"][0]["nodes"]) == 2


def test_words_ask_about_the_fleet_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    declare(IMAGE + FLEET)
    assert len(answer(capsys, "pytorch>=2.11", "--fleet")["fleet"]["images"]) == 2


def test_points_of_a_matrix_that_serve_nobody_are_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    matrix = '[images.train.matrix]\ncuda = ["11.8", "12.8"]\n'
    declare(IMAGE + matrix + '[fleet.nodes.a]\ngpus = ["B200"]\ndriver = "580.65.06"\n')
    assert run_command_line(["resolve", "--fleet"]) == 0
    assert "train-cu118: no image serves any of 1 node\n" in capsys.readouterr().out
    declare(IMAGE + matrix + '[fleet.nodes.a]\ngpus = ["B200"]\ndriver = "535.1"\n')
    assert run_command_line(["resolve", "--fleet"]) == 1


def test_a_gpu_that_is_mistyped_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    declare(IMAGE + '[fleet.nodes.a]\ngpus = ["H100", "RTX 409"]\n')
    message = refused(capsys, "--fleet")
    assert "GPU 'RTX 409' is not known" in message
    assert "where    cudaforge.toml:5: fleet.nodes.a.gpus[1]\n" in message
    assert "RTX 4090" in message
    assert run_command_line(["resolve"]) == 0


def test_all_bad_dumps_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    declare(
        IMAGE + '[fleet]\ndumps = ["hosts", "nothing/*.xml"]\n',
        a="<broken",
        b=dump("570.86", "Tesla T4"),
        c=dump("what", "Tesla T4"),
    )
    message = refused(capsys, "--fleet")
    assert "hosts/a.xml:1" in message
    assert "hosts/c.xml:5" in message
    assert "'nothing/*.xml' names no file of the project" in message
    assert "cudaforge.toml:5: fleet.dumps[1]" in message


def test_dumps_stay_inside_the_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside.xml"
    outside.write_text(dump("570.86", "Tesla T4"))
    project = tmp_path / "project"
    (project / "hosts").mkdir(parents=True)
    os.chdir(project)
    Path("hosts/a.xml").symlink_to(outside)
    declare(IMAGE + '[fleet]\ndumps = ["hosts"]\n')
    message = refused(capsys, "--fleet")
    assert "hosts/a.xml is a link that leaves the project directory" in message
    assert "cudaforge.toml:5: fleet.dumps[0]" in message


def test_what_is_no_file_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.xml")
    assert "is a pipe, not a file" in refused(capsys, "pytorch", "--dump", "pipe.xml")
    assert "there is no gone.xml" in refused(capsys, "pytorch", "--dump", "gone.xml")
    Path("empty").mkdir()
    assert "there is no *.xml in empty" in refused(capsys, "pytorch", "--dump", "empty")
    with Path("large.xml").open("wb") as file:
        file.truncate(9 * 1024 * 1024)
    assert "large.xml is larger than 8 MiB" in refused(capsys, "pytorch", "--dump", "large.xml")


def test_without_a_fleet_the_way_to_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    declare(IMAGE)
    message = refused(capsys, "--fleet")
    assert "cudaforge.toml declares no fleet" in message
    assert "--dump" in message


def test_alternatives_are_of_one_question_alone(capsys: pytest.CaptureFixture[str]) -> None:
    declare(IMAGE + FLEET)
    assert "--top" in refused(capsys, "--fleet", "--top", "2")

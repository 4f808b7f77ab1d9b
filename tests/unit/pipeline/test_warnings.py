"""What has to be known of an answer is told where it is locked, once."""

import json

from cudaforge.cli.main import run_command_line
from cudaforge.pipeline import make as stages
from cudaforge.records import replace

OLD = 'framework = "pytorch"\nos = "ubuntu18.04"\npython_provider = "standalone"'
TEXT = "regular support of ubuntu18.04 ended on 2023-05-31"


def test_a_lock_tells_each_warning_once_with_its_images(world, capsys):
    world.declare(one=OLD, two=OLD)
    assert run_command_line(["lock"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"warning one, two: {TEXT}" in out
    assert out.count(TEXT) == 1
    assert run_command_line(["lock"]) == 0
    assert TEXT not in capsys.readouterr().out, "nothing was chosen anew"


def test_warnings_are_in_the_json_of_lock_and_upgrade_by_image(world, capsys):
    world.declare(one=OLD, two='framework = "pytorch"')
    assert run_command_line(["lock", "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert TEXT in warnings["one"]
    assert TEXT not in warnings.get("two", [])
    assert run_command_line(["lock", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == {}
    assert run_command_line(["upgrade", "--json"]) == 0
    assert TEXT in json.loads(capsys.readouterr().out)["warnings"]["one"]


def test_a_cpu_twin_whose_packages_bring_cuda_says_so(world, capsys):
    cudnn = 'packages = ["nvidia-cudnn-cu12"]'
    world.declare(twin=f'framework = "jax"\ncuda = "none"\n{cudnn}', gpu=f'framework = "jax"\n{cudnn}')
    assert run_command_line(["lock", "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert any("its packages bring CUDA: nvidia-cudnn-cu12" in one for one in warnings["twin"])
    assert not any("CPU twin" in one for one in warnings.get("gpu", []))


def test_up_tells_the_warnings_of_what_it_locks_before_it_builds(world, capsys, monkeypatch):
    built = []

    def make(lock, **_):
        built.append([image.name for image in lock.images])
        return stages.Run(lock=replace(lock, images=()), builds={}, verdicts={})

    monkeypatch.setattr(stages, "make", make)
    world.declare(one=OLD, two=OLD)
    assert run_command_line(["up", "--relock", "--json"]) == 0
    told = capsys.readouterr()
    assert " ".join(told.err.split()).count(f"warning one, two: {TEXT}") == 1
    assert TEXT in json.loads(told.out)["warnings"]["two"]
    assert run_command_line(["up", "--locked", "--json"]) == 0
    told = capsys.readouterr()
    assert TEXT not in told.err
    assert json.loads(told.out)["warnings"] == {}
    assert built == [["one", "two"]] * 2

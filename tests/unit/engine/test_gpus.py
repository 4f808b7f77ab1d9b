import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.engine import GpuMethod, GpuRequest
from cudaforge.engine.gpus import find_host_devices, gpu_flags, parse_cdi_spec, read_offer

YAML = """\
---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  hooks:
  - args:
    - nvidia-cdi-hook
    hookName: createContainer
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: GPU-5f0f1d1e-1111-2222-3333-444455556666
- name: all
kind: nvidia.com/gpu
"""


def spec(*names, kind="nvidia.com/gpu"):
    return json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": name} for name in names]})


def offer(info, tmp_path, *, is_local=True):
    return read_offer(info, devices=tmp_path / "dev", is_local=is_local)


def test_a_yaml_spec_as_nvidia_writes_it():
    assert parse_cdi_spec(YAML) == (
        "nvidia.com/gpu=0",
        "nvidia.com/gpu=GPU-5f0f1d1e-1111-2222-3333-444455556666",
        "nvidia.com/gpu=all",
    )


def test_a_json_spec():
    assert parse_cdi_spec(spec("0", "all")) == ("nvidia.com/gpu=0", "nvidia.com/gpu=all")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "kind: vendor.com/net\nname: all",
        spec("0", kind="vendor.com/net"),
        '{"kind": "nvidia.com/gpu"}',
    ],
)
def test_other_specs_name_no_gpu(text):
    assert parse_cdi_spec(text) == ()


@given(st.text())
def test_no_spec_raises(text):
    parse_cdi_spec(text)


def test_nothing_is_offered(tmp_path):
    found = offer({"Runtimes": {"runc": {}}}, tmp_path)
    assert found.request is None
    assert gpu_flags(found) == ()


def test_devices_that_the_engine_lists(tmp_path):
    listed = [
        {"Source": "cdi", "ID": "nvidia.com/gpu=all"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=0"},
        {"ID": "v.com/x=1"},
    ]
    found = offer({"DiscoveredDevices": listed, "Runtimes": {"nvidia": {}}}, tmp_path, is_local=False)
    assert found.request == GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",))
    assert found.cdi_devices == ("nvidia.com/gpu=0", "nvidia.com/gpu=all")
    assert found.has_runtime
    assert gpu_flags(found) == ("--device", "nvidia.com/gpu=all")


def test_specs_that_an_older_engine_reads(tmp_path):
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "nvidia.yaml").write_text(YAML)
    (tmp_path / "cdi" / "notes.txt").write_text(spec("9"))
    info = {"CDISpecDirs": [str(tmp_path / "cdi"), str(tmp_path / "none")]}
    assert offer(info, tmp_path).request == GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",))
    assert offer(info, tmp_path, is_local=False).request is None


def test_without_a_device_called_all_each_is_asked_for(tmp_path):
    found = offer({"DiscoveredDevices": [{"ID": "nvidia.com/gpu=0"}, {"ID": "nvidia.com/gpu=1"}]}, tmp_path)
    assert gpu_flags(found) == ("--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1")


def test_the_registered_runtime(tmp_path):
    found = offer({"Runtimes": {"nvidia": {}, "runc": {}}}, tmp_path)
    assert found.request == GpuRequest(method=GpuMethod.RUNTIME)
    assert gpu_flags(found) == ("--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=all")


def test_a_host_that_shows_gpus(tmp_path):
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / "dev" / name).touch()
    found = offer({}, tmp_path)
    assert found.host_devices == tuple(str(tmp_path / "dev" / name) for name in ("nvidia0", "nvidiactl"))
    assert gpu_flags(found) == ("--gpus", "all")
    assert offer({}, tmp_path, is_local=False).request is None


def test_a_host_without_dev(tmp_path):
    assert find_host_devices(tmp_path / "none") == ()

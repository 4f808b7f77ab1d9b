import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.engine import GpuMethod, GpuOffer, GpuRequest
from cudaforge.engine.gpus import find_host_devices, gpu_flags, parse_cdi_spec, read_offer, select_gpus
from cudaforge.errors import InputError

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


UUID = "GPU-5f0f1d1e-1111-2222-3333-444455556666"
BY_CDI = GpuOffer(
    request=GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",)),
    cdi_devices=("nvidia.com/gpu=0", "nvidia.com/gpu=0:1", f"nvidia.com/gpu={UUID}", "nvidia.com/gpu=all"),
)
BY_RUNTIME = GpuOffer(request=GpuRequest(method=GpuMethod.RUNTIME))
BY_REQUEST = GpuOffer(request=GpuRequest(method=GpuMethod.DEVICE_REQUEST))


@pytest.mark.parametrize(
    ("found", "wanted", "flags"),
    [
        (BY_CDI, ("0",), ("--device", "nvidia.com/gpu=0")),
        (BY_CDI, ("0:1",), ("--device", "nvidia.com/gpu=0:1")),
        (BY_CDI, (UUID, "0"), ("--device", f"nvidia.com/gpu={UUID}", "--device", "nvidia.com/gpu=0")),
        (BY_CDI, ("0", "0"), ("--device", "nvidia.com/gpu=0")),
        (BY_CDI, ("nvidia.com/gpu=0",), ("--device", "nvidia.com/gpu=0")),
        (BY_CDI, ("all",), ("--device", "nvidia.com/gpu=all")),
        (BY_CDI, (), ("--device", "nvidia.com/gpu=all")),
        (BY_RUNTIME, ("1", "2"), ("--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=1,2")),
        (BY_REQUEST, ("1",), ("--gpus", '"device=1"')),
        (BY_REQUEST, ("MIG-1f/2/3", "1"), ("--gpus", '"device=MIG-1f/2/3,1"')),
        (BY_REQUEST, ("all",), ("--gpus", "all")),
        (GpuOffer(request=None), ("0",), ()),
    ],
)
def test_single_gpus_are_asked_for(found, wanted, flags):
    assert gpu_flags(select_gpus(found, wanted)) == flags


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (("7",), "have no nvidia.com/gpu=7"),
        (("0", "all"), "cannot be asked for together"),
        (("",), "is not the name of a GPU"),
        (("-1",), "is not the name of a GPU"),
        (("0,1",), "is not the name of a GPU"),
        (("--privileged",), "is not the name of a GPU"),
        (('GPU-1"',), "is not the name of a GPU"),
        (("vendor.com/net=0",), "is not the name of a GPU"),
        (("0\n",), "is not the name of a GPU"),
    ],
)
def test_what_names_no_gpu_is_refused(wanted, word):
    with pytest.raises(InputError, match=word):
        select_gpus(BY_CDI, wanted)


def test_podman_reads_the_specs_where_they_lie_by_default(tmp_path, monkeypatch):
    (tmp_path / "nvidia.yaml").write_text(YAML)
    monkeypatch.setattr("cudaforge.engine.gpus._SPEC_DIRECTORIES", (str(tmp_path),))
    found = read_offer({}, devices=tmp_path / "dev", is_local=True, is_podman=True)
    assert found.request == GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=all",))
    assert offer({}, tmp_path).request is None


def test_podman_is_not_asked_in_a_way_that_it_ignores(tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    found = read_offer({}, devices=tmp_path / "dev", is_local=True, is_podman=True)
    assert (found.request, found.host_devices) == (None, (str(tmp_path / "dev" / "nvidia0"),))


@pytest.mark.parametrize(
    ("vendor", "class_", "is_gpu"),
    [
        ("0x10de", "0x030000", True),
        ("0x10de", "0x030200", True),
        ("0x10de", "0x040300", False),
        ("0x8086", "0x030000", False),
    ],
)
def test_a_gpu_on_the_bus_counts_without_a_driver(tmp_path, vendor: str, class_: str, is_gpu: bool):  # noqa: FBT001
    device = tmp_path / "pci" / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(vendor + "\n")
    (device / "class").write_text(class_ + "\n")
    for is_local in (True, False):
        found = read_offer({}, devices=tmp_path / "dev", is_local=is_local, pci=tmp_path / "pci")
        assert (found.request, found.has_hardware) == (None, is_gpu and is_local)

"""Each check of a host: a machine on which all is well, and machines on which one thing is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cudaforge.codes import Code
from cudaforge.doctor import CHECKS, Finding, State
from cudaforge.doctor.host import Disk
from cudaforge.doctor.situation import EngineTrouble, Expected, SeenEngine
from cudaforge.engine import GpuMethod, GpuRequest
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.records import replace
from tests.unit.doctor.machines import (
    BY_CDI,
    BY_RUNTIME,
    DRIVER,
    GB,
    H100,
    HANGS,
    SITE,
    Machine,
    failing,
    nvml,
    nvml_error,
)

SPEC = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: all
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
  mounts:
  - hostPath: /usr/lib/libcuda.so.{driver}
    containerPath: /usr/lib/libcuda.so.{driver}
    options: [ro, bind]
"""
CUDA_IMAGE = Expected(
    name="train",
    reference="acme/train:1",
    compressed=4 * GB,
    installed=8 * GB,
    is_lower_bound=False,
    has_cuda=True,
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def healthy(machine: Machine) -> Machine:
    machine.gpu()
    machine.offer = BY_CDI
    machine.file("/etc/cdi/nvidia.yaml", SPEC.format(driver=DRIVER))
    machine.file(f"/usr/lib/libcuda.so.{DRIVER}")
    return machine


def trouble(finding: Finding, code: Code | None, *words: str) -> None:
    assert finding.state is State.PROBLEM, finding
    assert finding.code is code
    assert finding.remedy
    for word in words:
        assert word in f"{finding.detail} {finding.remedy}", finding


def test_a_healthy_machine_has_no_finding_to_mend(healthy: Machine) -> None:
    found = healthy.findings()
    assert list(found) == [check.id for check in CHECKS]
    states = {name: finding.state for name, finding in found.items()}
    assert set(states.values()) <= {State.OK, State.SKIPPED}, found
    assert states["logins"] is State.SKIPPED  # nobody has ever logged in
    assert found["driver"].detail == "570.124.06, CUDA 12.8 natively (by NVML)"
    assert found["gpus"].detail == "NVIDIA H100 80GB HBM3 (sm_90, 85.5 GB)"
    assert "nvidia.com/gpu=0, nvidia.com/gpu=all" in found["cdi"].detail


def test_a_machine_without_a_gpu_is_no_problem(machine: Machine) -> None:
    found = machine.findings()
    assert found["driver"].state is State.SKIPPED
    assert not [one for one in found.values() if one.state is State.PROBLEM]


def test_without_a_gpu_an_image_for_one_is_warned_of(machine: Machine) -> None:
    machine.expected = (CUDA_IMAGE,)
    found = machine.findings()["driver"]
    assert (found.state, found.code) == (State.WARNING, Code.NO_GPU)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (EngineTrouble.ABSENT, Code.ENGINE_MISSING),
        (EngineTrouble.TOO_OLD, Code.ENGINE_TOO_OLD),
        (EngineTrouble.SILENT, Code.ENGINE_UNREACHABLE),
        (EngineTrouble.DENIED, Code.ENGINE_PERMISSION),
    ],
)
def test_an_engine_that_fails_is_named_and_the_rest_still_looked_at(
    healthy: Machine, kind: EngineTrouble, code: Code
) -> None:
    healthy.engine = SeenEngine(
        socket="/var/run/docker.sock", trouble=kind, problem=Problem(what="it fails", remedy="mend it")
    )
    found = healthy.findings()
    trouble(found["engine"], code, "it fails", "mend it")
    assert {found[name].state for name in ("buildx", "disk", "cgroup", "toolkit")} == {State.SKIPPED}
    assert found["driver"].state is State.OK


def test_podman_is_mended_in_podmans_words(healthy: Machine) -> None:
    healthy.is_podman = True
    healthy.offer = replace(BY_CDI, request=None, cdi_devices=())
    healthy.disk = Disk(free=GB, total=1000 * GB)
    healthy.registries = ("ghcr.io",)
    healthy.file("/root/.docker/config.json", "{}")
    healthy.site = replace(SITE, proxies={"HTTPS_PROXY": "http://127.0.0.1:9"})
    (healthy.root / "var/run/docker.sock").unlink()
    found = healthy.findings()
    named = ("socket", "disk", "toolkit", "logins")
    assert all("docker" not in _without_places(found[name].remedy or "docker") for name in named), found
    assert "start podman.socket" in (found["socket"].remedy or "")
    assert "podman system df" in (found["disk"].remedy or "")
    assert (found["toolkit"].remedy or "").count("nvidia-ctk") == 1
    assert (found["logins"].remedy or "").endswith("config.json ghcr.io")


def _without_places(remedy: str) -> str:
    """Podman reads logins from Docker's file, too."""
    return remedy.replace("~/.docker/config.json", "")


def test_buildx_that_is_missing(healthy: Machine) -> None:
    healthy.buildx = Problem(what="there is no buildx", remedy="install docker-buildx-plugin")
    trouble(healthy.findings()["buildx"], Code.BUILDX_MISSING, "docker-buildx-plugin")


@pytest.mark.parametrize(
    ("groups", "state"), [(frozenset[int]({1}), State.PROBLEM), (None, State.OK)], ids=["stranger", "member"]
)
def test_the_socket_is_for_its_group(healthy: Machine, groups: frozenset[int] | None, state: State) -> None:
    place = healthy.root / "var/run/docker.sock"
    place.chmod(0o660)
    healthy.uid = 4242
    healthy.groups = frozenset({place.stat().st_gid}) if groups is None else groups | {999_999}
    if groups is not None:
        healthy.groups -= {place.stat().st_gid}
    found = healthy.findings()["socket"]
    assert found.state is state
    if state is State.PROBLEM:
        trouble(found, Code.ENGINE_PERMISSION, "usermod -aG")


def test_a_login_older_than_its_group(healthy: Machine) -> None:
    place = healthy.root / "var/run/docker.sock"
    place.chmod(0o660)
    healthy.uid, healthy.groups = 4242, frozenset({4242})
    healthy.file("/etc/passwd", "ada:x:4242:4242::/home/ada:/bin/sh\n")
    healthy.file("/etc/group", f"docker:x:{place.stat().st_gid}:ada\n")
    trouble(healthy.findings()["socket"], Code.ENGINE_PERMISSION, "log in again", "newgrp")


def test_a_socket_for_everybody(healthy: Machine) -> None:
    (healthy.root / "var/run/docker.sock").chmod(0o666)
    found = healthy.findings()["socket"]
    assert found.state is State.WARNING
    assert found.remedy == "sudo chmod o-rw /var/run/docker.sock"


def test_what_is_to_be_built_does_not_fit(healthy: Machine) -> None:
    healthy.disk = Disk(free=10 * GB, total=100 * GB)
    healthy.expected = (CUDA_IMAGE,)
    trouble(healthy.findings()["disk"], Code.DISK_FULL, "train will take 12.0 GB", "2.0 GB are missing")
    healthy.present = frozenset({"train"})
    assert healthy.findings()["disk"].state is State.OK


def test_a_size_that_nobody_knows_is_a_least(healthy: Machine) -> None:
    healthy.expected = (replace(CUDA_IMAGE, compressed=None, is_lower_bound=True),)
    assert "at least 8.0 GB" in healthy.findings()["disk"].detail


def test_no_driver_for_a_gpu_that_is_there(healthy: Machine) -> None:
    (healthy.root / "proc/driver/nvidia/version").unlink()
    healthy.nvml(nvml_error(12, "NVML Shared Library Not Found"))
    trouble(healthy.findings()["driver"], Code.DRIVER_MISSING, "1 NVIDIA GPU on the PCI bus", "reboot")
    healthy.file("/proc/modules", "nouveau 2531328 1 - Live 0x0\n")
    trouble(healthy.findings()["driver"], Code.DRIVER_MISSING, "nouveau", "blacklist")


def test_a_driver_that_was_updated_under_the_kernel(healthy: Machine) -> None:
    healthy.nvml(nvml_error(18, "Driver/library version mismatch"))
    trouble(healthy.findings()["driver"], Code.DRIVER_MISMATCH, DRIVER, "reboot", "rmmod")


def test_a_library_that_names_another_driver_than_the_kernel(healthy: Machine) -> None:
    healthy.kernel("550.54.15")
    trouble(healthy.findings()["driver"], Code.DRIVER_MISMATCH, "550.54.15", "reboot")


def test_a_module_without_its_library(healthy: Machine) -> None:
    healthy.nvml(nvml_error(12, "NVML Shared Library Not Found"))
    trouble(healthy.findings()["driver"], Code.DRIVER_MISSING, "libnvidia-compute-570")


def test_a_driver_that_never_answers_is_a_finding(healthy: Machine) -> None:
    healthy.nvml(HANGS)
    trouble(healthy.findings()["driver"], Code.DRIVER_MISSING, "did not end within 10 s", "xid")


def test_devices_that_this_user_may_not_use(healthy: Machine) -> None:
    healthy.nvml(nvml_error(4, "Insufficient Permissions"))
    trouble(healthy.findings()["driver"], Code.DEVICE_PERMISSION, "Insufficient Permissions")


def test_device_nodes_that_are_missing(healthy: Machine) -> None:
    (healthy.root / "dev/nvidia-uvm").unlink()
    found = healthy.findings()["driver"]
    assert (found.state, found.remedy) == (State.WARNING, "sudo nvidia-modprobe -c 0 -u")


def test_a_driver_without_a_gpu(healthy: Machine) -> None:
    healthy.nvml(nvml())
    trouble(healthy.findings()["gpus"], Code.NO_GPU, "lspci")


def test_a_gpu_that_the_driver_does_not_have(healthy: Machine) -> None:
    healthy.gpu(gpus=[H100, H100])
    healthy.nvml(nvml(H100))
    assert healthy.findings()["gpus"].state is State.WARNING


@pytest.mark.parametrize(
    "banner",
    [
        "| NVIDIA-SMI 570.124.06   Driver Version: 570.124.06   CUDA Version: 12.8 |",
        "| NVIDIA-SMI 570.124.06   KMD Version: 570.124.06   CUDA UMD Version: 12.8 |",
    ],
    ids=["older names", "newer names"],
)
@pytest.mark.parametrize("knows_query", [True, False])
def test_the_text_of_nvidia_smi_stands_in_for_the_library(
    healthy: Machine, banner: str, *, knows_query: bool
) -> None:
    healthy.nvml(failing("", 1))
    query = "nvidia-smi --query-gpu=name,compute_cap,memory.total --format=csv,noheader,nounits"
    healthy.program("nvidia-smi", banner)
    healthy.answers[query] = (
        "NVIDIA H100 80GB HBM3, 9.0, 81559\n"
        if knows_query
        else failing('Field "compute_cap" is not a valid field to query.', 2)
    )
    healthy.answers["nvidia-smi -L"] = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n"
    found = healthy.findings()
    assert found["driver"].detail == "570.124.06, CUDA 12.8 natively (by nvidia-smi)"
    assert found["gpus"].detail.startswith("NVIDIA H100 80GB HBM3")
    assert ("sm_90" in found["gpus"].detail) is knows_query


def test_nvidia_smi_that_hangs(healthy: Machine) -> None:
    healthy.nvml(failing("", 1))
    healthy.program("nvidia-smi", HANGS)
    trouble(healthy.findings()["driver"], Code.DRIVER_MISSING, "nvidia-smi did not end")


def test_a_toolkit_that_is_not_installed(healthy: Machine) -> None:
    healthy.offer = replace(BY_CDI, request=None, cdi_devices=())
    trouble(healthy.findings()["toolkit"], Code.TOOLKIT_MISSING, "nvidia-ctk runtime configure")
    healthy.program("nvidia-ctk")
    trouble(healthy.findings()["toolkit"], Code.CDI_MISSING, "nvidia-ctk is installed", "restart docker")


def test_a_hook_that_serves_gpus_without_a_runtime(healthy: Machine) -> None:
    request = GpuRequest(method=GpuMethod.DEVICE_REQUEST)
    healthy.offer = replace(BY_CDI, request=request, cdi_devices=())
    assert healthy.findings()["toolkit"].state is State.PROBLEM
    healthy.program("nvidia-container-runtime-hook")
    assert healthy.findings()["toolkit"].state is State.OK


def test_a_spec_of_an_older_driver(healthy: Machine) -> None:
    healthy.file("/etc/cdi/nvidia.yaml", SPEC.format(driver="550.54.15"))
    trouble(
        healthy.findings()["cdi"],
        Code.CDI_STALE,
        "550.54.15",
        DRIVER,
        "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    )


def test_a_spec_that_names_what_is_gone(healthy: Machine) -> None:
    (healthy.root / f"usr/lib/libcuda.so.{DRIVER}").unlink()
    trouble(healthy.findings()["cdi"], Code.CDI_STALE, f"/usr/lib/libcuda.so.{DRIVER}")


def test_a_spec_of_fewer_gpus(healthy: Machine) -> None:
    healthy.gpu(gpus=[H100, H100])
    trouble(healthy.findings()["cdi"], Code.CDI_STALE, "names 1 GPUs, and the driver has 2")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nvidia.yaml", "kind: [nvidia", "no YAML at line"),
        ("nvidia.json", '{"kind": ', "no JSON at line 1"),
        ("nvidia.yaml", "- a\n- b\n", "no CDI spec"),
        ("nvidia.yaml", "cdiVersion: 0.5.0\n", "names no kind"),
        ("nvidia.yaml", "kind: nvidia.com/gpu\ndevices: {}\n", "names no device"),
        ("nvidia.yaml", "kind: nvidia.com/gpu\ndevices: [1, {}]\n", None),
    ],
)
def test_a_spec_that_cannot_be_read(healthy: Machine, name: str, text: str, said: str | None) -> None:
    (healthy.root / "etc/cdi/nvidia.yaml").unlink()
    healthy.file(f"/etc/cdi/{name}", text)
    found = healthy.findings()["cdi"]
    if said is None:
        assert found.state is State.OK
    else:
        trouble(found, Code.CDI_BROKEN, said)


def test_specs_of_others_are_left_alone(healthy: Machine) -> None:
    healthy.file("/etc/cdi/other.json", json.dumps({"kind": "vendor.com/net", "devices": [{"name": "a"}]}))
    assert healthy.findings()["cdi"].state is State.OK


def test_systemd_takes_gpus_away_from_containers(healthy: Machine) -> None:
    healthy.offer = BY_RUNTIME
    healthy.info["CgroupDriver"] = "systemd"
    found = healthy.findings()["cgroup"]
    assert (found.state, found.code) == (State.WARNING, Code.CGROUP_RELOAD)
    assert "create-dev-char-symlinks" in (found.remedy or "")
    healthy.file("/dev/char/195:0")
    assert healthy.findings()["cgroup"].state is State.OK


def test_devices_that_the_runtime_does_not_allow(healthy: Machine) -> None:
    healthy.offer = BY_RUNTIME
    healthy.file("/etc/nvidia-container-runtime/config.toml", "[nvidia-container-cli]\nno-cgroups = true\n")
    trouble(healthy.findings()["cgroup"], Code.DEVICE_PERMISSION, "no-cgroups=false")
    healthy.info["SecurityOptions"] = ["name=rootless"]
    assert healthy.findings()["cgroup"].state is State.OK


def test_a_credential_helper_that_is_not_installed(healthy: Machine) -> None:
    secret = "aGVsbG86c2VjcmV0"
    healthy.file(
        "/root/.docker/config.json",
        json.dumps(
            {
                "auths": {"ghcr.io": {"auth": secret}},
                "credsStore": "desktop",
                "credHelpers": {"gcr.io": "gcloud"},
            }
        ),
    )
    healthy.program("docker-credential-gcloud")
    found = healthy.findings()["logins"]
    trouble(found, Code.CREDENTIAL_HELPER_MISSING, "docker-credential-desktop")
    assert "docker-credential-gcloud" not in found.detail
    assert secret not in repr(healthy.situation())


def test_logins_for_where_images_go(healthy: Machine) -> None:
    healthy.registries = ("ghcr.io",)
    place = healthy.file(
        "/root/.docker/config.json", '{"auths": {"https://index.docker.io/v1/": {"auth": "eA=="}}}'
    )
    place.chmod(0o600)
    found = healthy.findings()["logins"]
    assert (found.state, found.code) == (State.WARNING, Code.LOGIN_MISSING)
    assert found.remedy == "docker login ghcr.io"
    healthy.registries = ("docker.io",)
    assert healthy.findings()["logins"].state is State.OK
    place.chmod(0o644)
    assert healthy.findings()["logins"].remedy == "chmod 600 /root/.docker/config.json"


def test_a_docker_configuration_that_is_none(healthy: Machine) -> None:
    healthy.file("/root/.docker/config.json", "[")
    trouble(healthy.findings()["logins"], None, "/root/.docker/config.json")


def test_a_proxy_that_does_not_answer(healthy: Machine) -> None:
    healthy.site = replace(SITE, proxies={"HTTPS_PROXY": "http://ada:secret@127.0.0.1:9"})
    found = healthy.findings()["proxy"]
    trouble(found, Code.PROXY_UNREACHABLE, "127.0.0.1:9", "HTTPS_PROXY")
    assert "secret" not in found.detail


def test_certificates_that_are_none(healthy: Machine) -> None:
    bundle = healthy.file("/etc/site.pem", "no certificate")
    healthy.site = replace(SITE, ca_bundle=bundle, origins={"ca_bundle": "SSL_CERT_FILE"})
    trouble(healthy.findings()["certificates"], Code.CERTIFICATES_BROKEN, "SSL_CERT_FILE", "no PEM")


def test_settings_of_the_network_that_are_wrong(healthy: Machine) -> None:
    def wrong() -> None:
        raise SurroundingsError(Problem(what="HTTPS_PROXY is no address", remedy="correct it"))

    from cudaforge.doctor.look import see_network

    seen = see_network(wrong)
    assert seen.site is None
    assert seen.problem is not None

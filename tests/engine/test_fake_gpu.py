"""The fake GPUs themselves: what a container sees when the engine injects them."""

import json
import shutil
import subprocess

import pytest

from cudaforge.bootstrap import BootstrapImage, loaded_reference, write_archive
from tests.engine.conftest import OfferGpus
from tests.support.bases import make_base
from tests.support.fakegpu import BROKEN_DRIVER, HEALTHY, MISMATCH, NO_DEVICE, OLD_DRIVER, TWO_GPUS

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

PROBE = """\
import ctypes, glob, json, os, subprocess
cuda, nvml = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL("libnvidia-ml.so.1")
version, count, device, value = (ctypes.c_int() for _ in range(4))
text = ctypes.create_string_buffer(64)
answer = {"init": cuda.cuInit(0), "nodes": sorted(glob.glob("/dev/nvidia[0-9]*"))}
cuda.cuDriverGetVersion(ctypes.byref(version))
nvml.nvmlInit_v2(); nvml.nvmlSystemGetDriverVersion(text, 64)
answer.update(cuda=version.value, driver=text.value.decode(), devices=[])
answer["count_code"] = cuda.cuDeviceGetCount(ctypes.byref(count))
for number in range(count.value):
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(text, 64, device)
    capability = []
    for attribute in (75, 76):
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(value.value)
    answer["devices"].append([text.value.decode(), capability])
answer["smi"] = subprocess.run(["nvidia-smi"], capture_output=True, text=True).stdout
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory: pytest.TempPathFactory):
    base: BootstrapImage = make_base("bookworm")
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    write_archive(base, archive)
    subprocess.run(["docker", "load", "-q", "-i", archive], check=True, capture_output=True, timeout=120)
    yield loaded_reference(base)
    subprocess.run(["docker", "rmi", loaded_reference(base)], check=True, capture_output=True, timeout=60)


def probe(image: str, device: str) -> dict:
    argv = ["docker", "run", "--rm", "--user", "65534", "--device", device, image, "python3", "-c", PROBE]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_healthy_gpu(image: str, offer_fake_gpus: OfferGpus):
    answer = probe(image, offer_fake_gpus(HEALTHY))
    assert (answer["init"], answer["cuda"], answer["driver"]) == (0, 12080, "570.124.06")
    assert answer["devices"] == [["NVIDIA H100 80GB HBM3", [9, 0]]]
    assert answer["nodes"] == ["/dev/nvidia0"]
    assert "CUDA Version: 12.8" in answer["smi"]


def test_one_of_two(image: str, offer_fake_gpus: OfferGpus):
    every = offer_fake_gpus(TWO_GPUS)
    assert len(probe(image, every)["devices"]) == 2
    assert probe(image, every.replace("=all", "=1"))["nodes"] == ["/dev/nvidia1"]


def test_a_driver_too_old(image: str, offer_fake_gpus: OfferGpus):
    answer = probe(image, offer_fake_gpus(OLD_DRIVER))
    assert (answer["cuda"], answer["driver"]) == (11000, "450.80.02")


def test_no_device(image: str, offer_fake_gpus: OfferGpus):
    answer = probe(image, offer_fake_gpus(NO_DEVICE))
    assert (answer["init"], answer["devices"], answer["nodes"]) == (100, [], [])


def test_a_driver_that_does_not_start(image: str, offer_fake_gpus: OfferGpus):
    assert probe(image, offer_fake_gpus(BROKEN_DRIVER))["init"] == MISMATCH


def test_the_engine_offers_none_afterwards(image: str, offer_fake_gpus: OfferGpus):
    with offer_fake_gpus.during(HEALTHY) as device:
        probe(image, device)
    argv = ["docker", "run", "--rm", "--device", device, image, "true"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "unresolvable CDI devices nvidia.com/gpu=all" in done.stderr

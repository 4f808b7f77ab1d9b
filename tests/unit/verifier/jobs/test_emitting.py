"""Jobs for other machines: valid for whom they are written, confined as on a local engine."""

from __future__ import annotations

import kubernetes_validate
import pytest
import yaml

from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.verifier.jobs import Form, emit, order_from_json, order_to_json
from cudaforge.verifier.jobs.model import place_order
from tests.support.locks import CPU_IMAGE, GPU_IMAGE

NONCE = "0123456789abcdef" * 2
LIMITED = replace(GPU_IMAGE, verify=replace(GPU_IMAGE.verify, memory_limit=8 * 2**30))


def job(image: LockedImage, form: Form, *, gpus: int = 1) -> str:
    return emit(image, place_order(image, form, nonce=NONCE, gpus=gpus)).text


def kubernetes(image: LockedImage, *, gpus: int = 1) -> list[dict]:
    return list(yaml.safe_load_all(job(image, Form.KUBERNETES, gpus=gpus)))


@pytest.mark.parametrize("version", ["1.28", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("image", [GPU_IMAGE, CPU_IMAGE, LIMITED, replace(GPU_IMAGE, user="1234:5678")])
def test_kubernetes_takes_it(image: LockedImage, version: str):
    documents = kubernetes(image)
    assert [document["kind"] for document in documents] == ["Job", "NetworkPolicy"]
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_kubernetes_confines_it():
    job, policy = kubernetes(LIMITED, gpus=4)
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit"] == 0
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4", "memory": str(8 * 2**30)}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/dev/shm"}
    assert container["command"][0] == "/opt/venv/bin/python"
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["spec"].get("egress") is None


def test_an_image_without_cuda_asks_for_no_gpu():
    container = kubernetes(CPU_IMAGE)[0]["spec"]["template"]["spec"]["containers"][0]
    assert "resources" not in container
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in container["env"]
    assert "--gres" not in job(CPU_IMAGE, Form.SLURM)
    assert "\ngpus=0\n" in job(CPU_IMAGE, Form.SCRIPT)


def test_a_long_name_is_still_a_kubernetes_name():
    name = kubernetes(replace(GPU_IMAGE, name="a" * 60 + ".b"))[0]["metadata"]["name"]
    assert len(name) <= 63
    assert name.endswith(f"-{NONCE[:8]}")


def test_slurm_is_asked_for_gpus_memory_and_time():
    lines = job(LIMITED, Form.SLURM, gpus=2).splitlines()
    assert lines[0] == "#!/bin/sh"
    asked = {line for line in lines if line.startswith("#SBATCH")}
    assert {"#SBATCH --gres=gpu:2", "#SBATCH --mem=8192M"} <= asked
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    last_option = max(number for number, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert last_option < first_command, "sbatch reads no option behind the first command"


def test_a_job_cannot_be_forged_by_its_file_name_or_order():
    order = place_order(GPU_IMAGE, Form.SLURM, nonce=NONCE, gpus=1)
    assert order_from_json(order_to_json(order)) == order
    for change in ({"nonce": "../x"}, {"schema": 2}, {"form": "cron"}, {"gpus": "1"}, {"gpu": None}):
        assert order_from_json({**order_to_json(order), **change}) is None
    assert order_from_json(["nonce"]) is None

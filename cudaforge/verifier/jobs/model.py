"""What was ordered elsewhere, so that its result can be recognised and judged when it comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record
from cudaforge.verifier.reference import draw_challenge
from cudaforge.verifier.situation import GpuWish

_NONCE = re.compile(r"[0-9a-f]{32}")


class Form(str, Enum):
    """For whom a job is written."""

    KUBERNETES = "kubernetes"
    SLURM = "slurm"
    SCRIPT = "script"

    @property
    def suffix(self) -> str:
        """How the job's file name ends."""
        return {Form.KUBERNETES: ".yaml", Form.SLURM: ".sbatch", Form.SCRIPT: ".sh"}[self]


@record()
class Order:
    """One job that was written for one image. Its nonce is in what the job prints."""

    nonce: str
    image: str
    """Name of the image in the lock."""
    entry: str
    """Digest of its lock entry: a result proves this entry and no other."""
    reference: str
    form: Form
    gpu: GpuWish
    gpus: int
    """How many GPUs the job asks for; 0 for none."""
    challenge: int
    """The seed of the network that the frameworks are given."""

    @property
    def file(self) -> str:
        """The job's file name."""
        return f"verify-{self.image}{self.form.suffix}"


def place_order(image: LockedImage, form: Form, *, nonce: str, gpus: int) -> Order:
    """The order for an image: GPUs are asked for unless the lock switches them off or has no CUDA."""
    wish = GpuWish(image.verify.gpu)
    wants_gpu = wish is not GpuWish.OFF and image.cuda is not None
    return Order(
        nonce=nonce,
        image=image.name,
        entry=image.digest,
        reference=image.tags[0],
        form=form,
        gpu=wish,
        gpus=gpus if wants_gpu else 0,
        challenge=draw_challenge(),
    )


def order_to_json(order: Order) -> dict[str, object]:
    """The JSON form of an order."""
    return {
        "schema": 1,
        "nonce": order.nonce,
        "image": order.image,
        "entry": order.entry,
        "reference": order.reference,
        "form": order.form.value,
        "gpu": order.gpu.value,
        "gpus": order.gpus,
        "challenge": order.challenge,
    }


def order_from_json(saved: object) -> Order | None:
    """The order that `order_to_json` wrote; None for anything else."""
    if not isinstance(saved, Mapping) or saved.get("schema") != 1:
        return None
    texts = {key: saved.get(key) for key in ("nonce", "image", "entry", "reference", "form", "gpu")}
    gpus, challenge = saved.get("gpus"), saved.get("challenge")
    if (
        not isinstance(gpus, int)
        or not isinstance(challenge, int)
        or not all(isinstance(value, str) for value in texts.values())
    ):
        return None
    words = {key: str(value) for key, value in texts.items()}
    if _NONCE.fullmatch(words["nonce"]) is None:
        return None
    try:
        form, gpu = Form(words["form"]), GpuWish(words["gpu"])
    except ValueError:
        return None
    return Order(
        nonce=words["nonce"],
        image=words["image"],
        entry=words["entry"],
        reference=words["reference"],
        form=form,
        gpu=gpu,
        gpus=gpus,
        challenge=challenge,
    )

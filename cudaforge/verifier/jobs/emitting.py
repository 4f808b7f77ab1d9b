"""Writing a proof as a job: a Kubernetes Job, an sbatch script or a plain shell script.

What runs in the container, and how it is confined, is the same as on a local engine.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping

from cudaforge.engine import RUN_LABEL
from cudaforge.lockfile.model import LockedImage
from cudaforge.references import parse_reference
from cudaforge.renderer.account import DEFAULT_UID, find_account
from cudaforge.renderer.image import template_environment
from cudaforge.renderer.mark import describe_mark, seal
from cudaforge.renderer.model import ENTRY_LABEL, RenderedFile
from cudaforge.verifier.jobs.model import Form, Order
from cudaforge.verifier.launching import GRACE_SECONDS, PIDS, SHARED_MEMORY, TMPFS, probe_of
from cudaforge.verifier.situation import PYTHON

JOB_TAG = "cudaforge-job"
"""Begins each line in which a job tells how it ran, followed by the nonce, a word and a value."""
_PULL_SECONDS = 3600
"""For scheduling the pod and pulling the image: activeDeadlineSeconds counts both."""
_NOT_IN_NAME = re.compile(r"[^a-z0-9-]+")
_NAME_LIMIT = 40
"""Of 63 characters in a Kubernetes name; the rest is for the nonce and what Jobs add for their pods."""


def emit(image: LockedImage, order: Order) -> RenderedFile:
    """The job of an order, complete. Raises SurroundingsError for a proof that does not exist, UnsafeText
    for a value that cannot be carried."""
    probe = probe_of(image, nonce=order.nonce, challenge=order.challenge)
    context = {
        **_context(image, order),
        **(_kubernetes(image, order, probe) if order.form is Form.KUBERNETES else _shell(order, probe)),
    }
    text = template_environment().get_template(f"verify/{order.form.value}.j2").render(context)
    return RenderedFile(path=order.file, text=seal(order.file, text))


def _context(image: LockedImage, order: Order) -> dict[str, object]:
    seconds = math.ceil(image.verify.timeout + GRACE_SECONDS)
    return {
        "mark": describe_mark(f"lock entry {image.digest}"),
        "file": order.file,
        "name": image.name,
        "image": order.reference,
        "python": PYTHON,
        "nonce": order.nonce,
        "gpus": order.gpus,
        "memory": image.verify.memory_limit,
        "seconds": seconds,
        "minutes": math.ceil((seconds + _PULL_SECONDS) / 60),
        "pids": PIDS,
        "shared_memory": SHARED_MEMORY,
        "tmpfs": [f"{path}:{options}" for path, options in TMPFS.items()],
    }


def _shell(order: Order, probe: tuple[str, ...]) -> Mapping[str, object]:
    reference = parse_reference(order.reference)
    return {
        "tag": JOB_TAG,
        # The launcher has several lines, which `quote_shell` refuses in values that users wrote.
        "probe": " ".join(shlex.quote(word) for word in probe),
        "entry_label": ENTRY_LABEL,
        "run_label": RUN_LABEL,
        "enroot_image": f"{reference.registry}#{reference.repository}{_version(order.reference)}",
    }


def _version(reference: str) -> str:
    parsed = parse_reference(reference)
    return f":{parsed.tag}" if parsed.tag else ""


def _kubernetes(image: LockedImage, order: Order, probe: tuple[str, ...]) -> Mapping[str, object]:
    account = find_account(image.user)
    name = _NOT_IN_NAME.sub("-", image.name.lower())[:_NAME_LIMIT].strip("-")
    return {
        "job": f"verify-{name}-{order.nonce[:8]}".replace("--", "-"),
        "command": json.dumps([PYTHON, *probe]),
        # Kubernetes cannot tell whether an account that is known by name alone is root.
        "uid": account.uid if account else DEFAULT_UID,
        "gid": account.gid if account else DEFAULT_UID,
        "deadline": math.ceil(image.verify.timeout + GRACE_SECONDS) + _PULL_SECONDS,
        "entry": image.digest,
    }

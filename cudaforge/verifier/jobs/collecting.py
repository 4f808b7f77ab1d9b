"""Reading back what a job printed. The log is the image's word, and a host's: both are read with distrust."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping

from cudaforge.engine import GpuMethod, GpuOffer, GpuRequest
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier import causes
from cudaforge.verifier.causes import Cause
from cudaforge.verifier.evidence import TAG, NoResult, parse_output
from cudaforge.verifier.jobs.emitting import JOB_TAG
from cudaforge.verifier.jobs.model import Form, Order
from cudaforge.verifier.situation import PYTHON, Situation

_NONCE = re.compile(rf"(?:{TAG}|{JOB_TAG}) (?P<nonce>[0-9a-f]{{32}}) ")
_TIME_OUT = 124
"""How `timeout` says that it had to end a command."""
_METHODS = {method.value: method for method in GpuMethod}


def find_nonces(text: str) -> tuple[str, ...]:
    """The nonces of all jobs in a log, in the order in which they first appear."""
    return tuple(dict.fromkeys(match["nonce"] for match in _NONCE.finditer(text)))


def collect(image: LockedImage, order: Order, text: str) -> Situation:
    """What the log of a job says of its image."""
    told = dict(_told(text, order.nonce))
    entry = told.get("entry")
    situation = Situation(
        image=image,
        labels={ENTRY_LABEL: entry} if entry else {},
        gpu=order.gpu,
        offer=_offer(order, told),
        refusal=_decoded(told, "refusal"),
        challenge=order.challenge,
        is_looked_into=False,
    )
    try:
        return replace(situation, report=parse_output(_own_lines(text, order.nonce), order.nonce))
    except NoResult as reason:
        return replace(situation, failure=_failure(image, told, str(reason), text))


def host_of(order: Order, text: str) -> Mapping[str, str]:
    """Where a job ran, as far as it tells: `host`, `runtime`, `image`."""
    told = dict(_told(text, order.nonce))
    return {"form": order.form.value} | {
        key: told[key] for key in ("host", "runtime", "image") if told.get(key)
    }


def _told(text: str, nonce: str) -> Iterator[tuple[str, str]]:
    """The words and values of the job's own lines; of a word that is said twice the first counts."""
    seen = set()
    for match in re.finditer(rf"{JOB_TAG} {nonce} (?P<word>[a-z]+) (?P<value>[^\r\n]*)", text):
        if match["word"] not in seen:
            seen.add(match["word"])
            yield match["word"], match["value"].strip()


def _own_lines(text: str, nonce: str) -> str:
    """The result lines without what log collectors put before them: time stamps, names of pods."""
    tag = f"{TAG} {nonce} "
    return "\n".join(line[line.index(tag) :] for line in text.splitlines() if tag in line)


def _offer(order: Order, told: Mapping[str, str]) -> GpuOffer:
    if not order.gpus:
        return GpuOffer(request=None)
    said = told.get("gpus", "")
    if order.form is not Form.KUBERNETES and said not in _METHODS:
        return GpuOffer(request=None)
    method = _METHODS.get(said, GpuMethod.SCHEDULER)
    count = f"{order.gpus} of the scheduler's" if method is GpuMethod.SCHEDULER else "all"
    return GpuOffer(request=GpuRequest(method=method, devices=(count,)))


def _failure(image: LockedImage, told: Mapping[str, str], reason: str, text: str) -> Cause:
    settings = image.verify
    if (said := _decoded(told, "unavailable")) is not None:
        return Cause(
            text=f"the host could not get the image: {_last_line(said)}",
            remedy="push the image where that host can pull it, and log the host in at the registry",
        )
    if "killed" in told:
        return causes.out_of_memory(settings.memory_limit)
    status, errors = told.get("status", ""), _decoded(told, "errors") or ""
    if status == str(_TIME_OUT):
        return causes.out_of_time(settings.timeout)
    if status.isdecimal() and int(status) in {125, 126, 127}:
        return causes.explain_start_error(errors, python=PYTHON)
    if status.isdecimal() and int(status) != 0:
        return causes.explain_exit(int(status), stderr=errors)
    if "exec format error" in text:
        return causes.explain_start_error("exec format error", python=PYTHON)
    if not told:
        reason += "; the job's log ends before it, or the pod never ran"
    return Cause(text=reason, remedy="look at the whole log, and at the job: kubectl describe, sacct")


def _decoded(told: Mapping[str, str], word: str) -> str | None:
    if word not in told:
        return None
    try:
        return base64.b64decode(told[word], validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it does not say why"

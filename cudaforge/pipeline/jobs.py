"""Proofs on other machines: writing jobs for them, and reading back what these printed."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.model import Declaration
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.files import write_atomically
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.pipeline.host import state_directory
from cudaforge.quoting import UnsafeText
from cudaforge.renderer.files import write_rendered
from cudaforge.renderer.model import RenderedFile, Written
from cudaforge.report.evidence import TIME_FACT
from cudaforge.units import utc_now
from cudaforge.verifier.model import Verdict

if TYPE_CHECKING:
    from cudaforge.verifier.jobs import Order

STANDARD_INPUT = "-"
_LARGEST_LOG = 64 * 2**20


def emit(
    lock: Lock, declaration: Declaration, *, form: str, directory: Path, gpus: int, force: bool
) -> Written:
    """Write one job for each of the lock's images, and keep the orders for `collect`.

    Raises InputError for files that cudaforge did not write, unless `force`.
    """
    from cudaforge.verifier.jobs import Form, order_to_json
    from cudaforge.verifier.jobs.model import place_order

    kind = Form(form)
    orders = [
        (image, place_order(image, kind, nonce=secrets.token_hex(16), gpus=gpus)) for image in lock.images
    ]
    files = [_job(image, order) for image, order in orders]
    written = write_rendered(files, directory, force=force)
    for _, order in orders:
        write_atomically(_order_file(declaration, order.nonce), json.dumps(order_to_json(order)) + "\n")
    return written


def _job(image: LockedImage, order: Order) -> RenderedFile:
    from cudaforge.verifier.jobs import emit

    try:
        return emit(image, order)
    except UnsafeText as error:
        raise InputError(Problem(what=f"{image.name}: no job can carry {error}")) from None


def collect(lock: Lock, declaration: Declaration, files: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts of the jobs whose output is in the files; `-` is standard input.

    Raises InputError for a file without any result of a job that was written for this project, and
    NegativeAnswer where the lock has moved since.
    """
    from cudaforge.verifier.jobs import find_nonces
    from cudaforge.verifier.jobs.collecting import collect, host_of
    from cudaforge.verifier.verdict import conclude

    verdicts = []
    for file in files:
        text = _read(file)
        orders = [order for nonce in find_nonces(text) if (order := _find_order(declaration, nonce))]
        if not orders:
            raise InputError(_nothing_in(file))
        for order in orders:
            image = _image_of(lock, order)
            ran = host_of(order, text)
            verdict = conclude(
                collect(image, order, text),
                reference=order.reference,
                image_id=ran.get("image", ""),
                facts={"job": dict(ran), TIME_FACT: utc_now()},
            )
            _save(verdict, order, declaration)
            verdicts.append(verdict)
    return tuple(verdicts)


def _image_of(lock: Lock, order: Order) -> LockedImage:
    for image in lock.images:
        if image.name == order.image and image.digest == order.entry:
            return image
    raise NegativeAnswer(
        Problem(
            what=f"{order.image}: the lock has moved since {order.file} was written",
            because=(f"the job proves the lock entry {order.entry}",),
            remedy="write the job again and run it: cudaforge verify --emit "
            f"{order.form.value} {order.image}",
        )
    )


def _find_order(declaration: Declaration, nonce: str) -> Order | None:
    from cudaforge.verifier.jobs import order_from_json

    try:
        return order_from_json(json.loads(_order_file(declaration, nonce).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None


def _order_file(declaration: Declaration, nonce: str) -> Path:
    return state_directory(declaration) / "orders" / f"{nonce}.json"


def _save(verdict: Verdict, order: Order, declaration: Declaration) -> None:
    """Beside the verdicts of this host, which stay: a result from elsewhere says nothing of this one."""
    from cudaforge.verifier import verdict_to_json

    path = state_directory(declaration) / "verdicts" / f"{verdict.name}@{order.form.value}.json"
    write_atomically(path, json.dumps(verdict_to_json(verdict), indent=2) + "\n")


def _read(file: str) -> str:
    try:
        if file == STANDARD_INPUT:
            data = sys.stdin.buffer.read(_LARGEST_LOG + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(_LARGEST_LOG + 1)
    except OSError as error:
        raise InputError(
            Problem(what=f"cannot read {file}: {error.strerror}", where=Location(file=file))
        ) from None
    if len(data) > _LARGEST_LOG:
        raise InputError(
            Problem(
                what=f"{file} is larger than {_LARGEST_LOG >> 20} MiB",
                remedy="keep the lines with cudaforge-job and cudaforge-probe in them: grep -a cudaforge-",
            )
        )
    return data.decode("utf-8", "replace")


def _nothing_in(file: str) -> Problem:
    return Problem(
        what=f"{file}: there is no result in it of a job that this project wrote",
        because=("a result is known by its nonce, which is kept in .cudaforge/orders",),
        remedy="give the whole output of the job, in the project directory in which --emit wrote it",
    )

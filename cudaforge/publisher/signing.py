"""Signing by cosign, where it is installed. All or nothing: an image that cannot be signed is an error."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from cudaforge import process
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem, SurroundingsError

SIGN_SECONDS = 300.0
_KMS = re.compile(r"[a-z0-9]+://[A-Za-z0-9_./:@%+=,-]+|env://[A-Za-z_][A-Za-z0-9_]*")


def require_cosign(key: str | None) -> None:
    """Raise SurroundingsError where there is no cosign, InputError for a key that is none."""
    if shutil.which("cosign") is None:
        raise SurroundingsError(
            Problem(
                what="--sign needs cosign, and there is no such program here",
                remedy="install cosign, or push without --sign",
            )
        )
    if key is None:
        return
    where = Location(file="command line", key="--key")
    if "://" in key:
        if _KMS.fullmatch(key) is None:
            raise InputError(
                Problem(what="this is no address of a key", where=where, remedy="see cosign sign")
            )
    elif key.startswith("-") or not Path(key).is_file():
        raise InputError(
            Problem(
                what=f"there is no key at {show(key)}",
                where=where,
                remedy="cosign generate-key-pair makes one",
            )
        )


def sign(reference: str, *, key: str | None) -> None:
    """Sign an image by its digest, with a key or by the identity that the surroundings have.

    `reference` ends with the digest, so that what is signed is what was pushed. cosign finds the registry's
    login in Docker's configuration, and the key's password in COSIGN_PASSWORD. Raises SurroundingsError.
    """
    words = ("cosign", "sign", "--yes", *(("--key", key) if key is not None else ()), reference)
    done = process.run(words, timeout=SIGN_SECONDS)
    if done.returncode != 0:
        raise SurroundingsError(
            Problem(
                what=f"{reference} is pushed, and is not signed: cosign ended with {done.returncode}",
                because=tuple(line.strip() for line in done.stderr.strip().splitlines()[-2:]),
                remedy="mend what cosign complains of, and push again: what is there is not sent twice",
            )
        )

"""Steps of a build as people know them."""

from __future__ import annotations

import re

_MOUNT = re.compile(r"--mount=\S+ +")
_OWN_STEP = " /bin/sh -euc "
# A step of ours begins with `: what it does &&`, a command that does nothing but say so.
_COMMAND = re.compile(r'process ".*"(?= did not complete successfully)', re.DOTALL)


def step_text(text: str) -> str:
    """A step of a Dockerfile without the machinery around it: what it does, or the user's own command."""
    flat = " ".join(_MOUNT.sub("", text).replace("[stage-0 ", "[").split())
    before, is_own, command = flat.partition(_OWN_STEP)
    if is_own:
        return f"{before.partition('RUN ')[0]}RUN {command}"
    return flat.replace("RUN : ", "").partition(" && ")[0]


def without_command(error: str) -> str:
    """BuildKit's words for a step that failed, without the whole command in them."""
    return _COMMAND.sub("a process", error)

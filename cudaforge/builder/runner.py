"""Running buildx for one image: its log, its events, and what its end means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cudaforge import process
from cudaforge.builder.command import BuildInputs, EngineTraits, buildx_command
from cudaforge.builder.epoch import EPOCH_VARIABLE, build_epoch
from cudaforge.builder.failures import classify_failure
from cudaforge.builder.logfile import open_log
from cudaforge.builder.protocol import BuildEnd, Listener
from cudaforge.builder.rawjson import Message, RawJsonReader
from cudaforge.builder.steps import without_command
from cudaforge.builder.tracker import Tracker


def run_buildx(
    name: str,
    inputs: BuildInputs,
    traits: EngineTraits,
    *,
    cli_env: Mapping[str, str],
    metadata: Path,
    listener: Listener,
    timeout: float,
    owner: object = None,
) -> BuildEnd:
    """Build one image, write its log, and say how it ended. `owner` can end it by `process.end_all`.

    Raises SurroundingsError when the log cannot be written, or buildx cannot be started or does not end in
    time.
    """
    reader = RawJsonReader()
    with open_log(listener.log) as write:
        tracker = Tracker(name, write=write, clean=listener.clean)

        def take(line: str) -> None:
            read = reader.feed(line)
            if isinstance(read, Message):
                for event in tracker.take(read):
                    listener.emit(event)
            elif read is not None:
                tracker.take_text(read)

        status = process.stream(
            buildx_command(inputs, traits, metadata=metadata),
            on_line=take,
            timeout=timeout,
            env={**cli_env, EPOCH_VARIABLE: str(build_epoch(os.environ))},
            owner=owner,
        )
        for event in tracker.finish():
            listener.emit(event)
    return BuildEnd(failure=None) if status == 0 else _explain(tracker, status)


def _explain(tracker: Tracker, status: int) -> BuildEnd:
    failed = tracker.failed_step
    if failed is None:
        error = tracker.error or f"docker buildx ended with exit status {status}"
        failure = classify_failure(error=error)
        return BuildEnd(failure=failure, last_lines=tuple(tracker.plain_lines))
    # A step's own error names the cause; buildx's last word also says what was being done.
    error = f"{tracker.error}\n{failed.error}"
    failure = classify_failure(error=error, step=failed.name, lines=failed.lines)
    return BuildEnd(
        failure=failure, failed_step=failed.name, last_lines=failed.lines or (without_command(failed.error),)
    )

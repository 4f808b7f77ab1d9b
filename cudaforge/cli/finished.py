"""What is told of a run that ended before its time: what was finished is an answer, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from cudaforge.cli.output import write_json, write_text
from cudaforge.errors import CudaforgeError, Interrupted

if TYPE_CHECKING:
    from cudaforge.builder import BuildResult

Results = tuple["BuildResult", ...]


@contextlib.contextmanager
def finished_told(to_json: Callable[[Results], Mapping[str, object]], *, as_json: bool) -> Iterator[None]:
    """Tell of every image, where some of several could not be tried or a signal ended them, before the error
    passes on: in its `answer`, or that of its cause, where it is JSON."""
    from cudaforge.builder import BuildAborted, BuildRefused
    from cudaforge.report.builds import describe_builds

    try:
        yield
    except BaseException as error:
        aborted = error if isinstance(error, (BuildAborted, BuildRefused)) else error.__cause__
        if not isinstance(aborted, (BuildAborted, BuildRefused)):
            raise
        if as_json:
            aborted.answer = to_json(aborted.results)
        elif len(aborted.results) > 1:
            # A reader that has left does not make another end of an interrupt.
            with contextlib.suppress(OSError):
                write_text(describe_builds(aborted.results))
        raise


@contextlib.contextmanager
def answer_told(
    to_json: Callable[[], dict[str, object]], to_text: Callable[[], str], *, as_json: bool
) -> Iterator[None]:
    """Tell the answer at the end of the block; where that fails, or a signal ends it, what there is of it
    before the error."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, CudaforgeError):
            raise
        if not as_json:
            # A reader that has left does not make another end of an interrupt.
            with contextlib.suppress(OSError):
                write_text(to_text())
            raise
        told = error if isinstance(error, CudaforgeError) else Interrupted()
        told.answer = to_json()
        if told is error:
            raise
        raise error from told
    if as_json:
        write_json(to_json())
    else:
        write_text(to_text())

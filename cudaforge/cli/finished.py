"""What is told of a run that surroundings or a signal ended: what was finished is an answer, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from cudaforge.cli.output import write_text

if TYPE_CHECKING:
    from cudaforge.builder import BuildResult

Results = tuple["BuildResult", ...]


@contextlib.contextmanager
def finished_told(to_json: Callable[[Results], Mapping[str, object]], *, as_json: bool) -> Iterator[None]:
    """Tell of every image, where surroundings failed some of several or a signal ended them, before the error
    passes on: in its `answer`, or that of its cause, where it is JSON."""
    from cudaforge.builder import BuildAborted
    from cudaforge.report.builds import describe_builds

    try:
        yield
    except BaseException as error:
        aborted = error if isinstance(error, BuildAborted) else error.__cause__
        if not isinstance(aborted, BuildAborted):
            raise
        if as_json:
            aborted.answer = to_json(aborted.results)
        elif len(aborted.results) > 1:
            # A reader that has left does not make another end of an interrupt.
            with contextlib.suppress(OSError):
                write_text(describe_builds(aborted.results))
        raise

"""What is told of a run that ended before its time: what was finished is an answer, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from cudaforge.cli.output import write_json, write_text
from cudaforge.errors import CudaforgeError

if TYPE_CHECKING:
    from cudaforge.builder import BuildResult

Results = tuple["BuildResult", ...]


@contextlib.contextmanager
def finished_told(to_json: Callable[[Results], Mapping[str, object]], *, as_json: bool) -> Iterator[None]:
    """Tell of every image, where some of several could not be tried, before the error passes on."""
    from cudaforge.builder import BuildAborted, BuildRefused
    from cudaforge.report.builds import describe_builds

    try:
        yield
    except (BuildAborted, BuildRefused) as error:
        if as_json:
            error.answer = to_json(error.results)
        elif len(error.results) > 1:
            write_text(describe_builds(error.results))
        raise


@contextlib.contextmanager
def answer_told(
    to_json: Callable[[], dict[str, object]], to_text: Callable[[], str], *, as_json: bool
) -> Iterator[None]:
    """Tell the answer at the end of the block; where that fails, what there is of it before the error."""
    try:
        yield
    except CudaforgeError as error:
        if as_json:
            error.answer = to_json()
        else:
            write_text(to_text())
        raise
    if as_json:
        write_json(to_json())
    else:
        write_text(to_text())

"""What is told of a run that cannot end well: what was finished is an answer, too."""

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

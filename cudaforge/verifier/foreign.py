"""Images that somebody else made: which Pythons are in them, and what is installed for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cudaforge.engine import Engine, ImageFacts
from cudaforge.records import record
from cudaforge.verifier.causes import Cause
from cudaforge.verifier.evidence import Fact, NotSeen
from cudaforge.verifier.inspecting import Findings, Inspection, Question, inspect
from cudaforge.verifier.situation import PYTHON

_NAMES = ("python3", "python")
_PLACES = (
    PYTHON,
    "/opt/conda/bin/python",
    "/venv/bin/python",
    "/app/.venv/bin/python",
    "/app/venv/bin/python",
    "/usr/local/bin/python3",
    "/usr/bin/python3",
    "/bin/python3",
    "/usr/bin/python",
)
_MOST_DIRECTORIES = 32


@record()
class FoundPython:
    """One Python of an image."""

    path: str
    version: str
    distributions: Mapping[str, str]


@record()
class Survey:
    """The Pythons of an image, those on its PATH first; none with a `failure`."""

    pythons: tuple[FoundPython, ...] = ()
    failure: Cause | None = None


def survey(image: ImageFacts, *, engine: Engine, run_id: str, findings: Findings) -> Survey:
    """The Pythons of an image. One that starts looks for the others. Raises EngineError."""
    failure: Cause | None = None
    for path in _present(image, engine=engine, run_id=run_id):
        question = Question(python=path, proofs=(), is_survey=True)
        looked = inspect(image.id, question, engine=engine, run_id=run_id, findings=findings)
        failure = failure or looked.failure
        if looked.report is not None:
            return _read(looked)
    return Survey(failure=failure)


def _read(looked: Inspection) -> Survey:
    assert looked.report is not None  # noqa: S101 -- the caller looked
    try:
        found = list(looked.report.system.value("pythons"))
    except NotSeen as reason:
        return Survey(failure=Cause(text=f"its Pythons could not be listed: {reason}"))
    return Survey(pythons=tuple(one for fact in found if (one := _python(fact)) is not None))


def _python(fact: Fact) -> FoundPython | None:
    path, version = fact["path"].text, fact["version"].text
    if path is None or version is None:
        return None
    return FoundPython(path=path, version=version, distributions=fact["distributions"].texts)


def _present(image: ImageFacts, *, engine: Engine, run_id: str) -> tuple[str, ...]:
    """Paths of Pythons that are in the image, in the order in which they are tried; nothing is started."""
    with engine.opened_image(image.id, run_id=run_id) as files:
        return tuple(path for path in dict.fromkeys(_candidates(image)) if files.has(path))


def _candidates(image: ImageFacts) -> Iterator[str]:
    directories = image.env.get("PATH", "").split(":")[:_MOST_DIRECTORIES]
    for directory in directories:
        if directory.startswith("/"):
            yield from (f"{directory.rstrip('/')}/{name}" for name in _NAMES)
    yield from _PLACES

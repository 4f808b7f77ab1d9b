"""What an image's files say of the build in them: the GPU code, and what frameworks write of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cudaforge.measurer.collector import common_code
from cudaforge.measurer.fatbins import Window
from cudaforge.measurer.model import NONE
from cudaforge.measurer.readable import Malformed
from cudaforge.measurer.tells import capabilities, read_tells
from cudaforge.records import record
from cudaforge.verifier.evidence import Fact, Report
from cudaforge.verifier.proofs import proof_files


@record()
class CodeFound:
    """The GPU code of one framework."""

    architectures: tuple[str, ...]
    """`sm_90`."""
    ptx: tuple[str, ...]
    """`compute_90`."""
    where: str
    """What it was read from."""
    has_cuda: bool | None
    """Whether it is a CUDA build; None where nothing of this says so."""


def find_tells(report: Report, proof: str) -> Mapping[str, str]:
    """What an installed framework writes down of its build, by field of `Measured`. Raises NotSeen."""
    own = {root.partition("/")[0] for root in proof_files(proof).roots}
    found: dict[str, str] = {}
    for path, text in report.files.value("texts").texts.items():
        if path.partition("/")[0] in own:
            try:
                found.update({field: one.value for field, one in read_tells(path, text).items()})
            except Malformed:
                continue
    return found


def find_code(report: Report, proof: str) -> CodeFound | None:
    """The code as the framework's own libraries have it, else as it says; None where neither is there.

    Raises NotSeen where the files were not read.
    """
    seen = report.files.value(f"code.{proof}")
    windows = {entry["path"].text or "": _window(entry) for entry in seen["windows"]}
    windows = {path: window for path, window in windows.items() if window.containers}
    told = find_tells(report, proof)
    for path, flags in _lists(seen["flags"]):
        known = capabilities(flags)
        # The flags are in builds for CPUs, too, where a build script set them.
        if known is not None and windows:
            return _found(known[0], known[1], f"arch flags in {path.rpartition('/')[2]}")
    if windows and "cubins" in told:
        return _found(told["cubins"], told.get("ptx", ""), "its build information")
    cubins, ptx = common_code({path.rpartition("/")[2]: window for path, window in windows.items()})
    if cubins is not None and ptx is not None:
        return _found(cubins.value, ptx.value, cubins.where)
    if "cuda" in told:
        has_cuda = told["cuda"] != NONE
        where = "as it says itself"
        return CodeFound(architectures=(), ptx=(), where=where, has_cuda=has_cuda)
    return None


def _window(entry: Fact) -> Window:
    return Window(
        containers=int(entry["containers"].number or 0),
        cubins=_counts(entry["cubins"]),
        ptx=_counts(entry["ptx"]),
    )


def _counts(facts: Fact) -> tuple[tuple[int, int], ...]:
    entries = facts.value.items() if isinstance(facts.value, dict) else ()
    counted = ((str(number), Fact(count).number) for number, count in entries)
    return tuple(
        sorted((int(number), int(count)) for number, count in counted if count and number.isdecimal())
    )


def _lists(facts: Fact) -> Iterator[tuple[str, str]]:
    """Files that name one list of architectures, with the list."""
    entries = facts.value.items() if isinstance(facts.value, dict) else ()
    for path, lists in entries:
        texts = [one.text for one in Fact(lists)]
        if len(texts) == 1 and texts[0] is not None:
            yield str(path), texts[0]


def _found(cubins: str, ptx: str, where: str) -> CodeFound:
    return CodeFound(
        architectures=tuple(f"sm_{one.replace('.', '')}" for one in cubins.split()),
        ptx=tuple(f"compute_{one.replace('.', '')}" for one in ptx.split()),
        where=where,
        has_cuda=True,
    )

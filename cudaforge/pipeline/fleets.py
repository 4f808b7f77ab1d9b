"""The fleet that images have to run on: read from the declaration and from dumps, then asked about."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cudaforge.declaration import locate
from cudaforge.declaration.files import matching
from cudaforge.declaration.model import Declaration, FleetNode, OnConflict
from cudaforge.declaration.source import read_bytes
from cudaforge.display import show, show_path
from cudaforge.errors import InputError, Problem
from cudaforge.fleet import FleetAnswer, answer_fleet, parse_dump
from cudaforge.fleet.dump import MAX_BYTES
from cudaforge.fleet.products import is_known_product
from cudaforge.matrix import Matrix
from cudaforge.pipeline.decide import load, located, matrix_of
from cudaforge.pipeline.host import find_host_os
from cudaforge.resolver.names import unknown_gpu

_MAX_DUMPS = 10_000
_PATTERN = re.compile(r"[*?\[]")
_DUMPS = "*.xml"


def declared_nodes(path: Path) -> tuple[FleetNode, ...]:
    """The nodes of the fleet that a declaration file declares, those of its dumps among them.

    Raises InputError for a file without a fleet, for GPUs in it that are not known, and for dumps that cannot
    be read.
    """
    declaration = load(path)
    fleet = declaration.fleet
    if fleet is None:
        remedy = "declare [fleet] there, or name files that `nvidia-smi -q -x` wrote: --dump FILE"
        raise InputError(Problem(what=f"{show_path(path)} declares no fleet", remedy=remedy))
    problems = list(_unknown_gpus(declaration, matrix_of(declaration)))
    files: dict[Path, None] = {}
    for index, written in enumerate(fleet.dumps):
        files.update(dict.fromkeys(_declared(declaration, index, written, problems)))
    taken = [node.name for node in fleet.nodes]
    return (*fleet.nodes, *_dumped(list(files), declaration.root, taken, problems))


def dumped_nodes(dumps: Sequence[str]) -> tuple[FleetNode, ...]:
    """The nodes that dumps tell of: files, or directories of them. Raises InputError where one does not."""
    problems: list[Problem] = []
    files: dict[Path, None] = {}
    for written in dumps:
        found = _files(Path(written))
        files.update(dict.fromkeys(found))
        if not found:
            problems.append(Problem(what=f"there is no {_DUMPS} in {show_path(written)}"))
    return tuple(_dumped(list(files), Path(), (), problems))


def resolve_fleet(declaration: Declaration, nodes: Sequence[FleetNode]) -> tuple[FleetAnswer, ...]:
    """For every image of the declaration the smallest set of images that serves the nodes.

    Raises InputError for names that the matrix does not know.
    """
    with located(declaration):
        return answer_fleet(declaration, nodes, matrix_of(declaration), host_os=find_host_os())


def has_fatal_gap(declaration: Declaration, answers: Sequence[FleetAnswer]) -> bool:
    """Whether nodes that are not served make the whole answer a no: of a matrix points may be dropped, but
    not all."""
    gaps = [image for image, answer in zip(declaration.images, answers, strict=True) if answer.unserved]
    return len(gaps) == len(answers) or any(one.on_conflict is OnConflict.ERROR for one in gaps)


def _unknown_gpus(declaration: Declaration, matrix: Matrix) -> Iterator[Problem]:
    """What somebody wrote is mistyped, where what a driver says may be newer than the matrix."""
    for node in declaration.fleet.nodes if declaration.fleet else ():
        for index, gpu in enumerate(node.gpus):
            if not is_known_product(gpu, matrix):
                problem = unknown_gpu(gpu, matrix)
                where = locate(declaration, f"fleet.nodes.{_quoted(node.name)}.gpus[{index}]")
                yield Problem(what=problem.what, where=where, remedy=problem.remedy)


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _declared(
    declaration: Declaration, index: int, written: str, problems: list[Problem]
) -> tuple[Path, ...]:
    """The files of an entry of `dumps`; none after noting what is wrong with it."""
    try:
        return tuple(_inside(declaration.root, written))
    except InputError as error:
        where = locate(declaration, f"fleet.dumps[{index}]")
        problems += (Problem(what=one.what, where=where, remedy=one.remedy) for one in error.problems)
        return ()


def _inside(root: Path, written: str) -> Iterator[Path]:
    """The files of the project that an entry of `dumps` means. Raises InputError for one outside of it, and
    where there is none."""
    if _PATTERN.search(written):
        found: Sequence[Path] = [path for path in matching(root, written) if path.is_file()]
    else:
        found = _named(root / written)
    if not found:
        what = f"{show(written)} names no file of the project"
        raise InputError(Problem(what=what, remedy="nvidia-smi -q -x > FILE writes one"))
    for path in found:
        if not Path(os.path.realpath(path)).is_relative_to(root):
            what = f"{show_path(os.path.relpath(path, root))} is a link that leaves the project directory"
            raise InputError(Problem(what=what, remedy="copy the file into the project"))
        yield path


def _named(path: Path) -> Sequence[Path]:
    try:
        return _files(path) if path.exists() else ()
    except (ValueError, OSError):  # a name too long
        return ()


def _files(path: Path) -> Sequence[Path]:
    return sorted(path.glob(_DUMPS)) if path.is_dir() else (path,)


def _dumped(
    files: Sequence[Path], root: Path, taken: Iterable[str], problems: list[Problem]
) -> Iterator[FleetNode]:
    """A node for each file, called like it where that is unique. Raises InputError with all problems."""
    if len(files) > _MAX_DUMPS:
        problems.append(Problem(what=f"{len(files)} dumps; {_MAX_DUMPS} are the most"))
        files = ()
    shared = Counter([path.stem for path in files] + list(taken))
    nodes = []
    for path in files:
        shown = show_path(os.path.relpath(path, root)) if root != Path() else show_path(path)
        try:
            dump = parse_dump(read_bytes(path, shown, limit=MAX_BYTES), shown)
        except InputError as error:
            problems += error.problems
            continue
        stem = show_path(path.stem)
        name = stem if shared[path.stem] == 1 else shown
        nodes.append(FleetNode(name=name, gpus=dump.gpus, driver=dump.driver))
    if problems:
        raise InputError(problems)
    yield from nodes

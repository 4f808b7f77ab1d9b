"""Getting the matrix of this installation, and laying overlays on it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cudaforge import resources
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.matrix.companion import Companion, CompanionRole
from cudaforge.matrix.findings import FactsError, Finding
from cudaforge.matrix.model import (
    BaseImage,
    Broken,
    CudaRelease,
    CudnnRelease,
    DriverBranch,
    Feed,
    Framework,
    FrameworkBuild,
    FrameworkImage,
    Gpu,
    Maker,
    OperatingSystem,
    PackageIndex,
    PythonRelease,
    SnapshotService,
    StandalonePython,
)
from cudaforge.matrix.model_audit import CondaBuild, Distribution, WheelTag
from cudaforge.matrix.reader import Raw
from cudaforge.matrix.rows import read_rows
from cudaforge.matrix.tables import Matrix

if TYPE_CHECKING:
    from cudaforge.matrix.merge import LaidRow, SectionRows
    from cudaforge.matrix.overlay import Overlay

_FORMAT = 2
_Row = TypeVar("_Row")


def load_matrix(
    *, overlays: Sequence[Path] = (), root: Path | None = None, until: str | None = None
) -> Matrix:
    """The facts of this installation, with the user's overlay files laid on them, in their order. Facts
    name an overlay by its path below `root`. `until` is a day: what was released later is left out.

    Raises InputError for an overlay that is malformed or does not fit the facts, and SurroundingsError for
    a broken installation.
    """
    rows = CompiledRows(_compiled())
    if not overlays:
        return _matrix(rows, until)
    from cudaforge.matrix.joins import require_joins
    from cudaforge.matrix.overlay import read_overlays

    laid = rows.lay_on(read_overlays(overlays, root=root))
    matrix = Matrix(rows)
    require_joins(matrix, laid)
    return matrix if until is None else _matrix(rows, until)


def _matrix(rows: CompiledRows, until: str | None) -> Matrix:
    if until is None:
        return Matrix(rows)
    from cudaforge.matrix.past import PastMatrix

    return PastMatrix(rows, until)


def matrix_from_directory(directory: Path) -> Matrix:
    """The facts of a directory of TOML files, whatever this installation has.

    Raises FactsError when they cannot be used.
    """
    from cudaforge.matrix.compile import compile_matrix

    return Matrix(CompiledRows(compile_matrix(directory)))


class CompiledRows:
    """Rows out of the compiled form. A section is parsed when it is first asked for."""

    def __init__(self, content: bytes) -> None:
        head, _, self._body = content.partition(b"\n")
        try:
            table = json.loads(head)
            self.revision: str = table["revision"]
            self.as_of: str = table["as_of"]
            self._sections: dict[str, tuple[int, int]] = {
                name: (start, start + size) for name, (start, size) in table["sections"].items()
            }
            end = max((end for _, end in self._sections.values()), default=-1)
            is_whole = len(self._body) == end + 1 and table["format"] == _FORMAT
        except (ValueError, TypeError, KeyError) as error:
            raise _broken_pack(
                [Finding(file="matrix.jsonl", row="", what=f"its head is damaged ({error})")]
            ) from error
        if not is_whole:
            raise _broken_pack([Finding(file="matrix.jsonl", row="", what="it is not complete")])
        self._laid: Mapping[str, SectionRows] = {}

    def lay_on(self, overlays: Sequence[Overlay]) -> tuple[LaidRow, ...]:
        """Lays overlays on the rows, as `cudaforge.matrix.merge` says, and gives the rows that they are
        heard in. Raises InputError for rows of theirs that cannot be read."""
        import hashlib  # OpenSSL loads with it

        from cudaforge.matrix.merge import lay_on

        digest = hashlib.sha256(self.revision.encode())
        for overlay in overlays:
            digest.update(hashlib.sha256(overlay.content).digest())
            self.as_of = max([self.as_of, *(str(source["checked"]) for source in overlay.sources.values())])
        laid = lay_on(overlays, self)
        self._laid = laid.sections
        self.revision = digest.hexdigest()
        return laid.rows

    def frameworks(self) -> Sequence[Framework]:
        """All frameworks."""
        return self._read("frameworks", "frameworks", Framework)

    def builds(self, framework: str) -> Sequence[FrameworkBuild]:
        """All builds of one framework, by its canonical name."""
        return self._read("builds", f"builds/{framework}", FrameworkBuild)

    def cuda_releases(self) -> Sequence[CudaRelease]:
        """All CUDA toolkit releases."""
        return self._read("cuda", "cuda", CudaRelease)

    def cudnn_releases(self) -> Sequence[CudnnRelease]:
        """All cuDNN releases."""
        return self._read("cudnn", "cudnn", CudnnRelease)

    def gpus(self) -> Sequence[Gpu]:
        """All GPU products."""
        return self._read("gpus", "gpus", Gpu)

    def systems(self) -> Sequence[OperatingSystem]:
        """All operating systems."""
        return self._read("systems", "systems", OperatingSystem)

    def plain_images(self) -> Sequence[BaseImage]:
        """The base images without CUDA."""
        return self._images("plain_images/")

    def cuda_images(self) -> Sequence[BaseImage]:
        """The base images that bring CUDA."""
        return self._images("cuda_images/")

    def _images(self, prefix: str) -> Sequence[BaseImage]:
        wanted = {name for name in self._laid.keys() | self._sections.keys() if name.startswith(prefix)}
        return [row for name in sorted(wanted) for row in self._read("base_images", name, BaseImage)]

    def driver_branches(self) -> Sequence[DriverBranch]:
        """All driver branches."""
        return self._read("drivers", "drivers", DriverBranch)

    def indexes(self) -> Sequence[PackageIndex]:
        """All named package indexes."""
        return self._read("indexes", "indexes", PackageIndex)

    def feeds(self) -> Sequence[Feed]:
        """All directories that vendors list releases in."""
        return self._read("feeds", "feeds", Feed)

    def snapshots(self) -> Sequence[SnapshotService]:
        """All services that have OS archives as they were."""
        return self._read("snapshots", "snapshots", SnapshotService)

    def companions(self, framework: str, role: CompanionRole | None = None) -> Sequence[Companion]:
        """The packages that go with one framework, by its canonical name: all, or those of one role."""
        section = f"companions/{framework}"
        if role is None:
            return self._read("companions", section, Companion)
        return self._read("companions", section, Companion, is_wanted=lambda raw: raw.get("role") == role)

    def framework_images(self) -> Sequence[FrameworkImage]:
        """All published images with frameworks in them."""
        return self._read("framework_images", "framework_images", FrameworkImage)

    def pythons(self) -> Sequence[PythonRelease]:
        """All minor versions of Python."""
        return self._read("pythons", "pythons", PythonRelease)

    def standalone_pythons(self) -> Sequence[StandalonePython]:
        """All releases of standalone Pythons."""
        return self._read("standalone_pythons", "standalone_pythons", StandalonePython)

    def distributions(self) -> Sequence[Distribution]:
        """All names that frameworks are installed by, beside what builds require."""
        return self._read("distributions", "distributions", Distribution)

    def makers(self) -> Sequence[Maker]:
        """Who else makes accelerators."""
        return self._read("makers", "makers", Maker)

    def conda_builds(self) -> Sequence[CondaBuild]:
        """All builds of frameworks on conda channels."""
        return self._read("conda_builds", "conda_builds", CondaBuild)

    def wheel_tags(self) -> Sequence[WheelTag]:
        """From which pip on wheels for a glibc are seen."""
        return self._read("wheel_tags", "wheel_tags", WheelTag)

    def broken(self) -> Sequence[Broken]:
        """All combinations known not to work."""
        return self._read("broken", "broken", Broken)

    def _read(
        self, subject: str, section: str, kind: type[_Row], *, is_wanted: Callable[[Raw], bool] | None = None
    ) -> list[_Row]:
        rows, sources = self._laid[section] if section in self._laid else self.section(section)
        rows = rows if is_wanted is None else [raw for raw in rows if is_wanted(raw)]
        try:
            made = read_rows(subject, rows, sources, file=f"{section}.toml")
        except FactsError as error:
            raise _broken_pack(error.findings) from error
        return [row for row in made if isinstance(row, kind)]

    def section(self, name: str) -> tuple[list[Raw], Mapping[str, Raw]]:
        """The plain rows of one part, without overlays, and their sources; empty where there is none."""
        place = self._sections.get(name)
        if place is None:
            return [], {}
        try:
            table = json.loads(self._body[slice(*place)])
            return table["rows"], table["sources"]
        except (ValueError, TypeError, KeyError) as error:
            finding = Finding(file="matrix.jsonl", row=name, what=f"it cannot be read ({error})")
            raise _broken_pack([finding]) from error

    def sections_of(self, subject: str, keys: Iterable[str]) -> Iterator[str]:
        """The parts that may hold rows of a subject whose first keys are these, without reading them."""
        if subject in ("builds", "companions"):
            yield from (f"{subject}/{key}" for key in keys)
        elif subject != "base_images":
            yield subject
        else:
            words = [json.dumps(key, ensure_ascii=False).encode() for key in keys]
            for name, (start, end) in self._sections.items():
                is_image = name.startswith(("plain_images/", "cuda_images/"))
                if is_image and any(self._body.find(word, start, end) >= 0 for word in words):
                    yield name


def _compiled() -> bytes:
    path = resources.compiled_matrix()
    try:
        if resources.is_checkout():
            return _renewed(path, resources.find_resource("matrices"))
        return path.read_bytes()
    except FactsError as error:
        raise _broken_pack(error.findings) from error
    except OSError as error:
        problem = Problem(
            what="the data pack is missing",
            because=(f"{path}: {error.strerror or error}",),
            remedy="install cudaforge again",
        )
        raise SurroundingsError(problem) from error


def _renewed(path: Path, matrices: Path) -> bytes:
    """The compiled form of a checkout, made again when a TOML file, or the code that makes it, is newer."""
    newest = _newest_change(matrices)
    try:
        if path.stat().st_mtime_ns >= newest:
            return path.read_bytes()
    except FileNotFoundError:
        pass
    from cudaforge.files import write_bytes_atomically
    from cudaforge.matrix.compile import compile_matrix

    content = compile_matrix(matrices)
    with contextlib.suppress(SurroundingsError):  # a checkout that cannot be written to is compiled each time
        write_bytes_atomically(path, content, changed=newest)
    return content


def _newest_change(matrices: Path) -> int:
    code = Path(__file__).parent
    # Directories too: a file that was removed leaves its trace there alone.
    watched = (
        matrices,
        matrices / "frameworks",
        *matrices.glob("*.toml"),
        *matrices.glob("*/*.toml"),
        *code.glob("*.py"),
    )
    return max(path.stat().st_mtime_ns for path in watched)


def _broken_pack(findings: Iterable[Finding]) -> SurroundingsError:
    return SurroundingsError(
        Problem(
            what="the data pack is broken",
            because=(str(finding),),
            remedy="install cudaforge again; in a checkout run 'cudaforge data check' and mend the file",
        )
        for finding in findings
    )

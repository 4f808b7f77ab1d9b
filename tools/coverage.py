"""Write the tables of matrices/README.md that say how much the matrix knows.

    .venv/bin/python -m tools.coverage            # or: make generate

What stands between the two markers is made anew from the TOML files; a unit test compares it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cudaforge.files import write_atomically
from cudaforge.matrix.catalogue import Row, source_of, subjects
from cudaforge.matrix.load import matrix_from_directory
from cudaforge.matrix.model import CudaProvider, FrameworkBuild
from cudaforge.matrix.sources import Strength
from cudaforge.matrix.tables import Matrix

MATRICES = Path(__file__).parent.parent / "matrices"
README = MATRICES / "README.md"
BEGIN = "<!-- made by `make generate` -->"
END = "<!-- end -->"


def main() -> None:
    """Renew the tables."""
    text = README.read_text("utf-8")
    renewed = with_tables(text, matrix_from_directory(MATRICES))
    if renewed != text:
        write_atomically(README, renewed)


def with_tables(text: str, matrix: Matrix) -> str:
    """The text with the tables of this matrix between its markers. Raises ValueError where there are none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README} must have the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{_subjects(matrix)}\n\n{_frameworks(matrix)}\n\n{END}{after}"


def _subjects(matrix: Matrix) -> str:
    lines = []
    for subject in subjects(matrix):
        rows = subject.rows(matrix)
        ends = ""
        if rows and subject.is_versioned:
            first, newest = (getattr(row, subject.columns[0]) for row in (rows[0], rows[-1]))
            ends = f"{first} to {newest}"
        counts = Counter(source_of(row).strength for row in rows)
        since = min((source_of(row).checked for row in rows), default="")
        lines.append(
            (f"`{subject.name}`", str(len(rows)), ends, *(str(counts[one] or "") for one in Strength), since)
        )
    return _table(("subject", "rows", "from, to", *(one.value for one in Strength), "checked since"), lines)


def _frameworks(matrix: Matrix) -> str:
    lines = []
    for name, framework in sorted(matrix.frameworks.items()):
        rows = matrix.builds(name)
        with_cuda = [row for row in rows if row.provider is not CudaProvider.NONE]
        lines.append(
            (
                framework.title,
                str(len({row.version for row in rows})),
                str(len(rows)),
                str(len(rows) - len(with_cuda)),
                _share(with_cuda, lambda row: row.cubins is not None),
                _share(with_cuda, lambda row: row.cubins is None and row.compiler is not None),
                _share(with_cuda, lambda row: row.cubins is None and row.compiler is None),
                _platforms(rows),
                _share(rows, lambda row: source_of(row).strength is Strength.INFERRED),
            )
        )
    header = (
        "framework",
        "releases",
        "builds",
        "CPU",
        "arch window",
        "compiled at run time",
        "not looked at",
        "platforms",
        "inferred",
    )
    return _table(header, lines)


def _share(rows: Sequence[FrameworkBuild], is_meant: Callable[[FrameworkBuild], bool]) -> str:
    count = sum(1 for row in rows if is_meant(row))
    return f"{count} ({100 * count / len(rows):.0f} %)" if count else ""


def _platforms(rows: Iterable[Row]) -> str:
    counts = Counter(platform.removeprefix("linux/") for row in rows for platform in row.platforms)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in lines)


if __name__ == "__main__":
    main()

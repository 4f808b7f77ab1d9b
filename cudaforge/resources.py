"""Where the files are that are not Python: the matrices, the Dockerfile templates, and pages of the docs.

In a checkout, and in an editable install of one, `matrices/`, `templates/` and `docs/` stand beside the
package and are the ones to edit. An installed package carries them below `_data/`.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_data"


def find_resource(name: str) -> Path:
    """The directory `name` (`matrices`, `templates`, `docs/audit`) of this installation.

    Raises FileNotFoundError for an installation that was taken apart.
    """
    directory = (_PACKAGE.parent if is_checkout() else _INSTALLED) / name
    if not directory.is_dir():
        raise FileNotFoundError(
            f"cudaforge is installed without its {name}/ directory: {directory} is not there"
        )
    return directory


def is_checkout() -> bool:
    """Whether the package runs from its own source tree."""
    root = _PACKAGE.parent
    return (
        (root / "pyproject.toml").is_file() and (root / "matrices").is_dir() and (root / "templates").is_dir()
    )


def compiled_matrix() -> Path:
    """The compiled matrix: made by the build hook, in a checkout renewed when a TOML is newer."""
    return _INSTALLED / "matrix.jsonl"


def compiled_errors() -> Path:
    """The compiled patterns of error messages, made and renewed likewise."""
    return _INSTALLED / "errors.json"

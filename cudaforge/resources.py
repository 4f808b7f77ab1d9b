"""Where `matrices/` and `templates/` are: beside the package in a checkout or an editable
install, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def find_resource(name: str) -> Path:
    """The directory `name` (`matrices` or `templates`) of this installation.

    Raises FileNotFoundError for an installation that was taken apart.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "_data"):
        if (root / name).is_dir() and (root == _PACKAGE / "_data" or is_checkout()):
            return root / name
    raise FileNotFoundError(f"cudaforge is installed without its {name}/ directory")


def is_checkout() -> bool:
    """Whether the package runs from its own source tree."""
    return (_PACKAGE.parent / "pyproject.toml").is_file() and (_PACKAGE.parent / "matrices").is_dir()


def compiled_matrix() -> Path:
    """The compiled matrix: made by the build hook, in a checkout renewed when a TOML is newer."""
    return _PACKAGE / "_data" / "matrix.json"

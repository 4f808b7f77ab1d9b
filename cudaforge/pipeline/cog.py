"""Reading `cog.yaml` (replicate/cog, docs/yaml.md): what an image built by cog would have in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.audit import Asked, Facts, audit_dockerfile
from cudaforge.audit.dockerfile import MAXIMUM_BYTES
from cudaforge.audit.requirements import parse_requirement
from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix import Matrix
from cudaforge.quoting import quote_shell
from cudaforge.records import replace

_NAMES = ("cog.yaml", "cog.yml")
_DEFAULT_PYTHON = "python_version"


def is_cog(path: Path) -> bool:
    """Whether a file is cog's, by its name."""
    return path.name in _NAMES


def facts_of_cog(path: Path, asked: Asked, matrix: Matrix) -> Facts:
    """What the `build` of a cog.yaml asks for. Raises InputError for what is no such file."""
    build = _build(path)
    python = build.get(_DEFAULT_PYTHON)
    packages = _texts(path, build, "python_packages")
    requirements = build.get("python_requirements")
    if isinstance(requirements, str):
        file = path.parent / requirements
        if file.is_file() and file.stat().st_size <= MAXIMUM_BYTES:
            packages += [line.strip() for line in file.read_text("utf-8", "replace").splitlines()]
    packages = [one for one in packages if parse_requirement(one) is not None]
    report = audit_dockerfile(
        _as_dockerfile(python, packages, matrix).encode("utf-8"),
        file=str(path),
        asked=asked,
        matrix=matrix,
        read=lambda _: None,
    )
    is_for_gpu = build.get("gpu") is True and report.facts.is_for_gpu
    return replace(
        report.facts,
        os=None,
        python=str(python) if python else report.facts.python,
        apt=tuple(_texts(path, build, "system_packages")),
        is_for_gpu=is_for_gpu,
        copies=((".", "/src"),),
        workdir="/src",
    )


def _as_dockerfile(python: object, packages: Sequence[str], matrix: Matrix) -> str:
    """The same installation as a Dockerfile: cog installs its packages with pip."""
    minors = sorted((row.python for row in matrix.plain_images if row.python), key=lambda text: int(text[2:]))
    minor = str(python) if python else minors[-1]
    base = next((row.reference for row in matrix.plain_images if row.python == minor), f"python:{minor}")
    install = f"RUN pip install {' '.join(map(quote_shell, packages))}\n" if packages else ""
    return f"FROM {base}\n{install}"


def _build(path: Path) -> Mapping[str, object]:
    import yaml

    try:
        document = yaml.safe_load(path.read_bytes()[: MAXIMUM_BYTES + 1])
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise _wrong(path, f"{path} cannot be read as YAML: {str(error).partition(chr(10))[0]}") from None
    build = document.get("build") if isinstance(document, dict) else None
    if not isinstance(build, dict):
        raise _wrong(path, f"{path} has no build")
    version = build.get(_DEFAULT_PYTHON)
    if isinstance(version, float):
        raise _wrong(path, f"python_version: {version} is a number: write it as a text, '3.11'")
    return build


def _texts(path: Path, build: Mapping[str, object], key: str) -> list[str]:
    value = build.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong(path, f"build.{key} must be a list of texts")
    return list(value)


def _wrong(path: Path, what: str) -> InputError:
    return InputError(Problem(what=what, where=Location(file=str(path)), remedy="see the cog.yaml reference"))

"""Wheels of the project, named by their file: `./wheels/x-1.0-py3-none-any.whl`, `x @ ./wheels/...`."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cudaforge.declaration.inside import check_inside
from cudaforge.declaration.kinds import bad
from cudaforge.declaration.model import LocalWheel
from cudaforge.declaration.needed import Needed, normal_name
from cudaforge.declaration.values import read_project_path
from cudaforge.display import show

_LOCAL = re.compile(r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*@\s*)?(?P<path>\.{1,2}/\S.*)")
_HINT = 'a wheel of the project, such as "./wheels/x-1.0-py3-none-any.whl"'


def is_local(text: str) -> bool:
    """Whether an entry of `packages` names a file of the project."""
    return _LOCAL.fullmatch(text) is not None


def read_local_wheel(root: Path, text: str, *, beside: str = "") -> Needed:
    """The wheel that an entry names, relative to the file `beside` it. Raises BadValue for what is none."""
    match = _LOCAL.fullmatch(text)
    if match is None:
        bad(f"{show(text)} names no file", _HINT)
    path = read_project_path(os.path.join(os.path.dirname(beside), match["path"]))  # noqa: PTH118,PTH120
    real = check_inside(root, path)
    if not path.endswith(".whl") or not real.is_file():
        bad(f"{show(path)} is no wheel", f"{_HINT}; a directory or an archive has to be built first")
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    from cudaforge.files import hash_file  # 3 ms of import, only for declarations that name a wheel

    filename = os.path.basename(path)  # noqa: PTH119
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        bad(f"{show(filename)} is no file name of a wheel", "NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
    if match["name"] is not None and normal_name(match["name"]) != name:
        bad(f"{show(filename)} is a wheel of {name}, not of {match['name']}", f"{name} @ ./{path}")
    wheel = LocalWheel(
        package=name, version=str(version), filename=filename, path=path, sha256=hash_file(real)
    )
    return Needed(packages=(f"{name}=={version}",), wheels=(wheel,))

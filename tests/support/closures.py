"""Filled-in closures of wheels made by hand: small, pure, and the same bytes every time."""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

_WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def make_wheel(directory: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """A wheel that installs `files` (path below site-packages to content)."""
    information = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{information}/WHEEL": _WHEEL,
    }
    record = "".join(
        f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in contents.items()
    )
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in {**contents, f"{information}/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content)
    return wheel


def dump_pylock(*wheels: Path) -> str:
    """A filled-in closure of wheels that lie in `wheels/` beside it."""
    head = 'lock-version = "1.0"\ncreated-by = "test"\n'
    return head + "".join(_package(wheel) for wheel in wheels)


def _package(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"""
[[packages]]
name = "{name}"
version = "{version}"
wheels = [{{ name = "{wheel.name}", path = "wheels/{wheel.name}", hashes = {{ sha256 = "{sha256}" }} }}]
"""


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()

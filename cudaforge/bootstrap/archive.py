"""A bootstrapped base as a file for `docker load`.

Engines with Docker's older image store cannot read an OCI layout in place.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from cudaforge.bootstrap.cache import disk_errors
from cudaforge.bootstrap.model import BootstrapImage

# `.invalid` can never be a registry's name (RFC 2606), so that nothing is asked for it.
_REPOSITORY = "cudaforge.invalid/bootstrap"


def loaded_reference(image: BootstrapImage) -> str:
    """The name that the image has in an engine after `docker load`."""
    return f"{_REPOSITORY}:{image.digest.removeprefix('sha256:')[:16]}"


def is_loaded_base(reference: str) -> bool:
    """Whether an engine has a base of ours under this name, which nobody else can give."""
    return reference.startswith(f"{_REPOSITORY}:")


def write_archive(image: BootstrapImage, file: Path) -> None:
    """Write the archive; it holds the image in both forms that engines know. Raises SurroundingsError."""
    reference = loaded_reference(image)
    with disk_errors(file), tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as archive:
        index = json.loads((image.layout / "index.json").read_bytes())
        manifest = json.loads((image.layout / _blob(image.digest)).read_bytes())
        index["manifests"][0]["annotations"] = {
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
        }
        _add(archive, "oci-layout", (image.layout / "oci-layout").read_bytes())
        _add(archive, "index.json", json.dumps(index).encode())
        _add(archive, "manifest.json", json.dumps([_older_manifest(manifest, reference)]).encode())
        for path in sorted((image.layout / "blobs").rglob("*")):
            if path.is_file():
                _add_file(archive, str(path.relative_to(image.layout)), path)


def _older_manifest(manifest: dict[str, Any], reference: str) -> dict[str, object]:
    return {
        "Config": _blob(manifest["config"]["digest"]),
        "RepoTags": [reference],
        "Layers": [_blob(layer["digest"]) for layer in manifest["layers"]],
    }


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    info = tarfile.TarInfo(name)
    info.size = path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(info, file)

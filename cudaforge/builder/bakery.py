"""What `docker buildx bake` needs besides the rendered files, put where the bake file looks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cudaforge.builder.bases import BaseProvider
from cudaforge.builder.command import BuildInputs
from cudaforge.builder.inputs import PythonProvider, Sources, UvProvider, prepare_inputs
from cudaforge.builder.scratch import scratch_directory, sweep_scratch
from cudaforge.files import write_error
from cudaforge.lockfile.model import WHEELS_DIRECTORY, LockedImage
from cudaforge.packages.fetch import SourceProvider
from cudaforge.packages.site import Site
from cudaforge.records import replace
from cudaforge.renderer import render_image
from cudaforge.renderer.bake import INPUTS_VARIABLE, secret_entries
from cudaforge.renderer.model import (
    BASE_CONTEXT,
    CLOSURE_SECRET,
    PYTHON_CONTEXT,
    UV_CONTEXT,
    WHEELS_CONTEXT,
)

_IN_BAKE_FILE = frozenset({BASE_CONTEXT, PYTHON_CONTEXT, UV_CONTEXT, WHEELS_CONTEXT})
_NOT_FOR_BAKE = ("Dockerfile", "Dockerfile.dockerignore")


class _Layouts:
    """Bases as OCI image layouts beside the other inputs: whether an engine takes them is for bake to see."""

    def __init__(self, provide: BaseProvider) -> None:
        self._provide = provide

    def find_context(self, image: LockedImage, scratch: Path) -> str:
        """See `BaseFinder`."""
        base = self._provide(image)
        target = scratch / "base"
        try:
            shutil.copytree(base.layout, target, copy_function=_link)
        except OSError as error:
            raise write_error(target, error) from None
        return f"oci-layout://{target}@{base.digest}"


def write_bake_inputs(  # noqa: PLR0913 -- what a build needs comes from as many places
    images: Sequence[LockedImage],
    *,
    root: Path,
    directory: Path,
    site: Site,
    indexes: Mapping[str, str],
    find_base: BaseProvider,
    find_python: PythonProvider,
    find_source: SourceProvider,
    find_uv: UvProvider,
) -> Mapping[str, Mapping[str, object]]:
    """Put the inputs of every image into `directory/NAME`, in place of what was there, and take away those of
    others; returns what this site adds to the targets of the bake file, by image.

    Files may hold the passwords of this site's indexes: only this user can read them. Values of the user's
    own secrets are not written: bake takes them from the environment. Raises what `prepare_inputs` raises.
    """
    sources = Sources(
        root=root,
        own_wheels=root / WHEELS_DIRECTORY,
        site=site,
        indexes=indexes,
        bases=_Layouts(find_base),
        find_python=find_python,
        find_source=find_source,
        find_uv=find_uv,
        environment=os.environ,
    )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(directory, error) from None
    sweep_scratch(directory)
    added = {image.name: _write(image, sources, directory) for image in images}
    for other in directory.iterdir():
        if other.name not in added:
            shutil.rmtree(other, ignore_errors=True)
    return added


def _write(image: LockedImage, sources: Sources, directory: Path) -> Mapping[str, object]:
    public = replace(image, secrets=(), ssh=False)
    with scratch_directory(directory) as scratch:
        new = scratch / image.name
        new.mkdir()
        inputs = prepare_inputs(public, render_image(image), sources, private=new, staging=new)
        for name in _NOT_FOR_BAKE:
            (new / name).unlink()
        added = _additions(image, inputs, new)
        try:
            shutil.rmtree(directory / image.name, ignore_errors=True)
            new.rename(directory / image.name)
        except OSError as error:
            raise write_error(directory / image.name, error) from None
    return added


def _additions(image: LockedImage, inputs: BuildInputs, new: Path) -> Mapping[str, object]:
    contexts = {name: value for name, value in inputs.contexts.items() if name not in _IN_BAKE_FILE}
    place = f"${{{INPUTS_VARIABLE}}}/{image.name}"
    secrets = [
        f"id={name},src={f'{place}/{path.name}' if path.parent == new else path}"
        for name, path in inputs.secrets.items()
        if name != CLOSURE_SECRET
    ]
    added: dict[str, object] = {}
    if contexts:
        added["contexts"] = contexts
    if secrets:
        # Older buildx takes the later list alone, newer ones make one list of both.
        added["secret"] = [*secret_entries(image), *secrets]
    if inputs.needs_host_network:
        added["network"] = "host"
    return added


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

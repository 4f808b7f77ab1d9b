"""What is known of the image that a Dockerfile starts from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from cudaforge.matrix.model import BaseImage, FrameworkImage, OperatingSystem
from cudaforge.matrix.tables import Matrix
from cudaforge.records import made, record
from cudaforge.references import DEFAULT_REGISTRY, InvalidReference, Reference, parse_reference
from cudaforge.versions import Version

_PYTHON_TAG = re.compile(r"(?P<minor>3\.\d+)(?P<patch>\.\d+\w*)?(?:-(?P<rest>.+))?")
_CUDA_TAG = re.compile(
    r"(?P<cuda>\d+\.\d+(?:\.\d+)?)-(?:cudnn(?P<cudnn>\d*)-)?(?P<flavor>base|runtime|devel)-(?P<os>[a-z]+[\d.]+)"
)
_CUDA_RELEASE = re.compile(r"\d+\.\d+(?:\.\d+)?")
_CUDA_PART = re.compile(r"cudnn\d*|base|runtime|devel")
_CUDA_REPOSITORIES = ("docker.io/nvidia/cuda", "nvcr.io/nvidia/cuda")
CUDA_ON_HUB = _CUDA_REPOSITORIES[0]
MUSL = "alpine"


@record()
class Base:
    """A base image, as far as the facts know it."""

    text: str
    line: int
    reference: Reference | None = None
    image: BaseImage | None = None
    framework_image: FrameworkImage | None = None
    systems: tuple[OperatingSystem, ...] = ()
    """The operating systems that it may have: several where its tag leaves that open."""
    python: str | None = None
    """The minor of the Python that is on its PATH."""
    is_known: bool = False
    """Whether the facts say what is in it."""
    is_musl: bool = False
    cuda: Version | None = None
    cudnn: Version | None = None
    flavor: str | None = None
    contents: Mapping[str, str] = made(default_factory=dict)
    """Python packages in it, with their versions."""

    @property
    def os(self) -> OperatingSystem | None:
        """Its operating system, where there is no doubt."""
        return self.systems[0] if len(self.systems) == 1 else None

    @property
    def source(self) -> str:
        """The citation of what is known of it."""
        row = self.image or self.framework_image or self.os
        return row.source.citation() if row is not None else "the facts about base images"


def find_base(matrix: Matrix, text: str, line: int) -> Base:
    """What the facts know of an image reference."""
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return Base(text=text, line=line)
    known = _by_name(matrix)
    name = _name(reference)
    image, framework_image = known[0].get(name), known[1].get(name)
    if image is None and name.startswith(_CUDA_REPOSITORIES[1] + ":"):
        # NVIDIA's own registry has the same images; what has left Docker Hub may still be there.
        image = known[0].get(name.replace(_CUDA_REPOSITORIES[1], CUDA_ON_HUB, 1))
    if framework_image is not None:
        return _of_framework_image(matrix, text, line, reference, framework_image)
    if image is not None:
        return _of_image(matrix, text, line, reference, image)
    return _derived(matrix, text, line, reference)


def _of_framework_image(
    matrix: Matrix, text: str, line: int, reference: Reference, row: FrameworkImage
) -> Base:
    system = matrix.systems.get(row.os)
    return Base(
        text=text,
        line=line,
        reference=reference,
        framework_image=row,
        systems=(system,) if system else (),
        python=row.python,
        is_known=True,
        cuda=row.cuda,
        cudnn=row.cudnn,
        flavor=row.flavor,
        contents=row.contents,
    )


def _of_image(matrix: Matrix, text: str, line: int, reference: Reference, row: BaseImage) -> Base:
    system = matrix.systems.get(row.os)
    return Base(
        text=text,
        line=line,
        reference=reference,
        image=row,
        systems=(system,) if system else (),
        python=row.python,
        is_known=True,
        cuda=row.cuda,
        cudnn=row.cudnn,
        flavor=row.flavor,
    )


def _derived(matrix: Matrix, text: str, line: int, reference: Reference) -> Base:
    """What the name and tag of an official image say by themselves."""
    tag = reference.tag or ""
    repository = f"{reference.registry}/{reference.repository}"
    base = Base(text=text, line=line, reference=reference)
    if repository == f"{DEFAULT_REGISTRY}/library/python":
        return _python_image(matrix, base, tag)
    if repository == f"{DEFAULT_REGISTRY}/library/alpine":
        return Base(text=text, line=line, reference=reference, is_known=True, is_musl=True)
    system = _plain_system(matrix, reference, tag)
    if system is not None:
        return Base(text=text, line=line, reference=reference, systems=(system,), is_known=True)
    return base


def _python_image(matrix: Matrix, base: Base, tag: str) -> Base:
    match = _PYTHON_TAG.fullmatch(tag)
    if match is None:
        return base
    rest = (match["rest"] or "").split("-")
    minor = match["minor"]
    if MUSL in (match["rest"] or ""):
        return Base(
            text=base.text,
            line=base.line,
            reference=base.reference,
            python=minor,
            is_known=True,
            is_musl=True,
        )
    if "windowsservercore" in (match["rest"] or "") or "nanoserver" in (match["rest"] or ""):
        return base
    codenames = {system.codename: system for system in matrix.systems.values() if system.family == "debian"}
    named = tuple(codenames[word] for word in rest if word in codenames)
    others = [word for word in rest if word and word not in codenames and word != "slim"]
    if others:
        return Base(text=base.text, line=base.line, reference=base.reference, python=minor, is_known=True)
    possible = {row.os for row in matrix.plain_images if row.python == minor and not row.removed}
    open_ones = tuple(matrix.systems[name] for name in sorted(possible) if name in matrix.systems)
    return Base(
        text=base.text,
        line=base.line,
        reference=base.reference,
        systems=named or open_ones,
        python=minor,
        is_known=True,
    )


def _plain_system(matrix: Matrix, reference: Reference, tag: str) -> OperatingSystem | None:
    for system in matrix.systems.values():
        own = parse_reference(system.image)
        if (own.registry, own.repository) != (reference.registry, reference.repository):
            continue
        bare = tag.removesuffix("-slim").partition("-2")[0]
        number = system.id.removeprefix(own.repository.rpartition("/")[2])
        if bare in (system.codename, number) or (bare.startswith(f"{number}.") and system.family == "debian"):
            return system
    return None


def is_cuda_repository(reference: Reference | None) -> bool:
    """Whether it names NVIDIA's CUDA images."""
    return reference is not None and f"{reference.registry}/{reference.repository}" in _CUDA_REPOSITORIES


def is_missing_tag(matrix: Matrix, reference: Reference) -> bool:
    """Whether the facts know that CUDA release and that operating system, and no such tag."""
    first, *rest = (reference.tag or "").split("-")
    if not _CUDA_RELEASE.fullmatch(first):
        return False
    cuda = Version(first)
    releases = {row.cuda for row in matrix.cuda_images if row.cuda is not None}
    systems = {row.os for row in matrix.cuda_images}
    within = min(releases) <= cuda <= max(releases)
    parts = [word for word in rest if word not in systems and not _CUDA_PART.fullmatch(word)]
    return within and len(parts) < len(rest) and not parts and not _is_unseen(matrix, cuda)


def _is_unseen(matrix: Matrix, cuda: Version) -> bool:
    """Whether the facts have no image of that minor at all: then nobody may have looked."""
    return not any(row.cuda is not None and row.cuda.minor() == cuda.minor() for row in matrix.cuda_images)


def similar_tag(matrix: Matrix, reference: Reference) -> BaseImage | None:
    """The image that was probably meant by a tag that is not there: same minor, flavor and system."""
    match = _CUDA_TAG.fullmatch(reference.tag or "")
    if match is None:
        return None
    cuda = Version(match["cuda"])
    wants_cudnn = match["cudnn"] is not None
    found = [
        row
        for row in matrix.cuda_images
        if row.cuda is not None
        and row.cuda.minor() == cuda.minor()
        and row.flavor == match["flavor"]
        and row.os == match["os"]
        and not row.removed
        and (row.cudnn is not None) == wants_cudnn
    ]
    return max(found, key=lambda row: (row.cuda or Version("0"), row.reference), default=None)


def flavored(matrix: Matrix, image: BaseImage, flavor: str) -> BaseImage | None:
    """The same CUDA on the same system, with less or more of it."""
    found = [
        row
        for row in matrix.cuda_images
        if (row.cuda, row.os, row.flavor) == (image.cuda, image.os, flavor) and not row.removed
    ]
    found.sort(key=lambda row: (row.cudnn is not None, row.reference))
    return found[0] if found else None


def _name(reference: Reference) -> str:
    return f"{reference.registry}/{reference.repository}:{reference.tag or ''}"


@lru_cache(maxsize=4)
def _by_name(matrix: Matrix) -> tuple[Mapping[str, BaseImage], Mapping[str, FrameworkImage]]:
    images = {_name(parse_reference(row.reference)): row for row in matrix.base_images}
    return images, {_name(parse_reference(row.reference)): row for row in matrix.framework_images}

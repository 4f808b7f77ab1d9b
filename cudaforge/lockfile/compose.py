"""Declaration and resolution to lock entries. Pure: what reaches outside is an argument."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from cudaforge.declaration.model import Gate, ImageDeclaration
from cudaforge.lockfile.model import (
    Closure,
    LockedBase,
    LockedCopy,
    LockedFramework,
    LockedImage,
    LockedPython,
    LockedSnapshot,
    LockedVerify,
    PythonArchive,
)
from cudaforge.lockfile.plain import to_plain
from cudaforge.lockfile.pylock import closure_file, dump_closure, load_closure
from cudaforge.packages.model import ClosureRequest, LockedWheel
from cudaforge.records import record, replace
from cudaforge.resolver.model import FrameworkChoice, Resolution
from cudaforge.versions import Version

DEFAULT_USER = "app"
DEFAULT_WORKDIR = "/app"

PackageResolver = Callable[[ClosureRequest], tuple[LockedWheel, ...]]
"""Finds all wheels of an image."""


@record()
class BaseRequest:
    """A base image to pin."""

    reference: str
    codename: str
    platforms: tuple[str, ...]
    bootstrap_packages: tuple[str, ...]
    snapshot: LockedSnapshot | None = None
    """What a base is made from that is made from the OS archive; None for the archive as it is."""


BasePinner = Callable[[BaseRequest], LockedBase]
"""Finds the digest of a base image."""


@record()
class NewEntry:
    """A lock entry and the text of its closure file."""

    image: LockedImage
    closure_text: str


def lock_image(  # noqa: PLR0913 -- what an entry is made of comes from as many places
    image: ImageDeclaration,
    resolution: Resolution,
    *,
    project: str,
    registry: str | None,
    resolve_packages: PackageResolver,
    pin_base: BasePinner,
    root: Path,
    preferred: tuple[LockedWheel, ...] = (),
    as_of: str | None = None,
    snapshot: LockedSnapshot | None = None,
) -> NewEntry:
    """Pin one image: its base by digest, every wheel by hash.

    `root` is the project; `preferred` is an earlier closure, whose versions are kept where they still fit;
    `as_of` is the day that packages are taken from, `snapshot` what OS packages are.
    """
    request = closure_request(image, resolution, root=root, preferred=preferred, as_of=as_of)
    wheels = resolve_packages(request)
    text = dump_closure(wheels, python=resolution.python, platforms=resolution.platforms)
    base = pin_base(
        BaseRequest(
            reference=resolution.base_image,
            codename=resolution.os_codename,
            platforms=resolution.platforms,
            bootstrap_packages=resolution.bootstrap_packages,
            snapshot=snapshot if resolution.bootstrap_packages else None,
        )
    )
    entry = _compose(image, resolution, base=base, text=text, project=project, registry=registry)
    entry = replace(entry, snapshot=snapshot)
    return NewEntry(image=replace(entry, digest=entry_digest(entry)), closure_text=text)


def entry_digest(image: LockedImage) -> str:
    """SHA-256 over everything that the entry says, its closure by that file's own hash."""
    plain = to_plain(image)
    plain.pop("digest", None)
    plain["closure"] = image.closure.sha256
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def closure_request(
    image: ImageDeclaration,
    resolution: Resolution,
    *,
    root: Path,
    preferred: tuple[LockedWheel, ...] = (),
    as_of: str | None = None,
) -> ClosureRequest:
    """What the closure of an image of the project at `root` has to contain."""
    named = [framework for framework in resolution.frameworks if framework.index in resolution.indexes]
    return ClosureRequest(
        name=image.name,
        requirements=resolution.requirements,
        constraints=resolution.constraints,
        packages=image.contents.packages,
        python=resolution.python,
        platform=resolution.platforms[0],
        others=resolution.platforms[1:],
        glibc=str(resolution.glibc),
        indexes=resolution.indexes,
        index_of={pin: framework.index for framework in named for pin in _pins(framework)},
        limits=image.contents.constraints,
        unfit=resolution.unfit,
        hashes={
            **image.contents.hashes,
            **{wheel.package: (wheel.sha256,) for wheel in image.contents.wheels},
        },
        files={wheel.package: root / wheel.path for wheel in image.contents.wheels},
        from_source=image.contents.from_source,
        preferred=preferred,
        as_of=as_of,
    )


def _pins(framework: FrameworkChoice) -> tuple[str, ...]:
    """What the framework's index serves: its own requirements, and its companions as they are constrained."""
    return (*framework.requires, *(f"{name}=={pin}" for name, pin in framework.companions.items()))


def _compose(
    image: ImageDeclaration,
    resolution: Resolution,
    *,
    base: LockedBase,
    text: str,
    project: str,
    registry: str | None,
) -> LockedImage:
    contents = image.contents
    closure = load_closure(text, file=closure_file(image.name))
    return LockedImage(
        name=image.name,
        image=image.image,
        digest="",
        tags=_tags(image, project=project, registry=registry),
        base=base,
        frameworks=_frameworks(resolution),
        cuda=_text(resolution.cuda),
        cudnn=_text(resolution.cudnn),
        nccl=_text(resolution.nccl),
        cuda_provider=resolution.cuda_provider.value,
        toolkit=_text(resolution.numbers.toolkit),
        driver_floor=_text(resolution.numbers.driver_floor),
        gate=_gate(resolution),
        forward_compat=image.wishes.forward_compat and resolution.cuda is not None,
        architectures=resolution.architectures,
        ptx=resolution.ptx,
        python=resolution.python,
        python_provider=resolution.python_provider.value,
        standalone=_standalone(resolution),
        os=resolution.os,
        os_family=resolution.os_family,
        flavor=resolution.flavor.value,
        platforms=resolution.platforms,
        os_packages=tuple(dict.fromkeys((*resolution.python_packages, *contents.apt))),
        base_user=resolution.base_user,
        closure=closure,
        companions=_installed(resolution.companions, closure),
        copy=tuple(LockedCopy(source=step.source, target=step.target) for step in contents.copy),
        workdir=contents.workdir or DEFAULT_WORKDIR,
        env={**resolution.env, **contents.env},
        command=contents.command,
        entrypoint=contents.entrypoint,
        user=contents.user or DEFAULT_USER,
        labels=contents.labels,
        max_size=contents.max_size,
        run=contents.run,
        secrets=contents.secrets,
        ssh=contents.ssh,
        template=contents.template,
        verify=_verify(image),
    )


def _installed(companions: Mapping[str, str], closure: Closure) -> Mapping[str, str]:
    """The companions that somebody asked for: the others only say what would go with the framework."""
    packages = {wheel.package for wheel in closure.wheels}
    return {name: version for name, version in companions.items() if name in packages}


def _frameworks(resolution: Resolution) -> tuple[LockedFramework, ...]:
    return tuple(
        LockedFramework(
            name=framework.name,
            version=str(framework.version),
            build=framework.build,
            reported=framework.reported,
            proof=framework.proof,
            template=framework.template,
        )
        for framework in resolution.frameworks
    )


def _standalone(resolution: Resolution) -> LockedPython | None:
    row = resolution.standalone
    if row is None:
        return None
    return LockedPython(
        version=str(row.version),
        feed=row.feed,
        archives=tuple(
            PythonArchive(platform=platform, path=row.files[platform], sha256=row.sha256[platform])
            for platform in resolution.platforms
        ),
    )


def _tags(image: ImageDeclaration, *, project: str, registry: str | None) -> tuple[str, ...]:
    repository = f"{registry}/{project}" if registry else project
    return tuple(dict.fromkeys(f"{repository}:{tag}" for tag in (image.name, *image.contents.tags)))


def _gate(resolution: Resolution) -> str | None:
    """What the image sets `NVIDIA_REQUIRE_CUDA` to: nothing, the loaded CUDA alone, or no gate at all."""
    if resolution.gate is Gate.OFF:
        return ""
    if resolution.gate is Gate.RELAX and resolution.numbers.driver_floor is not None:
        return f"driver>={resolution.numbers.driver_floor.major}"
    return None


def _verify(image: ImageDeclaration) -> LockedVerify:
    settings = image.verify
    return LockedVerify(
        gpu=settings.gpu.value,
        steps=settings.steps,
        memory_limit=settings.memory_limit,
        timeout=settings.timeout,
    )


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)

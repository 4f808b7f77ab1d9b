"""What the tags of a wheel say of its Python, its platform and its glibc."""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.measurer.collector import Naming
from cudaforge.measurer.readable import Malformed
from cudaforge.packages.tags import tag_glibc, wheel_platform, wheel_python
from cudaforge.versions import Version


def naming_of_wheel(name: str, size: int) -> Naming:
    """What the name of a wheel file says. Raises Malformed for another name, or another system than Linux."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        raise Malformed("its name is not that of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl") from None
    if not any(wheel_platform(tag.platform) for tag in tags):
        raise Malformed("it is for another system than Linux on x86_64 or aarch64")
    return naming_of(name, map(str, tags), size=size)


def naming_of(artefact: str, tags: Iterable[str], *, size: int | None) -> Naming:
    """What tags say, `cp312-cp312-manylinux_2_28_x86_64`; those that are no tags say nothing."""
    split = [parts for tag in tags if len(parts := tag.split("-")) == 3]  # noqa: PLR2004 -- a tag has three
    platforms = {wheel_platform(platform) for _, _, platform in split} - {None, "any"}
    pythons = {wheel_python(interpreter, abi) for interpreter, abi, _ in split} - {None}
    glibcs = {tag_glibc(platform) for _, _, platform in split} - {None}
    return Naming(
        artefact=artefact,
        platforms=tuple(sorted(one for one in platforms if one)),
        pythons=tuple(sorted((one for one in pythons if one), key=Version)),
        tag_glibc=min((one for one in glibcs if one), key=Version, default=None),
        size=size,
    )

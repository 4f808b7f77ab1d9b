"""From merged values to images: one for each image table, or for each point of its matrix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from cudaforge.declaration import fields
from cudaforge.declaration.axes import MATRIX, MAX_POINTS, Matrix, Point, point_name
from cudaforge.declaration.environment import Variable
from cudaforge.declaration.model import (
    Contents,
    Gate,
    GpuDemand,
    ImageDeclaration,
    LocalWheel,
    OnConflict,
    Preference,
    VerifySettings,
    Wishes,
)
from cudaforge.declaration.needed import NOTHING_NEEDED, Needed, normal_name
from cudaforge.declaration.source import dump_key
from cudaforge.declaration.tables import NOTHING, Values
from cudaforge.records import record, replace
from cudaforge.versions import VersionWish

_IMAGES = "images"


@record()
class ImageMistake:
    """Something wrong with an image as a whole. `path` is its key in the declaration."""

    path: tuple[str | int, ...]
    what: str
    remedy: str | None = None


def check_image(name: str, image: Values) -> Iterator[ImageMistake]:
    """What an image lacks, or has too much of, whatever its single values are."""
    matrix = image.get(MATRIX)
    has_framework = image.has(fields.FRAMEWORK) or (
        matrix is not None
        and (fields.FRAMEWORK.name in matrix.axes or not matrix.axes)
        and all(fields.FRAMEWORK.name in point.values for point in matrix.include)
    )
    if not has_framework and (matrix is not None or not image.has(MATRIX)):
        yield ImageMistake(
            path=(_IMAGES, name),
            what=f"image '{name}' names no framework",
            remedy='for example framework = "pytorch"',
        )
    if matrix is None:
        return
    key = (_IMAGES, name, MATRIX.name)
    if matrix.count() > MAX_POINTS:
        yield ImageMistake(path=key, what=f"the matrix has {matrix.count()} points; {MAX_POINTS} is the most")
    elif next(matrix.points(), None) is None:
        yield ImageMistake(path=key, what="every point of the matrix is excluded", remedy="exclude fewer")


def check_needed(name: str, needed: Needed) -> Iterator[ImageMistake]:
    """What an image asks of one package that no version of it can meet."""
    for texts in needed.contradictions():
        yield ImageMistake(
            path=(_IMAGES, name),
            what=f"no version is within {' and '.join(texts)}",
            remedy="keep one of them" if len(texts) > 1 else "turn a bound round, or leave one out",
        )


def make_images(name: str, image: Values, needed: Needed = NOTHING_NEEDED) -> Iterator[ImageDeclaration]:
    """The images of one table. `needed` are its packages and those of its requirements file."""
    matrix = image.get(MATRIX)
    contents, verify = _contents(image, needed), _verify(image.get(fields.VERIFY) or NOTHING)
    key = dump_key((_IMAGES, name))
    points: Iterable[Point | None] = matrix.points() if isinstance(matrix, Matrix) else (None,)
    for point in points:
        values = image
        if point is not None:
            values = image.replaced({axis: one.value for axis, one in point.values.items()})
        yield ImageDeclaration(
            name=name if point is None else point_name(name, point),
            image=name,
            key=key,
            axes=() if point is None else point.texts,
            wishes=_with_needed(make_wishes(values), needed, contents.from_source),
            contents=contents,
            verify=verify,
            on_conflict=image.get(fields.ON_CONFLICT)
            or (OnConflict.ERROR if point is None else OnConflict.SKIP),
        )


def _with_needed(wishes: Wishes, needed: Needed, built: tuple[str, ...]) -> Wishes:
    """The wishes with the packages, those that are `built` among them, and with the Pythons that these are
    for."""
    python = wishes.python
    if needed.python is not None:
        own = "" if python is None else str(python)
        exact = f"=={own.removesuffix('.*')}.*" if own[:1].isdigit() else own
        python = VersionWish(",".join(filter(None, (exact, needed.python))))
    commits = (normal_name(text) for text in needed.packages if "@ git+" in text)
    return replace(
        wishes,
        packages=needed.packages,
        constraints=needed.constraints,
        from_source=tuple(dict.fromkeys((*commits, *built))),
        wheels=tuple(wheel.package for wheel in needed.wheels),
        python=python,
    )


def make_wishes(values: Values) -> Wishes:
    """What the values ask of the resolver."""
    cuda = values.get(fields.CUDA)
    prefer = values.get(fields.PREFER)
    return Wishes(
        frameworks=values.get(fields.FRAMEWORK) or (),
        build=values.get(fields.BUILD),
        cuda=cuda.version if cuda else None,
        is_cpu=cuda is not None and cuda.version is None,
        cudnn=values.get(fields.CUDNN),
        python=values.get(fields.PYTHON),
        os=values.get(fields.OS),
        gpus=values.get(fields.GPUS) or (),
        driver=values.get(fields.DRIVER),
        flavor=values.get(fields.FLAVOR),
        platforms=values.get(fields.PLATFORMS) or (),
        base=values.get(fields.BASE),
        python_provider=values.get(fields.PYTHON_PROVIDER),
        cuda_provider=values.get(fields.CUDA_PROVIDER),
        toolkit=values.get(fields.TOOLKIT),
        prefer=(prefer.overall if prefer else None) or Preference.NEWEST,
        prefer_per_field=prefer.per_field if prefer else {},
        forward_compat=values.get(fields.FORWARD_COMPAT) or False,
        require_cuda=values.get(fields.REQUIRE_CUDA) or Gate.KEEP,
    )


def _contents(values: Values, needed: Needed) -> Contents:
    env: Mapping[str, Variable] = values.get(fields.ENV) or {}
    source = values.get(fields.REQUIREMENTS)
    return Contents(
        packages=needed.packages,
        constraints=needed.constraints,
        hashes=needed.hashes,
        wheels=needed.wheels,
        from_source=values.get(fields.BUILD_FROM_SOURCE) or (),
        requirements=source.path if source is not None else None,
        apt=values.get(fields.APT) or (),
        os_snapshot=values.get(fields.OS_SNAPSHOT),
        copy=values.get(fields.COPY) or (),
        workdir=values.get(fields.WORKDIR),
        env={name: variable.value for name, variable in env.items()},
        env_overrides=frozenset(name for name, variable in env.items() if variable.override),
        command=values.get(fields.COMMAND),
        entrypoint=values.get(fields.ENTRYPOINT),
        user=values.get(fields.USER),
        labels=values.get(fields.LABELS) or {},
        tags=values.get(fields.TAGS) or (),
        max_size=values.get(fields.MAX_SIZE),
        run=values.get(fields.RUN) or (),
        secrets=values.get(fields.SECRETS) or (),
    )


def _verify(values: Values) -> VerifySettings:
    written = VerifySettings()
    return VerifySettings(
        gpu=values.get(fields.VERIFY_GPU) or GpuDemand(written.gpu),
        steps=values.get(fields.VERIFY_STEPS) or written.steps,
        memory_limit=values.get(fields.VERIFY_MEMORY),
        timeout=values.get(fields.VERIFY_TIMEOUT) or written.timeout,
    )


def find_clashes(images: Iterable[ImageDeclaration]) -> Iterator[ImageMistake]:
    """Images that would share a file or a tag: equal names, up to case and separators, or equal tags."""
    names: dict[str, ImageDeclaration] = {}
    tags: dict[str, ImageDeclaration] = {}
    told: set[tuple[str, str, str]] = set()
    for image in images:
        other = names.setdefault(re.sub(r"[-_.]+", "-", image.name.lower()), image)
        if other is not image:
            yield ImageMistake(
                path=(_IMAGES, image.image),
                what=f"{_origin(other)} and {_origin(image)} are both named '{image.name}'"
                if other.name == image.name
                else f"the names '{other.name}' and '{image.name}' are too much alike",
                remedy="rename one of them: files and tags are named after it",
            )
        for tag in (image.name, *image.contents.tags):
            holder = tags.setdefault(tag, image)
            clash = (tag, holder.image, image.image)
            if holder is not image and holder.name != image.name and clash not in told:
                told.add(clash)
                yield ImageMistake(
                    path=(_IMAGES, image.image, fields.TAGS.name),
                    what=f"images '{holder.name}' and '{image.name}' would both be tagged '{tag}'",
                    remedy="give the tag to one of them",
                )


def find_wheel_clashes(images: Iterable[ImageDeclaration]) -> Iterator[ImageMistake]:
    """Wheels of the project with one name that are different files: they are kept beside the lock by it."""
    known: dict[str, LocalWheel] = {}
    for image in images:
        for wheel in image.contents.wheels:
            other = known.setdefault(wheel.filename, wheel)
            if other.sha256 != wheel.sha256:
                yield ImageMistake(
                    path=(_IMAGES, image.image, fields.PACKAGES.name),
                    what=f"{other.path} and {wheel.path} have the same name and are different files",
                    remedy="keep one of them, or give one another version",
                )


def _origin(image: ImageDeclaration) -> str:
    if not image.axes:
        return f"{image.key}"
    return f"{image.key} ({', '.join(f'{axis} = {text}' for axis, text in image.axes)})"

"""The lock entries of a declaration's images, several at a time; what their questions have in common is asked
once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial

from cudaforge.declaration.model import Declaration, ImageDeclaration
from cudaforge.errors import CudaforgeError, NegativeAnswer
from cudaforge.lockfile.compose import NewEntry, closure_request, lock_image
from cudaforge.lockfile.model import LockedImage, LockedWheel
from cudaforge.lockfile.snapshots import SnapshotQuestion, choose_snapshot
from cudaforge.packages.closure import find_versions, resolve_closure
from cudaforge.packages.question import SharedAnswers
from cudaforge.packages.site import Site
from cudaforge.pipeline.at_once import as_one, make_all
from cudaforge.pipeline.bases import BasePins
from cudaforge.pipeline.decide import Note, matrix_of, require_answers
from cudaforge.pipeline.fitting import Fitted, Fitting
from cudaforge.pipeline.unbuilt import check_sources
from cudaforge.records import replace
from cudaforge.renderer.context import installs_os_packages
from cudaforge.report.tables import names_text
from cudaforge.resolver import Answer, Earlier, ImageAnswer, Resolution
from cudaforge.resolver.model import Conflict


def lock_images(
    declaration: Declaration,
    answers: Sequence[ImageAnswer],
    *,
    kept: Mapping[str, LockedImage],
    pins: BasePins,
    site: Site,
    on_note: Note,
) -> Mapping[str, Fitted]:
    """The answers of all images together with their packages, by name. `kept` has earlier entries by image
    name, whose base and whose packages are kept where they still fit.

    Images that ask the site the same ask it once. An image whose wishes have not changed asks all the same:
    only the index knows whether it still has what is locked, and whether it has a file of the same version by
    now that suits the image better; the site and uv's own settings, which no lock knows, may be others.

    Raises NegativeAnswer where an image has no answer and may not be left out, and what fails of the images,
    all of it together.
    """
    check_sources(declaration.images, matrix_of(declaration))
    entries = _Entries(declaration, answers, kept=kept, pins=pins, site=site)
    names = [one.name for one in answers]
    fitted, failure = make_all(names, entries.fit, question_of=entries.question_of, close=entries.close)
    _require_all(declaration, [_last_answer(one, fitted) for one in answers], failure)
    for name, move in moves_of(fitted).items():
        on_note(f"{name}: {move}")
    for note in _undated(fitted, entries.obstacles):
        on_note(note)
    return fitted


def _last_answer(first: ImageAnswer, fitted: Mapping[str, Fitted]) -> ImageAnswer:
    return replace(first, answer=fitted[first.name].answer) if first.name in fitted else first


def _require_all(
    declaration: Declaration, answers: Sequence[ImageAnswer], failure: CudaforgeError | None
) -> None:
    """Raise the conflicts that no image may be left out for, together with what failed besides."""
    try:
        require_answers(declaration, answers)
    except NegativeAnswer as conflicts:
        raise (as_one([failure, conflicts]) if failure is not None else conflicts) from None
    if failure is not None:
        raise failure


class _Entries:
    """Makes the entries of one run. Safe between threads."""

    def __init__(
        self,
        declaration: Declaration,
        answers: Sequence[ImageAnswer],
        *,
        kept: Mapping[str, LockedImage],
        pins: BasePins,
        site: Site,
    ) -> None:
        self._declaration = declaration
        self._images = {image.name: image for image in declaration.images}
        self._answers = {one.name: one.answer for one in answers}
        self._kept = kept
        self._pins = pins
        self._shared = SharedAnswers()
        self._resolve_packages = partial(resolve_closure, site=site, ask=self._shared.ask)
        look_up = partial(find_versions, site=site, ask=self._shared.ask)
        self._fitting = Fitting(declaration, look_up=look_up, earlier=earlier_of_each(kept))
        self._snapshots = snapshot_question(declaration)
        self.obstacles: dict[str, str | None] = {}
        """By image, why it has no snapshot of the OS archive where `--as-of` would have taken one."""

    def fit(self, name: str) -> Fitted:
        """The entry of an image, or its conflict."""
        return self._fitting.fit(self._images[name], self._answers[name], partial(self._entry, name))

    def question_of(self, name: str) -> str:
        """What the image asks of the package index first: equal for images that ask the same."""
        preferred = self._preferred(name)
        return first_question(self._images[name], self._answers[name], self._declaration, preferred=preferred)

    def close(self) -> None:
        """Ask nothing new from now on."""
        self._shared.close()
        self._pins.close()

    def _entry(self, name: str, resolution: Resolution) -> NewEntry:
        image, before = self._images[name], self._kept.get(name)
        chosen = choose_snapshot(image, resolution, self._snapshots, earlier=before)
        self.obstacles[name] = chosen.obstacle
        return lock_image(
            image,
            resolution,
            project=self._declaration.project,
            registry=self._declaration.registry,
            resolve_packages=self._resolve_packages,
            pin_base=partial(self._pins.pin, own=before.base if before else None),
            root=self._declaration.root,
            preferred=self._preferred(name),
            as_of=self._declaration.as_of,
            snapshot=chosen.snapshot,
        )

    def _preferred(self, name: str) -> tuple[LockedWheel, ...]:
        return self._kept[name].closure.wheels if name in self._kept else ()


def first_question(
    image: ImageDeclaration,
    answer: Answer,
    declaration: Declaration,
    *,
    preferred: tuple[LockedWheel, ...] = (),
) -> str:
    """What an image with this answer asks of the package index first: equal for images that ask the same.
    `preferred` is its earlier closure."""
    if isinstance(answer, Conflict):
        return image.name
    request = closure_request(
        image, answer, root=declaration.root, preferred=preferred, as_of=declaration.as_of
    )
    return repr(replace(request, name=""))


def snapshot_question(declaration: Declaration) -> SnapshotQuestion:
    """What the choice of snapshots of the OS archive depends on, asked now."""
    return SnapshotQuestion(
        services=matrix_of(declaration).snapshots,
        as_of=declaration.as_of,
        today=datetime.now(tz=timezone.utc).date(),
        file=str(declaration.path),
    )


def _undated(fitted: Mapping[str, Fitted], obstacles: Mapping[str, str | None]) -> Iterator[str]:
    """What is of another day than the lock's, once for all images concerned: OS packages that builds install,
    or the base that is made of them."""
    together: dict[tuple[str, bool], list[str]] = {}
    for name, one in fitted.items():
        obstacle = obstacles.get(name)
        if obstacle is None or one.entry is None:
            continue
        installs = installs_os_packages(one.entry.image)
        if installs or one.entry.image.base.is_bootstrap:
            together.setdefault((obstacle, installs), []).append(name)
    for (obstacle, installs), names in together.items():
        if installs:
            what = f"OS packages that builds of {names_text(names)} install"
            yield f"{what} are those of the day of building: {obstacle}"
        else:
            yield f"{names_text(names)}: {obstacle}"


def moves_of(fitted: Mapping[str, Fitted]) -> Mapping[str, str]:
    """What packages moved, by image."""
    return {name: one.move for name, one in fitted.items() if one.move is not None}


def earlier_of_each(images: Mapping[str, LockedImage]) -> Mapping[str, Earlier]:
    """What each of the locked images was chosen to be."""
    return {name: _earlier_of(image) for name, image in images.items()}


def _earlier_of(image: LockedImage) -> Earlier:
    return Earlier(
        frameworks={one.name: (one.version, one.build) for one in image.frameworks},
        cuda=image.cuda,
        cudnn=image.cudnn,
        python=image.python,
        os=image.os,
        base=image.base.reference,
        standalone=image.standalone.version if image.standalone is not None else None,
    )

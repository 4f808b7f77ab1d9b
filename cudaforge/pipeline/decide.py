"""From words to a lock: the stages that decide, given what they need from outside."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration import (
    declaration_from_words,
    load_declaration,
    load_without_packages,
    locate,
)
from cudaforge.declaration.model import Declaration, ImageDeclaration, OnConflict
from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.pipeline.host import find_host_os, lock_path
from cudaforge.records import replace
from cudaforge.report.tables import names_text
from cudaforge.resolver import (
    Earlier,
    HeldBack,
    ImageAlternatives,
    ImageAnswer,
    ImageExplanation,
    Obstacle,
    alternatives_all,
    explain_all,
    resolve_all,
)
from cudaforge.resolver import held_back as find_held_back
from cudaforge.resolver.model import Conflict

if TYPE_CHECKING:
    from cudaforge.lockfile.model import Lock

Note = Callable[[str], None]
MOST_EXPLAINED = 256
_PLAIN_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def load(path: Path | str = "cudaforge.toml") -> Declaration:
    """Read a declaration file. Raises InputError with every mistake in it."""
    return load_declaration(Path(path))


def load_besides_packages(path: Path, *, on_wrong: Callable[[Sequence[Problem]], None]) -> Declaration:
    """A declaration for what needs no packages. What is wrong with these alone goes to `on_wrong`.

    Raises InputError with every other mistake in it.
    """
    try:
        return load(path)
    except InputError as error:
        try:
            declaration = load_without_packages(path)
        except InputError:
            raise error from None
        on_wrong(error.problems)
        return declaration


def load_with_lock(path: Path, *, on_note: Note) -> tuple[Declaration, Lock]:
    """A declaration and its lock, for what needs no packages; where these are wrong, it is told that nobody
    knows whether the lock is current.

    Raises InputError for other mistakes, NegativeAnswer for a lock that is missing, damaged or stale.
    """
    from cudaforge.lockfile.store import read_lock

    wrong: list[Problem] = []
    declaration = load_besides_packages(path, on_wrong=wrong.extend)
    if not wrong:
        return declaration, load_current_lock(declaration)
    lock = read_lock(lock_path(declaration))
    first = wrong[0].what
    on_note(f"the packages of {path} cannot be read ({first}): whether the lock is current is not known")
    return declaration, lock


def load_words(words: Sequence[str], *, beside: Path | None = None) -> Declaration:
    """Read ad-hoc words (`pytorch==2.8.*`, `gpu=RTX 5090`) as a declaration of one image.

    They are judged by the same facts as the declaration file `beside`: with its overlays.
    """
    asked = declaration_from_words(words, root=Path())
    if beside is None:
        return asked
    project = load(beside)
    return replace(asked, root=project.root, overlays=project.overlays)


def load_asked(words: Sequence[str], path: Path) -> Declaration:
    """The file without words, some of its images by their names, or what the words alone say.

    Raises InputError for a plain word that is neither an image of the file nor a framework.
    """
    if not words:
        return load(path)
    if not path.exists():
        return load_words(words)
    if not all(_PLAIN_WORD.fullmatch(word) for word in words):
        return load_words(words, beside=path)
    declaration = load(path)
    unknown = [word for word in words if not has_image(declaration, word)]
    if not unknown:
        return only_images(declaration, words)
    matrix = matrix_of(declaration)
    if len(unknown) == len(words) and all(matrix.find_framework(word) for word in words):
        return load_words(words, beside=path)
    names = sorted({name for image in declaration.images for name in (image.name, image.image)})
    raise InputError(
        Problem(
            what=f"{path} has no image {show(word)}, and words that make an image do not mix with names of "
            "images"
            if matrix.find_framework(word)
            else f"{show(word)} is neither an image of {path} nor a framework",
            where=Location(file="command line", key=word),
            remedy=f"images: {', '.join(names)}; frameworks: {', '.join(sorted(matrix.frameworks))}",
        )
        for word in unknown
    )


def resolve(
    declaration: Declaration, *, earlier: Mapping[str, Earlier] | None = None
) -> tuple[ImageAnswer, ...]:
    """The best set of versions for every image, or which of its wishes collide.

    What was chosen `earlier`, by image name, is chosen again wherever it still fits. Raises InputError for
    names that the matrix does not know.
    """
    matrix = matrix_of(declaration)
    with located(declaration):
        return resolve_all(declaration, matrix, host_os=find_host_os(), earlier=earlier)


def held_back(
    declaration: Declaration, learnt: Mapping[str, Sequence[Obstacle]]
) -> Mapping[str, tuple[HeldBack, ...]]:
    """What each image's own wishes keep it from, by image name; of its packages also by what was learnt."""
    matrix, host_os = matrix_of(declaration), find_host_os()
    with located(declaration):
        return {
            image.name: find_held_back(
                image.wishes, matrix, host_os=host_os, learnt=learnt.get(image.name, ())
            )
            for image in declaration.images
        }


def explain(declaration: Declaration) -> tuple[ImageExplanation, ...]:
    """The answers of `resolve`, each with why its values were chosen. Raises InputError as it does, and for
    more images than are explained at once."""
    count = len(declaration.images)
    if count > MOST_EXPLAINED:
        raise InputError(
            Problem(
                what=f"that makes {count} images; at most {MOST_EXPLAINED} are explained at once",
                remedy="name some of them; cudaforge matrix lists all",
            )
        )
    matrix = matrix_of(declaration)
    with located(declaration):
        return explain_all(declaration, matrix, host_os=find_host_os())


def alternatives(declaration: Declaration, *, limit: int | None = None) -> tuple[ImageAlternatives, ...]:
    """The answers of every image, best first: up to `limit` of each, all for None; bounded for all together.
    Raises InputError as `resolve` does."""
    matrix = matrix_of(declaration)
    with located(declaration):
        return alternatives_all(declaration, matrix, limit=limit, host_os=find_host_os())


def has_fatal_conflict(
    declaration: Declaration, answers: Sequence[ImageAnswer] | Sequence[ImageExplanation]
) -> bool:
    """Whether an image without an answer makes the whole answer a no."""
    return any(True for _ in _fatal(declaration, answers))


def is_dropped(declaration: Declaration, answers: Sequence[ImageAnswer]) -> tuple[bool, ...]:
    """Of each answer, whether it is a conflict that its image allows to be left out."""
    skips = {image.name for image in declaration.images if image.on_conflict is OnConflict.SKIP}
    return tuple(isinstance(one.answer, Conflict) and one.name in skips for one in answers)


def require_answers(declaration: Declaration, answers: Sequence[ImageAnswer]) -> None:
    """Raise NegativeAnswer with every conflict that an image does not allow to be skipped."""
    alike: dict[int, tuple[Conflict, list[ImageDeclaration]]] = {}
    for image, conflict in _fatal(declaration, answers):
        alike.setdefault(id(conflict), (conflict, []))[1].append(image)
    # Points whose packages collide have found their conflict each by itself.
    together: dict[tuple[str, str], tuple[Conflict, list[ImageDeclaration]]] = {}
    for conflict, images in alike.values():
        together.setdefault((images[0].key, repr(conflict)), (conflict, []))[1].extend(images)
    problems = [conflict_problem(declaration, images, conflict) for conflict, images in together.values()]
    if problems:
        raise NegativeAnswer(problems)


def only_images(declaration: Declaration, names: Sequence[str]) -> Declaration:
    """The declaration with these images alone: by point name, or by the image whose points are meant."""
    return replace(
        declaration,
        images=tuple(image for image in declaration.images if image.name in names or image.image in names),
    )


def chosen_images(declaration: Declaration, names: Sequence[str]) -> Declaration:
    """The declaration with the named images alone; all for no names. Raises InputError for unknown names."""
    unknown = [name for name in names if not has_image(declaration, name)]
    if unknown:
        raise _no_such_images(unknown, [image.name for image in declaration.images])
    return only_images(declaration, names) if names else declaration


def has_image(declaration: Declaration, name: str) -> bool:
    """Whether `name` is an image of the declaration, or a point of one."""
    return any(name in (image.name, image.image) for image in declaration.images)


def load_current_lock(declaration: Declaration) -> Lock:
    """The declaration's lock. Raises NegativeAnswer where it is missing, damaged or stale."""
    from cudaforge.lockfile.store import read_lock, require_current

    path = lock_path(declaration)
    lock = read_lock(path)
    require_current(lock, declaration, path)
    return lock


def select(lock: Lock, names: Sequence[str], *, maximum: int) -> Lock:
    """The lock with the images of these names alone; all for no names.

    Raises InputError for a name that the lock does not have, and for more images than `maximum`.
    """
    known = {name for image in lock.images for name in (image.name, image.image)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise _no_such_images(unknown, [image.name for image in lock.images])
    images = tuple(image for image in lock.images if not names or {image.name, image.image} & set(names))
    if len(images) > maximum:
        raise InputError(
            Problem(
                what=f"that makes {len(images)} images, more than {maximum}",
                remedy=f"name the images, or allow it with --max-images {len(images)}",
            )
        )
    return replace(lock, images=images, dropped=() if names else lock.dropped)


def matrix_of(declaration: Declaration) -> Matrix:
    """The facts that the declaration is judged by: this installation's, with its overlays, as of its day."""
    return load_matrix(overlays=declaration.overlays, root=declaration.root, until=declaration.as_of)


def _no_such_images(names: Sequence[str], known: Sequence[str]) -> InputError:
    return InputError(
        Problem(
            what=f"there is no image {show(name)}",
            where=Location(file="command line"),
            remedy="known: " + ", ".join(known),
        )
        for name in names
    )


@contextlib.contextmanager
def located(declaration: Declaration) -> Iterator[None]:
    """Add file and line to the keys that a deciding stage names in the InputError that it raises."""
    try:
        yield
    except InputError as error:
        raise InputError(_place(declaration, problem) for problem in error.problems) from None


def _place(declaration: Declaration, problem: Problem) -> Problem:
    if problem.where is None or problem.where.key is None or problem.where.line is not None:
        return problem
    return replace(problem, where=locate(declaration, problem.where.key))


def _fatal(
    declaration: Declaration, answers: Sequence[ImageAnswer] | Sequence[ImageExplanation]
) -> list[tuple[ImageDeclaration, Conflict]]:
    images = {image.name: image for image in declaration.images}
    conflicts = [
        (images[answer.name], answer.answer) for answer in answers if isinstance(answer.answer, Conflict)
    ]
    if len(conflicts) == len(answers):
        # Points may be dropped, but where all are, nothing would be made, and that is no success.
        return conflicts
    return [(image, answer) for image, answer in conflicts if image.on_conflict is OnConflict.ERROR]


def conflict_problem(
    declaration: Declaration, images: Sequence[ImageDeclaration], conflict: Conflict
) -> Problem:
    """The one conflict of these images as a problem of the declaration, with its place there."""
    from cudaforge.pipeline.days import OTHER_DAY, later_releases

    later = later_releases(declaration, images)
    fixes = [f"{fix.words()} (gives {fix.gives})" for fix in conflict.fixes]
    verb = "cannot all hold" if len(conflict.core) > 1 else "cannot hold"
    key = f"{images[0].key}.{conflict.keys[0]}" if conflict.keys else images[0].key
    return Problem(
        what=f"{names_text([one.name for one in images])}: {' and '.join(conflict.core)} {verb}",
        where=locate(declaration, key),
        because=(
            *(reason.cited() for reason in conflict.reasons),
            *conflict.warnings,
            *later,
        ),
        remedy="\nor ".join(fixes) or (OTHER_DAY if later else None),
    )

"""How wishes can be changed: dropped, or moved to another value near the one asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from cudaforge.declaration.model import Flavor, FrameworkWish, Wishes
from cudaforge.matrix.gpu_names import sm
from cudaforge.records import record, replace
from cudaforge.resolver.answer import driver_floor
from cudaforge.resolver.candidates import BuildCandidate, Environment, has_installer, is_confirmed
from cudaforge.resolver.case import Case, reopened
from cudaforge.resolver.drivers import cuda_floor
from cudaforge.resolver.named_gpus import named_gpus
from cudaforge.resolver.packages import named, pinned
from cudaforge.resolver.picked import Picked
from cudaforge.resolver.question import GpuWish, Item
from cudaforge.resolver.reasons.view import anchor
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, union
from cudaforge.resolver.solver import Domains, indexes
from cudaforge.versions import Version, VersionWish

Near = TypeVar("Near")
Change = tuple[tuple[str, str | None], ...]
_NEAR_LINES = 2
NEAREST = 3
"""Values tried around the one asked for."""


@record(kw_only=False, eq=False)
class Edit:
    """Wishes with a change, and the change in the declaration's words: None drops a wish."""

    change: Change
    wishes: Wishes
    is_far_back: bool = False
    """Whether it moves a framework or a package more than two release lines back."""


_DROP: Mapping[str, Callable[[Wishes], Wishes]] = {
    "build": lambda wishes: replace(wishes, build=None),
    "cuda": lambda wishes: replace(wishes, cuda=None, is_cpu=False),
    "cudnn": lambda wishes: replace(wishes, cudnn=None),
    "python": lambda wishes: replace(wishes, python=None),
    "os": lambda wishes: replace(wishes, os=None),
    "driver": lambda wishes: replace(wishes, driver=None),
    "flavor": lambda wishes: replace(wishes, flavor=None),
    "base": lambda wishes: replace(wishes, base=None),
    "python_provider": lambda wishes: replace(wishes, python_provider=None),
    "cuda_provider": lambda wishes: replace(wishes, cuda_provider=None),
    "toolkit": lambda wishes: replace(wishes, toolkit=None),
    "forward_compat": lambda wishes: replace(wishes, forward_compat=False),
}
_SET: Mapping[str, Callable[[Wishes, str], Wishes]] = {
    "build": lambda wishes, text: replace(wishes, build=text),
    "cuda": lambda wishes, text: replace(wishes, cuda=VersionWish(text), is_cpu=False),
    "cudnn": lambda wishes, text: replace(wishes, cudnn=VersionWish(text)),
    "python": lambda wishes, text: replace(wishes, python=VersionWish(text)),
    "os": lambda wishes, text: replace(wishes, os=text),
    "driver": lambda wishes, text: replace(wishes, driver=text),
    "flavor": lambda wishes, text: replace(wishes, flavor=Flavor(text)),
    "base": lambda wishes, text: replace(wishes, base=text),
    "toolkit": lambda wishes, text: replace(wishes, toolkit=VersionWish(text)),
}


def dropped(case: Case, item: Item, wishes: Wishes) -> Edit | None:
    """The wishes without this one; None if nothing would be left to ask for."""
    word = item.word.partition("=")[2]
    if item.is_presence:
        left = tuple(one for index, one in enumerate(wishes.frameworks) if index != item.position)
        return _to_frameworks(wishes, left) if left else None
    if item.key == "framework":
        bare = FrameworkWish(name=wishes.frameworks[item.position].name)
        return _with_framework(wishes, item.position, bare)
    if item.key == "gpus":
        gpus = tuple(text for text in wishes.gpus if text != word)
        name = "gpu" if len(case.question.gpus) == 1 else item.word
        return Edit(((name, None),), replace(wishes, gpus=gpus))
    if item.key == "platforms":
        platforms = tuple(text for text in wishes.platforms if text != word)
        name = "platforms" if not platforms else item.word
        return Edit(((name, None),), replace(wishes, platforms=platforms))
    if item.key == "packages":
        packages, constraints = (
            tuple(text for text in texts if text != item.word)
            for texts in (wishes.packages, wishes.constraints)
        )
        changed = replace(wishes, packages=packages, constraints=constraints)
        return Edit(((_package_key(case, item), None),), changed)
    return Edit(((item.key, None),), _DROP[item.key](wishes))


def _package_key(case: Case, item: Item) -> str:
    is_only = sum(one.key == "packages" for one in case.question.items) == 1
    return "package" if is_only else item.word


def moved(case: Case, item: Item, wishes: Wishes, domains: Domains) -> Iterator[Edit]:
    """The wish with other values, nearest first. The domains are what the other wishes leave."""
    if item.key == "framework":
        if not item.is_presence:
            yield from _releases(case, item, wishes, domains)
    elif item.key == "gpus":
        yield from _capabilities(case, item, wishes)
    elif item.key == "packages":
        yield from _package_releases(case, item, wishes, domains)
    elif item.key in _NEAR:
        for text in _NEAR[item.key](case, item, domains):
            yield Edit(((item.key, text),), _SET[item.key](wishes, text))


def moved_to(case: Case, item: Item, wishes: Wishes, rows: Picked) -> Edit | None:
    """The wish moved to what an answer has, or dropped where an answer says nothing of it."""
    if item.key == "framework" and not item.is_presence:
        wish = wishes.frameworks[item.position]
        other = replace(wish, version=VersionWish(f"=={rows.builds[item.position].version}"))
        return _with_framework(wishes, item.position, other)
    if item.key == "packages":
        answer = (build.version for build in rows.builds)
        return next(_repinned(case, item, wishes, answer), None) or dropped(case, item, wishes)
    text = _OF_ANSWER[item.key](rows) if item.key in _OF_ANSWER else None
    if item.key == "driver":
        text = _driver_of(case, wishes, rows)
    if text is None or item.word == "cuda=none":
        return dropped(case, item, wishes)
    return Edit(((item.key, text),), _SET[item.key](wishes, text))


_OF_ANSWER: Mapping[str, Callable[[Picked], str | None]] = {
    "cuda": lambda rows: str(rows.cuda.version.minor()) if rows.cuda else None,
    "cudnn": lambda rows: str(rows.cudnn.version.minor()) if rows.cudnn else None,
    "python": lambda rows: rows.environment.python,
    "os": lambda rows: rows.environment.os.id,
}


def _driver_of(case: Case, wishes: Wishes, rows: Picked) -> str | None:
    """The oldest driver that an answer needs, whatever the one asked for."""
    floor, _ = driver_floor(reopened(case, replace(wishes, driver=None)), rows)
    return None if floor is None else floor.text


def _with_framework(wishes: Wishes, position: int, wish: FrameworkWish, *, is_far_back: bool = False) -> Edit:
    frameworks = list(wishes.frameworks)
    frameworks[position] = wish
    return _to_frameworks(wishes, tuple(frameworks), is_far_back=is_far_back)


def _to_frameworks(wishes: Wishes, left: tuple[FrameworkWish, ...], *, is_far_back: bool = False) -> Edit:
    """All of the frameworks, so that what the change does not name goes."""
    change = (("framework", ", ".join(map(str, left))),)
    return Edit(change, replace(wishes, frameworks=left), is_far_back=is_far_back)


def _releases(case: Case, item: Item, wishes: Wishes, domains: Domains) -> Iterator[Edit]:
    """Release lines near the ones asked for: from one on where it is newer, else that line."""
    wish = wishes.frameworks[item.position]
    candidates = case.scene.frameworks[item.position].candidates
    left = [candidates[index] for index in indexes(domains[FIRST_FRAMEWORK + item.position])]
    text = wish.version.text if wish.version is not None else ""
    number = anchor(text)
    asked = [one.version for one in candidates if wish.version and wish.version.allows(one.label)]
    asked = asked or ([number] if number is not None else [])
    words = [f"=={number}"] if "+" in text and any(one.version == number for one in left) else []
    for candidate in _nearest_lines(left, asked):
        version, line = candidate.version, candidate.line
        if asked and version > max(asked):
            is_first = all(one.version >= version for one in candidates if one.line == line)
            words.append(f">={line if is_first else version}")
        else:
            words.append(f"=={line}.*")
    for one in words:
        other = replace(wish, version=VersionWish(one))
        is_far_back = _is_far_back(one, text, (candidate.version for candidate in candidates))
        yield _with_framework(wishes, item.position, other, is_far_back=is_far_back)


def _package_releases(case: Case, item: Item, wishes: Wishes, domains: Domains) -> Iterator[Edit]:
    """Other releases of a package, newest first, that go with what the other wishes leave."""
    tables = enumerate(case.scene.frameworks)
    left = {
        table.candidates[index].version: None
        for position, table in tables
        for index in indexes(domains[FIRST_FRAMEWORK + position])
    }
    yield from islice(_repinned(case, item, wishes, left), NEAREST)


def _repinned(case: Case, item: Item, wishes: Wishes, versions: Iterable[Version]) -> Iterator[Edit]:
    """The package pinned to each release that goes with one of the versions, the best version's first."""
    rows = {
        row.version: row
        for wish in case.question.packages
        if wish.text == item.word
        for row in case.scene.tables.matrix.companions(case.question.frameworks[wish.position].name)
        if row.package == wish.package and is_confirmed(row.source)
    }
    known = tuple(rows)
    for version in versions:
        for release in [one for one in sorted(rows, reverse=True) if rows[one].goes_with(version)]:
            text = pinned(item.word, rows.pop(release).version)
            packages = tuple(text if one == item.word else one for one in wishes.packages)
            yield Edit(
                ((_package_key(case, item), text),),
                replace(wishes, packages=packages),
                is_far_back=_is_far_back(text[len(named(text)) :], item.word[len(named(item.word)) :], known),
            )


def _capabilities(case: Case, item: Item, wishes: Wishes) -> Iterator[Edit]:
    """The bare capability of a product whose own row makes no yes, where it means the same machines."""
    wish: GpuWish = next(one for one in case.question.gpus if one.item is item)
    if wish.capability is not None:
        return
    word = item.word.partition("=")[2]
    name = "gpu" if len(case.question.gpus) == 1 else item.word
    for capability, _ in wish.capabilities:
        text = sm(capability)
        if named_gpus(case.scene.tables.matrix, text).platforms != wish.named.platforms:
            continue
        gpus = tuple(text if one == word else one for one in wishes.gpus)
        yield Edit(((name, text),), replace(wishes, gpus=gpus))


def _nearest_lines(candidates: Iterable[BuildCandidate], asked: list[Version]) -> list[BuildCandidate]:
    """Of each release line beyond those asked for the nearest final release, the nearest line first."""
    finals = [one for one in candidates if not one.version.is_prerelease]  # newest first
    if not asked:
        return [*{one.line: one for one in reversed(finals)}.values()][::-1][:NEAREST]
    oldest, newest = min(asked), max(asked)
    above = {one.line: one for one in finals if one.version > newest}
    below = {one.line: one for one in reversed(finals) if one.version < oldest}
    return _alternating([*above.values()][::-1], [*below.values()][::-1])


def _nearest(versions: Iterable[Version], text: str) -> list[Version]:
    """The versions around the first number of a wish."""
    middle = anchor(text)
    ordered = sorted(set(versions))
    if middle is None:
        return ordered[::-1][:NEAREST]
    return _alternating(
        [one for one in ordered if one >= middle], [one for one in ordered if one < middle][::-1]
    )


def _is_far_back(text: str, asked: str, known: Iterable[Version]) -> bool:
    """Whether more than two release lines lie below what is asked for and not below another wish."""
    number, before = anchor(text), anchor(asked)
    if number is None or before is None:
        return False
    lines = {one.minor() for one in known}
    return sum(number.minor() <= line < before.minor() for line in lines) > _NEAR_LINES


def _alternating(above: list[Near], below: list[Near]) -> list[Near]:
    """The next above, the next below, and so on."""
    mixed = [one for pair in zip(above, below, strict=False) for one in pair]
    return [*mixed, *above[len(below) :], *below[len(above) :]][:NEAREST]


def _word(item: Item) -> str:
    return item.word[len(item.key) :]


def _cuda(case: Case, item: Item, domains: Domains) -> list[str]:
    rows = (case.scene.tables.cuda[index] for index in indexes(domains[CUDA]))
    return [str(one) for one in _nearest((row.version.minor() for row in rows if row), _word(item))]


def _cudnn(case: Case, item: Item, domains: Domains) -> list[str]:
    rows = (case.scene.tables.cudnn[index] for index in indexes(domains[CUDNN]))
    return [str(one) for one in _nearest((row.version.minor() for row in rows if row), _word(item))]


def _environments(case: Case, domains: Domains) -> list[Environment]:
    return [case.scene.tables.environments[index] for index in indexes(domains[ENVIRONMENT])]


def _python(case: Case, item: Item, domains: Domains) -> list[str]:
    minors = {one.python for one in _environments(case, domains)}
    return [str(one) for one in _nearest(map(Version, minors), _word(item))]


def _toolkit(case: Case, item: Item, domains: Domains) -> list[str]:
    found = (one.toolkit.minor() for one in _environments(case, domains) if one.toolkit is not None)
    return [str(one) for one in _nearest(found, _word(item))]


def _systems(case: Case, item: Item, domains: Domains) -> list[str]:
    """Systems of the same family first, the oldest that is newer than the one asked for first."""
    asked = case.scene.tables.matrix.systems[item.word.partition("=")[2]]
    left = {one.os.id: one.os for one in _environments(case, domains) if one.os.id != asked.id}
    others = sorted(
        left.values(),
        key=lambda one: (one.family != asked.family, one.glibc < asked.glibc, one.glibc, one.id),
    )
    return [one.id for one in others[:NEAREST]]


def _builds(case: Case, item: Item, domains: Domains) -> list[str]:  # noqa: ARG001 -- one shape for all keys
    """The best build of each framework that the other wishes leave."""
    best = case.best(case.question.all_bits & ~item.bit)
    if best is None:
        return []
    tables = enumerate(case.scene.frameworks)
    return [
        table.candidates[best[FIRST_FRAMEWORK + index].bit_length() - 1].row.build for index, table in tables
    ][:1]


def _flavors(case: Case, item: Item, domains: Domains) -> list[str]:
    left = union(1 << index for index in indexes(domains[ENVIRONMENT]))
    asked = item.word.partition("=")[2]
    environments = [case.scene.tables.environments[index] for index in indexes(left)]
    return [
        one.value for one in Flavor if one.value != asked and any(one in it.flavors for it in environments)
    ]


def _bases(case: Case, item: Item, domains: Domains) -> list[str]:  # noqa: ARG001 -- one shape for all keys
    """What replaces a tag that is gone; for one that no Python can be put on, those with the same CUDA."""
    tables, base = case.scene.tables, case.question.base
    named = [row for row in tables.matrix.base_images if row.reference == base]
    able = [one for one in tables.environments if one.standalone is None or has_installer(one.os)]
    if not any(one.reference == base for one in able):
        for row in named[:1]:
            same = (one for one in able if (one.toolkit, one.cudnn) == (row.cuda, row.cudnn))
            alike = [one.reference for one in same if row.flavor in {flavor.value for flavor in one.flavors}]
            named += [replace(row, replaced_by=one) for one in dict.fromkeys(alike[::-1])]
    return list(dict.fromkeys(row.replaced_by for row in named if row.replaced_by is not None))[:NEAREST]


def _drivers(case: Case, item: Item, domains: Domains) -> list[str]:  # noqa: ARG001 -- one shape for all keys
    """Drivers from the one asked for upwards at which anything changes, last branches of GPUs first."""
    driver = case.question.driver
    if driver is None:
        return []
    cudas = [row for row in case.scene.tables.cuda if row is not None]
    floors = {cuda_floor(row, needs_native=native) for row in cudas for native in (False, True)}
    floors |= {wish.first_driver for wish in case.question.gpus}
    newer = sorted(floor for floor in floors if floor is not None and floor > driver)
    lasts = sorted({wish.last_branch for wish in case.question.gpus if wish.last_branch is not None})
    return [*(str(last) for last in lasts if last < driver.major), *map(str, newer)]


_NEAR: Mapping[str, Callable[[Case, Item, Domains], list[str]]] = {
    "build": _builds,
    "cuda": _cuda,
    "cudnn": _cudnn,
    "python": _python,
    "os": _systems,
    "driver": _drivers,
    "flavor": _flavors,
    "base": _bases,
    "toolkit": _toolkit,
}

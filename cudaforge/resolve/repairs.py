"""Ways out of a conflict: the smallest changes of wishes that resolve, each solved again before it is
offered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from cudaforge.declaration.model import Flavor, FrameworkWish, Gate, Wishes
from cudaforge.errors import InputError
from cudaforge.resolve.answer import Picked, picked
from cudaforge.resolve.case import Case, reopened
from cudaforge.resolve.drivers import cuda_floor
from cudaforge.resolve.model import Fix
from cudaforge.resolve.question import GpuWish, Item
from cudaforge.resolve.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK, Bound
from cudaforge.resolve.solver import Domains, Network, indexes
from cudaforge.versions import InvalidVersion, Version, VersionWish

MAX_FIXES = 6
_MAX_CHANGED = 3
_NEAREST = 3
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class _Edit:
    """A change of wishes. `cost` orders edits: smaller changes less."""

    change: tuple[tuple[str, str | None], ...]
    wishes: Wishes
    cost: tuple[int, ...]


def repairs(case: Case, core: int, culprits: Sequence[Bound]) -> tuple[Fix, ...]:
    """The changes that resolve, the one that changes least first."""
    found: dict[tuple[tuple[str, str | None], ...], tuple[tuple[int, ...], Fix]] = {}
    for edit in _single_edits(case, core, culprits):
        _try(case, edit, found)
    if not found:
        for edit in _joint_edits(case):
            _try(case, edit, found)
            if len(found) >= _NEAREST:
                break
    ordered = sorted(found.values(), key=lambda pair: pair[0])
    return tuple(fix for _, fix in ordered[:MAX_FIXES])


def _try(
    case: Case,
    edit: _Edit,
    found: dict[tuple[tuple[str, str | None], ...], tuple[tuple[int, ...], Fix]],
) -> None:
    if edit.change in found:
        return
    try:
        other = reopened(case, edit.wishes, host_os=case.host_os)
    except InputError:
        return
    domains = other.best(other.question.all_bits)
    if domains is not None:
        fix = Fix(change=dict(edit.change), gives=_gives(other, picked(other, domains)))
        found[edit.change] = (edit.cost, fix)


def _gives(case: Case, rows: Picked) -> str:
    names = [one.name for one in case.question.frameworks]
    return ", ".join(f"{name} {build.label}" for name, build in zip(names, rows.builds, strict=True))


# --- one wish changed -----------------------------------------------------------------------------


def _single_edits(case: Case, core: int, culprits: Sequence[Bound]) -> Iterator[_Edit]:
    for rank, item in enumerate(case.question.items):
        if not item.bit & core or (
            item.is_presence and core & ~item.bit and len(case.question.frameworks) == 1
        ):
            continue
        without = case.network(case.question.all_bits & ~item.bit)
        domains = without.propagated()
        if domains is None:
            continue
        values = list(_values(case, item, domains, without))
        for distance, (change, wishes) in enumerate(values):
            yield _Edit(change, wishes, (0, distance, rank))
        dropped = _drop(case, item)
        if dropped is not None and not values:
            yield _Edit(*dropped, (1, 0, rank))
    rules = {bound.rule for bound in culprits}
    wishes = case.question.wishes
    if rules & {"gate", "gpu-gate"}:
        yield _Edit(
            (("require_cuda", Gate.RELAX.value),), replace(wishes, require_cuda=Gate.RELAX), (0, 0, 99)
        )
    if "gpu-build" in rules and wishes.cuda is None and not wishes.is_cpu:
        yield _Edit((("cuda", "none"),), replace(wishes, is_cpu=True), (1, 1, 99))


Change = tuple[tuple[tuple[str, str | None], ...], Wishes]


def _drop(case: Case, item: Item) -> Change | None:
    """The wishes without this one."""
    wishes = case.question.wishes
    word = item.word.partition("=")[2]
    if item.is_presence:
        position = item.bit.bit_length() - 1
        left = tuple(one for index, one in enumerate(wishes.frameworks) if index != position)
        change = (("framework", ", ".join(map(str, left))),)
        return (change, replace(wishes, frameworks=left)) if left else None
    match item.key:
        case "framework":
            position = _position(case, item)
            bare = FrameworkWish(name=wishes.frameworks[position].name)
            return (("framework", bare.name),), _with_framework(wishes, position, bare)
        case "gpus":
            left_gpus = tuple(text for text in wishes.gpus if text != word)
            name = item.word if left_gpus else "gpu"
            return ((name, None),), replace(wishes, gpus=left_gpus)
        case "platforms":
            left_platforms = tuple(text for text in wishes.platforms if text != word)
            change = (("platforms", ", ".join(left_platforms) or None),)
            return change, replace(wishes, platforms=left_platforms)
        case "cuda":
            return (("cuda", None),), replace(wishes, cuda=None, is_cpu=False)
        case _:
            return ((item.key, None),), _without_key(wishes, item.key)


def _without_key(wishes: Wishes, key: str) -> Wishes:  # noqa: C901 -- one line per key of the type
    match key:
        case "build":
            return replace(wishes, build=None)
        case "cudnn":
            return replace(wishes, cudnn=None)
        case "python":
            return replace(wishes, python=None)
        case "os":
            return replace(wishes, os=None)
        case "driver":
            return replace(wishes, driver=None)
        case "flavor":
            return replace(wishes, flavor=None)
        case "base":
            return replace(wishes, base=None)
        case "python_provider":
            return replace(wishes, python_provider=None)
        case "cuda_provider":
            return replace(wishes, cuda_provider=None)
        case "toolkit":
            return replace(wishes, toolkit=None)
        case _:
            raise ValueError(key)


def _position(case: Case, item: Item) -> int:
    return next(
        index
        for index in range(len(case.question.frameworks))
        if case.question.version_bit(index) == item.bit
    )


def _with_framework(wishes: Wishes, position: int, wish: FrameworkWish) -> Wishes:
    frameworks = list(wishes.frameworks)
    frameworks[position] = wish
    return replace(wishes, frameworks=tuple(frameworks))


def _values(case: Case, item: Item, domains: Domains, without: Network) -> Iterator[Change]:  # noqa: C901
    """Other values for one wish, nearest first; the domains are what the other wishes leave."""
    wishes, tables = case.question.wishes, case.scene.tables
    match item.key:
        case "framework" if not item.is_presence:
            yield from _releases(case, item, domains)
        case "cuda" if wishes.cuda is not None:
            rows = (tables.cuda[index] for index in indexes(domains[CUDA]))
            minors = {row.version.minor() for row in rows if row is not None}
            for minor in _nearest(minors, wishes.cuda.text):
                yield (("cuda", str(minor)),), replace(wishes, cuda=VersionWish(str(minor)))
        case "cudnn" if wishes.cudnn is not None:
            cudnn = (tables.cudnn[index] for index in indexes(domains[CUDNN]))
            minors = {row.version.minor() for row in cudnn if row is not None}
            for minor in _nearest(minors, wishes.cudnn.text):
                yield (("cudnn", str(minor)),), replace(wishes, cudnn=VersionWish(str(minor)))
        case "python" if wishes.python is not None:
            minors = {Version(tables.environments[index].python) for index in indexes(domains[ENVIRONMENT])}
            for minor in _nearest(minors, wishes.python.text):
                yield (("python", str(minor)),), replace(wishes, python=VersionWish(str(minor)))
        case "os":
            for name in _systems(case, domains):
                yield (("os", name),), replace(wishes, os=name)
        case "driver":
            driver = _oldest_driver(case, without)
            if driver is not None:
                yield (("driver", driver),), replace(wishes, driver=driver)
        case "flavor":
            for flavor in Flavor:
                if flavor is not wishes.flavor:
                    yield (("flavor", flavor.value),), replace(wishes, flavor=flavor)
        case "build":
            best = without.best(case.criteria)
            if best is not None:
                label = picked(case, best).builds[0].row.build
                yield (("build", label),), replace(wishes, build=label)
        case "base":
            for image in tables.environments:
                if image.reference == case.question.base and image.replaced_by is not None:
                    yield (("base", image.replaced_by),), replace(wishes, base=image.replaced_by)
                    break
        case "gpus":
            yield from _capabilities(case, item)


def _releases(case: Case, item: Item, domains: Domains) -> Iterator[Change]:
    """Releases near the ones asked for: from one on where all newer ones are as good, else exactly it."""
    position = _position(case, item)
    wishes = case.question.wishes
    wish = wishes.frameworks[position]
    table = case.scene.frameworks[position]
    left = {table.candidates[index].version for index in indexes(domains[FIRST_FRAMEWORK + position])}
    text = wish.version.text if wish.version is not None else ""
    for version in _nearest(left, text):
        newest = _anchor(text)
        is_newer = newest is not None and version > newest
        operator = ">=" if is_newer and not version.is_prerelease else "=="
        shown = version if version.is_prerelease or not is_newer else version.minor()
        other = FrameworkWish(name=wish.name, version=VersionWish(f"{operator}{shown}"))
        yield (("framework", str(other)),), _with_framework(wishes, position, other)


def _anchor(text: str) -> Version | None:
    number = _NUMBER.search(text)
    try:
        return Version(number[0]) if number is not None else None
    except InvalidVersion:
        return None


def _nearest(versions: set[Version], text: str) -> list[Version]:
    """The versions around the first number of a wish, those next to it first."""
    anchor = _anchor(text)
    ordered = sorted(versions, reverse=True)
    if anchor is None:
        return ordered[:_NEAREST]
    above = [one for one in reversed(ordered) if one >= anchor][:2]
    below = [one for one in ordered if one < anchor][:2]
    mixed = [one for pair in zip(above, below, strict=False) for one in pair]
    mixed += above[len(below) :] + below[len(above) :]
    return mixed[:_NEAREST]


def _systems(case: Case, domains: Domains) -> list[str]:
    """Other systems, of the same family first, the oldest that is newer than the one asked for first."""
    systems = case.scene.tables.matrix.systems
    asked = systems[case.question.wishes.os or ""]
    left = {case.scene.tables.environments[index].os.id for index in indexes(domains[ENVIRONMENT])}
    others = [systems[name] for name in left if name != asked.id]
    others.sort(key=lambda one: (one.family != asked.family, one.glibc < asked.glibc, one.glibc, one.id))
    return [one.id for one in others[:_NEAREST]]


def _oldest_driver(case: Case, without: Network) -> str | None:
    """The driver nearest to the one asked for that would do."""
    driver = case.question.driver
    if driver is None:
        return None
    floors = {
        floor
        for row in case.scene.tables.cuda
        if row is not None
        for needs_native in (False, True)
        if (floor := cuda_floor(row, needs_native=needs_native)) is not None
    }
    floors |= {wish.first_driver for wish in case.question.gpus if wish.first_driver is not None}
    newer = sorted(floor for floor in floors if floor > driver)
    lasts = [Version(str(wish.last_branch)) for wish in case.question.gpus if wish.last_branch is not None]
    if without.best(()) is None:
        return None
    for one in [*sorted((last for last in lasts if last < driver), reverse=True), *newer]:
        other = reopened(case, replace(case.question.wishes, driver=str(one)), host_os=case.host_os)
        if other.has_answer(other.question.all_bits):
            return str(one)
    return None


def _capabilities(case: Case, item: Item) -> Iterator[Change]:
    """The bare capability of a product whose own row may make no yes."""
    wish: GpuWish = next(one for one in case.question.gpus if one.item is item)
    word = item.word.partition("=")[2]
    wishes = case.question.wishes
    for capability, _ in wish.capabilities:
        text = "sm_" + "".join(str(part) for part in capability.release)
        if wish.capability is None and text != word:
            gpus = tuple(text if one == word else one for one in wishes.gpus)
            yield ((("gpu" if len(gpus) == 1 else item.word, text),), replace(wishes, gpus=gpus))


# --- several wishes changed -----------------------------------------------------------------------


def _joint_edits(case: Case) -> Iterator[_Edit]:
    """The smallest sets of wishes whose change resolves, with values that do."""
    items = [item for item in case.question.items if not item.is_presence]
    for count in range(2, _MAX_CHANGED + 1):
        is_found = False
        for chosen in combinations(items, count):
            bits = sum(item.bit for item in chosen)
            domains = case.best(case.question.all_bits & ~bits)
            if domains is None:
                continue
            is_found = True
            yield _joint(case, chosen, picked(case, domains))
        if is_found:
            return


def _joint(case: Case, chosen: Sequence[Item], rows: Picked) -> _Edit:
    wishes = case.question.wishes
    changes: list[tuple[str, str | None]] = []
    dropped = 0
    for item in chosen:
        change, wishes = _to_answer(case, item, wishes, rows)
        dropped += change[1] is None
        changes.append(change)
    return _Edit(tuple(changes), wishes, (len(chosen), dropped))


def _to_answer(case: Case, item: Item, wishes: Wishes, rows: Picked) -> tuple[tuple[str, str | None], Wishes]:
    """One wish moved to what the answer has, or dropped where it has no value of its own."""
    match item.key:
        case "framework":
            position = _position(case, item)
            wish = wishes.frameworks[position]
            version = rows.builds[position].version
            other = FrameworkWish(name=wish.name, version=VersionWish(f"=={version}"))
            return ("framework", str(other)), _with_framework(wishes, position, other)
        case "cuda" if wishes.cuda is not None and rows.cuda is not None:
            text = str(rows.cuda.version.minor())
            return ("cuda", text), replace(wishes, cuda=VersionWish(text))
        case "cudnn" if rows.cudnn is not None:
            text = str(rows.cudnn.version.minor())
            return ("cudnn", text), replace(wishes, cudnn=VersionWish(text))
        case "python":
            text = rows.environment.python
            return ("python", text), replace(wishes, python=VersionWish(text))
        case "os":
            text = rows.environment.os.id
            return ("os", text), replace(wishes, os=text)
        case "cuda":
            return ("cuda", None), replace(wishes, cuda=None, is_cpu=False)
        case "gpus":
            word = item.word.partition("=")[2]
            return (item.word, None), replace(wishes, gpus=tuple(one for one in wishes.gpus if one != word))
        case "platforms":
            word = item.word.partition("=")[2]
            left = tuple(one for one in wishes.platforms if one != word)
            return (item.word, None), replace(wishes, platforms=left)
        case key:
            return (key, None), _without_key(wishes, key)

"""The fields of an answer in the order in which the policy settles them, each with the values it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cudaforge.declaration.model import Flavor, Preference
from cudaforge.matrix.model import CudaProvider, CudaRelease, CudnnRelease
from cudaforge.records import record
from cudaforge.resolver.candidates import BuildCandidate, Environment
from cudaforge.resolver.case import Case
from cudaforge.resolver.picked import Picked
from cudaforge.resolver.policy import build_rank
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK
from cudaforge.resolver.solver import Criterion, Restriction
from cudaforge.versions import Version

Rank = tuple[int, ...]
TOOLKIT_KINDS = ("none", "runtime", "devel")
"""How much of CUDA a base has, as the policy ranks it."""
_KIND_WORDS = {
    "none": "a base without CUDA",
    "runtime": "a base with CUDA to run",
    "devel": "a base with CUDA to compile",
}


@record(kw_only=False, eq=False)
class Step:
    """One field that the policy settles."""

    field: str
    key: str
    """The key of the wishes for it."""
    variable: int
    criteria: tuple[Criterion, ...]
    values: Mapping[str, int]
    """All values by how they are written."""
    chosen: str
    word: str
    """The choice in words."""
    behind: Callable[[str, int, int], str]
    """Why a value came after the chosen one: given what the first criterion that tells them apart is about,
    and a value of the variable for each, the chosen one first."""
    position: int = 0
    """The framework that it is about."""

    @property
    def mask(self) -> int:
        """The chosen value."""
        return self.values[self.chosen]

    @property
    def restriction(self) -> Restriction:
        """The choice, as what follows finds it."""
        return Restriction(self.variable, self.mask)

    def rank(self, mask: int) -> tuple[Rank, int]:
        """How good the best of some values is, the lower the better, and which are that good."""
        found = []
        for criterion in self.criteria:
            for place, values in enumerate(criterion.classes):
                if mask & values:
                    mask &= values
                    found.append(place)
                    break
        return tuple(found), mask


def steps(case: Case, rows: Picked) -> tuple[Step, ...]:
    """The steps to this answer."""
    return (
        *_provider_steps(case, rows),
        *_framework_steps(case, rows),
        *_library_steps(case, rows),
        *_environment_steps(case, rows),
    )


def _provider_steps(case: Case, rows: Picked) -> Iterator[Step]:
    """A standalone Python is taken where no other will do, before everything else."""
    for criterion in _criteria(case, ENVIRONMENT, "standalone"):
        own, standalone = criterion.classes
        is_own = rows.environment.standalone is None
        yield Step(
            field="python_provider",
            key="python_provider",
            variable=ENVIRONMENT,
            criteria=(criterion,),
            values={"own": own, "standalone": standalone},
            chosen="own" if is_own else "standalone",
            word="a Python of the base or the OS archive" if is_own else "a standalone Python",
            behind=lambda *_: "taken only where no other Python will do",
        )


def _framework_steps(case: Case, rows: Picked) -> Iterator[Step]:
    for position, (table, build) in enumerate(zip(case.scene.frameworks, rows.builds, strict=True)):
        variable = FIRST_FRAMEWORK + position
        name = case.question.frameworks[position].name
        by_release = table.by("version", lambda one: one.version)
        yield Step(
            field=name,
            key="framework",
            variable=variable,
            criteria=_criteria(case, variable, "framework"),
            values={str(version): mask for version, mask in by_release.items()},
            chosen=str(build.version),
            word=f"{name} {build.version}",
            behind=_behind_release(table.candidates),
            position=position,
        )
        of_release = by_release[build.version]
        labels = table.by("build", lambda one: one.row.build)
        yield Step(
            field=f"{name} build",
            key="build",
            variable=variable,
            criteria=_criteria(case, variable, "build", "platforms"),
            values={label: mask & of_release for label, mask in labels.items() if mask & of_release},
            chosen=build.row.build,
            word=f"{name} {build.version}+{build.row.build}",
            behind=_behind_build(case, table.candidates),
            position=position,
        )


def _library_steps(case: Case, rows: Picked) -> Iterator[Step]:
    tables = case.scene.tables
    kinds = dict.fromkeys(TOOLKIT_KINDS, 0)
    for criterion in _criteria(case, ENVIRONMENT, "flavor"):
        for mask in criterion.classes:
            kinds[_toolkit_kind(tables.environments[_first(mask)])] |= mask
    kind = _toolkit_kind(rows.environment)
    yield Step(
        field="toolkit",
        key="flavor",
        variable=ENVIRONMENT,
        criteria=_criteria(case, ENVIRONMENT, "flavor"),
        values={name: mask for name, mask in kinds.items() if mask},
        chosen=kind,
        word=_KIND_WORDS[kind],
        behind=lambda *_: "it carries more of CUDA",
    )
    for field, name, variable, table, chosen in (
        ("cuda", "CUDA", CUDA, tables.cuda, rows.cuda),
        ("cudnn", "cuDNN", CUDNN, tables.cudnn, rows.cudnn),
    ):
        text = "none" if chosen is None else str(chosen.version)
        yield Step(
            field=field,
            key=field,
            variable=variable,
            criteria=_criteria(case, variable, field),
            values={
                "none" if row is None else str(row.version): 1 << at
                for at, row in enumerate(table)
                if row is not None or chosen is None
            },
            chosen=text,
            word=f"{name} {text}",
            behind=_behind_library(table),
        )


def _environment_steps(case: Case, rows: Picked) -> Iterator[Step]:
    tables, one = case.scene.tables, rows.environment
    behind = _behind_environment(case, tables.environments)

    def step(field: str, names: Sequence[str], values: Mapping[str, int], chosen: str, word: str) -> Step:
        criteria = _criteria(case, ENVIRONMENT, *names)
        return Step(field, field.partition("_")[0], ENVIRONMENT, criteria, values, chosen, word, behind)

    yield step("python", ("python",), tables.by_python, one.python, f"Python {one.python}")
    toolkits = {"none" if key is None else str(key): mask for key, mask in tables.by_toolkit.items()}
    if (
        one.toolkit is not None and one.provider is not CudaProvider.SYSTEM
    ):  # what is loaded is settled before
        toolkit = str(one.toolkit)
        yield step("toolkit", ("toolkit",), toolkits, toolkit, f"the toolkit of CUDA {toolkit}")
    names = ("end of life", "python provider", "base", "os")
    yield step("os", names, tables.by_os, one.os.id, one.os.id)
    bases = tables.environments_by("reference", lambda it: it.reference)
    yield step("base_image", ("python provider", "base"), bases, one.reference, one.reference)


def _criteria(case: Case, variable: int, *fields: str) -> tuple[Criterion, ...]:
    single = (one for one in case.criteria if isinstance(one, Criterion))
    return tuple(one for one in single if one.variable == variable and one.field in fields)


def _toolkit_kind(one: Environment) -> str:
    if one.toolkit is None:
        return TOOLKIT_KINDS[0]
    return TOOLKIT_KINDS[2 if Flavor.DEVEL in one.flavors else 1]


def _first(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _by_age(chosen: Version, other: Version) -> str:
    return "older" if other < chosen else "of the newest release line, which `stable` takes last"


def _behind_release(candidates: Sequence[BuildCandidate]) -> Callable[[str, int, int], str]:
    return lambda _, chosen, other: _by_age(candidates[chosen].version, candidates[other].version)


def _behind_build(case: Case, candidates: Sequence[BuildCandidate]) -> Callable[[str, int, int], str]:
    wishes, tables = case.question.wishes, case.scene.tables
    preference = wishes.prefer_per_field.get("build", wishes.prefer)

    def behind(field: str, chosen: int, other: int) -> str:
        mine, its = (build_rank(tables, candidates[one], preference) for one in (chosen, other))
        if field != "build" or mine == its:
            return "for more platforms"
        place = next(place for place, (my, it) in enumerate(zip(mine, its, strict=True)) if my != it)
        row = candidates[other].row
        known = "more bytes" if row.installed is not None else "its bytes are not known"
        return (known, "from a named index", "loads the CUDA of the base", "older CUDA")[place]

    return behind


def _behind_library(
    table: Iterable[CudaRelease | None] | Iterable[CudnnRelease | None],
) -> Callable[[str, int, int], str]:
    rows = tuple(table)

    def behind(_: str, chosen: int, other: int) -> str:
        mine, its = rows[chosen], rows[other]
        if mine is None or its is None:
            return "it would be loaded for nothing" if mine is None else "none is loaded"
        if isinstance(its, CudaRelease) and its.driver is None:
            return "its driver is not published"
        return _by_age(mine.version, its.version)

    return behind


def _behind_environment(case: Case, rows: Sequence[Environment]) -> Callable[[str, int, int], str]:
    wishes = case.question.wishes
    is_stable = wishes.prefer_per_field.get("os", wishes.prefer) is Preference.STABLE

    def behind(field: str, chosen: int, other: int) -> str:
        mine, its = rows[chosen], rows[other]
        if field == "python":
            return _by_age(Version(mine.python), Version(its.python))
        if field == "toolkit":
            older = its.toolkit is not None and mine.toolkit is not None and its.toolkit < mine.toolkit
            return "older" if older else "newer than it has to be"
        return {
            "end of life": "past its end of life",
            "python provider": "its Python is the OS archive's",
            "base": "larger" if its.size is not None else "its bytes are not known",
            "os": "out for less time" if is_stable else "support ends earlier",
        }[field]

    return behind

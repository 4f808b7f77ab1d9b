"""From the solver's values to a Resolution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from cudaforge.declaration.model import Flavor, Gate
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.companion import CompanionRole
from cudaforge.matrix.gpu_names import compute, sm
from cudaforge.matrix.model import CudaProvider, CudaRelease, FrameworkBuild
from cudaforge.resolver.candidates import Environment
from cudaforge.resolver.case import Case
from cudaforge.resolver.caveats import caveats
from cudaforge.resolver.coverage import cudnn_covers
from cudaforge.resolver.drivers import cuda_floor, forward_floor
from cudaforge.resolver.gates import Gate as ParsedGate
from cudaforge.resolver.gates import gate_floor, gate_key, gate_on, gate_passes
from cudaforge.resolver.model import (
    CudaNumbers,
    FrameworkChoice,
    Resolution,
    Size,
)
from cudaforge.resolver.named_gpus import named_gpus
from cudaforge.resolver.picked import Picked, is_pinned_here, picked
from cudaforge.resolver.rules.gpus import is_compiled_from_ptx
from cudaforge.resolver.sizes import expected_size, second_copy
from cudaforge.resolver.solver import Domains
from cudaforge.versions import Version

_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>\S+)")


def exact_cuda(case: Case, rows: Picked) -> Version | None:
    """The CUDA that is loaded, as exact as the facts are.

    Wheels that bring their own CUDA are built for a minor; where all patches of it do, none is claimed.
    """
    key = ("exact", *_libraries(rows), rows.environment.provider, rows.environment.is_own)
    return case.scene.tables.keep(key, partial(_exact_cuda, case, rows))


def _libraries(rows: Picked) -> tuple[object, ...]:
    """What is loaded, as the key of what follows from it."""
    loaded = (None if row is None else row.version.text for row in (rows.cuda, rows.cudnn))
    return (rows.builds, *loaded)


def _exact_cuda(case: Case, rows: Picked) -> Version | None:
    if rows.cuda is None:
        return None
    if rows.environment.provider is CudaProvider.SYSTEM and not rows.environment.is_own:
        return rows.cuda.version
    if is_pinned_here(rows):
        return rows.cuda.version
    tables = case.scene.tables
    minor = rows.cuda.version.minor()
    patches = tables.cuda_with_prefix(minor)
    wishes = [row.cuda for build in rows.builds for row in build.rows if row.cuda is not None]
    return minor if all(not patches & ~tables.cuda_wished(wish) for wish in wishes) else rows.cuda.version


def resolution(case: Case, domains: Domains) -> Resolution:
    """The answer that the values stand for. Images that differ in nothing that it tells share it."""
    rows, question = picked(case, domains), case.question
    is_cpu = rows.environment.provider is CudaProvider.NONE
    numbers = _no_numbers() if is_cpu else _numbers(case, rows)
    size = _size(case, rows)
    warnings = (*caveats(case, rows, domains), *_copies(case, size))
    wishes = (question.base_written, question.wishes.flavor, question.wishes.require_cuda)
    # 570 and 570.0 are the same driver, and each is told as it is written.
    told = (numbers, str(numbers.driver_floor), warnings)
    key = ("resolution", case.scene.asked, domains, *told, *wishes, question.wishes.packages)
    return case.scene.tables.keep(key, partial(_resolution, case, rows, numbers, size, warnings))


def _resolution(
    case: Case, rows: Picked, numbers: CudaNumbers, size: Size, warnings: tuple[str, ...]
) -> Resolution:
    environment, system = rows.environment, rows.environment.os
    question = case.question
    cubins, ptx = _architectures(case, rows)
    companions = _companions(case, rows)
    return Resolution(
        frameworks=tuple(
            FrameworkChoice(
                name=framework.name,
                version=build.row.version,
                build=build.row.build,
                reported=build.row.reported,
                index=build.row.index,
                requires=build.row.requires,
                proof=framework.proof,
                template=framework.template,
                companions=own,
            )
            for framework, build, own in zip(question.frameworks, rows.builds, companions, strict=True)
        ),
        cuda_provider=environment.provider,
        cuda=exact_cuda(case, rows),
        cudnn=rows.cudnn.version if rows.cudnn else None,
        nccl=max((build.row.nccl for build in rows.builds if build.row.nccl), default=None),
        python=environment.python,
        python_provider=environment.python_provider,
        standalone=environment.standalone,
        python_packages=_os_packages(environment),
        os=system.id,
        os_family=system.family,
        os_codename=system.codename,
        glibc=system.glibc,
        base_image=question.base_written if question.base_written is not None else environment.reference,
        base_user=None if environment.bootstrap_packages else system.user,
        bootstrap_packages=environment.bootstrap_packages,
        flavor=_flavor(case, environment),
        platforms=tuple(sorted(platforms_of(rows))),
        numbers=numbers,
        gate=question.wishes.require_cuda,
        architectures=cubins,
        ptx=ptx,
        size=size,
        companions={name: pin for own in companions for name, pin in own.items()},
        requirements=tuple(dict.fromkeys(one for build in rows.builds for one in build.row.requires)),
        constraints=tuple(dict.fromkeys(_constraints(rows, companions))),
        unfit=_unfit(case, rows),
        indexes=_indexes(case, rows),
        env={name: value for build in rows.builds for name, value in build.row.env.items()},
        warnings=warnings,
    )


def _size(case: Case, rows: Picked) -> Size:
    tables, packages = case.scene.tables, case.question.wishes.packages
    return tables.keep(
        ("size", rows.builds, rows.environment, packages),
        lambda: expected_size(rows.builds, rows.environment, tables.matrix, packages),
    )


def _copies(case: Case, size: Size) -> Iterator[str]:
    """What is said of a second copy of CUDA, but to those who asked for a toolkit and so for that copy."""
    text = second_copy(size)
    if text is not None and (case.question.base is not None or len(case.question.frameworks) > 1):
        yield text


def platforms_of(rows: Picked) -> frozenset[str]:
    """The platforms of the image."""
    return frozenset.intersection(*(build.platforms for build in rows.builds))


def _companions(case: Case, rows: Picked) -> list[Mapping[str, str]]:
    """What goes with each framework of the answer: of packages that are asked for, a release that they allow,
    and none where only an unknown one can be meant."""
    found: list[Mapping[str, str]] = []
    for position, (framework, build) in enumerate(zip(case.question.frameworks, rows.builds, strict=True)):
        own = case.scene.tables.companions(framework.name, build.version, rows.environment.python)
        for wish in case.question.packages:
            if wish.position == position and wish.package in own:
                fitting = [row.version.text for row in wish.rows if row.goes_with(build.version)]
                others = {name: pin for name, pin in own.items() if name != wish.package}
                own = {**others, wish.package: fitting[-1]} if fitting else others
        found.append(own)
    return found


def _os_packages(environment: Environment) -> tuple[str, ...]:
    own = environment.os.python_packages if environment.python_provider.value == "distro" else ()
    return tuple(dict.fromkeys((*own, *environment.os.library_packages)))


def _flavor(case: Case, environment: Environment) -> Flavor:
    if case.question.wishes.flavor is not None:
        return case.question.wishes.flavor
    by_rank = (Flavor.RUNTIME, Flavor.BASE, Flavor.DEVEL)
    return next(flavor for flavor in by_rank if flavor in environment.flavors)


def _architectures(case: Case, rows: Picked) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Capabilities that every framework has cubins for, or that its loaded toolkit compiles for, as far
    as the libraries go along: on each platform whose machines can have such GPUs. None where nobody has
    looked into one of the builds."""
    if rows.cuda is None:
        return (), ()
    major = str(rows.cuda.version.major)
    matrix, cudnn = case.scene.tables.matrix, rows.cudnn
    every = [row for build in rows.builds for row in build.rows]
    codes = [(row.platforms, frozenset(_code(row, rows.cuda))) for row in every]

    def is_covered(capability: Version) -> bool:
        machines = named_gpus(matrix, sm(capability)).platforms
        return all(capability in code or (machines and machines.isdisjoint(on)) for on, code in codes)

    covered = sorted(one for one in frozenset().union(*(code for _, code in codes)) if is_covered(one))
    ptx = [frozenset(row.ptx) for row in every if row.cubins is not None]
    return (
        tuple(sm(one) for one in covered if cudnn is None or cudnn_covers(cudnn, major, one)),
        tuple(compute(one) for one in sorted(frozenset.intersection(*ptx) if ptx else ())),
    )


def _code(row: FrameworkBuild, cuda: CudaRelease) -> Iterable[Version]:
    if row.cubins is not None:
        return row.cubins
    return cuda.capabilities if row.compiler is not None else ()


def _no_numbers() -> CudaNumbers:
    return CudaNumbers(toolkit=None, wheel=None, driver_floor=None, gate=None, binding=None)


def _numbers(case: Case, rows: Picked) -> CudaNumbers:
    environment = rows.environment
    is_wheels = environment.provider is CudaProvider.WHEELS
    floor, binding = driver_floor(case, rows)
    return CudaNumbers(
        toolkit=environment.toolkit,
        wheel=exact_cuda(case, rows) if is_wheels else None,
        driver_floor=floor,
        gate=_gate_text(case.question.wishes.require_cuda, environment.gate, floor),
        binding=binding,
    )


def _gate_text(gate: Gate, of_base: str | None, floor: Version | None) -> str | None:
    """The gate that the image ends up with; a base without one gets none."""
    if of_base is None or gate is Gate.OFF:
        return None
    if gate is Gate.RELAX:
        return f"driver>={floor}" if floor is not None else None
    return of_base


def driver_floor(case: Case, rows: Picked) -> tuple[Version | None, str | None]:
    """The highest of what CUDA, the GPUs and the gate need, and which of them it is."""
    best: tuple[Version | None, str | None] = (None, None)
    for floor, what in driver_needs(case, rows):
        is_higher = floor is not None and (best[0] is None or floor > best[0])
        if is_higher or what == "forward-compat":
            best = (floor, what)
    return best


def driver_needs(case: Case, rows: Picked) -> Iterator[tuple[Version | None, str]]:
    """The oldest driver for each that needs one: CUDA, the GPUs, PTX, the gate; the package alone where one
    brings forward compatibility."""
    if rows.cuda is None:
        return
    question, toolkit = case.question, rows.toolkit(case)
    if question.wishes.forward_compat and toolkit is not None:
        first = max((wish.first_driver for wish in question.gpus if wish.first_driver), default=None)
        passes = partial(_passes_gate, case, rows)
        yield forward_floor(toolkit, first_driver=first, passes=passes), "forward-compat"
        return
    yield cuda_floor(rows.cuda, needs_native=False), "cuda"
    for wish in question.gpus:
        yield wish.first_driver, "gpu"
        if any(is_compiled_from_ptx(case.scene, build, wish) for build in rows.builds):
            yield cuda_floor(rows.cuda, needs_native=True), "ptx"
    yield _gate_floor(case, rows), "gate"


def _gate_floor(case: Case, rows: Picked) -> Version | None:
    gate = _kept_gate(case, rows)
    if gate is None:
        return None
    question, tables = case.question, case.scene.tables
    last = min((wish.last_branch for wish in question.gpus if wish.last_branch is not None), default=None)
    floor = tables.keep(
        ("gate floor", gate, question.kinds, last),
        lambda: gate_floor(
            gate,
            [one for one in tables.cuda if one is not None],
            kinds=question.kinds,
            branches=tables.matrix.driver_branches,
            last_branch=last,
        ),
    )
    if floor is not None and question.driver is not None and floor > question.driver:
        # The gate lets the fleet's branch pass, and not some between it and the floor of all.
        return Version(str(question.driver.major))
    return floor


def _kept_gate(case: Case, rows: Picked) -> ParsedGate | None:
    """The base's gate, where the image keeps it."""
    if case.question.wishes.require_cuda is not Gate.KEEP:
        return None
    return gate_on(platforms_of(rows), *gate_key(rows.environment))


def _passes_gate(case: Case, rows: Picked, driver: Version) -> bool:
    gate, branches = _kept_gate(case, rows), case.scene.tables.matrix.driver_branches
    return gate is None or gate_passes(gate, driver=driver, kinds=case.question.kinds, branches=branches)


def _constraints(rows: Picked, companions: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Exact pins for everything of the answer that is a package."""
    patch = rows.cuda.version if rows.cuda is not None and is_pinned_here(rows) else None
    for build, own in zip(rows.builds, companions, strict=True):
        row = build.row
        if row.toolkit_extras and rows.cuda is not None and rows.cuda.metapackage is not None:
            yield _toolkit_pin(rows.cuda, row.toolkit_extras, is_exact=patch is not None)
        if row.cudnn_package is not None and rows.cudnn is not None:
            yield f"{row.cudnn_package}=={rows.cudnn.version}"
        if row.nccl_package is not None and row.nccl is not None:
            yield f"{row.nccl_package}=={row.nccl}"
        yield from row.constraints
        for name, pin in own.items():
            yield f"{name}=={pin}"


def _unfit(case: Case, rows: Picked) -> tuple[str, ...]:
    """What an index would give next to the frameworks, by an open floor in its metadata, and must not."""
    if not case.question.wishes.packages:
        return ()
    found: dict[str, list[str]] = {}
    for framework, build in zip(case.question.frameworks, rows.builds, strict=True):
        for row in case.scene.tables.matrix.companions(framework.name, CompanionRole.EXTENSION):
            if row.is_open and row.needs.allows(build.version) and not row.goes_with(build.version):
                found.setdefault(row.package, []).append(f"!={row.version}")
    return tuple(f"{package}{','.join(found[package])}" for package in sorted(found))


def _toolkit_pin(cuda: CudaRelease, extras: tuple[str, ...], *, is_exact: bool) -> str:
    """`cuda-toolkit[cublas,cudart]==12.9.1`. Next to a framework whose wheels pin the patch themselves,
    only the minor is pinned: the facts do not say which patch that is."""
    match = _PINNED.fullmatch(cuda.metapackage or "")
    if match is None:
        raise ValueError(f"metapackage {cuda.metapackage!r} of CUDA {cuda.version} is not name==version")
    version = match["version"] if is_exact else f"{cuda.version.minor()}.*"
    return f"{match['name']}[{','.join(extras)}]=={version}"


def _indexes(case: Case, rows: Picked) -> dict[str, str]:
    names = dict.fromkeys(build.row.index for build in rows.builds if build.row.index != DEFAULT_INDEX)
    known = case.scene.tables.matrix.indexes
    return {name: known[name].url for name in names}

"""The resolver against a naive second writing of the rules and a search that tries everything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudaforge.declaration.model import Flavor, FrameworkWish, Gate, Preference, Wishes
from cudaforge.matrix import Matrix
from cudaforge.matrix.companion import Abi, CompanionRole
from cudaforge.matrix.model import CudaProvider, FrameworkBuild, PackageIndex
from cudaforge.records import replace
from cudaforge.resolver import Conflict, Resolution, alternatives, resolve
from cudaforge.versions import Version, VersionWish
from tests.unit.resolver import naive, rows

CUDAS = ("11.4.3", "11.8.0", "12.1.1", "12.8.0", "12.8.1", "13.0.0")
CUDNNS = ("8.2.4.15", "8.7.0.84", "9.1.0.70", "9.10.2.21")
GPUS = ("Old", "Mid", "New", "Chip", "Guess")
SYSTEMS = ("ubuntu18.04", "ubuntu22.04", "debian12", "rocky9")
STANDALONE = ("3.8.20", "3.10.4", "3.11.2", "3.11.9", "3.12.1")
PYTHONS = ("3.8", "3.10", "3.11", "3.12")
CAPABILITIES = ("7.0", "7.5", "8.0", "8.6", "8.7", "9.0", "12.0")
DRIVERS = ("450.80.02", "470.82.01", "525.60.13", "535.104.05", "570.26", "580.65.06", "595.1")
PACKAGES = ("ext==1.0", "ext<2", "vis>=1.0", "vis==2.0", "vis==9")
BOTH = ("linux/amd64", "linux/arm64")
DAYS = {"1.0": "2025-01-29", "1.1": "2025-06-04", "2.0": "2025-07-31", "2.1rc1": "2025-07-01"}
SIZES = st.sampled_from((None, 10, 20, 25, 60))
"""Bytes on disk."""


def some(values: tuple[str, ...], least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=len(values), unique=True).map(
        lambda found: tuple(one for one in values if one in found)
    )


sources = st.sampled_from([rows.SOURCE] * 9 + [rows.INFERRED])


@st.composite
def builds(draw: st.DrawFn, framework: str) -> FrameworkBuild:
    version = draw(st.sampled_from(("1.0", "1.1", "2.0", "2.1rc1")))
    common = {
        "pythons": draw(some(PYTHONS)),
        "platforms": draw(st.sampled_from((BOTH[:1], BOTH[:1], BOTH[1:], BOTH))),
        "glibc": draw(st.sampled_from(("2.17", "2.28"))),
        "source": draw(sources),
        "installed": draw(SIZES),
        "released": draw(st.sampled_from((None, DAYS[version]))),
    }
    shape = draw(st.sampled_from(("exact", "range", "system", "cpu", "bundled")))
    if shape == "cpu":
        return rows.cpu_build(framework, version, **common)
    code = {"cubins": draw(st.none() | some(CAPABILITIES)), "ptx": draw(some(CAPABILITIES, 0))}
    code |= {"is_seen": draw(st.sampled_from((True, True, False)))}
    if shape == "exact":
        cuda, cudnn = draw(st.sampled_from(("11.8", "12.1", "12.8.1", "13.0"))), draw(st.sampled_from(CUDNNS))
        label = "cu" + "".join(cuda.split(".")[:2])
        return rows.build(framework, version, label, cuda=cuda, cudnn=f"=={cudnn}", **common, **code)
    if shape == "bundled":
        return rows.build(framework, version, "old", cuda="11.8", **common, **code)
    major = draw(st.sampled_from((11, 12, 13)))
    cudnn = draw(st.sampled_from((">=8,<9", ">=9,<10", ">=8.5")))
    cuda = f">={major},<{major + 1}"
    if shape == "system":
        system = CudaProvider.SYSTEM
        return rows.build(
            framework, version, "sys", cuda=cuda, cudnn=cudnn, provider=system, **common, **code
        )
    package = f"nvidia-cudnn-cu{major}"
    common |= {"cuda_installed": common["installed"] and draw(st.sampled_from((None, 5, 9)))}
    return rows.build(
        framework,
        version,
        f"cuda{major}",
        cuda=cuda,
        cudnn=cudnn,
        extras=("cudart",),
        cudnn_package=package,
        **common,
        **code,
    )


def cuda_rows(draw: st.DrawFn) -> list[object]:
    native = {
        "11.4": "470.42.01",
        "11.8": "520.61.05",
        "12.1": "530.30.02",
        "12.8": "570.26",
        "13.0": "580.65.06",
    }
    least = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
    return [
        rows.cuda(
            version,
            draw(st.sampled_from((native[version.rpartition(".")[0]],) * 4 + (None,))),
            least[version.partition(".")[0]],
            capabilities=draw(some(CAPABILITIES)),
            metapackage=draw(st.booleans()),
            compat=draw(st.sampled_from(((), (450, 525), (535,)))),
            source=draw(sources),
        )
        for version in draw(some(CUDAS))
    ]


def cudnn_rows(draw: st.DrawFn) -> list[object]:
    found = []
    for version in draw(some(CUDNNS)):
        majors = draw(some(("11", "12", "13"), 0))
        least = {major: draw(st.sampled_from(("7.0", "7.5"))) for major in draw(some(("11", "12"), 0))}
        packages = {major: f"nvidia-cudnn-cu{major}" for major in majors}
        most = {major: draw(st.sampled_from(("8.6", "9.0"))) for major in draw(some(("11", "12"), 0))}
        minors = {"12": draw(st.sampled_from(("", "12.1", "12.1 12.8")))} if draw(st.booleans()) else {}
        found.append(
            rows.cudnn(
                version, packages=packages, least=least, most=most, minors=minors, source=draw(sources)
            )
        )
    return found


def images(draw: st.DrawFn) -> list[object]:
    found = [
        rows.image(
            f"python:{python}-{os}",
            os,
            python=python,
            platforms=draw(st.sampled_from((BOTH, BOTH[:1]))),
            installed=draw(SIZES),
        )
        for python in draw(some(PYTHONS, 0))
        for os in ("debian12",)
    ]
    for number in range(draw(st.integers(0, 4))):
        cuda = draw(st.sampled_from(CUDAS))
        gates = (None, f"cuda>={cuda.rpartition('.')[0]}")
        centre = "brand={0},driver>=450,driver<451 brand={0},driver>=525,driver<536"
        tesla = f"{gates[1]} {centre.format('tesla')}"
        every = " ".join([tesla, *(centre.format(one) for one in ("nvidia", "unknown", "geforce", "titan"))])
        gate = draw(st.sampled_from((*gates, tesla, every)))
        found.append(
            rows.image(
                f"cuda:{cuda}-{number}",
                draw(st.sampled_from(SYSTEMS)),
                flavor=draw(st.sampled_from(("base", "runtime", "devel"))),
                cuda=cuda,
                cudnn=draw(st.none() | st.sampled_from(CUDNNS)),
                gate=gate,
                removed=draw(st.sampled_from((None, None, None, "unknown"))),
                compat=draw(st.sampled_from(((), BOTH, BOTH, BOTH[:1]))),
                gate_branches=draw(st.sampled_from(((), (450, 525)))),
                gate_brands=draw(st.sampled_from((("tesla",), ("tesla", "nvidia", "unknown")))),
                source=draw(sources),
                installed=draw(SIZES),
            )
        )
    return found


def standalone_rows(draw: st.DrawFn) -> list[object]:
    return [
        rows.standalone(
            version,
            platforms=draw(st.sampled_from((BOTH, BOTH, BOTH[:1]))),
            glibc=draw(st.sampled_from(("2.17", "2.17", "2.31"))),
            source=draw(sources),
        )
        for version in draw(st.just(()) | some(STANDALONE))
    ]


def broken_rows(draw: st.DrawFn) -> list[object]:
    conditions = {
        "framework": st.sampled_from(("one", "two")),
        "version": st.sampled_from(("<2", "==1.0")),
        "python": st.sampled_from(("3.12", "3.8")),
        "cuda": st.sampled_from(("12", "11.8")),
        "capability": st.sampled_from((">=12.0", "7.0")),
        "provider": st.sampled_from(("wheels", "system")),
        "cudnn": st.sampled_from(("8", ">=9.2")),
        "os": st.sampled_from(SYSTEMS),
    }
    found = []
    for _ in range(draw(st.integers(0, 2))):
        keys = draw(some(tuple(conditions), 1))
        when = {key: draw(conditions[key]) for key in keys}
        found.append(rows.broken("it breaks", draw(sources), is_fatal=draw(st.booleans()), **when))
    return found


def companion_rows(draw: st.DrawFn) -> list[object]:
    return [
        rows.companion(
            draw(st.sampled_from(("one", "one", "two"))),
            f"{name}=={version}",
            draw(st.sampled_from(("==1.0", "==1.1", ">=1.1", "==2.0"))),
            role=draw(st.sampled_from(CompanionRole)),
            abi=draw(st.sampled_from(Abi)),
            released=draw(st.sampled_from((None, "2025-03-01", "2025-07"))),
            pythons=draw(st.just(()) | some(PYTHONS)),
            source=draw(sources),
        )
        for name in ("ext", "vis")
        for version in draw(some(("1.0", "1.1", "2.0"), 0))
    ]


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    found = [
        build for name in ("one", "two") for build in draw(st.lists(builds(name), min_size=1, max_size=4))
    ]
    return Matrix.from_rows(
        frameworks=(rows.framework("one"), rows.framework("two")),
        builds=found,
        cuda_releases=cuda_rows(draw),
        cudnn_releases=cudnn_rows(draw),
        gpus=(
            rows.gpu("Old", "7.0", kind="datacenter", first="396.26", last=draw(st.sampled_from((535, 580)))),
            rows.gpu("Mid", "8.6", first="450.36"),
            rows.gpu("New", "12.0", kind="datacenter", first="570.26"),
            rows.gpu("Chip", "8.7", kind="embedded", platforms=draw(st.sampled_from(((), BOTH[1:])))),
            rows.gpu("Guess", "9.0", source=rows.INFERRED),
        ),
        systems=(
            rows.system("ubuntu18.04", "2.27", draw(st.none() | st.just("3.8"))),
            rows.system("ubuntu22.04", "2.35", "3.10", installed=draw(SIZES), python_installed=3),
            rows.system(
                "debian12",
                "2.36",
                "3.11",
                can_bootstrap=True,
                installed=draw(SIZES),
                python_installed=draw(st.sampled_from((None, 2))),
                library_installed=draw(st.sampled_from((None, 0, 1))),
            ),
            rows.system("rocky9", "2.34", None),
        ),
        standalone_pythons=standalone_rows(draw),
        base_images=images(draw),
        driver_branches=(
            rows.branch(450, "11.0"), rows.branch(470, "11.4"), rows.branch(520, "11.8"),
            rows.branch(525, "12.0"), rows.branch(535, "12.2"), rows.branch(570, "12.8"),
            rows.branch(580, "13.0"),
        ),
        broken=broken_rows(draw),
        companions=companion_rows(draw),
        as_of="2026-11-22",
    )  # fmt: skip


@st.composite
def questions(draw: st.DrawFn) -> tuple[Matrix, Wishes]:
    matrix = draw(matrices())
    versions = ("==1.0", ">=1.1", "<2", "==2.1rc1", "==1.1+cu118", ">=3", "2")
    frameworks = tuple(
        FrameworkWish(name=name, version=draw(st.none() | st.sampled_from(versions).map(VersionWish)))
        for name in draw(st.sampled_from((("one",), ("one",), ("two", "one"))))
    )

    def rarely(values: tuple[object, ...]) -> object:
        return draw(st.sampled_from((None,) * 6 + values))

    def wished(values: tuple[str, ...]) -> VersionWish | None:
        text = rarely(values)
        return VersionWish(text) if isinstance(text, str) else None

    is_cpu = draw(st.integers(0, 9)) == 0
    bases = (*(one.reference for one in matrix.base_images[:3]), "bootstrap:debian12")
    return matrix, Wishes(
        frameworks=frameworks,
        build=rarely(("cu118", "cpu", "cu999")),
        is_cpu=is_cpu,
        cuda=None if is_cpu else wished(("12.8", "11", ">=12", "12.7")),
        cudnn=wished(("9", ">=8.5", "8.7")),
        python=wished(("3.11", ">=3.10", "3.8", "3.99", "3.11.2", ">=3.10.1,<3.11.9")),
        os=rarely(SYSTEMS),
        gpus=draw(st.one_of(st.just(()), some(GPUS))),
        driver=rarely(DRIVERS),
        flavor=rarely(tuple(Flavor)),
        platforms=draw(st.sampled_from(((), (), (), BOTH[:1], BOTH[1:], BOTH))),
        base=rarely(bases),
        python_provider=rarely(("image", "distro", "standalone")),
        cuda_provider=rarely(("wheels", "system")),
        toolkit=wished(("12", "11.8", "12.8.1")),
        forward_compat=draw(st.integers(0, 4)) == 0,
        require_cuda=draw(st.sampled_from((Gate.KEEP, Gate.KEEP, Gate.RELAX))),
        packages=draw(st.just(()) | some(PACKAGES)),
        prefer_per_field={},
    )


def weighed_builds(draw: st.DrawFn, framework: str) -> list[FrameworkBuild]:
    """Builds of every provider that fit each other, so that their weight decides."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        version = draw(st.sampled_from(("1.0", "1.0", "1.1")))
        installed = draw(SIZES)
        facts = {
            "pythons": draw(some(PYTHONS, 2)),
            "installed": installed,
            "index": draw(st.sampled_from(("default", "other"))),
        }
        shape = draw(st.sampled_from((CudaProvider.WHEELS, CudaProvider.SYSTEM)))
        cuda = {CudaProvider.WHEELS: "12.8.1", CudaProvider.SYSTEM: ">=12,<13"}[shape]
        if shape is CudaProvider.WHEELS and installed is not None:
            facts["cuda_installed"] = draw(st.sampled_from((None, 5, 9)))
        found.append(
            rows.build(framework, version, f"b{number}", cuda=cuda, cudnn=">=9,<10", provider=shape, **facts)
        )
        found.append(rows.cpu_build(framework, version, **{**facts, "cuda_installed": None}))
    unique = {(one.version, one.build, one.index): one for one in found}
    return list(unique.values())


@st.composite
def weighed_questions(draw: st.DrawFn) -> tuple[Matrix, Wishes]:
    """A world in which nearly everything fits, and few wishes."""
    images = [
        rows.image(f"python:{python}-{os}", os, python=python, installed=draw(SIZES))
        for python in PYTHONS[1:]
        for os in SYSTEMS[1:]
    ]
    images += [
        rows.image(
            f"cuda:{number}",
            draw(st.sampled_from(SYSTEMS[1:])),
            flavor="runtime",
            cuda="12.8.1",
            cudnn="9.10.2.21",
            installed=draw(SIZES),
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    matrix = Matrix.from_rows(
        frameworks=(rows.framework("one"), rows.framework("two")),
        builds=[*weighed_builds(draw, "one"), *weighed_builds(draw, "two")],
        cuda_releases=(rows.cuda("12.8.1", "570.124.06", "525.60.13"),),
        cudnn_releases=(rows.cudnn("9.10.2.21"),),
        gpus=(),
        systems=(
            rows.system("ubuntu22.04", "2.35", "3.10", installed=draw(SIZES), python_installed=draw(SIZES)),
            rows.system("debian12", "2.36", "3.11", installed=draw(SIZES), library_installed=draw(SIZES)),
        ),
        base_images=images,
        indexes=(PackageIndex(name="other", url="https://wheels.invalid/", source=rows.SOURCE),),
        as_of="2026-11-22",
    )
    names = draw(st.sampled_from((("one",), ("one",), ("two", "one"))))
    return matrix, Wishes(
        frameworks=tuple(FrameworkWish(name=name) for name in names),
        is_cpu=draw(st.booleans()),
        python=draw(st.sampled_from((None, None, None, VersionWish("3.10")))),
        prefer_per_field={},
    )


def is_needed(core: Wishes, word: str, words: Sequence[str], matrix: Matrix) -> bool:
    """Whether the core has an answer without the word. Without the wish for a CPU twin the others need not
    have one, if they collide with what comes in its place by fewer words: CUDA, which nobody asked for."""
    others = without(core, word)
    if next(naive.solutions(others, matrix), None) is not None:
        return True
    rest = [one for one in words if one != word]
    return word == "cuda=none" and any(
        next(naive.solutions(without(others, one), matrix), None) is None for one in rest
    )


def without(wishes: Wishes, word: str) -> Wishes:
    """The wishes without one word of a core."""
    for position, one in enumerate(wishes.frameworks):
        rest = (*wishes.frameworks[:position], *wishes.frameworks[position + 1 :])
        if word == str(one) and one.version is not None:
            bare = FrameworkWish(name=one.name)
            kept = (*wishes.frameworks[:position], bare, *wishes.frameworks[position + 1 :])
            return replace(wishes, frameworks=kept)
        if word == one.name:
            return replace(wishes, frameworks=rest)
    if word in wishes.packages:
        return replace(wishes, packages=tuple(one for one in wishes.packages if one != word))
    key, value = re.fullmatch(r"([a-z_]+)(?:=(?!=))?(.*)", word).groups()
    if key == "gpu":
        return replace(wishes, gpus=tuple(one for one in wishes.gpus if one != value))
    if key == "platform":
        return replace(wishes, platforms=tuple(one for one in wishes.platforms if one != value))
    if key == "forward_compat":
        return replace(wishes, forward_compat=False)
    if key == "cuda":
        return replace(wishes, cuda=None, is_cpu=False)
    return replace(wishes, **{key: None})


def _only_binding(wishes: Wishes, matrix: Matrix) -> str:
    """The one package that a repair can mean: the one that known releases are tied to."""
    names = [one.name for one in wishes.frameworks]
    return next(one for one in wishes.packages if any(naive.tied(one, name, matrix) for name in names))


def changed(wishes: Wishes, change: Mapping[str, str | None], matrix: Matrix) -> Wishes:  # noqa: C901, PLR0912 -- a case for each key
    """The wishes as a repair says."""
    for key, value in change.items():
        if key == "framework":
            wishes = replace(wishes, frameworks=_frameworks(value))
        elif key == "gpu":
            wishes = replace(wishes, gpus=() if value is None else (value,))
        elif key.startswith("gpu="):
            rest = tuple(value or "" if one == key[4:] else one for one in wishes.gpus)
            wishes = replace(wishes, gpus=tuple(one for one in rest if one))
        elif key == "package" or key in wishes.packages:
            meant = _only_binding(wishes, matrix) if key == "package" else key
            kept = tuple(value or "" if one == meant else one for one in wishes.packages)
            wishes = replace(wishes, packages=tuple(one for one in kept if one))
        elif key.startswith("platform"):
            wished = tuple(one for one in wishes.platforms if one != key[9:])
            if key == "platforms":
                wished = tuple(value.split(",")) if value else ()
            wishes = replace(wishes, platforms=wished)
        elif key == "require_cuda":
            wishes = replace(wishes, require_cuda=Gate(value))
        elif key == "forward_compat":
            wishes = replace(wishes, forward_compat=value is not None)
        elif key == "cuda":
            is_cpu = value == "none"
            cuda = VersionWish(value) if value and not is_cpu else None
            wishes = replace(wishes, cuda=cuda, is_cpu=is_cpu)
        elif value is None:
            wishes = replace(wishes, **{key: None})
        elif key in ("cudnn", "python", "toolkit"):
            wishes = replace(wishes, **{key: VersionWish(value)})
        else:
            wishes = replace(wishes, **{key: Flavor(value) if key == "flavor" else value})
    return wishes


def _frameworks(text: str) -> tuple[FrameworkWish, ...]:
    """The frameworks as a repair says them, all of them."""
    parts = [re.fullmatch(r"([a-z]+)(.*)", part).groups() for part in re.split(r", (?=[a-z])", text)]
    return tuple(
        FrameworkWish(name=name, version=VersionWish(rest) if rest else None) for name, rest in parts
    )


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@relaxed
@given(questions())
def test_an_answer_exists_exactly_where_a_full_search_finds_one(question: tuple[Matrix, Wishes]) -> None:
    matrix, wishes = question
    answer = resolve(wishes, matrix)
    found = list(naive.solutions(wishes, matrix))
    assert isinstance(answer, Resolution) == bool(found)
    assert answer == resolve(wishes, matrix)
    if isinstance(answer, Resolution):
        assert any(_is(answer, one) for one in found)
        preferred = [one for one in found if one.base.standalone is None] or found
        assert (answer.standalone is None) == (preferred[0].base.standalone is None)
        newest = max(one.builds[0][0].version for one in preferred)
        assert answer.frameworks[0].version == newest
        assert set(naive.platforms_of(wishes, matrix)) <= set(answer.platforms)


@relaxed
@given(questions())
def test_the_first_of_all_answers_is_the_answer(question: tuple[Matrix, Wishes]) -> None:
    """Standalone Pythons are looked at only where nothing else is left: the policy alone says the same."""
    matrix, wishes = question
    answer = resolve(wishes, matrix)
    first = next(alternatives(wishes, matrix, limit=1), None)
    assert first == (answer if isinstance(answer, Resolution) else None)


def _is(answer: Resolution, one: naive.Set) -> bool:
    cuda = one.cuda.version if one.cuda else None
    return (
        [(it.version, it.build) for it in answer.frameworks]
        == [(b[0].version, b[0].build) for b in one.builds]
        and (answer.cuda in (cuda, cuda and cuda.minor()))
        and answer.cudnn == (one.cudnn.version if one.cudnn else None)
        and answer.base_image == one.base.reference
        and answer.python == one.base.python
        and answer.cuda_provider.value == one.provider
    )


@relaxed
@given(questions())
def test_a_core_is_minimal_and_repairs_resolve(question: tuple[Matrix, Wishes]) -> None:
    matrix, wishes = question
    answer = resolve(wishes, matrix)
    if not isinstance(answer, Conflict):
        return
    assert answer.reasons
    core = _only(wishes, answer.core)
    if core.frameworks:
        assert next(naive.solutions(core, matrix), None) is None
    for word in answer.core:
        assert is_needed(core, word, answer.core, matrix), word
    for fix in answer.fixes:
        mended = changed(wishes, fix.change, matrix)
        assert mended != wishes
        assert next(naive.solutions(mended, matrix), None) is not None, fix


def _only(wishes: Wishes, core: tuple[str, ...]) -> Wishes:
    """The wishes of the core alone."""
    names = set(core)
    kept: list[FrameworkWish] = []
    for one in wishes.frameworks:
        if str(one) in names:
            kept.append(one)
        elif one.name in names:
            kept.append(FrameworkWish(name=one.name))
    bare = Wishes(frameworks=tuple(kept), prefer_per_field={}, require_cuda=wishes.require_cuda)
    keys = {re.match(r"[a-z_]+", word)[0] for word in core}
    given = {key: getattr(wishes, key) for key in keys & {*_SINGLE}}
    if "cuda" in keys:
        given |= {"cuda": wishes.cuda, "is_cpu": wishes.is_cpu}
    return replace(
        bare,
        gpus=tuple(one for one in wishes.gpus if f"gpu={one}" in names),
        platforms=tuple(one for one in wishes.platforms if f"platform={one}" in names),
        packages=tuple(one for one in wishes.packages if one in names),
        **given,
    )


_SINGLE = (
    "build", "cudnn", "python", "os", "driver", "flavor", "base", "python_provider", "cuda_provider",
    "toolkit", "forward_compat",
)  # fmt: skip


@relaxed
@given(questions(), st.data())
def test_dropping_a_wish_never_loses_the_answer(question: tuple[Matrix, Wishes], data: st.DataObject) -> None:
    matrix, wishes = question
    keys = [key for key in _SINGLE if getattr(wishes, key) and key not in _DEFAULTED]
    if not keys or not isinstance(resolve(wishes, matrix), Resolution):
        return
    looser = replace(wishes, **{data.draw(st.sampled_from(keys)): None})
    assert isinstance(resolve(looser, matrix), Resolution)


@relaxed
@given(weighed_questions() | questions())
def test_no_other_answer_of_the_same_releases_is_smaller(question: tuple[Matrix, Wishes]) -> None:
    matrix, wishes = question
    wishes = replace(wishes, prefer=Preference.SMALLEST)
    answer = resolve(wishes, matrix)
    if not isinstance(answer, Resolution):
        return
    releases = [one.version for one in answer.frameworks]
    found = [
        one
        for one in naive.solutions(wishes, matrix)
        if [builds[0].version for builds in one.builds] == releases
    ]
    assert min(naive.weight(one) for one in found if _is(answer, one)) == min(map(naive.weight, found))


_DEFAULTED = ("base", "toolkit", "forward_compat")
"""Without these wishes a default holds: offered bases only, the wheels' own minor, and the host's driver."""


def test_versions_of_the_tests_are_known() -> None:
    assert {Version(one).major for one in CUDAS} == {11, 12, 13}

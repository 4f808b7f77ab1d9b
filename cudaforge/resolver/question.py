"""One image's wishes made ready for the rules: each wish an item that can be dropped, names looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cudaforge.declaration.model import Wishes
from cudaforge.display import show
from cudaforge.errors import InputError, Problem
from cudaforge.matrix.model import CudaProvider, Framework, Gpu
from cudaforge.matrix.tables import Matrix
from cudaforge.records import record
from cudaforge.resolver.candidates import BOOTSTRAP, OwnBase
from cudaforge.resolver.learnt import Obstacle, asked
from cudaforge.resolver.model import PythonProvider
from cudaforge.resolver.named_base import named_base
from cudaforge.resolver.named_gpus import NamedGpus, named_gpus
from cudaforge.resolver.names import (
    unknown_framework,
    unknown_gpu,
    unknown_name,
    wish_problem,
)
from cudaforge.resolver.packages import (
    PackageWish,
    framework_wishes,
    labels_of,
    package_wishes,
    releases_of,
)
from cudaforge.versions import InvalidVersion, Version


@record(kw_only=False)
class Item:
    """One wish: its bit, the declaration key it stands under, and how people write it."""

    bit: int
    key: str
    word: str
    is_presence: bool = False
    """Stands for a framework itself, apart from the wish on its version."""
    position: int = 0
    """The framework that it is about."""


@record(kw_only=False, eq=False)
class GpuWish:
    """One GPU wish: every product it may mean has to run the image."""

    item: Item
    named: NamedGpus

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The products."""
        return self.named.gpus

    @property
    def capability(self) -> Version | None:
        """Set where a compute capability was named instead of a product."""
        return self.named.capability

    @property
    def capabilities(self) -> tuple[tuple[Version, bool], ...]:
        """Compute capabilities to run on, each with whether the GPU is an embedded one."""
        return self.named.capabilities

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of product that they may be."""
        return self.named.kinds

    @property
    def last_branch(self) -> int | None:
        """The last driver branch that supports all of them."""
        return self.named.last_branch

    @property
    def first_driver(self) -> Version | None:
        """The oldest driver that knows all of them."""
        return self.named.first_driver


@record(eq=False)
class Question:
    """What the rules are asked about one image."""

    wishes: Wishes
    frameworks: tuple[Framework, ...]
    gpus: tuple[GpuWish, ...]
    driver: Version | None
    own: OwnBase | None
    base: str | None
    """The base asked for, as the matrix calls it."""
    base_written: str | None
    """The base as it was written, which is how the image starts `FROM` it."""
    items: tuple[Item, ...]
    bits: Mapping[str, int]
    """The bits of all wishes by their key, without those of frameworks themselves."""
    packages: tuple[PackageWish, ...] = ()
    """The packages asked for that belong to a framework."""
    learnt: tuple[Obstacle, ...] = ()
    """What package indexes told of the packages asked for."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of all GPUs asked for; forward compatibility means the data centre."""
        if not self.gpus and self.wishes.forward_compat:
            return frozenset((DATA_CENTRE,))
        return frozenset(kind for wish in self.gpus for kind in wish.kinds)

    def bit(self, key: str) -> int:
        """The bits of all wishes under a key; 0 if there is none."""
        return self.bits.get(key, 0)

    def presence(self, position: int) -> int:
        """The bit of the framework itself: these come first."""
        return 1 << position

    def version_bit(self, position: int) -> int:
        """The bit of the wish on a framework's version; 0 if there is none."""
        for item in self.items:
            if item.key == "framework" and not item.is_presence and item.position == position:
                return item.bit
        return 0

    def package_bit(self, wish: PackageWish) -> int:
        """The bit of a package; 0 if it binds nothing of its framework."""
        if not wish.is_binding:  # its text may stand for one that binds another framework
            return 0
        return self.package_bits((wish.text,))

    def package_bits(self, texts: Iterable[str]) -> int:
        """The bits of packages, as they are written."""
        words = set(texts)
        return sum(item.bit for item in self.items if item.key == "packages" and item.word in words)

    @property
    def all_bits(self) -> int:
        """Every wish."""
        return (1 << len(self.items)) - 1


DATA_CENTRE = "datacenter"


def ask(
    wishes: Wishes, matrix: Matrix, *, host_os: str | None = None, learnt: Sequence[Obstacle] = ()
) -> Question:
    """The question that the wishes put to the matrix, and to what was `learnt` from package indexes.

    Raises InputError with every name that is not known and everything that has to be said and is not.
    """
    problems: list[Problem] = []
    frameworks = _frameworks(wishes, matrix, problems)
    _check_words(wishes, matrix, problems)
    packages = _packages(wishes, frameworks, matrix)
    obstacles = asked(learnt, (*wishes.packages, *wishes.constraints))
    items = _items(wishes, packages, obstacles)
    gpus = _gpus(wishes, matrix, items, problems)
    driver = _driver(wishes, problems)
    base, own = named_base(wishes, matrix, host_os, problems)
    if problems:
        raise InputError(problems)
    return Question(
        wishes=wishes,
        frameworks=frameworks,
        gpus=gpus,
        driver=driver,
        own=own,
        base=base,
        base_written=base if base is not None and base.startswith(BOOTSTRAP) else wishes.base,
        items=items,
        bits=_bits(items),
        packages=packages,
        learnt=obstacles,
    )


def _frameworks(wishes: Wishes, matrix: Matrix, problems: list[Problem]) -> tuple[Framework, ...]:
    found: list[Framework] = []
    for wish in wishes.frameworks:
        row = matrix.find_framework(wish.name)
        if row is None:
            problems.append(unknown_framework(str(wish), wish.name, matrix))
        elif row.facts_only:
            problems.append(_facts_only(row, matrix))
        elif row in found:
            problems.append(wish_problem("framework", f"framework {row.name} is asked for twice"))
        else:
            found.append(row)
    if not wishes.frameworks:
        problems.append(
            wish_problem(
                "framework", "no framework is asked for", remedy="known: " + ", ".join(matrix.frameworks)
            )
        )
    return tuple(found)


def _facts_only(row: Framework, matrix: Matrix) -> Problem:
    supported = ", ".join(one.name for one in matrix.frameworks.values() if not one.facts_only)
    return wish_problem(
        "framework",
        f"{row.title} is known by its facts alone: there is no way to install and prove it",
        remedy=f"images are made with: {supported}; cudaforge data show {row.name} shows the facts",
    )


def _check_words(wishes: Wishes, matrix: Matrix, problems: list[Problem]) -> None:
    if wishes.os is not None and wishes.os not in matrix.systems:
        problems.append(unknown_name("os", "operating system", wishes.os, matrix.systems))
    known = [one.value for one in (CudaProvider.WHEELS, CudaProvider.SYSTEM)]
    if wishes.cuda_provider is not None and wishes.cuda_provider not in known:
        problems.append(unknown_name("cuda_provider", "CUDA provider", wishes.cuda_provider, known))
    providers = [one.value for one in PythonProvider]
    if wishes.python_provider is not None and wishes.python_provider not in providers:
        problems.append(unknown_name("python_provider", "Python provider", wishes.python_provider, providers))


def _driver(wishes: Wishes, problems: list[Problem]) -> Version | None:
    if wishes.driver is None:
        return None
    try:
        return Version(wishes.driver)
    except InvalidVersion:
        problems.append(wish_problem("driver", f"driver {show(wishes.driver)} is not a version"))
        return None


def _gpus(
    wishes: Wishes, matrix: Matrix, items: tuple[Item, ...], problems: list[Problem]
) -> tuple[GpuWish, ...]:
    gpu_items = [item for item in items if item.key == "gpus"]
    found: list[GpuWish] = []
    for item, text in zip(gpu_items, dict.fromkeys(wishes.gpus), strict=True):
        named = named_gpus(matrix, text)
        if not named.capabilities:
            problems.append(unknown_gpu(text, matrix))
        found.append(GpuWish(item, named))
    return tuple(found)


def _packages(wishes: Wishes, frameworks: tuple[Framework, ...], matrix: Matrix) -> tuple[PackageWish, ...]:
    if not wishes.packages:
        return ()
    return (
        *package_wishes(wishes.packages, [matrix.companions(one.name) for one in frameworks]),
        *framework_wishes(
            wishes.packages,
            [releases_of(matrix, one.name) for one in frameworks],
            [labels_of(matrix, one.name) for one in frameworks],
        ),
    )


def _items(wishes: Wishes, packages: Iterable[PackageWish], learnt: Iterable[Obstacle]) -> tuple[Item, ...]:
    """Presence of each framework first, then every wish that was written."""
    items: list[Item] = []

    def add(key: str, word: str, *, is_presence: bool = False, position: int = 0) -> None:
        items.append(Item(1 << len(items), key, word, is_presence, position))

    for position, one in enumerate(wishes.frameworks):
        add("framework", one.name, is_presence=True, position=position)
    for position, one in enumerate(wishes.frameworks):
        if one.version is not None:
            add("framework", str(one), position=position)
    for key, written in _single_wishes(wishes):
        if written is not None:
            add(key, f"{key}{written}" if written[0] in "=<>!~" else f"{key}={written}")
    for gpu in dict.fromkeys(wishes.gpus):
        add("gpus", f"gpu={gpu}")
    for platform in dict.fromkeys(wishes.platforms):
        add("platforms", f"platform={platform}")
    binding = [one.text for one in packages if one.is_binding]
    for text in dict.fromkeys((*binding, *(text for one in learnt for text in one.packages))):
        add("packages", text)
    return tuple(items)


def _bits(items: Iterable[Item]) -> Mapping[str, int]:
    bits: dict[str, int] = {}
    for item in items:
        if not item.is_presence:
            bits[item.key] = bits.get(item.key, 0) | item.bit
    return bits


def _single_wishes(wishes: Wishes) -> tuple[tuple[str, str | None], ...]:
    return (
        ("build", wishes.build),
        ("cuda", "none" if wishes.is_cpu else _comparison(wishes.cuda)),
        ("cudnn", _comparison(wishes.cudnn)),
        ("python", _comparison(wishes.python)),
        ("os", wishes.os),
        ("driver", wishes.driver),
        ("flavor", wishes.flavor.value if wishes.flavor else None),
        ("base", wishes.base),
        ("python_provider", wishes.python_provider),
        ("cuda_provider", wishes.cuda_provider),
        ("toolkit", _comparison(wishes.toolkit)),
        ("forward_compat", "true" if wishes.forward_compat else None),
    )


def _comparison(wish: object) -> str | None:
    """A wish as a word: `==12.8` for the bare version that it was written as."""
    if wish is None:
        return None
    text = str(wish)
    return f"=={text}" if text[:1].isdigit() else text

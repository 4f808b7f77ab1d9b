"""What the resolver answers: the best set that agrees, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from cudaforge.declaration.model import Flavor, Gate
from cudaforge.matrix.model import CudaProvider, StandalonePython
from cudaforge.matrix.sources import Source
from cudaforge.records import made, record
from cudaforge.versions import Version


class PythonProvider(str, Enum):
    """Who brings the Python interpreter."""

    DISTRO = "distro"
    IMAGE = "image"
    STANDALONE = "standalone"


@record()
class FrameworkChoice:
    """One framework of the answer, with all that later stages need of its rows."""

    name: str
    version: Version
    build: str
    reported: str
    index: str
    requires: tuple[str, ...]
    proof: str
    template: str
    companions: Mapping[str, str] = made(default_factory=dict)
    """Packages that belong to this build and come from its index, name to exact version."""


@record()
class CudaNumbers:
    """The four CUDA numbers, never mixed up, and which of them binds the driver."""

    toolkit: Version | None
    wheel: Version | None
    driver_floor: Version | None
    gate: str | None
    binding: str | None
    """`cuda`, `gpu`, `ptx` or `gate`: what sets the driver floor."""


@record()
class Bytes:
    """What something weighs; None where nobody knows."""

    compressed: int | None = None
    """As registries and package indexes serve it."""
    installed: int | None = None
    """On disk."""


@record()
class SizePart:
    """One part of an image."""

    kind: str
    """`base`, `python` (a standalone one), `os-packages`, `wheels`, `cuda-wheels`, `packages`."""
    name: str
    bytes: Bytes


@record()
class Duplicate:
    """The second copy of CUDA that an image carries: bytes that are among those of its parts."""

    compressed: int | None
    installed: int | None
    known: bool
    """False where the numbers are those of the other copy, or of nothing."""


@record()
class Size:
    """Expected bytes of the image on its first platform: what is known of the parts, and whether that is
    all of them. Frameworks side by side share dependencies that are counted for each: never known."""

    compressed: int | None
    installed: int | None
    known: bool
    parts: tuple[SizePart, ...] = ()
    duplicate: Duplicate | None = None

    @property
    def is_lower_bound(self) -> bool:
        """Whether a part is missing, so that the image is larger."""
        return any(None in (one.bytes.compressed, one.bytes.installed) for one in self.parts)


@record()
class Beaten:
    """A value that had an answer, too, with all choices made before; and why it came after the chosen one."""

    value: str
    because: str


class ExcludedBy(str, Enum):
    """What excludes a better value: wishes, facts alone, or choices that the policy makes before."""

    WISH = "wish"
    FACT = "fact"
    CHOICE = "choice"


@record()
class Excluded:
    """Values that are better by the policy and have no answer."""

    values: tuple[str, ...]
    """Best first."""
    kind: ExcludedBy
    by: tuple[str, ...]
    """The wishes and the choices that exclude them together; without any one of them there is an answer.
    Empty where facts do."""
    text: str
    source: Source | None


@record()
class Choice:
    """Why one field has its value."""

    field: str
    value: str
    because: str
    source: Source | None = None
    wishes: tuple[str, ...] = ()
    """The wishes for this field."""
    prefer: str | None = None
    """The preference that settled it among what was left; None where none has a say."""
    beat: tuple[Beaten, ...] = ()
    """Best first."""
    excluded: tuple[Excluded, ...] = ()
    """Wishes first, then choices, then facts."""


@record()
class Resolution:
    """A set of versions that agree."""

    frameworks: tuple[FrameworkChoice, ...]
    cuda_provider: CudaProvider
    cuda: Version | None
    """The CUDA whose libraries are loaded, as exact as the facts are: `12.8` or `12.8.1`."""
    cudnn: Version | None
    nccl: Version | None
    python: str
    python_provider: PythonProvider
    standalone: StandalonePython | None = None
    """The archives that Python comes from, where no base and no OS archive brings it."""
    python_packages: tuple[str, ...]
    """OS packages that bring Python and what the wheels need."""
    os: str
    os_family: str
    os_codename: str
    glibc: Version
    base_image: str
    base_user: str | None = None
    """An account that the base has with uid 1000 (`ubuntu` on ubuntu24.04)."""
    bootstrap_packages: tuple[str, ...] = ()
    """Contents of a bootstrapped base; empty for images from a registry."""
    flavor: Flavor
    platforms: tuple[str, ...]
    numbers: CudaNumbers
    gate: Gate
    architectures: tuple[str, ...]
    """`sm_90`: compute capabilities that every framework in the image has cubins for."""
    ptx: tuple[str, ...]
    """`compute_90`."""
    size: Size
    companions: Mapping[str, str]
    requirements: tuple[str, ...]
    """PEP 508 roots of the closure: the frameworks, exactly pinned."""
    constraints: tuple[str, ...]
    """PEP 508 pins that nothing in the closure may move: CUDA, cuDNN, companions."""
    unfit: tuple[str, ...]
    """PEP 508: releases of compiled packages that their metadata allows next to the frameworks, and that were
    there before them."""
    indexes: Mapping[str, str]
    """Name to address of the package indexes that the frameworks need besides the site's own."""
    env: Mapping[str, str]
    """Environment that the frameworks need in the image."""
    warnings: tuple[str, ...] = ()


class ReasonKind(str, Enum):
    """Whether a wish contradicts the facts or is not covered by them."""

    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"


@record()
class ConflictReason:
    """One fact behind a conflict."""

    kind: ReasonKind
    text: str
    source: Source | None

    def cited(self) -> str:
        """The fact with its source."""
        return self.text if self.source is None else f"{self.text} {self.source.citation()}"


@record()
class Fix:
    """A change of wishes that has been checked to resolve. None drops the wish; `framework` names all that
    stay, with a comma and a space between them."""

    change: Mapping[str, str | None]
    gives: str

    def words(self) -> str:
        """The change as a declaration writes it: `driver = "570.26"`, `drop gpu`; of one wish of several with
        the same key, `"sm_90" instead of gpu=H100`."""
        return " and ".join(_change(key, value) for key, value in self.change.items())


def _change(key: str, value: str | None) -> str:
    if value is None:
        return f"drop {key}"
    if not key.replace("_", "").isalpha():
        return f'"{value}" instead of {key}'
    several = re.split(r", (?=[a-z])", value) if key == "framework" else ()
    several = value.split(",") if key == "platforms" else several
    if len(several) > 1 or key == "platforms":
        quoted = ", ".join(f'"{one}"' for one in several)
        return f"{key} = [{quoted}]"
    return f"{key} = {value}" if value == "true" else f'{key} = "{value}"'


@record()
class Conflict:
    """Why no set exists. `core` is minimal: without any one of its wishes there is an answer."""

    core: tuple[str, ...]
    """Wishes as words: `pytorch==2.4.*`, `gpu=RTX 5090`."""
    keys: tuple[str, ...]
    """The declaration keys of the core, for locations in messages."""
    reasons: tuple[ConflictReason, ...]
    fixes: tuple[Fix, ...]
    warnings: tuple[str, ...] = ()
    """Where sources disagree on what the reasons rest on."""


Answer = Resolution | Conflict

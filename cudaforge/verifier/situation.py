"""What a verdict is made from: the lock entry, the host's GPUs, and what the container left."""

from __future__ import annotations

from enum import Enum

from cudaforge.engine import GpuOffer
from cudaforge.lockfile.model import LockedFramework, LockedImage
from cudaforge.packages.machines import ARCHITECTURES
from cudaforge.records import record
from cudaforge.verifier.causes import Cause, explain_stage
from cudaforge.verifier.evidence import SEED, Child, Fact, NotSeen, Report
from cudaforge.verifier.expected import Expected, ForeignImage
from cudaforge.verifier.model import Tier

PYTHON = "/opt/venv/bin/python"
"""The Python of every image that cudaforge renders."""


class GpuWish(str, Enum):
    """What a verification asks of the host's GPUs."""

    REQUIRED = "required"
    AUTO = "auto"
    OFF = "off"


@record()
class Situation:
    """One image, verified once."""

    image: LockedImage
    labels: dict[str, str]
    """Of the built image."""
    gpu: GpuWish
    offer: GpuOffer
    refusal: str | None = None
    """What the engine said when it refused the GPUs; the probe ran without them then."""
    report: Report | None = None
    challenge: int = SEED
    """The seed of the network that the frameworks were given: another one each time."""
    failure: Cause | None = None
    """Why there is no report."""
    depth: Tier = Tier.GPU
    """The last tier that is gone into."""
    python: str = PYTHON
    is_looked_into: bool = True
    """Whether the image's files are looked at: a job elsewhere runs the probe alone."""
    inspection: Report | None = None
    """What the image's files say."""
    inspection_failure: Cause | None = None
    """Why nothing is known of them."""
    is_kept: bool = False
    """Whether an earlier run had looked at them."""
    layers: tuple[int, ...] = ()
    """Bytes of the image's layers, the largest first."""
    expected: Expected = Expected()
    foreign: ForeignImage | None = None
    """Set where somebody else made the image, so that its entry says what facts say of what is in it."""

    @property
    def is_foreign(self) -> bool:
        """Whether cudaforge knows the image by what is in it alone."""
        return self.foreign is not None

    @property
    def unproven_platforms(self) -> tuple[str, ...]:
        """Those of the image's platforms that this machine is not of."""
        machine = self.system("system")["machine"].text
        return tuple(one for one in self.image.platforms if ARCHITECTURES.get(one) != machine)

    @property
    def is_cpu_twin(self) -> bool:
        """Whether the image is declared to have no CUDA."""
        return self.image.cuda is None

    @property
    def wants_gpu(self) -> bool:
        """Whether GPUs are requested for the container."""
        return self.gpu is not GpuWish.OFF and not self.is_cpu_twin and self.offer.request is not None

    @property
    def has_gpu(self) -> bool:
        """Whether the container was given GPUs."""
        return self.wants_gpu and self.refusal is None

    @property
    def seen(self) -> Report:
        """The report. Raises NotSeen where there is none."""
        if self.report is None:
            raise NotSeen(self.failure.text if self.failure else "the probe did not run")
        return self.report

    def system(self, stage: str) -> Fact:
        """What a stage of the examination found. Raises NotSeen."""
        return self.seen.system.value(stage)

    @property
    def inspected(self) -> Report:
        """What the image's files say. Raises NotSeen where nobody could look."""
        if self.inspection is None:
            cause = self.inspection_failure
            raise NotSeen(cause.text if cause else "the image's files were not looked at")
        return self.inspection

    def files(self, stage: str) -> Fact:
        """What one part of the look at the image's files found. Raises NotSeen."""
        return self.inspected.files.value(stage)

    def child(self, framework: LockedFramework) -> Child:
        """The process that proved a framework. Raises NotSeen."""
        child = self.seen.frameworks.get(framework.proof)
        if child is None:
            raise NotSeen("the probe did not come to it")
        return child

    def why(self, child: Child, stage: str) -> Cause:
        """Why a stage did not end well."""
        return explain_stage(
            child,
            stage,
            memory_kills=self.seen.memory_kills,
            limit=self.image.verify.memory_limit,
            timeout=self.image.verify.timeout,
        )

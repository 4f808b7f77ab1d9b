"""The rows that an answer is made of."""

from __future__ import annotations

from cudaforge.matrix.model import CudaRelease, CudnnRelease
from cudaforge.records import record
from cudaforge.resolver.candidates import BuildCandidate, Environment
from cudaforge.resolver.case import Case
from cudaforge.resolver.rules.scene import CUDA, CUDNN, ENVIRONMENT, FIRST_FRAMEWORK
from cudaforge.resolver.solver import Domains


@record(kw_only=False, eq=False)
class Picked:
    """The rows of one answer."""

    builds: tuple[BuildCandidate, ...]
    cuda: CudaRelease | None
    cudnn: CudnnRelease | None
    environment: Environment

    def toolkit(self, case: Case) -> CudaRelease | None:
        """The release of the CUDA that the base itself carries."""
        version = self.environment.toolkit
        return None if version is None else case.scene.tables.release(version)


def picked(case: Case, domains: Domains) -> Picked:
    """The rows that the values stand for."""
    tables = case.scene.tables
    return Picked(
        tuple(
            table.candidates[_index(domains[FIRST_FRAMEWORK + position])]
            for position, table in enumerate(case.scene.frameworks)
        ),
        tables.cuda[_index(domains[CUDA])],
        tables.cudnn[_index(domains[CUDNN])],
        tables.environments[_index(domains[ENVIRONMENT])],
    )


def _index(mask: int) -> int:
    return mask.bit_length() - 1


def is_pinned_here(rows: Picked) -> bool:
    """Whether the CUDA wheels are pinned by the toolkit's metapackage, not by a framework's wheel."""
    return bool(rows.builds) and all(build.row.toolkit_extras for build in rows.builds)

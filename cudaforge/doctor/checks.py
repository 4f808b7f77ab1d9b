"""The table of checks: everything that is looked at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable

from cudaforge.doctor import checks_engine, checks_gpu, checks_image, checks_site
from cudaforge.doctor.model import Finding, Judgement
from cudaforge.doctor.situation import Situation
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record


@record()
class Check:
    """One row: what is asked of every host."""

    id: str
    title: str
    judge: Callable[[Situation], Judgement]


@record()
class ImageCheck:
    """One row: what is asked of a host for one image."""

    id: str
    title: str
    judge: Callable[[Situation, LockedImage], Judgement]


CHECKS = (
    Check(id="engine", title="Container engine", judge=checks_engine.engine),
    Check(id="socket", title="Engine's socket", judge=checks_engine.socket),
    Check(id="buildx", title="BuildKit", judge=checks_engine.buildx),
    Check(id="disk", title="Disk space", judge=checks_engine.disk),
    Check(id="driver", title="NVIDIA driver", judge=checks_gpu.driver),
    Check(id="gpus", title="GPUs", judge=checks_gpu.gpus),
    Check(id="toolkit", title="GPUs in containers", judge=checks_gpu.toolkit),
    Check(id="cdi", title="CDI specs", judge=checks_gpu.cdi),
    Check(id="cgroup", title="Control groups", judge=checks_engine.cgroup),
    Check(id="logins", title="Registry logins", judge=checks_site.logins),
    Check(id="proxy", title="Proxy", judge=checks_site.proxy),
    Check(id="certificates", title="Certificates", judge=checks_site.certificates),
)
IMAGE_CHECKS = (
    ImageCheck(id="image-platform", title="Image: platform", judge=checks_image.platform),
    ImageCheck(id="image-driver", title="Image: driver", judge=checks_image.driver),
    ImageCheck(id="image-forward", title="Image: forward compatibility", judge=checks_image.forward),
    ImageCheck(id="image-gpus", title="Image: code for these GPUs", judge=checks_image.gpus),
    ImageCheck(id="image-gate", title="Image: gate", judge=checks_image.gate),
)


def diagnose(situation: Situation) -> tuple[Finding, ...]:
    """Every check's finding: of the host, and of the image where one is asked about."""
    found = [_named(check.id, check.title, check.judge(situation)) for check in CHECKS]
    image = situation.image
    if image is not None:
        found += [_named(check.id, check.title, check.judge(situation, image)) for check in IMAGE_CHECKS]
    return tuple(found)


def _named(name: str, title: str, judged: Judgement) -> Finding:
    return Finding(
        id=name,
        title=title,
        state=judged.state,
        detail=judged.detail,
        remedy=judged.remedy,
        code=judged.code,
    )

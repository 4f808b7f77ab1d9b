"""What a verification costs beyond the image's own work: seconds per image, and eight of them at once.

    eval "$(tools/engine.sh start)"
    .venv/bin/cudaforge up -f examples/quickstart/cudaforge.toml
    .venv/bin/python benchmarks/verify.py [-f DECLARATION] [--rounds N]

The overhead is the whole verification less what anybody would have to pay who trains in that image: starting
a container with its Python, importing the framework, training. Both are of the same run; the least of several
rounds counts. The gradient that is compared with the reference is part of the overhead, and shown besides.
The static tier is measured alone, the first time and with its findings kept. All of it is wall time: on a
machine that is busy otherwise it says little.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cudaforge.engine import ContainerSpec, Engine, connect  # noqa: E402
from cudaforge.lockfile.model import LockedImage  # noqa: E402
from cudaforge.pipeline import decide  # noqa: E402
from cudaforge.pipeline.findings import KeptFindings  # noqa: E402
from cudaforge.records import replace  # noqa: E402
from cudaforge.verifier import Tier, Verdict, VerifyJob, verify_image, verify_images  # noqa: E402
from cudaforge.verifier.evidence import Fact  # noqa: E402
from cudaforge.verifier.situation import PYTHON  # noqa: E402

BUDGET = 0.5
"""Seconds of overhead for an image."""
AT_ONCE = 8
MEMORY = 2 * 2**30
"""Bytes that each of the eight may take."""
_OWN_WORK = ("load", "train_cpu", "compute_cpu")
_COMPARISON = ("gradient_cpu",)


def main() -> None:
    """Measure, and print two tables."""
    options = _options()
    engine = connect()
    declaration = decide.load(options.file)
    lock = decide.load_current_lock(declaration)
    print(f"{platform.node()}: Python {platform.python_version()}, Docker {engine.server_version}\n")
    _row("seconds", "start", "own work", "verified", "overhead", "gradient", "budget", "static", "kept")
    for image in lock.images:
        _image(image, engine, options.rounds)
    print()
    _together(lock.images[0], engine)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-f", "--file", type=Path, default=ROOT / "examples/quickstart/cudaforge.toml")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _row(label: str, *cells: str) -> None:
    print(f"{label:<28}" + "".join(f"{cell:>10}" for cell in cells))


def _image(image: LockedImage, engine: Engine, rounds: int) -> None:
    start = min(_start(image, engine) for _ in range(rounds))
    with tempfile.TemporaryDirectory() as name:
        findings = KeptFindings(Path(name))
        first = _static(image, engine, findings)
        kept = min(_static(image, engine, findings) for _ in range(rounds))
        found = [
            verify_image(image, image.tags[0], engine=engine, tier=Tier.CPU, findings=findings)
            for _ in range(rounds)
        ]
    own, verified = min((_own_work(verdict), verdict.seconds) for verdict in found)
    overhead, gradient = min(
        (verdict.seconds - start - _own_work(verdict), _seconds_of(verdict, _COMPARISON)) for verdict in found
    )
    cells = (start, own, verified, overhead, gradient, BUDGET, first, kept)
    _row(image.name, *(f"{cell:.2f}" for cell in cells))


def _static(image: LockedImage, engine: Engine, findings: KeptFindings) -> float:
    return verify_image(image, image.tags[0], engine=engine, tier=Tier.STATIC, findings=findings).seconds


def _start(image: LockedImage, engine: Engine) -> float:
    """Seconds for a container of the image whose Python does nothing."""
    found = engine.find_image(image.tags[0])
    if found is None:
        sys.exit(f"{image.tags[0]} is not built: cudaforge build {image.name}")
    spec = ContainerSpec(image=found.id, run_id="benchmark", entrypoint=(PYTHON,), argv=("-c", "pass"))
    started = time.monotonic()
    engine.run_container(spec, timeout=60)
    return time.monotonic() - started


def _own_work(verdict: Verdict) -> float:
    """Seconds that importing and training took, as the probe measured them in the image."""
    return _seconds_of(verdict, _OWN_WORK)


def _seconds_of(verdict: Verdict, names: tuple[str, ...]) -> float:
    frameworks = Fact(verdict.facts.get("probe"))["frameworks"].value
    stages = [
        stage
        for one in (frameworks if isinstance(frameworks, dict) else {}).values()
        for stage in Fact(one)["stages"]
    ]
    return sum(stage["seconds"].number or 0.0 for stage in stages if stage["name"].text in names)


def _together(image: LockedImage, engine: Engine) -> None:
    limited = replace(image, verify=replace(image.verify, memory_limit=MEMORY))
    jobs = [VerifyJob(image=limited, reference=limited.tags[0])] * AT_ONCE
    started = time.monotonic()
    verdicts = verify_images(jobs, engine=engine, tier=Tier.CPU, parallel=AT_ONCE)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    good = sum(verdict.ok for verdict in verdicts)
    taken = [Fact(verdict.facts.get("probe"))["peak_memory"].number or 0 for verdict in verdicts]
    print(
        f"{AT_ONCE} images at once, {MEMORY >> 30} GiB each: {good} proven in {seconds:.1f} s; "
        f"the containers took at most {max(taken) / 2**20:.0f} MiB each, cudaforge {peak:.0f} MB"
    )
    left = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", "label=io.cudaforge.run"],
        capture_output=True,
        text=True,
        check=True,
    )
    print(f"containers left: {len(left.stdout.split())}")


if __name__ == "__main__":
    main()

"""Images made on a bootstrapped base for one test module, with a Python environment and no framework."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.renderer.model import ENTRY_LABEL
from tests.support.bases import make_base
from tests.support.locks import GPU_IMAGE

SITE_PACKAGES = "/opt/venv/lib/python3.11/site-packages"
PLAIN = f"""\
FROM base AS plain
RUN useradd --uid 1000 --create-home app && python3 -m venv --without-pip /opt/venv
LABEL {ENTRY_LABEL}={GPU_IMAGE.digest}
ENTRYPOINT ["/bin/false"]
USER app
"""
"""The start of a Dockerfile whose further targets begin with `FROM plain`."""


def docker(*words: str | Path) -> str:
    """Run docker; what it printed. An AssertionError has what it complained of."""
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def built(
    dockerfile: str,
    targets: Mapping[str, str],
    directory: Path,
    *,
    files: Mapping[str, str] | None = None,
    contexts: Mapping[str, Path] | None = None,
) -> Iterator[None]:
    """Build targets under these references for as long as the block runs.

    `files` go into the build's context, `contexts` are directories that it may copy from by name.
    """
    base = make_base("bookworm")
    write_archive(base, directory / "base.tar")
    docker("load", "--quiet", "--input", directory / "base.tar")
    context = directory / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(dockerfile)
    for name, text in (files or {}).items():
        (context / name).write_text(text)
    named = {"base": f"docker-image://{loaded_reference(base)}", **(contexts or {})}
    options = [word for name, place in named.items() for word in ("--build-context", f"{name}={place}")]
    try:
        for target, reference in targets.items():
            docker("buildx", "build", "--quiet", *options, "--target", target, "--tag", reference, context)
        yield
    finally:
        for reference in (*targets.values(), loaded_reference(base)):
            with suppress(AssertionError):
                docker("rmi", "--force", reference)

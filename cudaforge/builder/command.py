"""The buildx command of one image, as a pure function of its inputs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from cudaforge.records import made, record
from cudaforge.references import parse_reference
from cudaforge.registry.mirrors import move


@record()
class BuildInputs:
    """All that goes into one build. Files and directories exist when the build starts."""

    dockerfile: Path
    """Its ignore file lies beside it, as `<name>.dockerignore`."""
    context: Path
    tags: tuple[str, ...]
    contexts: Mapping[str, str] = made(default_factory=dict)
    """Name to value: a directory, `oci-layout://...`, `docker-image://...`."""
    secrets: Mapping[str, Path] = made(default_factory=dict)
    platforms: tuple[str, ...] = ()
    has_ssh: bool = False
    needs_host_network: bool = False
    """Whether an address is one of the engine's own machine."""
    has_no_network: bool = False
    """Whether no step may reach anything."""
    is_uncached: bool = False
    cache_to: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    """Values of buildx's options, checked and quoted."""
    archive: Path | None = None
    """Where the image goes as an archive for `docker load`, with its times rewritten; None: straight into
    the engine's store, which takes no such image directly."""
    files: Path | None = None
    """The directory that the files of the last stage go into, in place of an image."""


@record()
class EngineTraits:
    """What of the engine decides how an image is best exported."""

    builder: str
    has_containerd_store: bool


def buildx_command(inputs: BuildInputs, traits: EngineTraits, *, metadata: Path) -> tuple[str, ...]:
    """The arguments of `docker buildx build` that leave the image in the engine's store or the archive."""
    words = ["docker", "buildx", "build", "--builder", traits.builder, "--progress=rawjson"]
    words += ["--metadata-file", str(metadata), "--file", str(inputs.dockerfile)]
    # Attestations make an index of every image, and cost time; they belong to pushing.
    words += ["--provenance=false", "--sbom=false", "--output", _output(inputs, traits)]
    for tag in inputs.tags:
        words += ["--tag", tag]
    for name, value in sorted(inputs.contexts.items()):
        words += ["--build-context", f"{name}={value}"]
    for name, path in sorted(inputs.secrets.items()):
        words += ["--secret", _comma_separated(f"id={name}", f"src={path}")]
    words += [word for platform in inputs.platforms for word in ("--platform", platform)]
    words += [f"--cache-to={value}" for value in inputs.cache_to]
    words += [f"--cache-from={value}" for value in inputs.cache_from]
    if inputs.has_ssh:
        words += ["--ssh", "default"]
    if inputs.has_no_network:
        words += ["--network", "none"]
    elif inputs.needs_host_network:
        words += ["--network", "host"]
    if inputs.is_uncached:
        words.append("--no-cache")
    return (*words, "--", str(inputs.context))


def _output(inputs: BuildInputs, traits: EngineTraits) -> str:
    if inputs.files is not None:
        return _comma_separated("type=local", f"dest={inputs.files}")
    return output_option(traits, archive=inputs.archive)


def output_option(traits: EngineTraits, *, archive: Path | None = None) -> str:
    """How BuildKit writes the image: into the engine's store, or into an archive that the store can load.

    The containerd store keeps layers compressed: zstd takes half of gzip's time. The older store keeps
    them unpacked and has no choice to offer.
    """
    fields = ["type=image" if archive is None else "type=oci"]
    if traits.has_containerd_store:
        fields += ["compression=zstd", "oci-mediatypes=true"]
    else:
        fields = ["type=docker"]
    if archive is not None:
        # "exporter option rewrite-timestamp conflicts with unpack" is what the store itself answers.
        fields += ["rewrite-timestamp=true", f"dest={archive}"]
    return _comma_separated(*fields)


def mirror_contexts(reference: str, digest: str | None, mirrors: Mapping[str, str]) -> Mapping[str, str]:
    """The named context that makes a build pull a base from its registry's mirror; none without one.

    `mirrors` is read as when the base was locked. The key is the text that stands behind FROM.
    """
    parsed = parse_reference(reference)
    moved = move(parsed, mirrors)
    if moved is parsed:
        return {}
    pinned = f"@{digest}" if digest and parsed.digest is None else ""
    return {f"{reference}{pinned}": f"docker-image://{moved}{pinned}"}


def _comma_separated(*fields: str) -> str:
    """One value of a buildx option, which reads it as a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()

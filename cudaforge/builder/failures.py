"""What a failed build means: a step that is wrong, or surroundings that failed it.

The rows are tried from the top; the first whose pattern is found decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from cudaforge.builder.steps import without_command
from cudaforge.engine import DOCKER, EngineWords
from cudaforge.records import record


class FailureKind(str, Enum):
    """Whose fault it is."""

    STEP = "step"
    """A step ran and failed: the answer is no."""
    CONTENT = "content"
    """The build was asked for something that is not there."""
    BASE = "base"
    """A base image could not be had."""
    CACHE = "cache"
    """The image was made, and a cache of its steps could not be written."""
    NETWORK = "network"
    """A step could not download what it needs."""
    PLATFORM = "platform"
    """The builder cannot run the programs of the image's platform."""
    STORE = "store"
    """The engine's store took away a layer that the image was about to be put on: another try finds it."""
    DISK = "disk"
    ENGINE = "engine"
    """The engine went away."""

    @property
    def is_surroundings(self) -> bool:
        """Whether the same build may succeed later, unchanged."""
        return self not in {FailureKind.STEP, FailureKind.CONTENT}

    @property
    def stops_all(self) -> bool:
        """Whether other builds on this engine cannot succeed either."""
        return self in {FailureKind.DISK, FailureKind.ENGINE}


@record()
class Failure:
    """Why a build failed, and what to do about it."""

    kind: FailureKind
    reason: str
    remedy: str | None = None


@record(kw_only=False)
class _Row:
    """`pattern` is looked for in the error, or with `in_output` in what the failed step printed. `remedy` has
    `{words}`, the engine's, in it."""

    kind: FailureKind
    pattern: str
    reason: str
    remedy: str | None = None
    in_output: bool = False


_BASE_REMEDY = "check the registry, your login ({words.login}) and the mirror map [registries]"
_FREE = "free some space ({words.free}), then repeat the command"
_INDEX_REMEDY = "check the network, proxies and package indexes ([network], or pip's and uv's own settings)"
# BuildKit's words, then Podman's; so in the other rows.
_PULL = (
    r"failed to resolve source metadata|failed to resolve reference|load metadata for|pull access denied"
    r"|initializing source docker://|creating build container|unable to copy from source docker://"
)

_STEP_FAILED = _Row(
    FailureKind.STEP, r"did not complete successfully|while running runtime: exit status", "a step failed"
)

STORE_TIDIED = "the engine's store was tidied while it took the image"
_TO_CLIENT = "exporting to client directory"
_TAKEN = "this machine's disk did not take what the builder handed over"
_TAKEN_REMEDY = "free some space where it was to go, then repeat the command"

_ROWS = (
    _Row(FailureKind.DISK, rf"^{_TO_CLIENT}\b(?s:.)*no space left on device", _TAKEN, _TAKEN_REMEDY),
    _Row(
        FailureKind.ENGINE,
        r"cannot connect to the docker daemon|error during connect|error reading from server: (?:eof|.*reset)"
        r"|transport is closing|code = unavailable|failed to dial|closing transport|docker daemon running",
        "the container engine went away during the build",
        "start it again and repeat the command: what was finished is kept",
    ),
    # containerd collects garbage between looking for a layer and using it.
    _Row(
        FailureKind.STORE,
        r"parent snapshot \S+ does not exist: not found",
        STORE_TIDIED,
        "repeat the command: what was finished is kept",
    ),
    # buildx gives the reason to nobody: "EOF" is all that is heard of a full disk.
    _Row(FailureKind.DISK, rf"^{_TO_CLIENT}\b", _TAKEN, _TAKEN_REMEDY),
    _Row(
        FailureKind.CACHE,
        r"^exporting cache ",
        "the steps could not be written to --cache-to",
        "check its registry and login ({words.login}), or the space in its directory; or add "
        "ignore-error=true to it",
    ),
    _Row(
        FailureKind.DISK,
        r"no space left on device|disk quota exceeded",
        "the engine's disk is full",
        _FREE,
    ),
    _Row(
        FailureKind.BASE,
        rf"(?:{_PULL}).*(?:\b429\b|too ?many ?requests)",
        "the registry limits how often images may be pulled",
        "log in to the registry ({words.login}), wait, or name a mirror in [registries]",
    ),
    _Row(
        FailureKind.BASE,
        rf"(?:{_PULL}).*(?:\b401\b|\b403\b|unauthorized|denied|forbidden|no basic auth)",
        "the registry refuses access to the base image",
        _BASE_REMEDY,
    ),
    _Row(
        FailureKind.BASE,
        rf"(?:{_PULL}).*(?:x509|certificate|tls:)",
        "the registry's certificate is not trusted by the engine",
        "give the engine the registry's CA ({words.certificates}/HOST/ca.crt)",
    ),
    _Row(
        FailureKind.BASE,
        rf"(?:{_PULL}).*(?:not found|manifest unknown|does not exist|no match for platform)",
        "the registry does not have the base image",
        _BASE_REMEDY,
    ),
    _Row(
        FailureKind.BASE,
        r"failed commit on ref .*unexpected commit (?:digest|size)",
        "a layer of the base image is damaged where it lies, or came damaged",
        "repeat the command; with --offline DIR, collect it again before: cudaforge vendor DIR",
    ),
    _Row(
        FailureKind.BASE,
        rf"{_PULL}|httpreadseeker|failed to do request|failed to copy: |failed commit on ref",
        "the base image cannot be pulled",
        _BASE_REMEDY,
    ),
    _Row(
        FailureKind.PLATFORM,
        # The exec format error of programs of another machine; buildkit-qemu's word for the same.
        r"(?:^exec|exec container process) \S+: exec format error|^\.buildkit_qemu_emulator: ",
        "a step's programs are of another platform, which this builder neither is nor emulates",
        "{words.other_platform}",
        in_output=True,
    ),
    _Row(
        FailureKind.DISK,
        r"no space left on device|disk quota exceeded|not enough free space",
        "the engine's disk is full",
        _FREE,
        in_output=True,
    ),
    _Row(
        FailureKind.NETWORK,
        r"network connectivity is disabled|cudaforge-offline\.invalid",
        "a step needs what was never loaded, and --offline downloads nothing",
        "run once without --offline",
        in_output=True,
    ),
    _Row(
        FailureKind.NETWORK,
        # apt
        r"^e: failed to fetch|^e: unable to locate package.*\n.*(?:err:|failed to fetch)"
        r"|temporary failure resolving|could not resolve '[^']+'|^err:\d+ "
        # uv
        r"|request failed after \d+ retr|error sending request for url|failed to (?:fetch|download): ?[`h]"
        r"|http status (?:client|server) error \(|dns error|operation timed out"
        # pip and curl
        r"|max retries exceeded with url|curl: \((?:5|6|7|28|35|56|60)\)",
        "a step could not download what it needs",
        _INDEX_REMEDY,
        in_output=True,
    ),
    _Row(
        FailureKind.STEP,
        r"hash mismatch",
        "a downloaded package is not the one that was locked",
        "look at what the index serves under that name, or lock what it serves now: cudaforge upgrade",
        in_output=True,
    ),
    _Row(
        FailureKind.STEP,
        r"did not complete successfully: exit code: 137|running runtime: exit status 137|signal: killed",
        "a step was killed, most likely for want of memory",
        "give the engine more memory, or build fewer images at once (--jobs 1)",
    ),
    _Row(
        FailureKind.STEP,
        r"^container exited on killed",
        "a step was killed, most likely for want of memory",
        "give the engine more memory, or build fewer images at once (--jobs 1)",
        in_output=True,
    ),
    _STEP_FAILED,
    _Row(
        FailureKind.CONTENT,
        r"(?:checksum of ref|compute cache key).*not found|copier: (?:stat|get): .*no such file or directory",
        "a file to copy is not in the project, or the ignore file leaves it out",
        "check the `copy` paths and the project's .dockerignore",
    ),
    _Row(
        FailureKind.CONTENT,
        r"secret \S+: not found",
        "a secret that a step needs was not given",
        "set it in the environment under its name",
    ),
    _Row(
        FailureKind.CONTENT,
        r"dockerfile parse error|unknown instruction",
        "the builder cannot read the Dockerfile",
    ),
)
_OWN_STEPS = ("[internal]", "exporting cache ", _TO_CLIENT)
_COMPILED = tuple((row, re.compile(row.pattern, re.IGNORECASE | re.MULTILINE)) for row in _ROWS)


def classify_failure(
    *, error: str, step: str = "", lines: Sequence[str] = (), words: EngineWords = DOCKER
) -> Failure:
    """What a failed build means. `error` is BuildKit's, buildx's or Podman's text, `lines` the step's last
    output, `words` the engine's.

    What no row knows counts as a failed step, in BuildKit's own words.
    """
    # A command that speaks of a full disk is not one.
    said = without_command(f"{step} {error}" if step.startswith(_OWN_STEPS) else error)
    printed = "\n".join(lines)
    for row, pattern in _COMPILED:
        if pattern.search(printed if row.in_output else said):
            if row is _STEP_FAILED:
                return _explained(printed, said)
            remedy = row.remedy.format(words=words) if row.remedy is not None else None
            return Failure(kind=row.kind, reason=row.reason, remedy=remedy)
    return Failure(kind=FailureKind.STEP, reason=error or "the build failed")


def _explained(printed: str, said: str) -> Failure:
    """The failed step, with the cause that its output tells where it tells one alone."""
    from cudaforge.diagnosis import causes_of

    causes = causes_of(f"{printed}\n{said}")
    if len(causes) != 1 or causes[0].is_symptom:
        return Failure(kind=_STEP_FAILED.kind, reason=_STEP_FAILED.reason)
    reason = f"{_STEP_FAILED.reason}: {causes[0].text}"
    return Failure(kind=_STEP_FAILED.kind, reason=reason, remedy=causes[0].remedy)

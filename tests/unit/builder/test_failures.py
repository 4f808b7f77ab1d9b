import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.builder.failures import FailureKind, classify_failure
from tests.unit.builder.recorded import replay

PROCESS = 'process "/bin/sh -c true" did not complete successfully: exit code: {}'
PULL = "python:3.12: failed to resolve source metadata for docker.io/library/python:3.12: "


def classify_recorded(name):
    tracker, _, _ = replay(name)
    failed = tracker.failed_step
    if failed is None:
        return classify_failure(error=tracker.error)
    return classify_failure(error=f"{tracker.error}\n{failed.error}", step=failed.name, lines=failed.lines)


@pytest.mark.parametrize(
    ("recorded", "kind"),
    [
        ("step-fails.buildx-0.13", FailureKind.STEP),
        ("step-fails.buildx-0.29", FailureKind.STEP),
        ("apt-no-package", FailureKind.STEP),
        ("base-not-found", FailureKind.BASE),
        ("registry-refuses", FailureKind.BASE),
        ("registry-unknown", FailureKind.BASE),
        ("copy-missing", FailureKind.CONTENT),
        ("secret-missing", FailureKind.CONTENT),
        ("dockerfile-unreadable", FailureKind.CONTENT),
        ("disk-full", FailureKind.DISK),
        ("apt-unreachable", FailureKind.NETWORK),
        ("uv-unreachable", FailureKind.NETWORK),
        ("uv-refused", FailureKind.NETWORK),
    ],
)
def test_what_buildx_really_said(recorded, kind):
    assert classify_recorded(recorded).kind is kind


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (
            PULL + "unexpected status from HEAD request to https://x: 401 Unauthorized",
            FailureKind.BASE,
            "access",
        ),
        (PULL + "pull access denied, repository does not exist", FailureKind.BASE, "access"),
        (PULL + "httpReadSeeker: failed open: 429 Too Many Requests", FailureKind.BASE, "limits"),
        (PULL + "toomanyrequests: You have reached your pull rate limit", FailureKind.BASE, "limits"),
        (
            PULL + "tls: failed to verify certificate: x509: unknown authority",
            FailureKind.BASE,
            "certificate",
        ),
        (PULL + "docker.io/library/python:3.12: not found", FailureKind.BASE, "does not have"),
        (PULL + "dial tcp 192.0.2.1:443: i/o timeout", FailureKind.BASE, "pulled"),
        ("failed to copy: httpReadSeeker: failed open: failed to do request", FailureKind.BASE, "pulled"),
        (
            'failed commit on ref "layer-sha256:11": commit failed: unexpected commit digest sha256:22',
            FailureKind.BASE,
            "damaged",
        ),
        (
            "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
            FailureKind.ENGINE,
            "went away",
        ),
        ("Cannot connect to the Docker daemon at unix:///x. Is it running?", FailureKind.ENGINE, "went away"),
        ("write /var/lib/docker/tmp/x: no space left on device", FailureKind.DISK, "full"),
        (PROCESS.format(137), FailureKind.STEP, "memory"),
        (PROCESS.format(2), FailureKind.STEP, "failed"),
        ("something new", FailureKind.STEP, "something new"),
        ("", FailureKind.STEP, "failed"),
    ],
)
def test_errors(error, kind, word):
    failure = classify_failure(error=error)
    assert failure.kind is kind
    assert word in failure.reason


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        ("failed to solve: EOF\nEOF", FailureKind.DISK, "this machine's disk"),
        ("failed to solve: x\nwrite /a: no space left on device", FailureKind.DISK, "this machine's disk"),
        ("error reading from server: EOF", FailureKind.ENGINE, "went away"),
        (
            'failed to prepare extraction snapshot "x": parent snapshot sha256:4 does not exist: not found',
            FailureKind.STORE,
            "tidied",
        ),
    ],
)
def test_files_that_this_machine_does_not_take(error, kind, word):
    failure = classify_failure(error=error, step="exporting to client directory")
    assert failure.kind is kind
    assert word in failure.reason


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("cp: error writing '/x': No space left on device", FailureKind.DISK),
        (
            "E: Failed to fetch http://archive.example/x  404  Not Found [IP: 192.0.2.1 80]",
            FailureKind.NETWORK,
        ),
        ("error: Failed to download: https://index.example/numpy.whl", FailureKind.NETWORK),
        ("curl: (28) Connection timed out after 10000 milliseconds", FailureKind.NETWORK),
        ("error: Hash mismatch for `numpy==2.0.0`", FailureKind.STEP),
        ("AssertionError", FailureKind.STEP),
    ],
)
def test_output_of_the_failed_step(line, kind):
    assert classify_failure(error=PROCESS.format(1), step="[2/2] RUN x", lines=("start", line)).kind is kind


def test_a_package_that_is_not_the_locked_one_is_mended_by_the_command_that_moves_it():
    lines = ("error: Hash mismatch for `numpy==2.0.0`",)
    failure = classify_failure(error=PROCESS.format(1), step="[2/2] RUN x", lines=lines)
    assert failure.remedy is not None
    assert failure.remedy.endswith("cudaforge upgrade")


@pytest.mark.parametrize(
    "command",
    ["echo no space left on device", "echo Cannot connect to the Docker daemon", "echo failed to do request"],
)
def test_a_command_that_only_speaks_of_a_fault_is_a_failed_step(command):
    error = f'failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: 1'
    assert classify_failure(error=error, step=f"[2/2] RUN {command}").kind is FailureKind.STEP


def test_surroundings_have_a_remedy():
    for error in (PULL + "not found", "no space left on device", "failed to dial", PULL + "401"):
        failure = classify_failure(error=error)
        assert failure.kind.is_surroundings
        assert failure.remedy


def test_only_disk_and_engine_stop_all():
    assert {kind for kind in FailureKind if kind.stops_all} == {FailureKind.DISK, FailureKind.ENGINE}


@given(st.text(), st.text(), st.lists(st.text()))
def test_any_text_is_classified(error, step, lines):
    assert classify_failure(error=error, step=step, lines=lines).reason


def test_what_offline_does_not_download_is_told_as_such():
    line = "E: Could not resolve 'cudaforge-offline.invalid'"
    failure = classify_failure(error="did not complete successfully: exit code: 100", lines=[line])
    assert failure.kind is FailureKind.NETWORK
    assert "--offline" in (failure.remedy or "")


def test_a_failed_step_is_explained_where_its_output_tells_one_cause() -> None:
    failure = classify_failure(
        error=PROCESS.format(1),
        lines=["error: externally-managed-environment", "This environment is externally managed"],
    )
    assert failure.kind is FailureKind.STEP
    assert (
        failure.reason
        == "a step failed: the OS manages this Python's packages, and pip may not install beside it"
    )
    assert failure.remedy is not None
    assert "venv" in failure.remedy
    plain = classify_failure(
        error='process "make" did not complete successfully: exit code: 2', lines=["Error 2"]
    )
    assert (plain.reason, plain.remedy) == ("a step failed", None)


@pytest.mark.parametrize(
    "line",
    [
        "exec /bin/sh: exec format error",
        ".buildkit_qemu_emulator: /bin/sh: Invalid ELF image for this architecture",
    ],
)
def test_programs_of_another_platform_are_told_with_what_runs_them(line: str) -> None:
    """The first as BuildKit 0.12 of Docker 26.1 wrote it, without emulation."""
    failure = classify_failure(error=PROCESS.format(1), lines=[line])
    assert failure.kind is FailureKind.PLATFORM
    assert failure.kind.is_surroundings
    assert "binfmt" in failure.remedy
    assert "--builder" in failure.remedy

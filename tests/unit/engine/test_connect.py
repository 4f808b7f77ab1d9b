import socket

import pytest

from cudaforge.engine import (
    EngineAbsent,
    EngineDenied,
    EngineDied,
    EngineFrozen,
    EngineRefused,
    EngineTooOld,
    EngineUnreachable,
    connect,
)
from cudaforge.engine.explain import explain_call, explain_connecting
from cudaforge.engine.locate import DEFAULT_SOCKET, EngineAddress
from cudaforge.engine.needs import parse_buildx_version
from cudaforge.errors import ExitCode
from tests.unit.engine.fake import answering

DEFAULT = EngineAddress(host=DEFAULT_SOCKET, said_by="")
NAMED = EngineAddress(host="unix:///run/x.sock", said_by="DOCKER_HOST")


def version(number, **more):
    return {"Version": number, "ApiVersion": "1.45", "Components": [{"Name": "Engine"}], **more}


def test_an_engine_that_answers(tmp_path):
    with answering(tmp_path / "s", version("28.5.2")) as host:
        engine = connect(environment={"DOCKER_HOST": host})
        assert engine.server_version == "28.5.2"
        assert engine.cli_env == {"DOCKER_HOST": host}
        assert engine.builder == "default"
        engine.check_alive()
        engine.close()


def test_an_engine_that_went_away(tmp_path):
    with answering(tmp_path / "s", version("28.5.2")) as host:
        engine = connect(environment={"DOCKER_HOST": host})
        (tmp_path / "s").unlink()
        with pytest.raises(EngineDied, match="went away"):
            engine.check_alive()
        engine.close()


@pytest.mark.parametrize("number", ["20.10.24", "25.0.5+dfsg1"])
def test_too_old(tmp_path, number):
    with answering(tmp_path / "s", version(number)) as host, pytest.raises(EngineTooOld, match=number[:5]):
        connect(environment={"DOCKER_HOST": host})


def test_podman_is_named(tmp_path):
    podman = version("4.3.1", Components=[{"Name": "Podman Engine"}])
    with answering(tmp_path / "s", podman) as host:
        engine = connect(environment={"DOCKER_HOST": host})
        assert (engine.is_podman, engine.kind, engine.builder) == (True, "Podman", "podman")
        engine.close()


def test_a_socket_that_is_not_there(tmp_path):
    with pytest.raises(EngineUnreachable, match="no container engine answers") as raised:
        connect(environment={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    problem = raised.value.problems[0]
    assert "the address is from DOCKER_HOST" in problem.because
    assert raised.value.exit_code is ExitCode.SURROUNDINGS


def test_a_file_that_is_no_socket(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineUnreachable):
        connect(environment={"DOCKER_HOST": f"unix://{tmp_path}/file"})


@pytest.mark.parametrize("host", ["nonsense://x", "tcp://127.0.0.1:1", "tcp://x:y:z", "ssh://127.0.0.1"])
def test_addresses_that_lead_nowhere(host):
    with pytest.raises(EngineUnreachable):
        connect(environment={"DOCKER_HOST": host}, probe_timeout=2)


def test_something_else_listens(tmp_path):
    with answering(tmp_path / "s", {"message": "hello"}) as host, pytest.raises(EngineUnreachable):
        connect(environment={"DOCKER_HOST": host})


def test_a_frozen_engine(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with pytest.raises(EngineFrozen, match=r"does not answer within 0\.3 s"):
            connect(environment={"DOCKER_HOST": f"unix://{tmp_path}/s"}, probe_timeout=0.3)


def test_absent_only_where_nobody_named_an_address():
    assert isinstance(explain_connecting(FileNotFoundError(2, "x"), DEFAULT, timeout=1), EngineAbsent)
    assert isinstance(explain_connecting(ConnectionRefusedError(111, "x"), DEFAULT, timeout=1), EngineAbsent)
    assert isinstance(explain_connecting(FileNotFoundError(2, "x"), NAMED, timeout=1), EngineUnreachable)


def test_no_permission_names_the_group():
    for address in (DEFAULT, NAMED):
        error = explain_connecting(PermissionError(13, "Permission denied"), address, timeout=1)
        assert isinstance(error, EngineDenied)
        assert "group docker" in error.problems[0].remedy


def test_causes_are_found_however_deep():
    """requests hides what it was raised from in `args`."""
    denied = PermissionError(13, "Permission denied")
    hidden = ValueError("Error while fetching", ValueError(("Connection aborted.", denied)))
    assert isinstance(explain_connecting(hidden, DEFAULT, timeout=1), EngineDenied)


def test_a_call_that_fails():
    refused = Exception("x")
    refused.status_code, refused.explanation = 500, "bad parameter"
    error = explain_call(refused, NAMED, doing="to tag an image", timeout=1)
    assert isinstance(error, EngineRefused)
    assert "bad parameter (HTTP 500)" in str(error)
    assert isinstance(explain_call(TimeoutError(), NAMED, doing="x", timeout=1), EngineFrozen)
    assert isinstance(
        explain_call(ConnectionResetError(104, "reset"), NAMED, doing="x", timeout=1), EngineDied
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("github.com/docker/buildx v0.29.1 abcdef", (0, 29)),
        ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", (0, 13)),
        ("github.com/docker/buildx v0.0.0+unknown", (0, 0)),
        ("nothing", None),
    ],
)
def test_buildx_versions(text, expected):
    assert parse_buildx_version(text) == expected

import errno
import socket

import pytest
from requests.exceptions import ConnectTimeout, ReadTimeout

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
from cudaforge.engine.locate import DEFAULT_SOCKET, EngineAddress, given_address
from cudaforge.engine.needs import parse_buildx_version
from cudaforge.engine.words import DOCKER, podman_words, words_of
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
    error = explain_call(refused, NAMED, doing="to tag an image", timeout=1, words=DOCKER)
    assert isinstance(error, EngineRefused)
    assert "bad parameter (HTTP 500)" in str(error)
    frozen = explain_call(TimeoutError(), NAMED, doing="x", timeout=1, words=podman_words(is_root=False))
    assert isinstance(frozen, EngineFrozen)
    assert "systemctl --user restart podman" in frozen.problems[0].remedy
    assert isinstance(
        explain_call(ConnectionResetError(104, "reset"), NAMED, doing="x", timeout=1, words=DOCKER),
        EngineDied,
    )


def test_an_address_that_takes_no_connection_is_not_a_frozen_engine():
    address = given_address("tcp://10.0.0.7:2376", said_by="DOCKER_HOST")
    for error in (ConnectTimeout("timed out"), TimeoutError(errno.ETIMEDOUT, "Connection timed out")):
        found = explain_connecting(error, address, timeout=10)
        assert isinstance(found, EngineUnreachable)
        assert found.problems[0].because[-1] == "no connection within 10 s"
        later = explain_call(error, address, doing="x", timeout=60, words=DOCKER)
        assert isinstance(later, EngineDied)
        assert "no connection within 60 s" in later.problems[0].because[-1]
    assert isinstance(explain_connecting(ReadTimeout("timed out"), address, timeout=10), EngineFrozen)


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


PODMANS = EngineAddress(host="unix:///run/user/1000/podman/podman.sock", said_by="DOCKER_HOST")


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(2, "x"), PermissionError(13, "x"), TimeoutError(), ConnectionRefusedError(111, "x")],
)
def test_a_podman_that_does_not_answer_is_mended_in_its_own_words(error):
    remedy = explain_connecting(error, PODMANS, timeout=1).problems[0].remedy
    assert "podman" in remedy
    assert "docker" not in remedy


def test_where_podman_alone_is_installed_its_service_is_to_be_started(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/podman" if name == "podman" else None)
    remedy = explain_connecting(FileNotFoundError(2, "x"), DEFAULT, timeout=1).problems[0].remedy
    assert remedy.startswith("start Podman's service")
    assert "export DOCKER_HOST=unix://" in remedy


def test_the_remedy_corrects_what_gave_the_address():
    def remedy(said_by):
        address = EngineAddress(host="unix:///run/x.sock", said_by=said_by)
        return explain_connecting(FileNotFoundError(2, "x"), address, timeout=1).problems[0].remedy

    assert remedy("DOCKER_HOST").endswith("or correct DOCKER_HOST")
    assert remedy("--builder /run/x.sock").endswith("or correct --builder /run/x.sock")
    assert "docker context use" in remedy("context far")


def test_podmans_words_name_docker_where_podman_reads_dockers_files_alone():
    for is_root in (False, True):
        words = podman_words(is_root=is_root)
        said = {
            name: getattr(words, name) for name in words.__slots__ if isinstance(getattr(words, name), str)
        }
        assert {name for name, text in said.items() if "docker" in text} == {"login"}
    assert words_of(is_podman=False) is DOCKER

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge import process
from cudaforge.engine import EngineUnreachable
from cudaforge.engine.locate import DEFAULT_SOCKET, locate_engine, parse_context


def context(name="default", host=DEFAULT_SOCKET, **more):
    return json.dumps([{"Name": name, "Endpoints": {"docker": {"Host": host}}, "TLSMaterial": {}, **more}])


def test_the_default_context_is_nobody_s_choice():
    address = parse_context(context())
    assert (address.host, address.said_by, address.context) == (DEFAULT_SOCKET, "", "default")
    assert address.is_local


def test_another_context_is_named():
    address = parse_context(context("remote", "tcp://192.0.2.1:2376"))
    assert (address.host, address.said_by, address.context) == (
        "tcp://192.0.2.1:2376",
        "context remote",
        "remote",
    )
    assert not address.is_local
    assert address.socket is None


def test_certificates_of_a_context(tmp_path):
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "ca.pem").write_text("")
    text = context(
        "remote",
        "tcp://192.0.2.1:2376",
        TLSMaterial={"docker": ["ca.pem"]},
        Storage={"TLSPath": str(tmp_path)},
    )
    tls = parse_context(text).tls
    assert tls is not None
    assert (tls.ca, tls.certificate, tls.key, tls.is_verified) == (
        tmp_path / "docker" / "ca.pem",
        None,
        None,
        True,
    )


def test_a_docker_that_is_podmans_program_has_no_contexts(monkeypatch):
    """The package podman-docker; its socket has Docker's name."""
    said = "Emulate Docker CLI using podman.\nError: unrecognized command `podman context inspect`\n"
    answer = process.Completed(argv=(), returncode=125, stdout="", stderr=said)
    monkeypatch.setattr(process, "run", lambda *_, **__: answer)
    address = locate_engine({})
    assert (address.host, address.said_by) == (DEFAULT_SOCKET, "")


def test_docker_host_goes_first():
    address = locate_engine({"DOCKER_HOST": " unix:///run/user/1000/docker.sock "})
    assert (address.host, address.said_by) == ("unix:///run/user/1000/docker.sock", "DOCKER_HOST")
    assert address.tls is None


def test_a_bare_path_is_a_socket():
    assert locate_engine({"DOCKER_HOST": "/run/docker.sock"}).host == "unix:///run/docker.sock"


def test_certificates_of_the_environment(tmp_path):
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    address = locate_engine(
        {"DOCKER_HOST": "tcp://192.0.2.1:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    )
    assert address.tls is not None
    assert address.tls.key == tmp_path / "key.pem"
    assert address.tls.is_verified


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "[null]", '[{"Name": "x"}]', '[{"Name": 1, "Endpoints": 2}]']
)
def test_what_is_no_context(text):
    with pytest.raises(EngineUnreachable, match="context"):
        parse_context(text)


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_json_is_a_context_or_an_error_of_ours(value):
    with contextlib.suppress(EngineUnreachable):
        parse_context(json.dumps(value))

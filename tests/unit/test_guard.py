"""The guard of tests/unit/conftest.py: a unit test that touches the machine fails."""

import os
import socket
import subprocess
import sys

import pytest

from tests.unit.conftest import TouchesTheMachine


def test_programs_are_refused():
    with pytest.raises(TouchesTheMachine):
        subprocess.run(["true"], check=False)
    with pytest.raises(TouchesTheMachine):
        os.system("true")
    with pytest.raises(TouchesTheMachine):
        os.fork()


def test_this_python_is_allowed():
    assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0


def test_other_hosts_are_refused():
    with pytest.raises(TouchesTheMachine):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(TouchesTheMachine):
        socket.getaddrinfo("example.invalid", 80)


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass

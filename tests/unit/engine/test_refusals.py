"""Where an engine refuses a container: at its making, when it is prepared for output, or at its start."""

from typing import NoReturn

import pytest
from docker.errors import APIError
from docker.types import HostConfig

from cudaforge.engine import ContainerSpec
from cudaforge.engine.containers import run

SAID = "setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=9"


class Api:
    """The part of the SDK's client that a refused container comes to; refuses in one place."""

    def __init__(self, place: str) -> None:
        self.removed: list[str] = []
        self._place = place

    def create_host_config(self, **settings: object) -> HostConfig:
        return HostConfig(version="1.41", **settings)

    def create_container(self, **_settings: object) -> dict[str, str]:
        self._pass("create")
        return {"Id": "made"}

    def attach_socket(self, _container: str, params: object) -> NoReturn:
        self._pass("attach")
        raise AssertionError(params)

    def remove_container(self, container: str, **_how: object) -> None:
        self.removed.append(container)

    def _pass(self, place: str) -> None:
        if place == self._place:
            raise APIError("409 Client Error", explanation=SAID)


@pytest.mark.parametrize(("place", "removed"), [("create", []), ("attach", ["made"])])
def test_a_refusal_is_an_outcome_and_leaves_no_container(place: str, removed: list[str]):
    """Podman prepares the container, GPUs and all, when its output is asked for."""
    api = Api(place)
    client = type("Client", (), {"api": api})()
    outcome = run(client, ContainerSpec(image="i", run_id="r"), timeout=1, on_log=None)
    assert (outcome.start_error, outcome.exit_status) == (SAID, None)
    assert api.removed == removed

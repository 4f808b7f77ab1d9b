"""Credentials from Docker's configuration."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.registry import docker_config_path, docker_credentials


class Helpers:
    """Stands for credential helper programs, which unit tests may not start."""

    def __init__(self, answers: dict[tuple[str, str], str | None]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], stdin: str) -> str | None:
        self.asked.append((*argv, stdin))
        return self.answers.get((argv[0], stdin))


def find(
    tmp_path: Path, config: object, host: str, helpers: Helpers | None = None
) -> tuple[str, str, str | None] | None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    found = docker_credentials(path, run_helper=helpers or Helpers({}))(host)
    return (found.username, found.password, found.identity_token) if found else None


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_logins_in_the_file(tmp_path: Path) -> None:
    config = {
        "auths": {
            "https://index.docker.io/v1/": {"auth": encode("hub:pa:ss")},
            "localhost:5000": {"auth": encode("me:x")},
            "https://ghcr.io": {"username": "a", "password": "b"},
            "id.example": {"identitytoken": "t", "auth": encode("u:")},
            "broken.example": {"auth": "%%%"},
            "empty.example": {},
        }
    }
    assert find(tmp_path, config, "docker.io") == ("hub", "pa:ss", None)
    assert find(tmp_path, config, "localhost:5000") == ("me", "x", None)
    assert find(tmp_path, config, "ghcr.io") == ("a", "b", None)
    assert find(tmp_path, config, "id.example") == ("", "", "t")
    for host in ("broken.example", "empty.example", "other.example"):
        assert find(tmp_path, config, host) is None


def test_helpers_come_first(tmp_path: Path) -> None:
    config = {
        "credHelpers": {"gcr.io": "gcloud", "evil.example": "../../bin/sh"},
        "credsStore": "desktop",
        "auths": {"gcr.io": {"auth": encode("file:x")}, "evil.example": {"auth": encode("file:y")}},
    }
    helpers = Helpers(
        {
            ("docker-credential-gcloud", "gcr.io"): '{"Username": "helper", "Secret": "s"}',
            (
                "docker-credential-desktop",
                "https://index.docker.io/v1/",
            ): '{"Username": "<token>", "Secret": "t"}',
            ("docker-credential-desktop", "odd.example"): "not json",
        }
    )
    assert find(tmp_path, config, "gcr.io", helpers) == ("helper", "s", None)
    assert find(tmp_path, config, "docker.io", helpers) == ("", "", "t")
    assert find(tmp_path, config, "odd.example", helpers) is None
    assert find(tmp_path, config, "evil.example", helpers) == ("file", "y", None)
    assert all(call[0].startswith("docker-credential-") and "/" not in call[0] for call in helpers.asked)


def test_no_configuration_means_no_login(tmp_path: Path) -> None:
    for path in (None, tmp_path / "none.json", tmp_path):
        assert docker_credentials(path, run_helper=Helpers({}))("docker.io") is None


@pytest.mark.parametrize("text", ["{", "[]", "1", "[" * 100_000])
def test_a_broken_configuration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(SurroundingsError, match=r"config\.json"):
        docker_credentials(path, run_helper=Helpers({}))("docker.io")


def test_where_the_configuration_is() -> None:
    assert docker_config_path({"DOCKER_CONFIG": "/x"}, Path("/home/me")) == Path("/x/config.json")
    assert docker_config_path({}, Path("/home/me")) == Path("/home/me/.docker/config.json")
    assert docker_config_path({}, None) is None

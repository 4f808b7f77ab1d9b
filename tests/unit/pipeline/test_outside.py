"""What the deciding stages are told of this machine."""

import shutil

import pytest

from cudaforge.packages.site import Site
from cudaforge.pipeline.outside import registry_access


@pytest.mark.parametrize(
    ("installed", "login", "push"),
    [
        (("docker", "podman"), "docker login", "docker push"),
        ((), "docker login", "docker push"),
        # Where cudaforge looks for it.
        (("podman",), "podman login --authfile ~/.docker/config.json", "podman push"),
    ],
)
def test_logins_are_made_by_the_program_that_is_there(
    installed: tuple[str, ...], login: str, push: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in installed else None)
    access = registry_access(Site(named_indexes={}, proxies={}, registries={}, origins={}), timeout=1)
    assert (access.login_command, access.push_command) == (login, push)

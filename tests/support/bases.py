"""Bootstrapped bases for tests, made once per machine and run."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import platformdirs

from cudaforge.bootstrap import BootstrapImage, BootstrapPlan, assemble_bootstrap, plan_bootstrap

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MATRIX = Path(__file__).parents[2] / "matrices" / "os.toml"
PACKAGES: Mapping[str, tuple[str, ...]] = {
    system["codename"]: tuple(system["bootstrap_packages"].split())
    for system in tomllib.loads(_MATRIX.read_text())["systems"]
    if "bootstrap_packages" in system
}
"""What the matrix says a bootstrapped base of each release is made of."""


def cache_for_tests() -> Path:
    """A cache of its own, so that tests neither use nor fill the user's."""
    return platformdirs.user_cache_path("cudaforge-tests")


@lru_cache
def plan_base(codename: str) -> BootstrapPlan:
    return plan_bootstrap(
        codename=codename, architecture="amd64", packages=PACKAGES[codename], cache=cache_for_tests()
    )


def make_base(codename: str) -> BootstrapImage:
    return assemble_bootstrap(plan_base(codename), cache=cache_for_tests())

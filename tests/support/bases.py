"""Bootstrapped bases for tests, made once per machine and run."""

from functools import lru_cache
from pathlib import Path

import platformdirs

from cudaforge.bootstrap import BootstrapImage, BootstrapPlan, assemble_bootstrap, plan_bootstrap

# What Debian marks as essential, apt, Python and what wheels link to.
_COMMON = (
    "apt",
    "base-files",
    "base-passwd",
    "bash",
    "bsdutils",
    "ca-certificates",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "dpkg",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "init-system-helpers",
    "libc-bin",
    "libgomp1",
    "libstdc++6",
    "ncurses-base",
    "ncurses-bin",
    "passwd",
    "perl-base",
    "python3",
    "sed",
    "sysvinit-utils",
    "tar",
    "util-linux",
)
PACKAGES = {"bookworm": (*_COMMON, "login", "usr-is-merged"), "trixie": _COMMON}


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

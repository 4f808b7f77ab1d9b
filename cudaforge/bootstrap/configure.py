"""What the packages' own scripts would have set up.

None of those scripts runs: the result must not depend on the host or on the day. Each function
looks at what the tree holds, so that it serves every release alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.bootstrap.ldcache import add_loader_cache
from cudaforge.bootstrap.tree import Tree

EXCLUDED = {
    "usr/share/doc": ("copyright",),
    "usr/share/info": (),
    "usr/share/lintian": (),
    "usr/share/locale": ("locale.alias",),
    "usr/share/man": (),
}
"""Directories whose contents a container does without, with the file names that stay: licences have to."""

_DEFAULTS = (
    ("usr/share/base-files/profile", "etc/profile"),
    ("usr/share/base-files/dot.profile", "root/.profile"),
    ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
)
_MAIL_GROUP = 8
_SHADOW_GROUP = 42
_DIRECTORIES = (
    *((path, 0o755) for path in ("dev", "etc/opt", "home", "media", "mnt", "opt", "proc", "run")),
    *((path, 0o755) for path in ("srv", "sys", "var/opt")),
    *((f"usr/local/{name}", 0o755) for name in ("bin", "etc", "include", "lib", "sbin", "share/man", "src")),
    # Packages that link to a manual page of theirs fail where its directory is missing.
    *((f"usr/share/man/man{section}", 0o755) for section in range(1, 9)),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("var/tmp", 0o1777),
    ("run/lock", 0o1777),
)
_LINKS = (
    ("usr/local/man", "share/man"),
    ("var/lock", "/run/lock"),
    ("var/run", "/run"),
    ("var/spool/mail", "../mail"),
)
_PAM_KINDS = ("account", "auth", "password", "session")
_APT_USER = "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin"
_APT_CONFIG = """\
// Translations and downloaded packages only make an image larger.
Acquire::Languages "none";
APT::Keep-Downloaded-Packages "false";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
"""
_NO_SERVICES = "#!/bin/sh\n# Nothing starts services in a container that is being built.\nexit 101\n"


def configure(tree: Tree, *, architecture: str) -> None:
    """Bring unpacked packages into the state that their scripts leave behind."""
    _add_skeleton(tree)
    _add_defaults(tree)
    _add_accounts(tree)
    _add_shells(tree)
    _add_certificates(tree)
    _add_pam(tree)
    _add_time_zone(tree)
    _add_package_manager(tree)
    add_loader_cache(tree, architecture=architecture)


def _add_skeleton(tree: Tree) -> None:
    for path, mode in _DIRECTORIES:
        tree.add_directory(path, mode=mode)
    tree.add_directory("var/mail", mode=0o2775, gid=_MAIL_GROUP)
    for path, target in _LINKS:
        tree.add_symlink(path, target)
    for vendor in ("ubuntu", "debian"):
        if f"etc/dpkg/origins/{vendor}" in tree:
            tree.add_symlink("etc/dpkg/origins/default", vendor)
            break


def _add_defaults(tree: Tree) -> None:
    for source, destination in _DEFAULTS:
        content = tree.find_bytes(source)
        if content is not None and destination not in tree:
            tree.add_file(destination, content)


def _add_accounts(tree: Tree) -> None:
    users = _account_lines(tree, "passwd")
    groups = _account_lines(tree, "group")
    if users and not any(user.startswith("_apt:") for user in users):
        users.append(_APT_USER)
    tree.add_file("etc/passwd", _text(_shadowed(user) for user in users))
    tree.add_file("etc/group", _text(_shadowed(group) for group in groups))
    # An empty date of the last change switches ageing off; any other would differ from day to day.
    locked = (f"{user.split(':')[0]}:*::0:99999:7:::" for user in users)
    tree.add_file("etc/shadow", _text(locked), mode=0o640, gid=_SHADOW_GROUP)
    hidden = (f"{group.split(':')[0]}:*::" for group in groups)
    tree.add_file("etc/gshadow", _text(hidden), mode=0o640, gid=_SHADOW_GROUP)
    for name in ("subuid", "subgid"):
        tree.add_file(f"etc/{name}", b"")


def _account_lines(tree: Tree, name: str) -> list[str]:
    return (tree.find_bytes(f"usr/share/base-passwd/{name}.master") or b"").decode().splitlines()


def _shadowed(line: str) -> str:
    name, _, rest = line.split(":", 2)
    return f"{name}:x:{rest}"


def _add_shells(tree: Tree) -> None:
    base = tree.find_bytes("usr/share/debianutils/shells")
    if base is None:
        return
    known = base.decode().splitlines()
    for part in tree.below("usr/share/debianutils/shells.d"):
        for shell in (tree.find_bytes(part) or b"").decode().split():
            known += [path for path in (shell, f"/usr{shell}") if path not in known and tree.has_target(path)]
    tree.add_file("etc/shells", _text(known))


def _add_certificates(tree: Tree) -> None:
    root = "usr/share/ca-certificates"
    certificates = [path for path in tree.below(root) if path.endswith(".crt")]
    if not certificates:
        return
    bundle = b"".join((tree.find_bytes(path) or b"").rstrip(b"\n") + b"\n" for path in certificates)
    tree.add_file("etc/ssl/certs/ca-certificates.crt", bundle)
    names = (path.removeprefix(f"{root}/") for path in certificates)
    tree.add_file("etc/ca-certificates.conf", _text(names))


def _add_pam(tree: Tree) -> None:
    if not any(True for _ in tree.below("etc/pam.d")):
        return
    for kind in _PAM_KINDS:
        tree.add_file(f"etc/pam.d/common-{kind}", f"{kind} required pam_unix.so\n".encode())
    tree.add_file("etc/pam.d/common-session-noninteractive", b"session required pam_unix.so\n")


def _add_time_zone(tree: Tree) -> None:
    if "usr/share/zoneinfo/Etc/UTC" in tree:
        tree.add_symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
        tree.add_file("etc/timezone", b"Etc/UTC\n")


def _add_package_manager(tree: Tree) -> None:
    # This is the name that recipes for cache mounts remove.
    tree.add_file("etc/apt/apt.conf.d/docker-clean", _APT_CONFIG.encode())
    tree.add_file("usr/sbin/policy-rc.d", _NO_SERVICES.encode(), mode=0o755)
    tree.add_file("etc/dpkg/dpkg.cfg.d/docker", dump_exclusions().encode())


def dump_exclusions() -> str:
    """dpkg's configuration for leaving out of later packages what the base leaves out of its own."""
    lines = []
    for directory, kept in EXCLUDED.items():
        lines.append(f"path-exclude=/{directory}/*")
        lines += [f"path-include=/{directory}/*{name}" for name in kept]
    return _text([*lines, "force-unsafe-io"]).decode()


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")

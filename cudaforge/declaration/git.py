"""Packages out of a git repository at one commit: `name @ git+https://host/path@COMMIT#subdirectory=x`."""

from __future__ import annotations

import re
from urllib.parse import unquote

from cudaforge.declaration.kinds import bad
from cudaforge.declaration.text import has_credentials
from cudaforge.display import show

_PREFIX = "git+"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?")
_PATH = re.compile(r"(?:/[A-Za-z0-9_~+][A-Za-z0-9._~+-]*)+/?")
_SUBDIRECTORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
_LOOPBACK = re.compile(r"(?:localhost|127\.0\.0\.1)(?::\d{1,5})?")
_EXAMPLE = '"name @ git+https://host/path@COMMIT", with all 40 digits of the commit'

GIT_SCHEMA = (
    r"[A-Za-z0-9][^@]*@ *git\+(https://|http://(localhost|127\.0\.0\.1)[:/])[^@\s]+"
    r"@[0-9a-f]{40}(#subdirectory=[^\s#]+)?( *;.*)?"
)
"""What an editor can check of such an entry."""


def is_git(url: str) -> bool:
    """Whether the address of a requirement is one of a repository."""
    return url.startswith(_PREFIX)


def check_git_address(text: str, url: str) -> None:
    """Raise BadValue unless the address of the requirement `text` names one commit of a repository that can
    be fetched without a password in it, by https; by http from this machine alone."""
    if has_credentials(text):
        bad(
            f"{show(text)} has a user name or password in its address",
            "leave it out: git's own credential helper, or ~/.netrc, has it",
        )
    if re.search(r"[\s\\%?]", url):
        bad(f"{show(text)} has a character that no address of a repository needs", _EXAMPLE)
    address, _, fragment = url.removeprefix(_PREFIX).partition("#")
    repository, separator, commit = address.rpartition("@")
    if not separator or "/" in commit or not _COMMIT.fullmatch(commit):
        bad(
            f"{show(text)} names no commit, and a branch or tag moves",
            "name@ and all 40 digits of it: git ls-remote URL says which commit a branch or tag is now",
        )
    scheme, _, rest = repository.partition("://")
    host, slash, path = rest.partition("/")
    if scheme == "ssh":
        bad(f"{show(text)}: repositories behind ssh are not supported yet", "git+https://")
    if scheme != "https" and not (scheme == "http" and _LOOPBACK.fullmatch(host)):
        bad(f"{show(text)}: a repository is fetched by https", _EXAMPLE)
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(slash + path):
        bad(f"{show(text)} is no address of a repository", _EXAMPLE)
    if not fragment:
        return
    key, _, directory = fragment.partition("=")
    if key != "subdirectory" or not _SUBDIRECTORY.fullmatch(directory):
        bad(f"{show(text)}: {show('#' + fragment)} is not understood", "#subdirectory=path/in/the/repository")


def git_requirement(name: str, *, url: str, commit: str, subdirectory: str) -> str:
    """The requirement for a repository that the lock of another tool names, not yet checked."""
    fragment = f"#subdirectory={subdirectory}" if subdirectory else ""
    return f"{name} @ {_PREFIX}{url}@{commit}{fragment}"


def read_uv_git(name: str, source: str) -> str:
    """The requirement for `git = "https://host/path?subdirectory=x&rev=v1#COMMIT"` of a uv.lock, not yet
    checked."""
    repository, _, commit = source.partition("#")
    address, _, query = repository.partition("?")
    settings = dict(one.partition("=")[::2] for one in query.split("&"))
    return git_requirement(
        name, url=address, commit=commit, subdirectory=unquote(settings.get("subdirectory", ""))
    )

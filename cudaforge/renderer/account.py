"""The account that an image runs as."""

from __future__ import annotations

import re

from cudaforge.records import record

DEFAULT_UID = "1000"
MAXIMUM_ID = 2**32 - 2
_NAME = "[a-z_][a-z0-9_-]{0,31}"
_NUMBER = "[0-9]{1,10}"
_USER = re.compile(
    rf"(?:(?P<name>{_NAME})|(?P<uid>{_NUMBER}))(?::(?:(?P<group>{_NAME})|(?P<gid>{_NUMBER})))?"
)


@record()
class Account:
    """An account that the image must have. One that the base brings under that name or uid is kept."""

    name: str
    uid: str
    gid: str
    owner: str
    """What `chown` takes."""
    known_by: str
    """Regular expression for the beginning of its line in /etc/passwd."""
    takes_over: bool
    """Whether another account with its uid gives way."""
    renames_group: bool
    """Whether an existing group with its gid takes its name."""


def is_user(text: str) -> bool:
    """Whether the text names a user as images may: `name`, `1234`, `name:group`, `1234:1234`."""
    match = _USER.fullmatch(text)
    return match is not None and all(int(match[part] or 0) <= MAXIMUM_ID for part in ("uid", "gid"))


def find_account(user: str) -> Account | None:
    """The account behind a user that `is_user` accepts. None for root, whom every image has."""
    match = _USER.fullmatch(user)
    if match is None:
        raise ValueError(f"{user!r} is not a user")
    name = match["name"]
    uid = _canonical(match["uid"]) or DEFAULT_UID
    if name == "root" or uid == "0":
        return None
    gid = _canonical(match["gid"]) or uid
    group = match["group"] or match["gid"]
    if name is None:
        owner, known_by = f"{uid}:{group or uid}", f"[^:]*:[^:]*:{uid}"
    else:
        # `app:` is the account's own group, whatever that is in this base.
        owner, known_by = f"{name}:{group or ''}", name
    return Account(
        name=name or f"user{uid}",
        uid=uid,
        gid=gid,
        owner=owner,
        known_by=known_by,
        takes_over=name is not None,
        renames_group=name is not None and group is None,
    )


def _canonical(number: str | None) -> str | None:
    return number and str(int(number))

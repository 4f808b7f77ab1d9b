"""What a failed push means, and whether another try may help.

The rows are tried from the top. The words are those of `docker push`: of containerd's pusher ("unexpected
status from PUT request to ...: 503 Service Unavailable") and of the older one ("received unexpected HTTP
status: 503 Service Unavailable", "toomanyrequests: ...").
"""

from __future__ import annotations

import re
from enum import Enum

from cudaforge.records import record


class TroubleKind(str, Enum):
    """Why a push failed."""

    LOGIN = "login"
    RIGHTS = "rights"
    ABSENT = "absent"
    TLS = "tls"
    DISK = "disk"
    REFUSED = "refused"
    """The registry takes no such thing."""
    LIMIT = "limit"
    """Too many requests: worth another try, at the time that the registry names."""
    PASSING = "passing"
    """The registry failed or went away: worth another try."""
    UNKNOWN = "unknown"

    @property
    def may_pass(self) -> bool:
        """Whether the same push may succeed a little later."""
        return self in {TroubleKind.LIMIT, TroubleKind.PASSING}


@record()
class Trouble:
    """A failed push in words. `{host}` stands for the registry."""

    kind: TroubleKind
    reason: str
    remedy: str


_PASSING = (
    r"\b50[0234]\b|connection reset|broken pipe|connection refused|\beof\b|i/o timeout|timeout exceeded"
    r"|no route to host|server closed|closed network connection|handshake timeout|temporary failure"
    # The upload's state went with the registry that was restarted.
    r"|blob[ _]upload[ _](?:unknown|invalid)"
)
_ROWS: tuple[tuple[str, Trouble], ...] = (
    (
        r"http response to https client",
        Trouble(
            kind=TroubleKind.TLS,
            reason="{host} speaks no TLS, and the engine asks for it",
            remedy="serve {host} over TLS, or name it under {words.insecure}",
        ),
    ),
    (
        r"x509|certificate|tls: ",
        Trouble(
            kind=TroubleKind.TLS,
            reason="the engine does not trust the certificate of {host}",
            remedy="give the engine the registry's CA: {words.certificates}/{host}/ca.crt",
        ),
    ),
    (
        # The last is ENOSPC as docker-registry tells it.
        r"no space left on device|disk quota exceeded|insufficient storage|\b507\b|\"err\": ?28\b",
        Trouble(
            kind=TroubleKind.DISK,
            reason="a disk is full: the engine's, or that of {host}",
            remedy="free some space there (here: {words.usage}), then repeat the command",
        ),
    ),
    (
        r"\b401\b|unauthorized|authentication required|no basic auth|incorrect username or password",
        Trouble(
            kind=TroubleKind.LOGIN,
            reason="{host} does not accept the login, or wants one",
            remedy="{words.login} {host}",
        ),
    ),
    (
        r"\b403\b|forbidden|access to the resource is denied|insufficient_scope|\bdenied\b",
        Trouble(
            kind=TroubleKind.RIGHTS,
            reason="{host} does not allow this login to write there",
            remedy="ask for the right, or {words.login} {host} as another user",
        ),
    ),
    (
        r"\b429\b|too ?many ?requests",
        Trouble(
            kind=TroubleKind.LIMIT,
            reason="{host} has had too many requests from here",
            remedy="wait, then repeat the command: what was pushed is kept",
        ),
    ),
    (
        _PASSING,
        Trouble(
            kind=TroubleKind.PASSING,
            reason="{host} failed or went away during the push",
            remedy="see whether the registry is up, then repeat the command: what was pushed is kept",
        ),
    ),
    (
        r"\b404\b|name unknown|repository .* not found|not found",
        Trouble(
            kind=TroubleKind.ABSENT,
            reason="{host} has no such repository, or is no registry",
            remedy="create the repository, or correct [project] registry or --tag",
        ),
    ),
    (
        r"no such host|server misbehaving|name resolution",
        Trouble(
            kind=TroubleKind.ABSENT,
            reason="the name {host} cannot be found",
            remedy="correct [project] registry or --tag, or see whether the network is up",
        ),
    ),
    (
        r"\b40[059]\b|\b413\b|\b415\b|invalid|unsupported|immutable",
        Trouble(
            kind=TroubleKind.REFUSED,
            reason="{host} refuses the image",
            remedy="see what it says of the repository: immutable tags, quotas, kinds of manifests",
        ),
    ),
)
_UNKNOWN = Trouble(
    kind=TroubleKind.UNKNOWN,
    reason="the push to {host} failed",
    remedy="see whether {words.push} works there",
)
_URL = re.compile(r'"?[a-z]+://[^\s"]+"?:?', re.IGNORECASE)


def classify_push(said: str, *, reference: str) -> Trouble:
    """What `docker push` means by its words; addresses and the reference in them decide nothing."""
    bare = _URL.sub(" ", said.replace(reference, " "))
    repository = reference.rpartition(":")[0]
    bare = bare.replace(repository, " ")
    for pattern, trouble in _ROWS:
        if re.search(pattern, bare, re.IGNORECASE):
            return trouble
    return _UNKNOWN


def last_words(said: str) -> str:
    """The line that tells why, without what an address may hide: user, password, query."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    line = re.sub(r"(?<=://)[^/\s@\"]*@", "", line)
    return re.sub(r"\?[^\s\"]*", "", line)[:400]

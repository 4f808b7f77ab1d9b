"""What failed pushes mean, and how patiently they are repeated."""

from collections.abc import Iterator

import pytest

from cudaforge.process import Completed
from cudaforge.publisher.push import Patience, PushFailed, push_patiently
from cudaforge.publisher.troubles import TroubleKind, classify_push, last_words
from cudaforge.registry import Access
from tests.unit.registry.server import Exchange, Server, serving

REFERENCE = "localhost:5043/denied/x-404:1"
PUT = "unexpected status from PUT request to http://localhost:5043/v2/denied/x-404/blobs/uploads/401"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (f"{PUT}: 503 Service Unavailable", TroubleKind.PASSING),
        ("received unexpected HTTP status: 500 Internal Server Error", TroubleKind.PASSING),
        ('failed to do request: Put "http://localhost:5043/v2/x": EOF', TroubleKind.PASSING),
        ("dial tcp 127.0.0.1:5043: connect: connection refused", TroubleKind.PASSING),
        ("write tcp 1.2.3.4:1->5.6.7.8:443: write: connection reset by peer", TroubleKind.PASSING),
        ("net/http: TLS handshake timeout", TroubleKind.PASSING),
        (f"{PUT}: 429 Too Many Requests", TroubleKind.LIMIT),
        ("toomanyrequests: Rate exceeded", TroubleKind.LIMIT),
        ("no basic auth credentials", TroubleKind.LOGIN),
        ("unauthorized: authentication required", TroubleKind.LOGIN),
        ("failed to authorize: failed to fetch oauth token: 401 Unauthorized", TroubleKind.LOGIN),
        ("denied: requested access to the resource is denied", TroubleKind.RIGHTS),
        (
            "unexpected status from HEAD request to http://localhost:5043/v2/x: 403 Forbidden",
            TroubleKind.RIGHTS,
        ),
        ("name unknown: repository x not found", TroubleKind.ABSENT),
        ("dial tcp: lookup registry.invalid: no such host", TroubleKind.ABSENT),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", TroubleKind.TLS),
        ("http: server gave HTTP response to HTTPS client", TroubleKind.TLS),
        ("write /var/lib/x: no space left on device", TroubleKind.DISK),
        ('{"errors":[{"detail":{"Enclosed":{"Op":"mkdir","Err":28}}}]}', TroubleKind.DISK),
        ("manifest invalid: tag is immutable", TroubleKind.REFUSED),
        ("something else", TroubleKind.UNKNOWN),
        # Neither an address nor a name decides.
        (f"{REFERENCE}: nothing known", TroubleKind.UNKNOWN),
    ],
)
def test_what_a_failed_push_means(said: str, kind: TroubleKind):
    assert classify_push(said, reference=REFERENCE).kind is kind


def test_a_registry_without_tls_has_no_certificate_to_trust():
    trouble = classify_push("http: server gave HTTP response to HTTPS client", reference=REFERENCE)
    assert "speaks no TLS" in trouble.reason
    assert "insecure" in trouble.remedy


def test_what_is_shown_of_a_failure_has_no_secret():
    said = 'first\nPut "https://user:secret@host/v2/x?_state=token&digest=y": EOF\n'
    shown = last_words(said)
    assert "secret" not in shown
    assert "token" not in shown
    assert "EOF" in shown


class Pushes:
    """Pushes that end as they are told to."""

    def __init__(self, *ends: str) -> None:
        self._ends: Iterator[str] = iter(ends)
        self.slept: list[float] = []
        self.notes: list[str] = []
        self.count = 0

    def once(self) -> Completed:
        self.count += 1
        said = next(self._ends)
        return Completed(
            argv=(), returncode=1 if said else 0, stdout="pushed" if not said else "", stderr=said
        )

    def run(self, reference: str = REFERENCE) -> str:
        patience = Patience(sleep=self.slept.append, on_note=self.notes.append)
        return push_patiently(self.once, reference, Access(mirrors={}, timeout=5), patience=patience)


def test_passing_trouble_is_tried_again_with_growing_pauses():
    pushes = Pushes("503 x", "connection reset by peer", "EOF", "")
    assert pushes.run() == "pushed"
    assert pushes.slept == [1, 2, 4]
    assert pushes.notes[0].endswith("try 2 of 5 in 1 s")


def test_the_last_try_is_the_end():
    pushes = Pushes(*["502 Bad Gateway"] * 9)
    with pytest.raises(PushFailed) as caught:
        pushes.run()
    assert pushes.count == 5
    assert pushes.slept == [1, 2, 4, 8]
    (problem,) = caught.value.problems
    assert caught.value.exit_code == 3
    assert "after 5 tries" in problem.because


@pytest.mark.parametrize("said", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "x509: bad"])
def test_what_does_not_pass_is_tried_once(said: str):
    pushes = Pushes(said, "")
    with pytest.raises(PushFailed):
        pushes.run()
    assert (pushes.count, pushes.slept) == (1, [])


@pytest.fixture
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def limited(retry_after: str):
    def answer(exchange: Exchange) -> None:
        exchange.send(429, Retry_After=retry_after)

    return serving(answer)


def reference_at(server: Server) -> str:
    return f"{server.host}/team/app:1"


@pytest.mark.usefixtures("_no_proxy")
def test_the_registry_says_how_long_to_wait():
    with limited("37") as server:
        pushes = Pushes("429 Too Many Requests", "")
        assert pushes.run(reference_at(server)) == "pushed"
        assert pushes.slept == [37]


@pytest.mark.usefixtures("_no_proxy")
def test_who_asks_for_an_hour_is_not_waited_for():
    with limited("3600") as server:
        pushes = Pushes("429 Too Many Requests", "")
        with pytest.raises(PushFailed) as caught:
            pushes.run(reference_at(server))
    assert pushes.slept == []
    assert "it asks for a pause of 3600 s" in caught.value.problems[0].because


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize("told", ["soon", "-1", "99999999999"])
def test_a_pause_that_is_no_number_is_ours(told: str):
    with limited(told) as server:
        pushes = Pushes("429 Too Many Requests", "")
        assert pushes.run(reference_at(server)) == "pushed"
        assert pushes.slept == [1]


@pytest.mark.usefixtures("_no_proxy")
def test_a_registry_with_a_full_disk_is_not_asked_again():
    body = b'{"errors":[{"code":"UNKNOWN","detail":{"Enclosed":{"Op":"mkdir","Err":28}}}]}'
    with serving(lambda exchange: exchange.send(500, body)) as server:
        pushes = Pushes("unexpected status: 500 Internal Server Error", "")
        with pytest.raises(PushFailed) as caught:
            pushes.run(reference_at(server))
    assert caught.value.kind is TroubleKind.DISK
    assert pushes.count == 1

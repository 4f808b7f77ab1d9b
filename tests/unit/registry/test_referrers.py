"""Attaching to an image: registries that know referrers, and those where a tag lists them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from cudaforge.errors import NegativeAnswer
from cudaforge.registry import Access, Credentials, Subject, attach, find_subject
from cudaforge.registry.session import RegistryRefused
from tests.unit.registry.server import OCI_INDEX, OCI_MANIFEST, Exchange, Server, digest_of, serving

CONFIG = digest_of(b"config")
MANIFEST = json.dumps({"schemaVersion": 2, "config": {"digest": CONFIG}, "layers": []}).encode()
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "manifests": [
            {"digest": digest_of(MANIFEST), "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": digest_of(b"x"), "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
        ],
    }
).encode()
SUBJECT = Subject(digest=digest_of(MANIFEST), media_type=OCI_MANIFEST, size=len(MANIFEST))
TYPE = "application/vnd.in-toto+json"


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Registry:
    """Takes what is pushed, as the distribution specification says."""

    def __init__(self, *, knows_referrers: bool, wants_login: bool = False) -> None:
        self.knows_referrers = knows_referrers
        self.wants_login = wants_login
        self.blobs: dict[str, bytes] = {}
        self.manifests = {
            "1": (OCI_INDEX, INDEX),
            "single": (OCI_MANIFEST, MANIFEST),
            digest_of(MANIFEST): (OCI_MANIFEST, MANIFEST),
        }
        self.refuses = 0

    def answer(self, exchange: Exchange) -> None:
        if self.wants_login and not exchange.headers.get("Authorization"):
            exchange.send(401, WWW_Authenticate='Basic realm="x"')
            return
        if self.refuses:
            exchange.send(self.refuses)
            return
        self._answer(exchange)

    def _answer(self, exchange: Exchange) -> None:
        parts = urlsplit(exchange.path)
        kind, _, target = parts.path.removeprefix("/v2/team/app/").partition("/")
        match exchange.command, kind:
            case "HEAD", "blobs":
                exchange.send(200 if target in self.blobs else 404)
            case "GET", "blobs" if target in self.blobs:
                exchange.send(200, self.blobs[target])
            case "GET", "referrers" if self.knows_referrers:
                exchange.send(200, self._referrers(target), Content_Type=OCI_INDEX)
            case "POST", "blobs":
                exchange.send(202, Location="/v2/team/app/blobs/uploads/u1?state=s")
            case "PUT", "blobs":
                digest = parse_qs(parts.query)["digest"][0]
                body = exchange.form.encode()
                is_right = digest == f"sha256:{hashlib.sha256(body).hexdigest()}" and "state=s" in parts.query
                if is_right:
                    self.blobs[digest] = body
                exchange.send(201 if is_right else 400)
            case "PUT", "manifests":
                self._put(exchange, target)
            case _, "manifests" if target in self.manifests:
                media_type, body = self.manifests[target]
                exchange.send(200, body, Content_Type=media_type, Docker_Content_Digest=digest_of(body))
            case _:
                exchange.send(404)

    def _referrers(self, subject: str) -> bytes:
        found = []
        for target, (media_type, body) in self.manifests.items():
            values = json.loads(body)
            if values.get("subject", {}).get("digest") == subject:
                kept = {name: values[name] for name in ("artifactType", "annotations")}
                found.append({"mediaType": media_type, "digest": target, "size": len(body), **kept})
        return json.dumps({"schemaVersion": 2, "manifests": found}).encode()

    def _put(self, exchange: Exchange, target: str) -> None:
        body = exchange.form.encode()
        listed = json.loads(body).get("manifests", ()) if target.startswith("sha256-") else ()
        if any(one["digest"] not in self.manifests for one in listed):
            exchange.send(400)  # MANIFEST_BLOB_UNKNOWN
            return
        self.manifests[target] = (exchange.headers["Content-Type"], body)
        named = json.loads(body).get("subject")
        if named and self.knows_referrers:
            exchange.send(201, OCI_Subject=named["digest"])
        else:
            exchange.send(201)


def access(login: Credentials | None = None) -> Access:
    return Access(mirrors={}, timeout=10, credentials=lambda _: login)


@pytest.fixture(params=[True, False], ids=["referrers", "tags"])
def registry(request: pytest.FixtureRequest) -> Registry:
    return Registry(knows_referrers=request.param)


@pytest.fixture
def server(registry: Registry) -> Iterator[Server]:
    with serving(registry.answer) as running:
        yield running


def push(server: Server, content: bytes, login: Credentials | None = None):
    return attach(
        f"{server.host}/team/app:1",
        access(login),
        subject=SUBJECT,
        media_type=TYPE,
        content=content,
        annotations={"a": "b"},
    )


def test_an_artifact_that_refers_to_its_image(registry: Registry, server: Server) -> None:
    done = push(server, b"statement")
    media_type, body = registry.manifests[done.digest]
    manifest = json.loads(body)
    assert media_type == OCI_MANIFEST
    assert digest_of(body) == done.digest
    assert manifest["artifactType"] == TYPE
    assert manifest["subject"] == {
        "mediaType": OCI_MANIFEST,
        "digest": digest_of(MANIFEST),
        "size": len(MANIFEST),
    }
    assert registry.blobs[manifest["layers"][0]["digest"]] == b"statement"
    assert registry.blobs[manifest["config"]["digest"]] == b"{}"
    assert done.by_tag is not registry.knows_referrers
    tag = digest_of(MANIFEST).replace(":", "-")
    assert (tag in registry.manifests) is done.by_tag


def test_a_tag_lists_each_artifact_once(server: Server, registry: Registry) -> None:
    first, again, second = push(server, b"one"), push(server, b"one"), push(server, b"two")
    assert first == again
    if not first.by_tag:
        return
    media_type, body = registry.manifests[digest_of(MANIFEST).replace(":", "-")]
    assert media_type == OCI_INDEX
    listed = json.loads(body)["manifests"]
    assert [one["digest"] for one in listed] == [first.digest, second.digest]
    assert {one["artifactType"] for one in listed} == {TYPE}
    assert listed[0]["annotations"] == {"a": "b"}


def test_a_list_is_written_without_what_the_registry_has_no_longer(
    server: Server, registry: Registry
) -> None:
    first, second = push(server, b"one"), push(server, b"two")
    del registry.manifests[first.digest]
    third = push(server, b"three")
    assert third.digest in registry.manifests
    if third.by_tag:
        _, body = registry.manifests[digest_of(MANIFEST).replace(":", "-")]
        assert [one["digest"] for one in json.loads(body)["manifests"]] == [second.digest, third.digest]


@pytest.mark.parametrize(
    ("tag", "image_id", "expected"),
    [
        ("1", digest_of(INDEX), digest_of(INDEX)),
        ("1", digest_of(MANIFEST), digest_of(MANIFEST)),
        ("1", CONFIG, digest_of(MANIFEST)),
        ("single", CONFIG, digest_of(MANIFEST)),
    ],
    ids=["index", "manifest in an index", "configuration", "configuration of a manifest"],
)
def test_the_image_is_known_by_whatever_its_engine_calls_it(
    server: Server, tag: str, image_id: str, expected: str
) -> None:
    found = find_subject(f"{server.host}/team/app:{tag}", access(), image_id=image_id)
    assert found.digest == expected


def test_another_image_under_the_tag_gets_nothing(server: Server) -> None:
    with pytest.raises(NegativeAnswer, match="another image than the one that was verified"):
        find_subject(f"{server.host}/team/app:1", access(), image_id=digest_of(b"other"))
    with pytest.raises(NegativeAnswer):
        find_subject(f"{server.host}/team/app:gone", access(), image_id=CONFIG)


def test_a_login_is_sent_where_it_is_wanted() -> None:
    registry = Registry(knows_referrers=True, wants_login=True)
    with serving(registry.answer) as server:
        push(server, b"statement", Credentials(username="ada", password="secret"))
        assert len(registry.blobs) == 2
        with pytest.raises(RegistryRefused, match="wants a login"):
            push(server, b"other")


def test_a_registry_that_may_only_be_read(registry: Registry, server: Server) -> None:
    registry.refuses = 403
    with pytest.raises(RegistryRefused, match="does not allow to write to") as caught:
        push(server, b"statement")
    assert "docker push" in (caught.value.problems[0].remedy or "")

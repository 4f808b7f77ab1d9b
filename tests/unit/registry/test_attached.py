# ruff: noqa: F811 -- fixtures are another module's
"""What is attached to an image, read back; indexes of several platforms; a registry with a certificate."""

import json

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.errors import CudaforgeError
from cudaforge.records import replace
from cudaforge.registry import (
    Access,
    Member,
    Subject,
    find_member,
    list_attached,
    push_index,
    read_attached,
    resolve_digest,
    upload_refusal,
)
from cudaforge.registry.session import RegistryRefused
from tests.unit.registry.server import (
    CERTIFICATE,
    OCI_INDEX,
    OCI_MANIFEST,
    Exchange,
    Server,
    digest_of,
    manifests,
    serving,
)
from tests.unit.registry.test_referrers import (  # noqa: F401 -- fixtures
    MANIFEST,
    TYPE,
    Registry,
    _no_proxy_of_this_machine,
    access,
    push,
    registry,
    server,
)


def test_what_was_attached_is_read_by_tag_and_by_digest(server: Server):
    first, second = push(server, b"one"), push(server, b"two")
    for name in (":1", ":single", f"@{digest_of(MANIFEST)}"):
        reference = f"{server.host}/team/app{name}"
        found = list_attached(reference, access())
        assert [one.digest for one in found] == [first.digest, second.digest]
        assert {one.artifact_type for one in found} == {TYPE}
        read = [read_attached(reference, access(), one) for one in found]
        assert [one.content for one in read] == [b"one", b"two"]
        assert read[0].referrer.annotations == {"a": "b"}


@pytest.mark.parametrize("registry", [False], indirect=True, ids=["tags"])
def test_what_is_listed_and_gone_hides_nothing_else(server: Server, registry: Registry, capsys):
    """As after a registry has cleared away what has no tag."""
    first, second = push(server, b"one"), push(server, b"two")
    del registry.manifests[first.digest]
    assert run_command_line(["report", "--attached", f"{server.host}/team/app:1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["attached"]
    assert [(one["digest"], one["gone"]) for one in found] == [(first.digest, True), (second.digest, False)]
    assert run_command_line(["report", "--attached", f"{server.host}/team/app:1"]) == 1
    assert "not there any more" in capsys.readouterr().out


def test_nothing_is_attached(server: Server):
    assert list_attached(f"{server.host}/team/app:1", access()) == ()


def test_content_that_is_not_what_its_digest_says(server: Server, registry: Registry):
    push(server, b"one")
    reference = f"{server.host}/team/app:single"
    (found,) = list_attached(reference, access())
    registry.blobs[digest_of(b"one")] = b"another"
    with pytest.raises(RegistryRefused, match="does not match the digest"):
        read_attached(reference, access(), found)


def test_what_refers_to_another_image_is_not_taken_for_this_one_s(server: Server):
    push(server, b"one")
    reference = f"{server.host}/team/app:single"
    (found,) = list_attached(reference, access())
    with pytest.raises(RegistryRefused, match="refers to another image"):
        read_attached(reference, access(), replace(found, subject="sha256:" + "0" * 64))


def member(platform: str) -> Member:
    body = platform.encode()
    return Member(
        platform=platform, subject=Subject(digest=digest_of(body), media_type=OCI_MANIFEST, size=len(body))
    )


def test_an_index_is_the_same_in_whatever_order(server: Server, registry: Registry):
    both = [member("linux/arm64/v8"), member("linux/amd64")]
    first = push_index(f"{server.host}/team/app:both", access(), both)
    again = push_index(f"{server.host}/team/app:both", access(), both[::-1])
    assert first == again
    media_type, body = registry.manifests["both"]
    assert (media_type, digest_of(body)) == (OCI_INDEX, first.digest)
    assert [one["platform"] for one in json.loads(body)["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]


def labelled(value: str):
    config = json.dumps(
        {"os": "linux", "architecture": "arm64", "config": {"Labels": {"entry": value}}}
    ).encode()
    body = json.dumps({"schemaVersion": 2, "config": {"digest": digest_of(config)}, "layers": []}).encode()
    known = manifests({"team/app:arm": (OCI_MANIFEST, body)})

    def answer(exchange: Exchange) -> None:
        if exchange.path.endswith(f"/blobs/{digest_of(config)}"):
            exchange.send(200, config)
        else:
            known(exchange)

    return answer, digest_of(body)


def test_a_member_is_the_image_of_that_label_alone():
    answer, digest = labelled("this")
    with serving(answer) as running:
        reference = f"{running.host}/team/app:arm"
        found = find_member(reference, access(), label="entry", value="this")
        assert found is not None
        assert (found.platform, found.subject.digest) == ("linux/arm64", digest)
        assert find_member(reference, access(), label="entry", value="other") is None
        assert find_member(f"{running.host}/team/app:x", access(), label="entry", value="this") is None


def test_a_registry_on_this_machine_may_have_a_certificate():
    """It answers to plain HTTP as Go's server does, and is asked by TLS then: its certificate counts."""
    body = b'{"schemaVersion": 2, "config": {}, "layers": []}'
    with serving(manifests({"team/app:1": (OCI_MANIFEST, body)}), tls=True) as secure:

        def redirecting(exchange: Exchange) -> None:
            exchange.send(400, b"Client sent an HTTP request to an HTTPS server.\n")

        with serving(redirecting) as plain, pytest.raises(CudaforgeError):
            # Asked by TLS from then on: the port of this server has none.
            resolve_digest(f"{plain.host}/team/app:1", access())
        assert {kind for kind, *_ in plain.asked} == {"HEAD", "GET"}
        trusting = Access(mirrors={}, timeout=10, ca_bundle=CERTIFICATE)
        from cudaforge.references import parse_reference
        from cudaforge.registry.session import Session

        session = Session(parse_reference(f"{secure.host}/team/app:1"), trusting)
        session.base = f"https{session.base.removeprefix('http')}"
        url = f"http://{secure.host}/v2/team/app/manifests/1"
        assert session.ask("GET", url, accept=OCI_MANIFEST, target="1").body == body


def test_what_a_registry_says_of_an_upload_that_it_refuses():
    with serving(lambda exchange: exchange.send(500, b'{"Err":28}')) as running:
        assert upload_refusal(f"{running.host}/team/app:1", access()) == '{"Err":28}'
    with serving(lambda exchange: exchange.send(403, b"no")) as running:
        assert upload_refusal(f"{running.host}/team/app:1", access()) == ""

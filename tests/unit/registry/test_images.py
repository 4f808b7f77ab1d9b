"""What images say of themselves, asked of a real server on this machine.

The documents follow the OCI image specification (index, manifest, config); the environment is that of
nvidia/cuda, as its public Dockerfiles set it.
"""

from __future__ import annotations

import json

import pytest

from cudaforge.errors import NegativeAnswer, SurroundingsError
from cudaforge.registry import Access, read_image
from tests.unit.registry.server import OCI_INDEX, OCI_MANIFEST, Exchange, digest_of, serving

ENV = [
    "PATH=/usr/local/cuda/bin:/usr/bin",
    "NVIDIA_REQUIRE_CUDA=cuda>=12.9 brand=tesla,driver>=535,driver<536",
    "NV_CUDNN_VERSION=9.10.2.21-1",
]


def documents(platforms=("linux/amd64", "linux/arm64")) -> dict[str, tuple[str, bytes]]:
    """The paths of one image of several platforms, with their answers."""
    answers: dict[str, tuple[str, bytes]] = {}
    entries = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest_of(b"attestation"),
            "platform": {"os": "unknown", "architecture": "unknown"},
        }
    ]
    for name in platforms:
        system, machine = name.split("/")
        config = {
            "architecture": machine,
            "os": system,
            "created": "2025-07-01T00:00:00Z",
            "config": {"Env": ENV, "Labels": {"maintainer": "NVIDIA"}},
        }
        blob = json.dumps(config).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "config": {"digest": digest_of(blob), "size": len(blob)},
                "layers": [{"digest": digest_of(b"1"), "size": 30}, {"digest": digest_of(b"2"), "size": 12}],
            }
        ).encode()
        answers[f"blobs/{digest_of(blob)}"] = ("application/octet-stream", blob)
        answers[f"manifests/{digest_of(manifest)}"] = (OCI_MANIFEST, manifest)
        entries.append({"digest": digest_of(manifest), "platform": {"os": system, "architecture": machine}})
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    answers["manifests/12.9.1-base-ubuntu24.04"] = (OCI_INDEX, index)
    return answers


def image_server(answers: dict[str, tuple[str, bytes]]):
    def answer(exchange: Exchange) -> None:
        found = answers.get(exchange.path.removeprefix("/v2/nvidia/cuda/"))
        if found is None:
            exchange.send(404)
        else:
            exchange.send(200, found[1], Content_Type=found[0])

    return serving(answer)


def read(host: str, **options):
    access = Access(mirrors={}, timeout=5)
    return read_image(f"{host}/nvidia/cuda:12.9.1-base-ubuntu24.04", access, **options)


def test_platforms_environment_and_size_are_read():
    with image_server(documents()) as server:
        amd, arm = read(server.host)
    assert (amd.platform, arm.platform) == ("linux/amd64", "linux/arm64")
    assert amd.env["NV_CUDNN_VERSION"] == "9.10.2.21-1"
    assert amd.env["NVIDIA_REQUIRE_CUDA"].startswith("cuda>=12.9 brand=tesla")
    assert amd.labels == {"maintainer": "NVIDIA"}
    assert (amd.size, amd.created) == (42, "2025-07-01T00:00:00Z")


def test_only_the_platforms_asked_for_are_read():
    with image_server(documents()) as server:
        (arm,) = read(server.host, platforms=("linux/arm64",))
    assert arm.platform == "linux/arm64"
    assert len(server.asked) == 3


def test_an_image_without_an_index_says_its_platform_itself():
    answers = documents(("linux/amd64",))
    (path,) = (path for path, (kind, _) in answers.items() if kind == OCI_MANIFEST)
    answers["manifests/12.9.1-base-ubuntu24.04"] = answers[path]
    with image_server(answers) as server:
        (found,) = read(server.host)
    assert (found.platform, found.size) == ("linux/amd64", 42)


@pytest.mark.parametrize("kind", ["blobs/", "manifests/sha256"])
def test_content_that_is_not_what_its_digest_says_is_refused(kind):
    answers = documents(("linux/amd64",))
    (path,) = (path for path in answers if path.startswith(kind))
    media_type, body = answers[path]
    answers[path] = (media_type, body + b" ")
    with image_server(answers) as server, pytest.raises(SurroundingsError, match="does not match the digest"):
        read(server.host)


def test_an_image_that_is_gone_is_the_answer_no():
    with image_server({}) as server, pytest.raises(NegativeAnswer):
        read(server.host)


@pytest.mark.parametrize("body", [b"{}", b'{"config": {"digest": "sha256:../../x"}}', b"[]", b"nonsense"])
def test_a_manifest_without_a_configuration_is_told(body):
    answers = {"manifests/12.9.1-base-ubuntu24.04": (OCI_MANIFEST, body)}
    with image_server(answers) as server, pytest.raises(SurroundingsError, match="answered with"):
        read(server.host)


def test_odd_configurations_are_read_as_far_as_they_make_sense():
    blob = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Env": [3, "A=b", "C"]}}).encode()
    manifest = json.dumps({"config": {"digest": digest_of(blob)}, "layers": "none"}).encode()
    answers = {
        "manifests/12.9.1-base-ubuntu24.04": (OCI_MANIFEST, manifest),
        f"blobs/{digest_of(blob)}": ("application/octet-stream", blob),
    }
    with image_server(answers) as server:
        (found,) = read(server.host)
    assert (found.env, found.labels, found.size, found.created) == ({"A": "b", "C": ""}, {}, None, None)

"""Attestations at an image in a real registry, under whatever id the engine knows the image by."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.engine import connect
from cudaforge.errors import NegativeAnswer
from cudaforge.pipeline import decide, reporting
from cudaforge.records import replace
from cudaforge.report.evidence import Proof
from cudaforge.verifier.model import CheckResult, CheckState, Tier, Verdict

pytestmark = pytest.mark.engine

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
VERDICT = Verdict(
    name="train",
    reference="",
    image_id="",
    lock_digest="sha256:" + "b" * 64,
    ok=True,
    summary="trained on CPU",
    checks=(
        CheckResult(id="entry", title="Entry", tier=Tier.STATIC, state=CheckState.PASS, detail="as locked"),
    ),
    facts={},
    seconds=1.0,
)


def docker(*words: str | Path) -> str:
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def fetch(registry: str, path: str, accept: str) -> dict:
    request = urllib.request.Request(f"http://{registry}/v2/test-attach/{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@pytest.fixture(params=["--provenance=false", "--provenance=true"], ids=["manifest", "index"])
def proof(request: pytest.FixtureRequest, engine, registry: str, tmp_path: Path) -> Iterator[Proof]:
    """A proof of an image that was built and pushed."""
    reference = f"{registry}/test-attach:{os.getpid()}-{request.param.removeprefix('--provenance=')}"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    (tmp_path / "file").write_bytes(os.urandom(100))
    docker("buildx", "build", "--quiet", request.param, "--tag", reference, tmp_path)
    docker("push", "--quiet", reference)
    connected = connect()
    built = connected.find_image(reference)
    connected.close()
    assert built is not None
    verdict = replace(VERDICT, reference=reference, image_id=built.id)
    yield Proof(name="train", reference=reference, verdict=verdict)
    docker("rmi", "--force", reference)


@pytest.fixture
def declaration(tmp_path: Path):
    path = tmp_path / "cudaforge.toml"
    path.write_text('schema = 1\n[images.train]\nframework = "pytorch"\n')
    return decide.load(path)


def test_an_attestation_is_found_by_the_digest_of_its_image(proof: Proof, registry: str, declaration) -> None:
    (done,) = reporting.attach_all([proof], declaration)
    (again,) = reporting.attach_all([proof], declaration)
    assert done == again
    attached = done.attached
    if attached.by_tag:
        listed = fetch(registry, f"manifests/{attached.subject.replace(':', '-')}", INDEX)["manifests"]
    else:
        listed = fetch(registry, f"referrers/{attached.subject}", INDEX)["manifests"]
    assert [one["digest"] for one in listed] == [attached.digest]
    manifest = fetch(registry, f"manifests/{attached.digest}", MANIFEST)
    statement = fetch(registry, f"blobs/{manifest['layers'][0]['digest']}", "*/*")
    assert manifest["subject"]["digest"] == attached.subject
    assert f"sha256:{statement['subject'][0]['digest']['sha256']}" == attached.subject
    assert statement["predicate"]["result"] == "PASSED"
    assert statement["predicate"]["passedTests"] == ["entry"]


def test_an_image_that_was_pushed_over_gets_none(proof: Proof, declaration) -> None:
    assert proof.verdict is not None
    other = replace(proof, verdict=replace(proof.verdict, image_id="sha256:" + "0" * 64))
    with pytest.raises(NegativeAnswer, match="another image than the one that was verified"):
        reporting.attach_all([other], declaration)

"""cosign: what it is asked, and what is said without it. The program here is one that the test writes."""

from pathlib import Path

import pytest

from cudaforge.errors import InputError, SurroundingsError
from cudaforge.process import Completed
from cudaforge.publisher import signing

REFERENCE = "ghcr.io/acme/vision@sha256:" + "a" * 64


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What cosign was asked; it is there, and signs."""
    (tmp_path / "cosign").write_text("")
    (tmp_path / "cosign").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    asked: list[tuple[str, ...]] = []

    def run(argv, **_: object) -> Completed:
        asked.append(tuple(argv))
        return Completed(argv=tuple(argv), returncode=0, stdout="", stderr="")

    monkeypatch.setattr(signing.process, "run", run)
    return asked


def test_without_cosign_nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SurroundingsError, match="needs cosign") as caught:
        signing.require_cosign(None)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("key", ["missing.key", "--help", "ftp://a b", "x://$(id)"])
@pytest.mark.usefixtures("cosign")
def test_a_key_that_is_none(key: str):
    with pytest.raises(InputError):
        signing.require_cosign(key)


@pytest.mark.parametrize("key", ["awskms:///alias/one", "env://COSIGN_KEY", "hashivault://key"])
@pytest.mark.usefixtures("cosign")
def test_keys_that_cosign_knows(key: str):
    signing.require_cosign(key)


def test_what_is_signed_is_a_digest(cosign: list[tuple[str, ...]], tmp_path: Path):
    key = tmp_path / "cosign.key"
    key.write_text("")
    signing.require_cosign(str(key))
    signing.sign(REFERENCE, key=str(key))
    signing.sign(REFERENCE, key=None)
    assert cosign == [
        ("cosign", "sign", "--yes", "--key", str(key), REFERENCE),
        ("cosign", "sign", "--yes", REFERENCE),
    ]


def test_a_signature_that_failed_is_told(monkeypatch: pytest.MonkeyPatch):
    failed = Completed(argv=(), returncode=1, stdout="", stderr="Error: no identity\n")
    monkeypatch.setattr(signing.process, "run", lambda *_, **__: failed)
    with pytest.raises(SurroundingsError, match="is pushed, and is not signed") as caught:
        signing.sign(REFERENCE, key=None)
    assert caught.value.problems[0].because == ("Error: no identity",)

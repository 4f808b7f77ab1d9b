"""What is ended with a builder that gets no more images."""

import sys
import threading
from pathlib import Path

import pytest

from cudaforge.builder.kept import EngineKept
from cudaforge.engine import Engine, EngineRefused, connect
from tests.unit.engine.fake import answering

ANSWER = {"Version": "28.5.2", "ApiVersion": "1.45", "Components": [{"Name": "Engine"}]}
# Told that it runs by a file beside the archive that it is to write.
HANGS = "import pathlib, sys, time; pathlib.Path(sys.argv[3] + '.begun').touch(); time.sleep(600)"


def test_a_hand_over_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Engine, "program", (sys.executable, "-c", HANGS))
    archive = tmp_path / "a.tar"
    raised: list[EngineRefused] = []
    with answering(tmp_path / "s", ANSWER) as host:
        builder = EngineKept("here", connect(environment={"DOCKER_HOST": host}))

        def save() -> None:
            try:
                builder.save_image("a:1", archive)
            except EngineRefused as error:
                raised.append(error)

        thread = threading.Thread(target=save, daemon=True)
        thread.start()
        begun = Path(f"{archive}.begun")
        for _ in range(200):
            if begun.exists():
                break
            thread.join(0.05)
        assert begun.exists()
        builder.stop()
        thread.join(10)
        assert not thread.is_alive()
        builder.engine.close()
    assert "refused to save a:1" in str(raised[0])

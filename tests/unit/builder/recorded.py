"""Streams that buildx really wrote, in tests/unit/builder/data/."""

from pathlib import Path

from cudaforge.builder.model import BuildEvent
from cudaforge.builder.rawjson import Message, RawJsonReader
from cudaforge.builder.tracker import Tracker

DATA = Path(__file__).parent / "data"


def replay(name: str, *, clean=lambda text: text) -> tuple[Tracker, list[BuildEvent], list[str]]:
    """A build's tracker, events and log after the whole stream."""
    log: list[str] = []
    tracker = Tracker("train", write=log.append, clean=clean)
    reader = RawJsonReader()
    events: list[BuildEvent] = []
    for line in (DATA / f"{name}.txt").read_text().splitlines():
        read = reader.feed(line)
        if isinstance(read, Message):
            events += tracker.take(read)
        elif read is not None:
            tracker.take_text(read)
    events += tracker.finish()
    return tracker, events, log

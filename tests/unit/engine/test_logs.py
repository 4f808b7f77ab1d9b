from hypothesis import given
from hypothesis import strategies as st

from cudaforge.engine.logs import LineSplitter, Tail


@given(st.lists(st.binary(max_size=50)), st.integers(1, 100))
def test_the_tail_is_the_end_of_the_stream(chunks, limit):
    tail = Tail(limit)
    for chunk in chunks:
        tail.add(chunk)
    stream = b"".join(chunks)
    assert tail.text() == stream[-limit:].decode("utf-8", errors="replace")
    assert tail.dropped == max(0, len(stream) - limit)


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])), st.integers(1, 7))
def test_lines_however_they_are_cut(text, size):
    lines = []
    splitter = LineSplitter(lines.append)
    data = text.encode()
    for start in range(0, len(data), size):
        splitter.add(data[start : start + size])
    splitter.finish()
    expected = text.split("\n")
    assert lines == (expected if expected[-1] else expected[:-1])


def test_nobody_listens():
    splitter = LineSplitter(None)
    splitter.add(b"x\n")
    splitter.finish()


def test_a_line_without_end_does_not_fill_memory():
    lines = []
    splitter = LineSplitter(lines.append)
    for _ in range(100):
        splitter.add(b"x" * 10_000)
    assert lines
    assert all(len(line) < 100_000 for line in lines)

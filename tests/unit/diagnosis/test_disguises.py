"""The same message, whatever a log, a terminal, a chat or a pager made of it."""

from __future__ import annotations

import json
import textwrap

import pytest

from cudaforge.diagnosis import causes_of, diagnose_stream, scan
from cudaforge.diagnosis.decide import decided, ranked, telling
from cudaforge.diagnosis.normal import normal_form

MESSAGES = {
    "toolkit-missing": 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
    "nvjitlink-shadowed": "ImportError: /opt/venv/lib/python3.11/site-packages/nvidia/cusparse/lib/libcusparse.so.12: undefined "
    "symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12",
    "shm-too-small": "RuntimeError: DataLoader worker (pid 46794) is killed by signal: Bus error. It is possible that "
    "dataloader's workers are out of shared memory.",
    "repo-key-rotated": "W: GPG error: https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2004/x86_64  InRelease: The "
    "following signatures couldn't be verified because the public key is not available: NO_PUBKEY A4B469963BF863CC",
    "arch-unsupported": "RuntimeError: CUDA error: no kernel image is available for execution on the device",
    "out-of-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB",
    "numpy-abi": "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.1 as it may crash.",
    "wrong-architecture": "exec /usr/bin/python3: exec format error",
}  # fmt: skip


def framed(text: str) -> str:
    lines = [f"│ {line:<74} │" for line in textwrap.wrap(text, 74, break_on_hyphens=False)]
    return "\n".join(["╭" + "─" * 76 + "╮", *lines, "╰" + "─" * 76 + "╯"])


def prefixed(prefix: str):
    return lambda text: "\n".join(
        prefix + line for line in ["step 1 done", *textwrap.wrap(text, 60, break_on_hyphens=False)]
    )


DISGUISES = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "lower case": str.lower,
    "wrapped at words": lambda text: textwrap.fill(text, 40, break_on_hyphens=False, break_long_words=False),
    "wrapped within words": lambda text: "\n".join(text[i : i + 60] for i in range(0, len(text), 60)),
    "indented": lambda text: textwrap.indent(textwrap.fill(text, 50, break_on_hyphens=False), "        "),
    "windows line ends": lambda text: textwrap.fill(text, 50, break_on_hyphens=False).replace("\n", "\r\n"),
    "progress bars": lambda text: "12%|##   | 1/8\r50%|####  | 4/8\r" + text,
    "coloured": lambda text: "\x1b[31m" + text.replace(" ", " \x1b[0m\x1b[1;33m") + "\x1b[0m",
    "coloured, escaped": lambda text: "\\u001b[31m" + text.replace(": ", ":\\u001b[0m ") + "\\u001b[0m",
    "hyperlinks": lambda text: "\x1b]8;;https://example.org\x1b\\" + text + "\x1b]8;;\x1b\\",
    "curly quotes": lambda text: text.replace('""', "“”").replace("'", "’"),
    "no quotes for double ones": lambda text: text.replace('"', "'"),
    "html": lambda text: text.replace('"', "&quot;").replace("'", "&#39;"),
    "markdown quote": lambda text: "\n".join("> " + line for line in textwrap.wrap(text, 70, break_on_hyphens=False)),
    "docker log": lambda text: json.dumps({"log": text + "\n", "stream": "stderr", "time": "2024-05-01T12:00:00Z"}),
    "json in json": lambda text: json.dumps({"message": json.dumps({"log": text + "\n"})}),
    "github actions": prefixed("2024-05-01T12:34:56.1234567Z ##[error]"),
    "github annotation": lambda text: f"::error file=app.py,line=1::{text}",
    "gitlab": prefixed("2024-05-01T12:34:56.123456Z 01O "),
    "buildkit": prefixed("#12 34.56 "),
    "compose": prefixed("trainer-1  | "),
    "kubernetes": prefixed("2024-05-01T12:34:56.123456789Z stderr F "),
    "syslog": prefixed("May  1 12:34:56 node-7 dockerd[1234]: "),
    "python logging": prefixed("2024-05-01 12:34:56,123 "),
    "glog": prefixed("E0501 12:34:56.123456   1234 server.cc:99] "),
    "ranks": prefixed("[rank3]: "),
    "slurm": prefixed("3: "),
    "ray": prefixed("(RayTrainWorker pid=4242, ip=10.0.0.7) "),
    "framed": framed,
    "traceback": lambda text: (
        'Traceback (most recent call last):\n  File "/app/main.py", line 7, in <module>\n    main()\n'
        f"    ^^^^^^\n{text}\n\nDuring handling of the above exception, another exception occurred:\nSystemExit: 1"
    ),
    "zero width": lambda text: text.replace(" ", "\u200b "),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "byte order mark": lambda text: "\ufeff" + text,
}  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("code", MESSAGES)
def test_a_disguised_message_is_known(code, disguise) -> None:
    causes = causes_of(DISGUISES[disguise](MESSAGES[code]))
    assert [cause.code.value for cause in causes][:1] == [code]


def streamed(data: bytes, size: int) -> list[str]:
    found = diagnose_stream(data[start : start + size] for start in range(0, len(data), size))
    return [one.code.value for one in ranked(c for match in telling(found) for c in decided(match, found))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("code", MESSAGES)
def test_a_log_on_stdin_may_have_a_mark(code, encoding) -> None:
    assert streamed(MESSAGES[code].encode(encoding), 1 << 20)[:1] == [code]


@pytest.mark.parametrize("before", [0, 1, 20, 40])
@pytest.mark.parametrize("line_end", ["\n", " "])
@pytest.mark.parametrize("code", MESSAGES)
def test_a_message_may_lie_across_parts(code, before, line_end, monkeypatch) -> None:
    monkeypatch.setattr(scan, "PART", 20_000)
    filler = ("ok" + line_end) * 7_000
    log = filler[: 20_000 - before] + line_end + MESSAGES[code] + line_end + filler
    assert streamed(log.encode(), 3_000)[:1] == [code]


def test_a_message_within_binary_parts_is_found() -> None:
    noise = bytes(range(256)) * 4096
    log = (
        noise
        + b"\0" * 100_000
        + b"\n"
        + MESSAGES["arch-unsupported"].encode()
        + b"\n"
        + b"ok\n" * 400_000
        + noise
    )
    assert streamed(log, 1 << 20) == ["arch-unsupported"]


def test_the_normal_form_keeps_places() -> None:
    for text in (*MESSAGES.values(), "İİ ẞ ŉ \x1b[1mx", "", "\n\n", "a\u2028b"):
        form = normal_form(text)
        assert len(form.shown) == len(form.flat) == len(form.lines)


def test_what_was_found_is_shown_as_it_was_written() -> None:
    (cause, *_) = causes_of("xx: " + MESSAGES["nvjitlink-shadowed"])
    assert "__nvJitLinkComplete_12_4" in cause.excerpt

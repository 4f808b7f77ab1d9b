"""The reader, held against BuildKit's own parser, and against what is no Dockerfile at all."""

from __future__ import annotations

import contextlib
import random
import string

import pytest

from cudaforge.audit.dockerfile import _KEYWORDS, MAXIMUM_BYTES, read_dockerfile
from cudaforge.errors import InputError
from tests.cases.audit.test_audit_cases import CASES

PIECES = (
    "RUN pip install \\\n",
    "    torch==2.8.0 \\\n",
    "# a comment\n",
    "    # a comment inside\n",
    "\n",
    "RUN echo a && \\\n  echo b\n",
    "RUN --mount=type=cache,target=/root/.cache --network=none pip install torch\n",
    "RUN <<EOF\nset -e\npip install torch\nEOF\n",
    "RUN <<'EOF' bash\n$X\nEOF\n",
    "RUN <<-EOF\n\tpip install torch\n\tEOF\n",
    "COPY <<one <<two /x/\n1\none\n2\ntwo\n",
    "COPY --from=build --chown=1:1 /a /b\n",
    'CMD ["a", "b"]\n',
    "ENV A=1 B=\"2 3\" C='4'\n",
    "env a b c\n",
    "LABEL x=y\n",
    "ONBUILD RUN make\n",
    "USER 1000\r\n",
    "RUN echo a\\\\\n",
    "RUN echo '<<EOF'\n",
    "RUN cat <file\n",
    "HEALTHCHECK --interval=5s CMD true\n",
)


def peer(text: str):
    dockerfile = pytest.importorskip("dockerfile", reason="BuildKit's parser is packaged for amd64 alone")
    try:
        found = dockerfile.parse_string(text)
    except dockerfile.GoParseError:
        return None
    # Its parser takes any word for an instruction; what builds refuses it later.
    return found if all(one.cmd.upper() in _KEYWORDS for one in found) else None


def compare(text: str) -> None:
    theirs = peer(text)
    if theirs is None:
        return
    ours = read_dockerfile(text.encode(), "Dockerfile").instructions
    assert [one.line for one in ours] == [one.start_line for one in theirs]
    for own, other in zip(ours, theirs, strict=True):
        assert other.cmd.upper() == ("ONBUILD" if own.on_build else own.keyword)
        if own.keyword == "RUN" and not own.on_build:
            assert own.flags == other.flags
            if not other.json:
                assert own.text.strip() == " ".join(other.value).strip()
        assert [one.name for one in own.heredocs] == [one.name for one in other.heredocs]
        # BuildKit takes the tabs of <<- away later.
        assert [plain(one.text) for one in own.heredocs] == [plain(one.content) for one in other.heredocs]


def plain(body: str) -> list[str]:
    return [line.lstrip("\t") for line in body.splitlines()]


@pytest.mark.parametrize(
    "line",
    ["ENV A='${B'", "ENV A=\\${B", 'ENV A="${X:-it\'s}" B="that\'s ok"', "ENV A=${B:-${C}}", "LABEL a=b}"],
)
def test_what_only_looks_unterminated(line: str) -> None:
    assert read_dockerfile(f"FROM a\n{line}\n".encode(), "Dockerfile").instructions


@pytest.mark.parametrize("name", sorted(CASES))
def test_cases_are_read_as_buildkit_reads_them(name) -> None:
    compare(CASES[name]["dockerfile"])


@pytest.mark.parametrize("seed", range(200))
def test_pieces_in_any_order_are_read_as_buildkit_reads_them(seed) -> None:
    chance = random.Random(seed)
    compare("FROM a AS build\n" + "".join(chance.choices(PIECES, k=8)))


def test_each_word_keeps_its_line() -> None:
    text = b"FROM a\nRUN pip install \\\n  # why\n\n  torch \\\n  numpy\n"
    pieces = read_dockerfile(text, "Dockerfile").instructions[1].pieces
    assert [(one.line, one.text.strip()) for one in pieces] == [
        (2, "pip install"),
        (5, "torch"),
        (6, "numpy"),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no FROM"),
        (b"# only a comment\n", "no FROM"),
        (b"\x7fELF\x02\x01\x01\x00", "control character"),
        (b"FROM a\nRUN \x00", "control character"),
        (b"\xff\xfeF\x00", "not UTF-8"),
        (b"FROM a\nRUN <<EOF\nno end\n", "unterminated heredoc"),
        (b"FROM a\nRUN pip install\n  torch\n", "unknown instruction 'TORCH'"),
        (b"FROM a\nCOPY\n", "COPY stands without anything"),
        (b"FROM\n", "FROM stands without anything"),
        (b"FROM a\n" + b"#" * MAXIMUM_BYTES, "larger than 1 MiB"),
        (b"# escape=x\nFROM a\n", "escape directive"),
        (b"<html><body>not found</body></html>", "unknown instruction"),
        (b"FROM a\nENV A=${B\n", "an unterminated ${ in ENV"),
        (b"ARG A\nFROM a:${A\n", "an unterminated ${ in FROM"),
    ],
)
def test_what_is_no_dockerfile_is_one_clear_message(content, says) -> None:
    with pytest.raises(InputError) as error:
        read_dockerfile(content, "Dockerfile")
    (problem,) = error.value.problems
    assert says in problem.what
    assert problem.where.file == "Dockerfile"


@pytest.mark.parametrize("seed", range(100))
def test_noise_never_raises_anything_else(seed) -> None:
    chance = random.Random(seed)
    text = "FROM a\n" + "".join(chance.choices(string.printable, k=400))
    with contextlib.suppress(InputError):
        read_dockerfile(text.encode(), "Dockerfile")

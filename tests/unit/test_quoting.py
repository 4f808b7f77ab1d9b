import fnmatch
import json
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cudaforge.quoting import (
    UnsafeText,
    dump_copy,
    dump_words,
    find_unsafe_character,
    quote_env,
    quote_ignore,
    quote_shell,
)
from tests.support.dockerlex import read_word

dockerfile = pytest.importorskip("dockerfile", reason="BuildKit's parser has a wheel for x86_64 alone")

ANY = st.text(max_size=60)
TRICKY = st.text(alphabet="ab \\'\"$`#<>&;|(){}[]*?!~=,:%-EOF\n\r\t\u202eé", max_size=30)
VALUES = TRICKY | ANY
NASTY = (
    "",
    "\\",
    "a\\",
    "a\\\\",
    "$HOME",
    "${X:-y}",
    "`id`",
    "$(id)",
    "it's",
    'a "b" c',
    'x" B="1',
    "#",
    "# escape=`",
    "<<EOF",
    "cat <<EOF",
    "cat <<-'EOF'",
    "3<<X",
    "; rm -rf /",
    "a && b",
    "  two  ",
    "{{ 7*7 }}",
    "{% include '/etc/passwd' %}",
    '["a"]',
    "é\u4e2d\U0001f600",
    "-x",
    "--mount=type=secret,id=a",
)


def parse(line: str) -> "list[dockerfile.Command]":
    """The instructions of a Dockerfile in which `line` has instructions before and after it."""
    commands = dockerfile.parse_string(f"FROM a\n{line}\nSTOPSIGNAL 9\n")
    assert [commands[0].cmd, commands[-1].cmd] == ["FROM", "STOPSIGNAL"], commands
    return list(commands[1:-1])


def is_accepted(value: str) -> bool:
    return find_unsafe_character(value) is None


@pytest.mark.parametrize("value", NASTY)
def test_no_ordinary_character_is_refused(value):
    assert find_unsafe_character(value) is None


@pytest.mark.parametrize(
    "character",
    "\0\n\r\t\f\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\u200b\u200e\u061c\ufeff\u00ad\U000e0041\ud800",
)
@pytest.mark.parametrize("quote", [quote_env, quote_shell, lambda value: dump_words([value]), quote_ignore])
def test_unsafe_characters_are_refused_everywhere(character, quote):
    with pytest.raises(UnsafeText) as refusal:
        quote(f"a{character}b")
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()
    assert f"U+{ord(character):04X}" in str(refusal.value)


def test_joiners_of_ordinary_writing_are_kept():
    assert (
        find_unsafe_character(
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f4bb"
        )
        is None
    )


@pytest.mark.parametrize("instruction", ["ENV", "LABEL"])
@given(value=VALUES)
def test_env_and_label_values_read_back(instruction, value):
    if not is_accepted(value):
        with pytest.raises(UnsafeText):
            quote_env(value)
        return
    (command,) = parse(f"{instruction} A={quote_env(value)}")
    assert command.value[0] == "A"
    assert [read_word(word) for word in command.value[1:] if word != "="] == [value]


@given(value=VALUES.filter(is_accepted))
def test_arg_values_read_back(value):
    (command,) = parse(f"ARG A={quote_env(value)}")
    assert len(command.value) == 1
    assert read_word(command.value[0].removeprefix("A=")) == value


@given(values=st.lists(VALUES.filter(is_accepted), min_size=1, max_size=6))
def test_values_on_continuation_lines_stay_apart(values):
    text = "ENV " + " \\\n    ".join(f"A{number}={quote_env(value)}" for number, value in enumerate(values))
    (command,) = parse(text)
    words = [word for word in command.value if word != "="]
    assert words[::2] == [f"A{number}" for number in range(len(values))]
    assert [read_word(word) for word in words[1::2]] == values


@given(value=VALUES)
@example("x\\")
def test_workdir_reads_back(value):
    if is_accepted(value):
        (command,) = parse(f"WORKDIR {quote_env('/' + value)}")
        assert read_word(command.value[0]) == "/" + value


@given(values=st.lists(VALUES.filter(is_accepted), min_size=1, max_size=6))
def test_shell_words_read_back_and_none_is_added(values):
    text = "RUN true && \\\n    cmd \\\n" + " \\\n".join(f"        {quote_shell(value)}" for value in values)
    (command,) = parse(text)
    assert command.heredocs == ()
    lexer = shlex.shlex(command.value[0], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    assert list(lexer) == ["true", "&&", "cmd", *values]


@pytest.mark.parametrize("instruction", ["CMD", "ENTRYPOINT", "RUN"])
@given(words=st.lists(VALUES.filter(is_accepted), max_size=6))
def test_exec_form_reads_back(instruction, words):
    (command,) = parse(f"{instruction} {dump_words(words)}")
    assert command.json
    assert list(command.value) == words
    assert command.heredocs == ()


PATHS = st.text(alphabet="ab \\'\"$`#<>[]!é{}-.EOF", min_size=1, max_size=20) | st.text(
    min_size=1, max_size=20
)


@given(source=PATHS, target=PATHS)
@example(source="<<EOF", target="/x")
@example(source="br[1]\\x", target="/$HOME")
def test_copy_operands_read_back(source, target):
    try:
        text = dump_copy(source, "/" + target)
    except UnsafeText:
        assert (
            not is_accepted(source + target)
            or "*" in source
            or "?" in source
            or source != source.strip().lstrip("!")
        )
        return
    (command,) = parse(f"COPY --chown=app {text}")
    assert command.json
    assert command.heredocs == ()
    pattern, read = (read_word(word) for word in command.value)
    assert read == "/" + target
    assert pattern.startswith("./")
    # Go's file name patterns are fnmatch's, but that a backslash escapes: here only itself.
    assert fnmatch.fnmatchcase(source, pattern[2:].replace("\\\\", "\\")) or source == "."
    assert "\\" not in pattern.replace("\\\\", "")


@pytest.mark.parametrize("source", ["*.py", "a?", "!a", " a", "a "])
def test_sources_that_buildkit_cannot_name_are_refused(source):
    with pytest.raises(UnsafeText):
        dump_copy(source, "/a")
    with pytest.raises(UnsafeText):
        quote_ignore(source)


def test_whole_project_as_source():
    assert json.loads(dump_copy(".", "/app")) == ["./", "/app"]

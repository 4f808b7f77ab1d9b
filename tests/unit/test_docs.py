"""The documents say what is so: what can be run of them is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main

from cudaforge.cli.commands import COMMANDS, DATA_COMMANDS, build_app
from cudaforge.cli.main import run_command_line
from cudaforge.declaration import axes, fields, fleet, layers
from cudaforge.declaration.load import load_declaration
from cudaforge.declaration.model import VerifySettings
from cudaforge.declaration.words import _KNOWN, declaration_from_words
from cudaforge.doctor import CHECKS, IMAGE_CHECKS
from cudaforge.matrix import load_matrix
from cudaforge.matrix.catalogue import subjects
from cudaforge.matrix.check import RULES
from cudaforge.matrix.joins import JOINS
from cudaforge.matrix.rows import KEYS, known_fields
from cudaforge.records import replace
from cudaforge.renderer.context import _NEVER_SENT, _OWN_NAMES
from cudaforge.verifier import Expected, Tier
from cudaforge.verifier.checks import checks_for
from tests.support.locks import GPU_IMAGE
from tools.picture import make_picture

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    ROOT / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "matrices/README.md")
    if (ROOT / name).is_file()
) + tuple(sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(?P<kind>[a-z]+)(?P<mark> [a-z]+)?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
FIRST_CELL = re.compile(r"^\| (?P<cell>[^|]+?) \|(?P<rest>.*)$", re.MULTILINE)
NEEDED = ("src/main.py", "requirements.txt", "certs/site.pem", "facts/own.toml", "wheels/README")
HEADER = 'schema = 1\n[images.example]\nframework = "pytorch"\n'


def blocks(kind, mark=""):
    return [
        pytest.param(match["text"], id=f"{page.relative_to(ROOT)}:{line_of(page, match)}")
        for page in PAGES
        for match in BLOCK.finditer(page.read_text("utf-8"))
        if match["kind"] == kind and (match["mark"] or "").strip() == mark
    ]


def line_of(page, match):
    return page.read_text("utf-8").count("\n", 0, match.start()) + 1


def load(tmp_path, text):
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", "utf-8")
    path = tmp_path / "cudaforge.toml"
    path.write_text(text, "utf-8")
    return load_declaration(path)


def test_every_marked_block_is_looked_at():
    marks = {
        (match["kind"], match["mark"])
        for page in PAGES
        for match in BLOCK.finditer(page.read_text("utf-8"))
        if match["kind"] == "toml"
    }
    assert marks <= {("toml", mark) for mark in (None, " image", " fragment", " matrix")}


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_whole_declaration_loads(tmp_path, text):
    assert load(tmp_path, text).images


@pytest.mark.parametrize("text", blocks("toml", "image"))
def test_keys_of_an_image_load(tmp_path, text):
    assert load(tmp_path, HEADER + text).images


@pytest.mark.parametrize("text", blocks("toml", "fragment"))
def test_a_fragment_loads_in_a_declaration(tmp_path, text):
    assert load(tmp_path, HEADER + text).images


@pytest.mark.parametrize("text", blocks("toml", "matrix"))
def test_facts_are_ones_that_an_overlay_may_have(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    matrix = load_matrix(overlays=[path])
    assert any(row.source.overlay for subject in subjects(matrix) for row in subject.rows(matrix))


def printed_commands():
    """Command lines in console blocks, each with what stands below it, and the declaration above them."""
    for page in PAGES:
        declaration = ""
        for match in BLOCK.finditer(page.read_text("utf-8")):
            if match["kind"] == "toml" and not match["mark"]:
                declaration = match["text"]
            if match["kind"] == "console":
                for part in re.split(r"^\$ ", match["text"], flags=re.MULTILINE)[1:]:
                    line, _, output = part.partition("\n")
                    yield page, line, output, declaration


def named_commands():
    for page, line, _, _ in printed_commands():
        yield page, line
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in INLINE.finditer(text):
            if match[1].startswith("cudaforge "):
                yield page, match[1]
    readme = (ROOT / "README.md").read_text("utf-8")
    for row in FIRST_CELL.finditer(readme[readme.index("| command |") :]):
        for match in INLINE.finditer(row["cell"]):
            if row["cell"].split("`")[1].split()[0] in COMMANDS:
                yield ROOT / "README.md", f"cudaforge {match[1].replace('[', '').replace(']', '')}"


def options_of(command):
    found = typer.main.get_command(build_app(command)).commands[command[0]]
    for word in command[1:]:
        found = found.commands[word]
    return {option for one in found.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}


COMMAND_LINES = sorted({(page.name, line) for page, line in named_commands() if "cudaforge " in line})


def test_the_documents_name_every_command():
    assert {
        shlex.split(line, comments=True)[1] for _, line in COMMAND_LINES if line.startswith("cudaforge")
    } >= {*COMMANDS, "data"}


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_a_command_line_is_one_that_exists(page, line):
    words = shlex.split(line, comments=True)
    words = words[words.index("cudaforge") + 1 :] if "cudaforge" in words else []
    words = words[: words.index("--")] if "--" in words else words
    if not words or words[0].startswith("-"):
        return
    command = words[:2] if words[0] == "data" else words[:1]
    assert command[-1] in (DATA_COMMANDS if words[0] == "data" else COMMANDS), f"{page}: {line}"
    used = {word.partition("=")[0] for word in words[1:] if word.startswith("-") and word != "-"}
    assert used <= options_of(command), f"{page}: {line}"


@pytest.mark.parametrize(
    ("page", "line", "output", "declaration"),
    [
        (page.name, line, output, declaration if "--fleet" in line else None)
        for page, line, output, declaration in printed_commands()
        if line.startswith("cudaforge resolve ") and output.strip()
    ],
)
def test_resolve_prints_what_a_page_shows(page, line, output, declaration, capsys, tmp_path, monkeypatch):
    del page
    monkeypatch.chdir(tmp_path)
    if declaration is not None:
        load(tmp_path, declaration)
    run_command_line(shlex.split(line)[1:])
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.rstrip() == output.rstrip()


@pytest.mark.parametrize(
    ("line", "output"),
    [
        (line, output)
        for _, line, output, _ in printed_commands()
        if line.startswith("cudaforge explain ") and output.strip()
    ],
)
def test_explain_prints_what_a_page_shows_of_it(line, output, capsys, tmp_path, monkeypatch):
    """A line of three dots stands for any number of lines."""
    monkeypatch.chdir(tmp_path)
    run_command_line(shlex.split(line)[1:])
    printed = capsys.readouterr().out
    for part in re.split(r"^ *\.\.\.\n", output, flags=re.MULTILINE):
        before, found, printed = printed.partition(part.rstrip("\n"))
        assert found or not part.strip(), part
        assert before == "" or part != output, "an example starts where the answer does"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for match in LINK.finditer(BLOCK.sub("", page.read_text("utf-8"))):
        target = (page.parent / match["path"]) if match["path"] else page
        assert target.exists(), f"{page.name}: {match[0]}"
        if match["anchor"]:
            headings = HEADING.finditer(BLOCK.sub("", target.read_text("utf-8")))
            assert match["anchor"] in {slug(heading["text"]) for heading in headings}, match[0]


def test_every_finding_of_doctor_is_documented():
    rows = FIRST_CELL.finditer(section("docs/doctor.md", "Findings"))
    named = [row["cell"].strip("`") for row in rows if row["cell"].startswith("`")]
    assert named == [check.id for check in (*CHECKS, *IMAGE_CHECKS)]


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def section(page, heading):
    """The text below a heading, up to the next one of any level."""
    text = (ROOT / page).read_text("utf-8")
    below = text.split(f"# {heading}\n", 1)[1]
    return re.split(r"^#", below, maxsplit=1, flags=re.MULTILINE)[0]


def documented(heading):
    rows = FIRST_CELL.finditer(section("docs/declaration.md", heading))
    return {row["cell"].strip("`"): row["rest"] for row in rows if row["cell"].startswith("`")}


IMAGE_FIELDS = (*(one for one in fields.DEFAULT_FIELDS if one not in fields.WISH_FIELDS), axes.MATRIX)
VERIFY_FIELDS = (fields.VERIFY_GPU, fields.VERIFY_STEPS, fields.VERIFY_MEMORY, fields.VERIFY_TIMEOUT)


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("The file", layers.TOP_FIELDS),
        ("project", fields.PROJECT_FIELDS),
        ("What an image asks for", fields.WISH_FIELDS),
        ("What goes into an image", IMAGE_FIELDS),
        ("verify", VERIFY_FIELDS),
        ("network", fields.NETWORK_FIELDS),
        ("matrices", fields.MATRICES_FIELDS),
        ("fleet", fleet.FLEET_FIELDS),
        ("nodes", fleet.NODE_FIELDS),
    ],
)
def test_every_key_is_documented_and_refused_ones_as_refused(heading, known):
    rows = documented(heading)
    assert list(rows) == [field.name for field in known]
    for field in known:
        is_refused = field.kind.schema == {"not": {}}
        assert ("not supported yet, and refused" in rows[field.name]) == is_refused, field.name


def test_examples_of_keys_load(tmp_path):
    for heading in ("What an image asks for", "What goes into an image"):
        for name, rest in documented(heading).items():
            cells = re.split(r"(?<!\\)\|", rest)
            example = cells[2].strip().strip("`")
            if example and name not in ("framework", "toolkit"):
                load(tmp_path, f"{HEADER}{name} = {example}\n")


def test_defaults_are_those_of_the_code():
    rows = documented("verify")
    assert f"| `{VerifySettings().gpu.value}` |" in rows["gpu"]
    assert f"| `{VerifySettings().steps}` |" in rows["steps"]
    assert f"| `{VerifySettings().timeout / 60:.0f}m` |" in rows["timeout"]


def test_every_word_is_documented(tmp_path):
    text = section("docs/declaration.md", "Words instead of a file").split("Words are", 1)[1]
    assert set(INLINE.findall(text)) - {"="} == set(_KNOWN)
    assert declaration_from_words(["jax"], root=tmp_path).images


def test_every_key_of_the_matrix_is_documented():
    rows = {
        row["cell"].strip("`[]"): set(INLINE.findall(row["rest"]))
        for row in FIRST_CELL.finditer(section("matrices/README.md", "Rows"))
        if row["cell"].startswith("`")
    }
    tables = {"frameworks": "framework", "builds": "releases"}
    for subject in KEYS:
        expected = known_fields(subject) - {"source"}
        expected -= {"framework"} if subject == "builds" else set()
        assert rows[tables.get(subject, subject)] == expected, subject


def test_every_check_of_the_verifier_is_documented():
    names = ("jax", "pytorch", "onnxruntime")
    frameworks = [replace(GPU_IMAGE.frameworks[0], name=name, proof=name) for name in names]
    both = ("linux/amd64", "linux/arm64")
    image = replace(GPU_IMAGE, frameworks=tuple(frameworks), flavor="devel", toolkit="12.8", platforms=both)
    seen = {"image": image, "is_cpu_twin": False, "expected": Expected(driver="570"), "depth": Tier.GPU}
    of_framework = rf"^({'|'.join(names)})"
    checks = {
        (re.sub(f"{of_framework}: ", "", check.title), re.sub(rf"{of_framework}\.", ".", check.id))
        for is_foreign in (False, True)
        for check in checks_for(SimpleNamespace(is_foreign=is_foreign, **seen))
    }
    documented: set[tuple[str, str]] = set()
    text = (ROOT / "docs/verify.md").read_text("utf-8")
    for row in FIRST_CELL.finditer(text.split("## The checks\n", 1)[1]):
        ids = INLINE.findall(row["rest"].split("|")[0])
        # What is no id belongs to another table.
        documented |= (
            set(zip(row["cell"].split(", "), ids, strict=False)) if "`" not in row["cell"] else set()
        )
    # The one that is judged before there is a container.
    assert documented == checks | {("CPU architecture", "architecture")}


def test_what_is_never_sent_is_documented():
    text = section("docs/images.md", ".dockerignore")
    assert {*_NEVER_SENT, *_OWN_NAMES, ".*_cache"} <= set(INLINE.findall(text))


def test_the_picture_names_no_address():
    picture = (ROOT / "docs/up.svg").read_text("utf-8")
    assert set(re.findall(r"https?://[^\s\"]+", picture)) == {"http://www.w3.org/2000/svg"}


def test_a_picture_shows_what_stays_on_a_terminal():
    picture = make_picture("cudaforge up", "a: [stage-0 1/4] RUN x\na: exporting to image\na: built in 3 s\n")
    words = " ".join(re.findall(r">([^<>]+)</text>", picture)).replace("&#160;", " ")
    assert words.split() == ["$", "cudaforge", "up", "a:", "built", "in", "3", "s"]
    assert set(re.findall(r"https?://[^\s\"]+", picture)) == {"http://www.w3.org/2000/svg"}


def test_the_rules_between_facts_are_those_that_are_checked():
    page = (ROOT / "docs/matrices.md").read_text("utf-8")
    section = page.partition("| rule | says |")[2].partition("\n\n")[0]
    told = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", section, re.MULTILINE))
    assert list(told) == list(RULES)
    assert {name: told[name] for name in JOINS} == {name: join.statement for name, join in JOINS.items()}

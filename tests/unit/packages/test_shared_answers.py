"""Images that ask uv the same share the answer, and no two questions that differ in anything do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.packages import closure, question
from cudaforge.packages.closure import find_versions, resolve_closure
from cudaforge.packages.model import ClosureRequest, GitCommit, LockedWheel
from cudaforge.packages.question import Offer, Question, SharedAnswers
from cudaforge.packages.site import Site
from cudaforge.packages.uv import NoClosure, NoSolution
from cudaforge.records import replace, values_of

WHEEL = LockedWheel(
    package="numpy",
    version="2.1.0",
    filename="numpy-2.1.0-py3-none-any.whl",
    index="default",
    sha256="a",
    size=1,
)
QUESTION = Question(
    requirements=("torch===2.8.0+cu128", "rich"),
    constraints=("numpy<3",),
    python="3.12",
    sources={"torch": "pytorch"},
    indexes={"pytorch": "https://one.test/simple"},
    files={"own": Path("/project/own-1-py3-none-any.whl")},
    from_source=("ops",),
    preferred=(WHEEL,),
    options=("--python-platform=x86_64-manylinux_2_36", "--exclude-newer=2026-06-02T00:00:00Z"),
)
SITE = Site(
    index_url="https://index.test/simple",
    extra_index_urls=("https://extra.test/simple",),
    find_links=("file:///shelf",),
    index_strategy="unsafe-best-match",
    named_indexes={"pytorch": "https://mirror.test/simple"},
    ca_bundle=Path("/etc/ca.pem"),
    proxies={"HTTPS_PROXY": "http://proxy.test:1"},
    registries={},
    origins={},
)
ANSWER = """\
[[packages]]
name = "{package}"
version = "{version}"
wheels = [{{ url = "https://index.test/{filename}", hashes = {{ sha256 = "{sha256}" }}, size = 1 }}]
"""
OTHER_QUESTIONS: Mapping[str, Sequence[object]] = {
    "requirements": (
        ("torch===2.8.0+cu126", "rich"),
        ("rich", "torch===2.8.0+cu128"),
        ("torch===2.8.0+cu128",),
    ),
    "constraints": ((), ("numpy<2",), ("numpy<3", "idna<3")),
    "python": ("3.11", "3.1"),
    "sources": ({}, {"rich": "pytorch"}, {"torch": "pytorch", "rich": "pytorch"}),
    "indexes": ({"pytorch": "https://two.test/simple"},),
    "files": (
        {},
        {"own": Path("/other/own-1-py3-none-any.whl")},
        {"mine": Path("/project/own-1-py3-none-any.whl")},
    ),
    "from_source": ((), ("rich",), ("ops", "rich")),
    "preferred": (
        (),
        (replace(WHEEL, version="2.2.0"),),
        (replace(WHEEL, filename="numpy-2.1.0-cp312-cp312-any.whl"),),
        (replace(WHEEL, sha256="b"),),
        (WHEEL, replace(WHEEL, package="idna")),
    ),
    "options": (
        ("--python-platform=aarch64-manylinux_2_36", "--exclude-newer=2026-06-02T00:00:00Z"),
        ("--python-platform=x86_64-manylinux_2_31", "--exclude-newer=2026-06-02T00:00:00Z"),
        ("--python-platform=x86_64-manylinux_2_36", "--exclude-newer=2026-06-03T00:00:00Z"),
        ("--python-platform=x86_64-manylinux_2_36",),
    ),
}  # fmt: skip
OTHER_SITES: Mapping[str, Sequence[object]] = {
    "index_url": (None, "https://other.test/simple"),
    "extra_index_urls": ((), ("https://other.test/simple",)),
    "find_links": ((), ("file:///other",)),
    "index_strategy": (None, "first-index"),
    "no_index": (True,),
    "named_indexes": ({},),
    "python_mirror": ("https://pythons.test",),
    "os_snapshots": ({"debian": "https://snapshots.test"},),
    "ca_bundle": (None, Path("/etc/other.pem")),
    "proxies": ({}, {"HTTP_PROXY": "http://proxy.test:1"}),
    "registries": ({"docker.io": "mirror.test"},),
    "offline": (True,),
    "origins": ({"index_url": "PIP_INDEX_URL"},),
}


class Uv:
    """Stands for uv: tells the digest of all that it is given, as the version of a package."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def compile(self, arguments: Sequence[str], *, site: Site, directory: Path) -> str | NoSolution:
        files = {path.name: path.read_text() for path in sorted(directory.iterdir())}
        digest = hashlib.sha256(repr((arguments, files, site)).encode()).hexdigest()
        self.runs.append(digest)
        text = ANSWER.format(package="told", version=digest, filename="told.whl", sha256="0")
        for word in arguments:
            if word.startswith("--output-file="):
                (directory / word.partition("=")[2]).write_text(text)
        return text


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Uv:
    made = Uv()
    monkeypatch.setattr(question, "compile_closure", made.compile)
    return made


def variations() -> list[tuple[Question, Site]]:
    questions = [
        replace(QUESTION, **{name: value}) for name, values in OTHER_QUESTIONS.items() for value in values
    ]
    sites = [replace(SITE, **{name: value}) for name, values in OTHER_SITES.items() for value in values]
    return [(QUESTION, SITE), *((one, SITE) for one in questions), *((QUESTION, one) for one in sites)]


def told(answer: tuple[Offer, ...] | NoSolution) -> str:
    assert isinstance(answer, tuple)
    return answer[0].version


def test_every_input_is_varied():
    """A field that somebody adds has to be among them."""
    assert set(values_of(QUESTION)) == set(OTHER_QUESTIONS)
    assert set(values_of(SITE)) == set(OTHER_SITES)


def test_no_two_questions_that_differ_in_one_input_share_an_answer(uv: Uv):
    shared = SharedAnswers()
    asked = variations()
    first = [told(shared.ask(one, site=site)) for one, site in asked]
    assert len(set(first)) == len(asked) == len(uv.runs)
    assert [told(shared.ask(one, site=site)) for one, site in asked] == first
    assert len(uv.runs) == len(asked)


@given(st.data())
def test_what_is_shared_is_what_asking_alone_would_give(data: st.DataObject):
    """Any questions, in any order, by several threads."""
    chosen = data.draw(st.lists(st.sampled_from(variations()), max_size=30))
    uv = Uv()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(question, "compile_closure", uv.compile)
        alone = [told(question.ask(one, site=site)) for one, site in chosen]
        uv.runs.clear()
        shared = SharedAnswers()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda pair: told(shared.ask(pair[0], site=pair[1])), chosen))
    assert found == alone
    assert sorted(uv.runs) == sorted(set(alone))


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_words_do_not_run_into_each_other(one: str, two: str, three: str, four: str):
    """What is at the end of one input is not taken for the beginning of the next."""
    with pytest.MonkeyPatch.context() as patch:
        uv = Uv()
        patch.setattr(question, "compile_closure", uv.compile)
        shared = SharedAnswers()
        pairs = {(one, two), (three, four), (one + two, ""), ("", one + two)}
        for first, second in pairs:
            shared.ask(replace(QUESTION, options=(first, second)), site=SITE)
        assert len(uv.runs) == len(pairs)


REQUEST = ClosureRequest(
    name="train",
    requirements=("torch===2.8.0",),
    constraints=(),
    packages=("rich",),
    python="3.12",
    platform="linux/amd64",
    glibc="2.36",
    indexes={},
    index_of={},
)
OTHER_REQUESTS: Mapping[str, object] = {
    "requirements": ("torch===2.8.1",),
    "constraints": ("nvidia-cudnn-cu12==9.10.2.21",),
    "packages": ("rich<15",),
    "python": "3.11",
    "platform": "linux/arm64",
    "glibc": "2.31",
    "limits": ("idna<3",),
    "unfit": ("idna!=3.1",),
    "from_source": ("rich",),
    "preferred": (replace(WHEEL, package="torch", version="2.8.0"),),
    "as_of": "2026-06-01",
}


class Index:
    """Stands for uv: every package that is asked for by its exact version has one wheel."""

    def __init__(self) -> None:
        self.runs = 0

    def compile(self, arguments: Sequence[str], *, site: Site, directory: Path) -> str | NoSolution:  # noqa: ARG002
        self.runs += 1
        project = (directory / "pyproject.toml").read_text()
        if "nothing-has-it" in project:
            return NoSolution(explanation=("nothing-has-it was not found",), hints="")
        version = "2.8.1" if "2.8.1" in project else "2.8.0"
        filename = f"torch-{version}-py3-none-any.whl"
        text = ANSWER.format(package="torch", version=version, filename=filename, sha256=f"of {version}")
        for word in arguments:
            if word.startswith("--output-file="):
                (directory / word.partition("=")[2]).write_text(text)
        return text


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index()
    monkeypatch.setattr(question, "compile_closure", made.compile)
    monkeypatch.setattr(closure, "python_tag_platform", lambda platform, glibc: f"{platform}-{glibc}")
    return made


@pytest.mark.parametrize("name", OTHER_REQUESTS)
def test_images_that_differ_in_one_wish_ask_by_themselves(index: Index, name: str):
    shared = SharedAnswers()
    other = replace(REQUEST, **{name: OTHER_REQUESTS[name]})
    for _ in range(2):
        for request in (REQUEST, other):
            assert resolve_closure(request, SITE, ask=shared.ask) == resolve_closure(request, SITE)
    assert index.runs == 2 + 4


def test_images_that_differ_in_what_uv_is_not_asked_share_and_stay_themselves(index: Index):
    shared = SharedAnswers()
    assert resolve_closure(REQUEST, SITE, ask=shared.ask)[0].sha256 == "of 2.8.0"
    assert find_versions(replace(REQUEST, name="serve"), SITE, ask=shared.ask) == {"torch": "2.8.0"}
    hashed = replace(REQUEST, name="hashed", hashes={"torch": ("another",)})
    with pytest.raises(NegativeAnswer, match=r"^hashed: no file of torch 2\.8\.0 has a hash"):
        resolve_closure(hashed, SITE, ask=shared.ask)
    assert resolve_closure(replace(hashed, hashes={"torch": ("of 2.8.0",)}), SITE, ask=shared.ask)
    assert index.runs == 1


def test_what_has_no_answer_is_refused_in_the_name_of_each_image(index: Index):
    shared = SharedAnswers()
    for name in ("one", "two"):
        with pytest.raises(NoClosure, match=f"^{name}: "):
            resolve_closure(replace(REQUEST, name=name, packages=("nothing-has-it",)), SITE, ask=shared.ask)
    assert index.runs == 1


def test_a_commit_is_no_preferred_version():
    """uv is given none of it, so that it makes no other question."""
    commit = replace(WHEEL, package="ops", git=GitCommit(url="https://git.test/ops", commit="0" * 40))
    plain = question._given(QUESTION)
    assert question._given(replace(QUESTION, preferred=(WHEEL, commit))) == plain


def test_an_index_that_fails_fails_for_every_image_and_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    runs = []

    def fail(arguments: Sequence[str], *, site: Site, directory: Path) -> str:
        runs.append(directory)
        raise SurroundingsError(Problem(what="the package index is silent"))

    monkeypatch.setattr(question, "compile_closure", fail)
    shared = SharedAnswers()
    for _ in range(2):
        with pytest.raises(SurroundingsError, match="is silent"):
            shared.ask(QUESTION, site=SITE)
    assert len(runs) == 1
    assert not runs[0].exists()

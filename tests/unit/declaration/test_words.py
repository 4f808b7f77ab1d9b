"""Ad-hoc words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cudaforge.declaration import declaration_from_words, locate
from cudaforge.declaration.model import (
    Declaration,
    Flavor,
    FrameworkWish,
    ImageDeclaration,
    Preference,
)
from cudaforge.errors import InputError, Location, Problem
from cudaforge.versions import Version, VersionWish
from tests.support.wheels import make_wheel

ROOT = Path("/project")


def read(*words: str) -> Declaration:
    return declaration_from_words(words, root=ROOT)


def test_every_word_of_the_design() -> None:
    loaded = read(
        "pytorch==2.8.0+cu128",
        "jax",
        "cuda==12.8",
        "cudnn>=9",
        "python==3.12",
        "gpu=RTX 5090",
        "gpu==H100",
        "driver=570.86",
        "os=ubuntu22.04",
        "flavor=devel",
        "platform=linux/arm64",
        "build=cu128",
        "prefer=stable",
        "toolkit=12.9",
        "base=python:3.12-slim",
        "forward_compat=true",
    )
    image = loaded.images[0]
    wishes = image.wishes
    assert (image.name, image.key, loaded.root) == ("adhoc", "images.adhoc", ROOT)
    assert [str(one) for one in wishes.frameworks] == ["pytorch==2.8.0+cu128", "jax"]
    assert wishes.cuda == VersionWish("12.8")
    assert wishes.cudnn == VersionWish(">=9")
    assert wishes.gpus == ("RTX 5090", "H100")
    assert (wishes.driver, wishes.os, wishes.flavor) == ("570.86", "ubuntu22.04", Flavor.DEVEL)
    assert (wishes.platforms, wishes.build, wishes.prefer) == (("linux/arm64",), "cu128", Preference.STABLE)
    assert (wishes.toolkit, wishes.base) == (VersionWish("12.9"), "python:3.12-slim")
    assert wishes.forward_compat
    assert not read("jax", "forward_compat=false").images[0].wishes.forward_compat


@pytest.mark.parametrize(
    "words",
    [
        ("platform=linux/arm64", "platform=linux/amd64"),
        ("platform=linux/arm64,linux/amd64",),
        ("platform=linux/amd64, linux/arm64", "platform=linux/amd64"),
    ],
)
def test_platforms_repeat_or_stand_in_one_list(words: tuple[str, ...]) -> None:
    assert read("jax", *words).images[0].wishes.platforms == ("linux/amd64", "linux/arm64")


def test_equality_compares_as_many_components_as_were_written() -> None:
    wishes = read("pytorch", "cuda==12.8", "cudnn==9", "python==3.12").images[0].wishes
    assert wishes.cuda is not None
    assert wishes.cuda.allows(Version("12.8.1"))
    assert wishes.cudnn is not None
    assert wishes.cudnn.allows(Version("9.10.2"))
    assert wishes.python is not None
    assert wishes.python.allows(Version("3.12.4"))


def test_packages_are_requirements_and_may_repeat(tmp_path: Path) -> None:
    image = read("pytorch", "package=vllm==0.10.0", "package=numpy<2", "package==scipy").images[0]
    assert image.wishes.packages == ("vllm==0.10.0", "numpy<2", "scipy")
    assert image.contents.packages == image.wishes.packages
    assert read("jax").digest != read("jax", "package=numpy").digest
    wheel = make_wheel(tmp_path / "own", "mine", "1.0", requires=("numpy",))
    image = declaration_from_words(["jax", f"package=./own/{wheel.name}"], root=tmp_path).images[0]
    assert [one.package for one in image.contents.wheels] == ["mine"]


def test_cpu_and_lists_of_clauses() -> None:
    assert read("jax", "cuda=none").images[0].wishes.is_cpu
    wishes = read("pytorch>=2.6,<2.9", "cuda>=12.4,<13").images[0].wishes
    assert wishes.frameworks == (FrameworkWish(name="pytorch", version=VersionWish(">=2.6,<2.9")),)
    assert wishes.cuda == VersionWish(">=12.4,<13")


@pytest.mark.parametrize("word", ["pytorch>=2.8,<2.7", "cuda>=13,<12", "python>3.12,<3.12"])
def test_a_range_that_no_version_is_within_is_wrong_input(word: str) -> None:
    with pytest.raises(InputError, match="no version is within"):
        read("jax", word)


def test_packages_that_no_version_meets_together_are_wrong_input() -> None:
    for words in (["package=six==1.16", "package=Six==1.15"], ["package=numpy>=2,<1"]):
        with pytest.raises(InputError, match="no version is within"):
            read("jax", *words)
    markers = ["package=six==1.16; python_version<'3.10'", "package=six==1.15; python_version>='3.10'"]
    assert len(read("jax", *markers).images[0].wishes.packages) == 2
    assert read("jax", "package=six[x]>1.5", "package=six<2", "package=six").images


def test_digest_tells_wishes_apart() -> None:
    assert read("jax", "cuda=12").digest == read("cuda==12", "jax").digest
    assert read("jax", "cuda=12").digest != read("jax", "cuda=13").digest


MISTAKES = [
    (["cudn==9", "jax"], "cudn==9", "unknown word 'cudn'", "did you mean 'cudnn'?"),
    (["gpus=H100", "jax"], "gpus=H100", "unknown word 'gpus'", "did you mean 'gpu'?"),
    (["foo=1", "jax"], "foo=1", "unknown word 'foo'", "takes =="),
    (["pytorch=2.8"], "pytorch=2.8", "unknown word 'pytorch'", "a framework's version takes =="),
    (["jax", "jax>=1"], "jax>=1", "framework 'jax' is given twice", "join them"),
    (["jax", "cuda=12", "cuda=13"], "cuda=13", "'cuda' is given twice", "gpu"),
    (["jax", "platform=linux/amd64,"], "platform=linux/amd64,", "the text is empty", "value"),
    (["jax", "package=-r x"], "package=-r x", "is an option, not a package", "[network]"),
    (["jax", "package="], "package=", "empty", None),
    (["jax", "package>=1"], "package>=1", "'package' takes = and no >=", "package="),
    (["jax", "package=a b"], "package=a b", "is no package requirement", "PEP 508"),
    (["jax", "package=./no.whl"], "package=./no.whl", "no.whl", None),
    (["jax", "packages=a"], "packages=a", "unknown word 'packages'", "did you mean 'package'?"),
    (["jax", "os>=ubuntu22.04"], "os>=ubuntu22.04", "'os' takes = and no >=", "os="),
    (["jax", "driver>=570"], "driver>=570", "'driver' takes =", "driver="),
    (["jax", "forward_compat=yes"], "forward_compat=yes", "true or false", "forward_compat=true"),
    (["jax", "cuda=x"], "cuda=x", "'x' is no version wish", "12.8"),
    (["jax", "cuda="], "cuda=", "empty", "leave"),
    (["jax", "cuda"], "cuda", "unknown word 'cuda'", "did you mean 'cuda'"),
    (["jax", "flavor=develop"], "flavor=develop", "'develop' is not known", "devel"),
    (["jax", "gpu=a\nb"], "gpu=a\\nb", "U+000A", "take"),
    (["jax", "gpu=a\u202eb"], "gpu=a\\u202Eb", "U+202E", "take"),
    (["jax", "==1"], "==1", "", None),
    (["jax", ""], "", "empty", None),
    (["jax", "--help"], "--help", "is no framework", "pytorch"),
]


@pytest.mark.parametrize(("words", "key", "what", "remedy"), MISTAKES)
def test_mistakes(words: list[str], key: str, what: str, remedy: str | None) -> None:
    with pytest.raises(InputError) as caught:
        read(*words)
    assert len(caught.value.problems) == 1
    problem = caught.value.problems[0]
    assert problem.where == Location(file="command line", key=key)
    assert what in problem.what
    assert remedy is None or remedy in (problem.remedy or "")


def test_no_framework_and_all_mistakes_at_once() -> None:
    with pytest.raises(InputError, match="no framework is named"):
        read("cuda=12")
    with pytest.raises(InputError) as caught:
        read("cuda=x", "os=Y Z", "flavor=q")
    assert len(caught.value.problems) == 3


def test_locate_of_words() -> None:
    assert locate(read("jax"), "images.adhoc.cuda") == Location(file="command line", key="cuda")
    assert locate(read("jax"), "images.adhoc.gpus[0]").key == "gpu"
    assert locate(read("jax"), "images.adhoc.packages[1]").key == "package"


VERSION = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True)
OPERATOR = st.sampled_from(["==", ">=", "<=", "!=", "<", ">"])
CLAUSES = st.lists(st.tuples(OPERATOR, VERSION), min_size=1, max_size=3)


@given(name=st.sampled_from(["pytorch", "jax", "my-framework"]), clauses=CLAUSES)
def test_framework_words_round_trip(name: str, clauses: list[tuple[str, str]]) -> None:
    wish = ",".join(operator + version for operator, version in clauses)
    assume(not VersionWish(wish).is_contradiction)
    word = name + wish
    framework = read(word).images[0].wishes.frameworks[0]
    assert str(framework) == word
    assert read(str(framework)).images[0].wishes.frameworks == (framework,)


@given(st.lists(st.text(max_size=30), max_size=4))
@settings(max_examples=300)
def test_any_words_give_an_answer_or_a_problem(words: list[str]) -> None:
    problems: tuple[Problem, ...] = ()
    images: tuple[ImageDeclaration, ...] = ()
    try:
        images = read(*words).images
    except InputError as error:
        problems = error.problems
    assert bool(images) is not bool(problems)
    assert all(problem.what.isprintable() for problem in problems)
    assert all(problem.where is not None and (problem.where.key or "").isprintable() for problem in problems)

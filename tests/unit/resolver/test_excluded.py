"""What an explanation says of other values, against a full search: what was beaten could have been, and what
was excluded is, by just what is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cudaforge.declaration.model import Flavor, FrameworkWish, Wishes
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.pipeline.decide import load_words
from cudaforge.records import replace
from cudaforge.resolver import Conflict, Resolution, reasons_for, resolve
from cudaforge.resolver.model import Beaten, Choice, Excluded, ExcludedBy
from cudaforge.versions import Version, VersionWish
from tests.unit.resolver import naive, rows
from tests.unit.resolver.test_properties import _only as only_words
from tests.unit.resolver.test_properties import questions, relaxed, without

Holds = Callable[[naive.Set], bool]
KINDS = ("none", "runtime", "devel")


def kind_of(one: naive.Set) -> str:
    image = one.base.image
    if image is None or image.cuda is None:
        return "none"
    # With CUDA in no use, a base of any flavor meets all of them.
    return "devel" if image.flavor == "devel" or one.provider == "none" else "runtime"


def toolkit_of(one: naive.Set) -> str:
    image = one.base.image
    return "none" if image is None or image.cuda is None else str(image.cuda)


def has_value(field: str, value: str, wishes: Wishes, release: str, one: naive.Set) -> bool:
    """Whether the set has this value in this field; builds are those of the chosen release."""
    name, _, is_build = field.partition(" ")
    for wish, build in zip(wishes.frameworks, one.builds, strict=False):
        if wish.name == name:
            label = f"{build[0].version}+{build[0].build}"
            return label == f"{release}+{value}" if is_build else str(build[0].version) == value
    if field == "toolkit":
        return value in (kind_of(one) if value in KINDS else None, toolkit_of(one))
    cuda = "none" if one.cuda is None else str(one.cuda.version)
    seen = {
        "cudnn": "none" if one.cudnn is None else str(one.cudnn.version),
        "python": one.base.python,
        "os": one.base.system.id,
        "base_image": one.base.reference,
    }
    return f"{cuda}.".startswith(f"{value}.") if field == "cuda" else seen[field] == value


def has_choice(word: str, wishes: Wishes, one: naive.Set) -> bool:
    """Whether the set agrees with a choice as an explanation words it."""
    toolkit = re.fullmatch(r"the toolkit of CUDA (.+)", word)
    kinds = {
        "a base without CUDA": "none",
        "a base with CUDA to run": "runtime",
        "a base with CUDA to compile": "devel",
    }
    if toolkit is not None:
        return toolkit_of(one) == toolkit[1]
    if word in kinds:
        return kind_of(one) == kinds[word]
    name, _, value = word.partition(" ")
    fields = {"CUDA": "cuda", "cuDNN": "cudnn", "Python": "python"}
    if name in fields:
        return has_value(fields[name], value, wishes, "", one)
    for wish, build in zip(wishes.frameworks, one.builds, strict=True):
        if wish.name == name:
            return value in (str(build[0].version), f"{build[0].version}+{build[0].build}")
    return word in (one.base.system.id, one.base.reference)


class Search:
    """Every answer to some wishes, worked out once."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self._known: dict[str, list[naive.Set]] = {}

    def has(self, wishes: Wishes, *conditions: Holds) -> bool:
        key = repr(wishes)
        if key not in self._known:
            self._known[key] = list(naive.solutions(wishes, self.matrix))
        return any(all(holds(one) for holds in conditions) for one in self._known[key])


def step_order(choices: Sequence[Choice]) -> list[tuple[str, str]]:
    """Fields with their chosen values, as the policy settles them; whether there is a toolkit goes before
    which one."""
    fields = ("cuda", "cudnn", "python", "toolkit", "os", "base_image")
    values = {choice.field: choice.value for choice in choices}
    names = [choice.field for choice in choices]
    frameworks = names[: names.index("cuda_provider")]
    return [(field, values[field]) for field in (*frameworks, *fields) if field in values]


WORLD = rows.world()
WORLD_SEARCH = Search(WORLD)


@st.composite
def asked_of_the_world(draw: st.DrawFn) -> Wishes:
    """Few wishes on a world of which most have an answer."""
    names = draw(st.sampled_from((("torchy",), ("torchy",), ("flow",), ("rangy",), ("torchy", "rangy"))))
    versions = st.sampled_from((None, None, "<2.7", "==2.7", ">=2.4", "==0.4", "<2.12"))

    def maybe(*values: str) -> str | None:
        return draw(st.sampled_from((None,) * 2 * len(values) + values))

    def wished(*values: str) -> VersionWish | None:
        text = maybe(*values)
        return None if text is None else VersionWish(text)

    return Wishes(
        frameworks=tuple(rows.framework_wish(name, draw(versions)) for name in names),
        build=maybe("cu118", "cu126", "cuda12"),
        is_cpu=draw(st.integers(0, 9)) == 0,
        cuda=wished("12", "<12.8", "12.6"),
        cudnn=wished("<9.10", "9"),
        python=wished("<3.12", "3.10", "3.11"),
        os=maybe("ubuntu22.04", "debian12"),
        gpus=draw(st.sampled_from(((), (), ("A100",), ("V100",), ("RTX 5090",), ("A100", "H100")))),
        driver=maybe("470.82.01", "535.104.05", "570.124.06"),
        flavor=draw(st.sampled_from((None, None, None, Flavor.DEVEL, Flavor.RUNTIME))),
        prefer_per_field={},
    )


@settings(relaxed, max_examples=30)
@given(questions())
def test_what_is_said_of_other_values_is_true(question: tuple[Matrix, Wishes]) -> None:
    matrix, wishes = question
    _check(wishes, Search(matrix))


@settings(relaxed, max_examples=150)
@given(asked_of_the_world())
def test_what_is_said_of_other_values_of_a_larger_world_is_true(wishes: Wishes) -> None:
    _check(wishes, WORLD_SEARCH)


def _check(wishes: Wishes, search: Search) -> None:
    answer = resolve(wishes, search.matrix)
    if not isinstance(answer, Resolution):
        return
    choices = reasons_for(answer, wishes, search.matrix)
    order = step_order(choices)
    releases = {one.name: str(one.version) for one in answer.frameworks}

    def holds(field: str, value: str) -> Holds:
        return partial(has_value, field, value, wishes, releases.get(field.partition(" ")[0], ""))

    for choice in choices:
        for one in choice.beat if choice.field != "driver_floor" else ():
            before = [holds(*pair) for pair in _before(order, choice, one)]
            assert search.has(wishes, *before, holds(choice.field, one.value)), (choice.field, one)
            _check_worse(choice, one, search.matrix)
        for group in choice.excluded:
            release = releases.get(choice.field.partition(" ")[0], "")
            for value in {group.values[0], group.values[-1]}:
                _check_excluded(search, wishes, choice.field, value, release, group)


def _before(order: list[tuple[str, str]], choice: Choice, one: Beaten) -> list[tuple[str, str]]:
    fields = [field for field, _ in order]
    if choice.field == "toolkit" and one.value in KINDS:
        return [pair for pair in order[: fields.index("python")] if pair[0] not in ("cuda", "cudnn")]
    return order[: fields.index(choice.field)]


def _check_worse(choice: Choice, one: Beaten, matrix: Matrix) -> None:
    if one.because == "older":
        mine, its = Version(choice.value), Version(one.value)
        assert its < mine or its.minor() == mine  # where all patches do, the minor is told
    elif one.because == "its driver is not published":
        (row,) = [row for row in matrix.cuda_releases if str(row.version) == one.value]
        assert row.driver is None
    else:
        assert choice.field not in ("python", "cudnn", *matrix.frameworks)


def _check_excluded(
    search: Search, wishes: Wishes, field: str, value: str, release: str, group: Excluded
) -> None:
    """No answer with what is named alone, and one without any one of it."""
    assert (group.kind is ExcludedBy.FACT) == (not group.by)
    assert group.text
    named = [word for word in group.by if _is_wish(word, wishes)]
    made = [word for word in group.by if word not in named]
    assert bool(made) == (group.kind is ExcludedBy.CHOICE)
    own = field.partition(" ")[0]
    needed = {own} if own in search.matrix.frameworks else {wish.name for wish in wishes.frameworks}
    needed |= {word.partition(" ")[0] for word in made}
    bare = _with_frameworks(only_words(wishes, tuple(named)), wishes, needed)

    def has(asked: Wishes, chosen: Sequence[str]) -> bool:
        return search.has(
            asked,
            partial(has_value, field, value, asked, release),
            *(partial(has_choice, word, asked) for word in chosen),
        )

    assert not has(bare, made), (field, value, group)
    if _lifts_a_default(wishes):
        return
    for word in named:
        assert has(without(bare, word), made), (field, value, group, word)
    for word in made:
        assert has(bare, [one for one in made if one != word]), (field, value, group, word)


def _is_wish(word: str, wishes: Wishes) -> bool:
    is_framework = any(word in (one.name, str(one)) for one in wishes.frameworks)
    return is_framework or word in wishes.packages or "=" in word or "<" in word or ">" in word


def _with_frameworks(asked: Wishes, wishes: Wishes, needed: set[str]) -> Wishes:
    """The wishes with these frameworks as well, in the order of the declaration."""
    have = {one.name: one for one in asked.frameworks}
    names = [one.name for one in wishes.frameworks if one.name in needed or one.name in have]
    return replace(asked, frameworks=tuple(have.get(name, FrameworkWish(name=name)) for name in names))


def _lifts_a_default(wishes: Wishes) -> bool:
    """Whether a default holds again without one of the wishes, so that a search with fewer finds less."""
    lifting = (wishes.is_cpu, wishes.base, wishes.platforms, wishes.toolkit, wishes.forward_compat)
    names = any(one.version is not None and one.version.names_prerelease for one in wishes.frameworks)
    # A gate has to let all GPUs pass where none is named.
    return any(lifting) or names or bool(wishes.gpus and wishes.driver)


REAL = (
    ["pytorch==2.8.*", "cuda==12.8", "gpu=H100"],
    ["pytorch", "gpu=V100", "driver=535.104"],
    ["pytorch", "tensorflow"],
    ["tensorflow<2.15"],
    ["jax", "os=ubuntu22.04", "driver=570"],
)


@pytest.mark.parametrize("words", REAL, ids=" ".join)
def test_on_the_real_facts_asking_for_what_is_excluded_is_a_conflict(words: list[str]) -> None:
    matrix, wishes = load_matrix(), load_words(words).images[0].wishes
    answer = resolve(wishes, matrix)
    assert isinstance(answer, Resolution)
    seen = 0
    for choice in reasons_for(answer, wishes, matrix):
        for group in choice.excluded:
            if choice.field in ("cuda", "cudnn", "python") and group.kind is not ExcludedBy.CHOICE:
                own = {word for word in group.by if word.startswith(choice.field)}
                bare = _with_frameworks(
                    only_words(wishes, group.by), wishes, {one.name for one in wishes.frameworks}
                )
                for value in {group.values[0], group.values[-1]} if not own else ():
                    seen += 1
                    asked = replace(bare, **{choice.field: VersionWish(f"=={value}")})
                    assert isinstance(resolve(asked, matrix), Conflict), (choice.field, group)
                    for word in group.by:
                        assert isinstance(resolve(without(asked, word), matrix), Resolution), (value, group)
    assert seen > 2

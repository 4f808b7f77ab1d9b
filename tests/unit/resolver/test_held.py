"""What wishes hold back: true of each, and of all together."""

from __future__ import annotations

import pytest

from cudaforge.declaration.model import FrameworkWish, Wishes
from cudaforge.matrix import load_matrix
from cudaforge.pipeline.decide import load_words
from cudaforge.records import replace
from cudaforge.resolver import Earlier, Resolution, held_back, resolve
from cudaforge.resolver.model import Conflict
from cudaforge.versions import Version, VersionWish

WORDS = [
    ["pytorch<2.9", "cuda==12.8"],
    ["pytorch", "driver=525.60.13"],
    ["pytorch", "gpu=V100", "driver=535.104"],
    ["pytorch", "cuda=none", "python==3.11"],
    ["jax", "base=bootstrap:debian12", "python_provider=distro"],
    ["tensorflow<2.15"],
    ["pytorch<2.5", "cudnn<9.2", "python<3.12"],
    ["pytorch==2.7.*", "os=ubuntu22.04"],
]
NOT_WRITTEN = {
    "gpus": (),
    "driver": None,
    "base": None,
    "os": None,
    "python_provider": None,
    "cuda": None,
    "cudnn": None,
    "python": None,
}


def wishes_of(words: list[str]) -> Wishes:
    return load_words(words).images[0].wishes


def asking(wishes: Wishes, field: str, value: str, *, without: set[str]) -> Wishes:
    """Wishes for exactly that value, without those of some keys. A field's own wish always gives way."""
    wishes = replace(wishes, **{key: NOT_WRITTEN[key] for key in without if key in NOT_WRITTEN})
    if field in NOT_WRITTEN:
        return replace(wishes, **{field: VersionWish(value)})
    (framework,) = wishes.frameworks
    return replace(
        wishes, frameworks=(FrameworkWish(name=framework.name, version=VersionWish(f"=={value}")),)
    )


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_without_the_named_wishes_it_is_there_and_with_any_of_them_not(words: list[str]) -> None:
    matrix, wishes = load_matrix(), wishes_of(words)
    chosen = resolve(wishes, matrix)
    assert isinstance(chosen, Resolution)
    found = held_back(wishes, matrix)
    assert found
    for held in found:
        keys = {written.partition(" = ")[0] for written in held.by}
        own = held.field if held.field in NOT_WRITTEN else "framework"
        if own != "framework":
            release = FrameworkWish(
                name=wishes.frameworks[0].name, version=VersionWish(f"=={chosen.frameworks[0].version}")
            )
            base = replace(wishes, frameworks=(release,))
        else:
            base = wishes
        assert isinstance(resolve(asking(base, held.field, held.value, without=keys), matrix), Resolution)
        for key in keys - {own}:
            narrowed = asking(base, held.field, held.value, without=keys - {key})
            assert isinstance(resolve(narrowed, matrix), Conflict), (held, key)
        if own in keys:
            (written,) = [one for one in held.by if one.startswith(f"{own} = ")]
            text = written.partition(" = ")[2].strip('"').removeprefix(wishes.frameworks[0].name)
            assert not VersionWish(text).allows(Version(held.value))


def test_what_is_held_is_what_the_policy_takes_once_the_named_wishes_are_gone() -> None:
    """A newer release needs a Python that the policy does not take on this base."""
    matrix, wishes = load_matrix(), wishes_of(["jax<0.10", "cuda=none", "base=bootstrap:debian12"])
    (held, *_) = held_back(wishes, matrix)
    free = resolve(replace(wishes, frameworks=(FrameworkWish(name="jax"),)), matrix)
    assert isinstance(free, Resolution)
    assert (held.field, held.value) == ("jax", str(free.frameworks[0].version))
    assert held.by == ('framework = "jax<0.10"',)


def test_what_the_policy_chose_is_held_by_nobody() -> None:
    assert held_back(wishes_of(["jax"]), load_matrix()) == ()
    assert held_back(wishes_of(["pytorch==2.4.*", "python==3.13"]), load_matrix()) == ()


def test_what_is_held_back_is_told_as_it_is_declared() -> None:
    (held,) = held_back(wishes_of(["pytorch<2.9", "cuda==12.8"]), load_matrix())
    assert held.field == "pytorch"
    assert held.by == ('framework = "pytorch<2.9"', 'cuda = "12.8"')


def test_an_earlier_answer_is_kept_by_preference_and_never_against_a_rule() -> None:
    from cudaforge.resolver.main import resolve_all

    matrix = load_matrix()

    def answer(*words: str, **earlier: object) -> Resolution:
        values = {"cuda": None, "cudnn": None, "python": "3.11", "os": "debian12", "base": "none", **earlier}
        (found,) = resolve_all(load_words(words), matrix, earlier={"adhoc": Earlier(**values)})
        assert isinstance(found.answer, Resolution)
        return found.answer

    old = {"pytorch": ("2.7.1", "cu126")}
    kept = answer("pytorch>=2.6", frameworks=old)
    assert (kept.frameworks[0].reported, kept.python, kept.os) == ("2.7.1+cu126", "3.11", "debian12")
    assert answer("pytorch>=2.8", frameworks=old).frameworks[0].reported.startswith("2.15.0")
    assert answer("pytorch>=2.6", "build=cu128", frameworks=old).frameworks[0].reported == "2.7.1+cu128"
    assert answer("pytorch>=2.6", "python==3.12", frameworks=old).python == "3.12"
    assert (
        answer("pytorch>=2.6", frameworks={"pytorch": ("0.0", "none"), "gone": ("1", "x")}).python == "3.11"
    )
    assert answer("pytorch>=2.6", "gpu=RTX 5090", frameworks=old).frameworks[0].reported == "2.7.1+cu128"

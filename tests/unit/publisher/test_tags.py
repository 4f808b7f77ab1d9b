"""Tags from templates."""

import pytest

from cudaforge.errors import InputError
from cudaforge.publisher.tags import FIELDS, check_templates, expand, image_fields
from cudaforge.records import replace
from tests.support.locks import GPU_IMAGE

MOMENT = {"date": "20261128", "revision": "0123456789ab"}


def expanded(*templates: str, **changes: object) -> tuple[str, ...]:
    image = replace(GPU_IMAGE, tags=("ghcr.io/acme/vision:train-py312",), **changes)
    return expand(templates, image, project="vision", moment=MOMENT)


def test_without_a_template_the_tags_are_the_lock_s():
    assert expanded() == ("ghcr.io/acme/vision:train-py312",)


def test_a_tag_alone_goes_to_the_image_s_repository():
    image = GPU_IMAGE
    (found,) = expanded("{framework}-{version}-cu{cuda}-py{python}-{date}")
    first = image.frameworks[0]
    assert found == (
        f"ghcr.io/acme/vision:{first.name}-{first.version}-cu{image.cuda}-py{image.python}-20261128"
    )


def test_a_whole_reference_is_taken_as_it_is():
    assert expanded("localhost:5000/x/{project}/{name}:{revision}") == (
        f"localhost:5000/x/vision/{GPU_IMAGE.name}:0123456789ab",
    )
    assert expanded("localhost:5000/x") == ("localhost:5000/x:latest",)


def test_every_field_has_a_value():
    values = {**image_fields(GPU_IMAGE, project="vision"), **MOMENT}
    assert values.keys() == FIELDS.keys()
    assert all(values.values())


def test_the_cpu_twin_has_no_cuda():
    assert expanded("cu{cuda}", cuda=None) == ("ghcr.io/acme/vision:cunone",)


def test_what_a_tag_cannot_hold_becomes_a_dash():
    assert expanded("{name}", name="a+b c") == ("ghcr.io/acme/vision:a-b-c",)


def test_equal_results_are_pushed_once():
    assert expanded("x", "x") == ("ghcr.io/acme/vision:x",)


@pytest.mark.parametrize(
    "template", ["host:99999/a:b", "host:0/a:b", "host:/a:b", "host/A:b", f"host/a:{'x' * 129}", "a" * 129]
)
def test_what_no_registry_takes_is_told_before_anything_is_built(template: str):
    with pytest.raises(InputError, match="is no image reference"):
        expanded(template)


def test_letters_of_other_alphabets_are_told_as_they_were_written():
    with pytest.raises(InputError, match="'ünï' is no image reference"):
        expanded("ünï")


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{verson}", "did you mean {version}?"),
        ("{nothing-like-it}", "no field {nothing-like-it}"),
        ("{name", "without its other half"),
        ("name}}", "without its other half"),
        ("{{name}}", "without its other half"),
        ("", "is empty"),
    ],
)
def test_wrong_templates_are_told_before_anything_is_built(template: str, word: str):
    with pytest.raises(InputError) as caught:
        check_templates(["{name}", template])
    problem = caught.value.problems[0]
    assert word in f"{problem.what} {problem.remedy}"


@pytest.mark.parametrize(
    "template",
    [
        "-{name}",
        ".x",
        "a b",
        "a;rm",
        "$(id)",
        "x" * 129,
        "Upper/Case:{name}",
        "https://ghcr.io/x:{name}",
        "ghcr.io/x@sha256:" + "0" * 64,
        "a:b:c",
        "--help",
        "a\nb",
    ],
)
def test_every_result_is_checked_against_the_grammar(template: str):
    with pytest.raises(InputError, match="no image reference"):
        expanded(template)

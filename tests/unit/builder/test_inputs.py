import pytest

from cudaforge.builder.inputs import secret_cleaner
from cudaforge.builder.project import build_images, count_workers
from cudaforge.errors import InputError
from cudaforge.records import replace
from tests.support.locks import CPU_IMAGE


def test_values_of_secrets_are_taken_out_longest_first():
    image = replace(CPU_IMAGE, secrets=("A", "B", "UNSET"))
    clean = secret_cleaner(image, {"A": "hunter", "B": "hunter2\nsecond line\n", "OTHER": "visible"})
    assert clean("hunter2, hunter, second line, visible") == "***, ***, ***, visible"


def test_values_too_short_to_tell_from_words_stay():
    image = replace(CPU_IMAGE, secrets=("A",))
    assert secret_cleaner(image, {"A": "1"})("step 1 of 10") == "step 1 of 10"


def test_passwords_in_addresses_are_taken_out():
    clean = secret_cleaner(CPU_IMAGE, {})
    assert clean("GET https://user:pass@index.example/simple/x") == "GET https://***@index.example/simple/x"


@pytest.mark.parametrize(("jobs", "images", "workers"), [(None, 1, 1), (3, 2, 2), (1, 9, 1), (None, 0, 1)])
def test_workers(jobs, images, workers):
    assert count_workers(jobs, images) == workers


def test_more_builds_than_processors_are_begun_as_some_wait(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert count_workers(None, 100) == 6


@pytest.mark.parametrize(
    ("changes", "environment", "message"),
    [
        ({"name": "../../etc/x"}, {}, "no name of an image"),
        ({"name": ".hidden"}, {}, "no name of an image"),
        ({"tags": ()}, {}, "no tag"),
        ({}, {"SOURCE_DATE_EPOCH": "-1"}, "SOURCE_DATE_EPOCH"),
        ({}, {"SOURCE_DATE_EPOCH": "\u0661"}, "SOURCE_DATE_EPOCH"),
        ({}, {"SOURCE_DATE_EPOCH": "999999999999"}, "SOURCE_DATE_EPOCH"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_touched(tmp_path, changes, environment, message):
    with pytest.raises(InputError, match=message):
        build_images(
            [replace(CPU_IMAGE, **changes)],
            builders=(),
            site=None,
            root=tmp_path,
            state=tmp_path / "state",
            base_provider=None,
            environment=environment,
        )
    assert list(tmp_path.iterdir()) == []

"""The matrix against what the package index answers today."""

import pytest

from cudaforge.matrix import load_matrix
from tests.support import answers
from tools.record_index import PACKAGES, Index, library_pins, listing, together, toolkit_pins

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def matrix():
    return load_matrix()


@pytest.fixture(scope="module")
def index():
    return Index()


@pytest.fixture(scope="module")
def files(index):
    return dict(zip(PACKAGES, together(index.files, PACKAGES), strict=True))


@pytest.mark.parametrize("package", answers.OLDEST)
def test_every_release_has_its_row(matrix, files, package):
    listings = {name: listing(found) for name, found in files.items()}
    assert answers.missing(matrix, package, listings[package]) == []
    assert list(answers.wrong_pythons(matrix, package, listings)) == []


def test_default_builds_of_torch_bring_what_their_metadata_pins(matrix, index, files):
    pins = library_pins(index, files["torch"])
    assert len(pins) >= 25
    assert list(answers.wrong_libraries(matrix, pins, toolkit_pins(index))) == []

"""The facts as they were on a day."""

import pytest

from cudaforge.matrix import load_matrix
from cudaforge.matrix.past import was_there

DAY = "2025-06-01"


@pytest.mark.parametrize(
    ("released", "day", "expected"),
    [
        ("2025-06-01", DAY, True),
        ("2025-06-02", DAY, False),
        ("2025-05", DAY, True),
        ("2025-06", DAY, False),
        ("2024", DAY, True),
        ("2025", DAY, False),
        (None, DAY, False),
    ],
)
def test_a_month_counts_from_its_end(released, day, expected):
    assert was_there(released, day) is expected


def test_nothing_newer_is_left():
    now, then = load_matrix(), load_matrix(until=DAY)
    assert then.revision == now.revision
    for name in now.frameworks:
        assert then.builds(name) == tuple(one for one in now.builds(name) if was_there(one.released, DAY))
        assert all(one.released is None or one.released <= DAY for one in then.companions(name))
    assert 0 < len(then.builds("torch")) < len(now.builds("torch"))
    assert 0 < len(then.standalone_pythons) <= len(now.standalone_pythons)
    assert all(was_there(one.released, DAY) for one in then.framework_images)
    assert then.gpus == now.gpus

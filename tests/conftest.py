"""Options of the whole test run, and golden files.

--update-golden writes what a test made over what was expected; read the diff as carefully as code.
--offline       skips tests marked `network`.
--slow          runs tests marked `slow` (they download gigabytes, or take many minutes).
"""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no bug: speed is shown by the benchmarks, never by a timed test.
# CI judges a change by the same examples each time; elsewhere each run looks at new ones.
settings.register_profile("cudaforge", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("cudaforge")

# A shell that runs the tests in the background has had these ignored, for all that they start, too.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cudaforge")
    group.addoption(
        "--update-golden", action="store_true", help="write golden files instead of comparing them"
    )
    group.addoption("--offline", action="store_true", help="skip tests that need the network")
    group.addoption(
        "--slow", action="store_true", help="run tests that download gigabytes, or take many minutes"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    offline = pytest.mark.skip(reason="--offline")
    slow = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if config.getoption("--offline") and item.get_closest_marker("network"):
            item.add_marker(offline)
        if not config.getoption("--slow") and item.get_closest_marker("slow"):
            item.add_marker(slow)


CompareGolden = Callable[[str, Mapping[str, str]], None]


@pytest.fixture
def compare_golden(request: pytest.FixtureRequest) -> CompareGolden:
    """`compare_golden(folder, {path: text})`: the files below tests/golden/<folder>, byte for byte.

    A file that is expected and was not made fails too.
    """
    update = bool(request.config.getoption("--update-golden"))

    def compare(folder: str, files: Mapping[str, str]) -> None:
        root = GOLDEN / folder
        if update:
            write_golden(root, files)
        expected = {
            path.relative_to(root).as_posix(): path.read_bytes().decode()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
        hint = f"tests/golden/{folder} differs; if that is right: pytest --update-golden, and read the diff"
        assert sorted(files) == sorted(expected), hint
        for path, text in files.items():
            assert text == expected[path], f"{path}: {hint}"

    return compare


def write_golden(root: Path, files: Mapping[str, str]) -> None:
    """Make the folder hold these files and nothing else."""
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(root).as_posix() not in files:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name, text in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())

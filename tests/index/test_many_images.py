"""Locks of many images by the real program and the real uv: what they ask alike is asked once."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cudaforge.process import GRACE_SECONDS
from tests.index.conftest import Serve
from tests.index.test_packages_choose import FACTS, LINES, RELEASE
from tests.support.index import Index
from tests.support.tiny import TinyProject, clean_environment, processes_with, read_files, wait_until
from tests.support.wheels import make_wheel
from tests.unit.registry.server import OCI_INDEX, digest_of, index, serving

PACKAGES = ("needs-numpy", "alone", "numpy")


class Project(TinyProject):
    """Images of one framework, each with packages of its own, on a base from a registry of the test's own."""

    mirror = ""
    registry_asked: list[str]

    def ask(self, *packages: Sequence[str], lines: str = "") -> None:
        """Write the declaration: an image for each of these lists."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "facts.toml").write_text(FACTS + RELEASE % "1.0")
        images = "".join(
            f"[images.image-{number}]\npackages = {json.dumps(list(one))}\n"
            f'labels = {{ number = "{number}" }}\n'
            for number, one in enumerate(packages)
        )
        (self.root / "cudaforge.toml").write_text(
            f'schema = 1\n[project]\nname = "many"\n[matrices]\noverlays = ["facts.toml"]\n{self.mirror}'
            f'[defaults]\nframework = "tiny"\n{LINES}{lines}\n{images}'
        )

    def locked(self, *words: str) -> None:
        done = self.run("lock", *words)
        assert done.returncode == 0, done.stderr

    def files(self, image: str) -> list[str]:
        """The file names of an image's closure."""
        text = (self.root / "cudaforge.lock.d" / f"pylock.{image}.toml").read_text()
        return re.findall(r'name = "([^"]+\.whl)"', text)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    files = tmp_path / "shelf"
    make_wheel(files, "tiny-frame", "1.0")
    make_wheel(files, "needs-numpy", "1.0", requires=("numpy",))
    make_wheel(files, "alone", "1.0")
    make_wheel(files, "numpy", "2.1.0")
    return files


@pytest.fixture
def served(shelf: Path, serve_index: Serve) -> Index:
    return serve_index(shelf)


@pytest.fixture
def project(tmp_path: Path, served: Index) -> Iterator[Project]:
    asked: list[str] = []

    def answer(exchange):
        asked.append(exchange.path)
        body = index("linux/amd64")
        exchange.send(200, body, Content_Type=OCI_INDEX, Docker_Content_Digest=digest_of(body))

    with serving(answer) as registry:
        made = Project(tmp_path / "project", clean_environment(tmp_path, UV_DEFAULT_INDEX=served.url))
        made.mirror = f'[registries]\n"docker.io" = "{registry.host}"\n'
        made.registry_asked = asked
        yield made


def questions(served: Index) -> int:
    """How often uv was run: each run asks for the framework."""
    return served.asked.count("/simple/tiny-frame/")


def test_equal_questions_are_asked_once_and_every_image_gets_what_it_gets_alone(
    project: Project, served: Index
):
    project.ask(*([PACKAGES[number % 3]] for number in range(12)))
    project.locked()
    assert questions(served) == 3
    assert len(project.registry_asked) == len(set(project.registry_asked)) > 0
    many = read_files(project.root / "cudaforge.lock.d")
    for number, package in enumerate(PACKAGES):
        project.ask([package])
        project.lock.unlink()
        project.locked()
        (alone,) = read_files(project.root / "cudaforge.lock.d").values()
        for other in range(number, 12, 3):
            assert many[f"pylock.image-{other}.toml"] == alone


def test_upgrade_and_outdated_ask_once_too(project: Project, served: Index):
    project.ask(*([PACKAGES[number % 3]] for number in range(12)))
    project.locked()
    before = read_files(project.root)
    for words, code in ((("upgrade",), 0), (("outdated",), 0), (("upgrade", "--dry-run"), 0)):
        served.asked.clear()
        done = project.run(*words)
        assert done.returncode == code, done.stderr
        assert questions(served) == 3
    after = read_files(project.root)
    assert {name: text for name, text in after.items() if "lock" in name and "pid" not in name} == {
        name: text for name, text in before.items() if "lock" in name and "pid" not in name
    }


def test_an_image_whose_wishes_have_not_changed_asks_again_and_keeps_its_bytes(
    project: Project, served: Index
):
    project.ask(["needs-numpy"], ["alone"])
    project.locked()
    before = read_files(project.root / "cudaforge.lock.d")
    project.ask(["needs-numpy"], ["alone", "numpy"])
    served.asked.clear()
    project.locked()
    assert questions(served) == 2
    after = read_files(project.root / "cudaforge.lock.d")
    assert after["pylock.image-0.toml"] == before["pylock.image-0.toml"]
    assert after["pylock.image-1.toml"] != before["pylock.image-1.toml"]


@pytest.mark.parametrize("now", ["gone", "better file", "other site", "uv's own settings"])
def test_why_an_image_whose_wishes_have_not_changed_asks_again(
    project: Project, shelf: Path, tmp_path: Path, serve_index: Serve, now: str
):
    """What the lock would keep without asking is another closure than the index gives for the same wishes."""
    make_wheel(shelf, "numpy", "2.2.0")
    project.ask(["needs-numpy"], ["alone"])
    project.locked()
    assert "numpy-2.2.0-py3-none-any.whl" in project.files("image-0")
    expected = "numpy-2.1.0-py3-none-any.whl"
    if now == "gone":
        (shelf / "numpy-2.2.0-py3-none-any.whl").unlink()
    elif now == "better file":
        expected = make_wheel(shelf, "numpy", "2.2.0", tag="cp311-cp311-manylinux_2_28_x86_64").name
    elif now == "other site":
        other = tmp_path / "other"
        for path in shelf.iterdir():
            if "2.2.0" not in path.name:
                other.mkdir(exist_ok=True)
                (other / path.name).write_bytes(path.read_bytes())
        project.environment["UV_DEFAULT_INDEX"] = serve_index(other).url
    else:
        overrides = tmp_path / "overrides.txt"
        overrides.write_text("numpy<2.2\n")
        project.environment["UV_OVERRIDE"] = str(overrides)
    project.ask(["needs-numpy"], ["alone", "tiny-frame"])
    project.locked()
    assert expected in project.files("image-0")


def test_a_version_that_was_yanked_stays_locked(project: Project, shelf: Path, served: Index):
    yanked = make_wheel(shelf, "numpy", "2.2.0").name
    project.ask(["needs-numpy"], ["alone"])
    project.locked()
    served.yanked = frozenset((yanked,))
    project.ask(["needs-numpy"], ["alone", "numpy"])
    project.locked()
    assert yanked in project.files("image-0")
    assert yanked not in project.files("image-1")


def test_what_fails_of_many_images_is_told_once_for_all_that_asked_it(project: Project, served: Index):
    project.ask(*([("alone", "nobody-has-it")[number % 2]] for number in range(10)), ["numpy<1"])
    done = project.run("lock")
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stderr.split())
    assert text.count("error:") == 2
    assert "error: image-1, image-3, image-5 and 2 more: no set of packages fits" in text
    assert re.search(r"error: image-10: .*numpy<1 cannot", text)
    assert not project.lock.exists()


def test_an_index_that_fails_is_told_once_and_not_asked_again(project: Project, served: Index):
    served.status = 500
    project.ask(*(["alone"] for _ in range(8)), *([f"alone=={number}"] for number in range(1, 30)))
    done = project.run("lock")
    assert done.returncode == 3, done.stderr
    text = " ".join(done.stderr.split())
    found = re.search(
        r"error: image-0, image-1, image-2 and (\d+) more: the package index at \S+ answered 500", text
    )
    assert found, text
    assert text.count("error:") == 1
    concerned = int(found[1]) + 3
    assert 8 <= concerned <= 8 + 3
    assert f"so nothing was asked for {37 - concerned} other images" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_questions_of_many_images_at_once(
    project: Project, served: Index, tmp_path: Path, number: signal.Signals
):
    served.hangs = threading.Event()
    project.ask(*([f"alone=={1 + number // 2}"] for number in range(40)))
    mark = f"CUDAFORGE_TEST_MARK={tmp_path}"
    child = project.start("lock", CUDAFORGE_TEST_MARK=str(tmp_path))
    wait_until(lambda: questions(served) >= 4, timeout=60, what="four questions")
    child.send_signal(number)
    took = wait_until(lambda: child.poll() is not None, timeout=30, what="the end")
    _, told = child.communicate()
    assert child.returncode == (130 if number == signal.SIGINT else 143), told
    assert took < 5
    assert "interrupted" in told
    assert not project.lock.exists()
    assert processes_with(mark) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_run_that_is_killed_leaves_no_question(project: Project, served: Index, tmp_path: Path):
    served.hangs = threading.Event()
    project.ask(["alone"], ["numpy"])
    mark = f"CUDAFORGE_TEST_MARK={tmp_path}"
    with project.start("lock", CUDAFORGE_TEST_MARK=str(tmp_path)) as child:
        wait_until(lambda: questions(served) >= 2, timeout=60, what="two questions")
        child.kill()
    wait_until(lambda: processes_with(mark) == [], timeout=GRACE_SECONDS + 5, what="no uv")

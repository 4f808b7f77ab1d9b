"""What builders and image stores cannot do is said before anything is built."""

from dataclasses import dataclass, field

import pytest

from cudaforge.builder.platforms import check_platforms
from cudaforge.builder.project import build_images
from cudaforge.engine import EngineWords, words_of
from cudaforge.errors import SurroundingsError
from cudaforge.records import replace
from tests.support.locks import BOTH_IMAGE, GPU_IMAGE

AMD, BOTH = frozenset({"linux/amd64"}), frozenset({"linux/amd64", "linux/arm64"})


@dataclass
class Engine:
    has_containerd_store: bool = True
    architecture: str = "amd64"
    is_podman: bool = False

    @property
    def words(self) -> EngineWords:
        return words_of(is_podman=self.is_podman)


@dataclass
class Builder:
    """As much of a builder as is asked."""

    platforms: frozenset[str] = BOTH
    engine: Engine = field(default_factory=Engine)
    is_own: bool = True
    name: str = "default"
    asked: int = 0

    def find_platforms(self) -> frozenset[str]:
        self.asked += 1
        return self.platforms


def refusal(builder: Builder, *images) -> str:
    with pytest.raises(SurroundingsError) as caught:
        check_platforms(images, [builder])
    assert all(problem.remedy for problem in caught.value.problems)
    return " ".join(f"{one.what} {one.because} {one.remedy}" for one in caught.value.problems)


def test_a_builder_that_runs_both_and_a_store_that_keeps_both_will_do():
    check_platforms([BOTH_IMAGE, GPU_IMAGE], [Builder()])
    check_platforms([BOTH_IMAGE], [Builder(platforms=frozenset())])  # of which nothing is known


def test_nobody_is_asked_where_all_images_are_native():
    builder = Builder(platforms=AMD, engine=Engine(has_containerd_store=False), is_own=False)
    check_platforms([GPU_IMAGE], [builder])
    assert not builder.asked


def test_missing_emulation_is_named_with_its_remedy():
    text = refusal(Builder(platforms=AMD), BOTH_IMAGE)
    assert "both is for linux/arm64, of which the builder default runs no programs" in text
    assert "binfmt" in text
    podman = refusal(Builder(platforms=AMD, engine=Engine(is_podman=True)), BOTH_IMAGE)
    assert "qemu-user-static" in podman
    assert "docker run" not in podman
    assert "--builder" not in podman
    arm = replace(GPU_IMAGE, platforms=("linux/arm64",))
    assert "train is for linux/arm64" in refusal(Builder(platforms=AMD), arm)


def test_the_older_store_keeps_no_such_image():
    text = refusal(Builder(engine=Engine(has_containerd_store=False)), BOTH_IMAGE)
    assert "keeps no image of several platforms" in text
    assert "containerd-snapshotter" in text
    assert "axis `platforms`" in text


def test_a_builder_of_another_driver_hands_over_one_platform():
    assert "one platform at a time" in refusal(Builder(is_own=False, name="far"), BOTH_IMAGE)


def test_builds_ask_first(tmp_path):
    with pytest.raises(SurroundingsError, match="runs no programs"):
        build_images(
            [BOTH_IMAGE],
            builders=[Builder(platforms=AMD)],
            site=None,
            root=tmp_path,
            state=tmp_path / "state",
            base_provider=None,
            environment={},
        )
    assert list(tmp_path.iterdir()) == []

"""Which images go under which references, and which may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge.errors import InputError
from cudaforge.lockfile.model import Lock
from cudaforge.pipeline import decide
from cudaforge.pipeline.publishing import PushOrder, PushPlan, plan_push
from cudaforge.records import replace
from tests.support.locks import GPU_IMAGE, make_lock

TAG = "ghcr.io/acme/vision:same"


def image(name: str, platform: str = "linux/amd64"):
    return replace(GPU_IMAGE, name=name, image=name, platforms=(platform,))


LOCK = make_lock(image("one"), image("two"), image("three"), image("arm", "linux/arm64"))


def plan(root: Path, *names: str, lock: Lock = LOCK, template: str = TAG) -> PushPlan:
    file = root / "cudaforge.toml"
    file.write_text('schema = 1\n[images.one]\nframework = "pytorch"\n')
    return plan_push(lock, decide.load(file), PushOrder(templates=(template,)), names=names)


def test_images_that_are_pushed_together_may_not_share_a_tag(tmp_path: Path):
    with pytest.raises(InputError, match="one, two, arm would all be pushed as"):
        plan(tmp_path, "one", "two", "arm")


def test_an_image_that_is_pushed_alone_may_have_any_tag_and_names_who_shares_it(tmp_path: Path):
    found = plan(tmp_path, "two")
    assert [one.name for one in found.groups[TAG]] == ["two", "arm"]
    assert found.place(TAG, LOCK.images[1]) == f"{TAG}-amd64"
    assert found.rivals[TAG] == ("one", "three")


def test_platforms_share_a_tag_without_rivals(tmp_path: Path):
    both = make_lock(image("one"), image("arm", "linux/arm64"))
    found = plan(tmp_path, "one", "arm", lock=both)
    assert len(found.groups[TAG]) == 2
    assert found.rivals[TAG] == ()


def test_of_another_platform_there_may_be_one_image_alone(tmp_path: Path):
    with pytest.raises(InputError, match="arm, one, two, three would all be pushed as"):
        plan(tmp_path, "arm")


def test_the_day_of_a_tag_is_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = make_lock(image("one"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    found = plan(tmp_path, "one", lock=one, template="r.test/a:{date}")
    assert found.references["one"] == ("r.test/a:20231114",)
    for wrong in ("999999999999", "\u00b2", "-1", "yesterday"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(InputError, match="SOURCE_DATE_EPOCH is no number of seconds"):
            plan(tmp_path, "one", lock=one, template="r.test/a:{date}")

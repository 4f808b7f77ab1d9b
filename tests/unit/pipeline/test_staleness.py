"""What `lock --check` says of a lock that is not that of its declaration."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

from cudaforge.lockfile import store
from cudaforge.lockfile.declared import declared_changes
from tests.unit.pipeline.conftest import World

TWIN = 'framework = "pytorch==2.8.0"\ncuda = "none"\n'
GPU = 'framework = "pytorch>=2.7,<2.9"\n'


def because(run) -> list[str]:
    code, out, _ = run("lock", "--check", "--json")
    assert code == 1
    (error,) = json.loads(out)["errors"]
    assert error["what"] == "the lock is stale"
    return error["because"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (f'{GPU}cuda = "12.8"', f'{GPU}cuda = "12.6"', 'cuda: "12.8" -> "12.6"'),
        (f'{GPU}cuda = "12.8"', GPU, 'cuda: "12.8" -> not written'),
        (TWIN, f'{TWIN}python = "3.11"', 'python: not written -> "3.11"'),
        (GPU, f'{GPU}cuda = "none"', 'cuda: not written -> "none"'),
        (
            GPU,
            'framework = "pytorch==2.8.0"',
            'framework: without "pytorch>=2.7,<2.9", with "pytorch==2.8.0"',
        ),
        (
            f'{TWIN}packages = ["numpy", "pillow"]',
            f'{TWIN}packages = ["pillow", "scipy"]',
            'packages: without "numpy", with "scipy"',
        ),
        (
            f'{TWIN}packages = ["numpy", "pillow"]',
            f'{TWIN}packages = ["pillow", "numpy"]',
            'packages: ["numpy", "pillow"] -> ["pillow", "numpy"]',
        ),
        (f'{TWIN}env = {{A = "1"}}', f'{TWIN}env = {{A = "2"}}', 'env.A: "1" -> "2"'),
        (f"{TWIN}verify = {{steps = 5}}", TWIN, "verify.steps: 5 -> not written"),
        (f'{TWIN}env.A = "sha256:1"', f'{TWIN}env.A = "sha256:2"', 'env.A: "sha256:1" -> "sha256:2"'),
        (TWIN, f"{TWIN}entrypoint = []", "entrypoint: not written -> []"),
        (f"{TWIN}os_snapshot = true", TWIN, 'os_snapshot: "lock" -> not written'),
    ],
)
def test_the_key_that_changed_is_told_with_both_values(
    before: str, after: str, told: str, world: World, run
) -> None:
    world.declare(train=before)
    assert run("lock")[0] == 0
    assert run("lock", "--check")[0] == 0
    world.declare(train=after)
    world.cut()
    assert because(run) == [f"[images.train] {told}"]


def test_each_image_and_the_project_is_told(world: World, run) -> None:
    world.declare(one=TWIN, two=TWIN, gone=TWIN)
    assert run("lock")[0] == 0
    world.declare(one=f'{TWIN}user = "root"', two=f'{TWIN}workdir = "/srv"', new=TWIN)
    file = Path("cudaforge.toml")
    file.write_text(file.read_text().replace('"world"', '"earth"\nregistry = "reg.example/team"'))
    assert because(run) == [
        "new is not in the lock",
        "gone is not declared any more",
        '[project] name: "world" -> "earth"',
        '[project] registry: not written -> "reg.example/team"',
        '[images.one] user: not written -> "root"',
        '[images.two] workdir: not written -> "/srv"',
    ]
    changes = json.loads(run("build", "--json")[1])["changes"]
    assert changes[0] == {"image": None, "key": "project.name", "old": "world", "new": "earth"}
    assert changes[2] == {"image": "one", "key": "user", "old": None, "new": "root"}


def test_of_a_matrix_the_values_of_an_axis_are_told(world: World, run) -> None:
    world.declare(train=f'{GPU}matrix.python = ["3.11", "3.12"]\nworkdir = "/a"')
    assert run("lock")[0] == 0
    world.declare(train=f'{GPU}matrix.python = ["3.11", "3.13"]\nworkdir = "/b"')
    assert because(run) == [
        "train-py313 is not in the lock",
        "train-py312 is not declared any more",
        '[images.train] python: without "3.12", with "3.13"',
        '[images.train] workdir: "/a" -> "/b"',
    ]


def test_a_requirements_file_is_told_by_its_lines_or_where_it_is_long_by_name(world: World, run) -> None:
    world.declare(train=f'{TWIN}requirements = "r.txt"')
    Path("r.txt").write_text("numpy\n")
    assert run("lock")[0] == 0
    Path("r.txt").write_text("scipy\n")
    assert because(run) == ['[images.train] packages: without "numpy", with "scipy"']
    Path("r.txt").write_text("".join(f"package-{number}\n" for number in range(300)))
    assert run("lock")[0] == 0
    assert Path("cudaforge.lock").stat().st_size < 6000
    Path("r.txt").write_text("".join(f"package-{number}\n" for number in range(299)))
    (told,) = because(run)
    assert told.startswith("[images.train] packages: changed")


def test_what_images_share_is_in_the_lock_once(world: World, run) -> None:
    shared = f'{TWIN}packages = ["numpy", "a-package-that-all-have"]\n'
    world.declare(**{f"image{number}": shared for number in range(8)})
    assert run("lock")[0] == 0
    text = Path("cudaforge.lock").read_text()
    assert text.count("a-package-that-all-have") == 1


def test_an_overlay_that_changed_is_told_by_name(world: World, run) -> None:
    world.declare(train=TWIN)
    file = Path("cudaforge.toml")
    file.write_text(f'{file.read_text()}[matrices]\noverlays = ["site.toml"]\n')
    Path("site.toml").write_text("schema = 1\n")
    assert run("lock")[0] == 0
    Path("site.toml").write_text("schema = 1\n\n")
    (told,) = because(run)
    assert re.fullmatch(
        r'\[matrices\] overlays: without "site.toml [0-9a-f]{16}", with "site.toml [0-9a-f]{16}"', told
    )


def test_a_lock_of_before_is_read_and_tells_what_it_can(world: World, run) -> None:
    world.declare(train=f'{GPU}cuda = "12.8"')
    assert run("lock")[0] == 0
    path = Path("cudaforge.lock")
    without = re.sub(
        r"\[\[declared\]\].*?(?=\[\[(?:bases|images)\]\])", "", path.read_text(), flags=re.DOTALL
    )
    assert "declared" not in without
    path.write_text(without)
    assert run("lock", "--check")[0] == 0
    world.declare(train=f'{GPU}cuda = "12.6"\npython = "3.12"\n')
    assert '[images.train] cuda: "12.8.1" is locked, "12.6" is declared' in because(run)


@pytest.mark.parametrize(
    "broken", ['values = {a = [1]}\nimages = ["x"]', "images = [1]\nvalues = {}", "values = 1"]
)
def test_what_no_lock_says_of_the_declaration_is_damage(broken: str, world: World, run) -> None:
    world.declare(train=TWIN)
    assert run("lock")[0] == 0
    path = Path("cudaforge.lock")
    path.write_text(f"{path.read_text()}\n[[declared]]\n{broken}\n")
    code, _, told = run("lock", "--check")
    assert (code, "the lock is damaged" in told, "Traceback" in told) == (1, True, False)


def test_the_changed_keys_are_looked_for_once(world: World, run, monkeypatch: pytest.MonkeyPatch) -> None:
    world.declare(train=TWIN)
    assert run("lock")[0] == 0
    world.declare(train=f'{TWIN}python = "3.11"')
    asked = []

    def counted(*both):
        asked.append(both)
        return declared_changes(*both)

    monkeypatch.setattr(store, "declared_changes", counted)
    code, out, _ = run("render", "-o", "out", "--json")
    assert code == 1
    assert [one["key"] for one in json.loads(out)["changes"]] == ["python"]
    assert len(asked) == 1


def test_the_lock_of_another_declaration_is_left_alone(world: World, run) -> None:
    world.declare(one=TWIN)
    assert run("lock")[0] == 0
    assert "file" not in tomllib.loads(Path("cudaforge.lock").read_text())
    usual = Path("cudaforge.toml")
    other = Path("prod.toml")
    other.write_text(usual.read_text().replace("[images.one]", "[images.two]"))
    before = world.files()
    for words in (("lock", "-f", "prod.toml"), ("up", "-f", "prod.toml", "--relock")):
        code, _, err = run(*words)
        assert code == 2
        assert "the lock beside prod.toml is that of cudaforge.toml" in " ".join(err.split())
    assert {name: text for name, text in world.files().items() if ".cudaforge" not in name} == {
        name: text for name, text in before.items() if ".cudaforge" not in name
    }
    # A declaration that was renamed takes its lock along.
    usual.unlink()
    assert run("lock", "-f", "prod.toml")[0] == 0
    assert tomllib.loads(Path("cudaforge.lock").read_text())["file"] == "prod.toml"
    other.rename(usual)
    assert run("lock")[0] == 0
    assert run("lock", "--check")[0] == 0


@pytest.mark.parametrize("name", [os.fsdecode(b"a\xff.toml"), f"{'a' * 250}.toml", 'a "b"\n\N{SNOWMAN}.toml'])
def test_a_declaration_may_have_any_name(name: str, world: World, run) -> None:
    world.declare(one=TWIN)
    Path("cudaforge.toml").rename(name)
    assert run("lock", "-f", name)[0] == 0
    assert run("lock", "--check", "-f", name)[0] == 0
    assert run("render", "-f", name, "-o", "out")[0] == 0
    Path(name).rename("cudaforge.toml")
    assert run("lock")[0] == 0


def test_a_lock_that_names_a_declaration_of_impossible_length_is_taken_over(world: World, run) -> None:
    world.declare(one=TWIN)
    assert run("lock")[0] == 0
    lock = Path("cudaforge.lock")
    lock.write_text(lock.read_text().replace("schema = 1\n", f'schema = 1\nfile = "{"a" * 400}"\n'))
    world.declare(two=TWIN)
    assert run("lock")[0] == 0

"""Upgrades by the real program and the real uv, from an index and a registry on loopback."""

import json
from pathlib import Path

from tests.index.conftest import Serve
from tests.support.tiny import TinyProject, clean_environment, make_tiny_wheel, read_files
from tests.support.wheels import make_wheel
from tests.unit.registry.server import OCI_INDEX, digest_of, index, serving

LINES = 'os = "debian12"\npython = "3.11"\npackages = ["numpy"]'


def test_what_moves_outside_is_outdated_until_it_is_upgraded(tmp_path: Path, serve_index: Serve):
    shelf = tmp_path / "shelf"
    make_tiny_wheel(shelf)
    make_wheel(shelf, "numpy", "2.1.0")
    pushed = [index("linux/amd64")]

    def answer(exchange):
        exchange.send(200, pushed[-1], Content_Type=OCI_INDEX, Docker_Content_Digest=digest_of(pushed[-1]))

    with serving(answer) as registry:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=serve_index(shelf).url)
        project = TinyProject(tmp_path / "project", variables)
        project.declare(f"one\n{LINES}", f"two\n{LINES}", base=f"{registry.host}/base:1")
        assert project.run("lock").returncode == 0
        done = project.run("outdated")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(": up to date\n") == 2

        make_wheel(shelf, "numpy", "2.2.0")
        pushed.append(index("linux/amd64", "linux/arm64"))
        variables["UV_CACHE_DIR"] = str(tmp_path / "fresh-cache")
        before = read_files(project.root)
        done = project.run("outdated", "--json")
        assert done.returncode == 1, done.stderr
        for image in json.loads(done.stdout)["images"]:
            fields = {one["field"]: (one["old"], one["new"]) for one in image["changes"]}
            assert fields == {
                "base.digest": (digest_of(pushed[0]), digest_of(pushed[1])),
                "packages.numpy": ("2.1.0", "2.2.0"),
            }
        assert project.run("upgrade", "--dry-run", "one").returncode == 0
        assert read_files(project.root) == before

        done = project.run("upgrade", "one")
        assert done.returncode == 0, done.stderr
        assert "1 of 2 images moved" in done.stdout
        assert project.run("lock", "--check").returncode == 0
        done = project.run("outdated")
        assert done.returncode == 1
        assert "one: up to date\n" in done.stdout
        assert "two: could move\n" in done.stdout
        assert project.run("upgrade").returncode == 0
        assert project.run("outdated").returncode == 0

    done = project.run("outdated", "--offline")
    assert done.returncode == 0, done.stderr
    assert "--offline" in done.stdout
    done = project.run("upgrade")
    assert done.returncode == 3

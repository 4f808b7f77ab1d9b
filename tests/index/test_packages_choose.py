"""Packages that need another framework release than the best one: locked by the real program and the real uv,
from an index on loopback."""

import json
from pathlib import Path

import pytest

from tests.index.conftest import Serve
from tests.support.tiny import TinyProject, clean_environment
from tests.support.wheels import make_wheel
from tests.unit.registry.server import OCI_INDEX, digest_of, index, serving

FACTS = """\
schema = 1

[sources]
here = { strength = "measured", checked = "2026-11-22", text = "made for a test" }

[framework]
name = "tiny"
title = "Tiny"
proof = "tensorflow"
template = "tensorflow"
source = "here"

[defaults]
platforms = "linux/amd64"
index = "default"
reported = "{version}"

[shapes.cuda]
provider = "wheels"
requires = ["tiny-frame==={version}"]

[shapes.cpu]
provider = "none"
requires = ["tiny-frame==={version}"]
"""
RELEASE = """
[[releases]]
version = "%s"
released = "2026-01-01"
source = "here"
pythons = "3.11 3.13"
glibc = "2.17"
builds = [
    { build = "cpu", like = "cpu" },
    { build = "cuda12", like = "cuda", cuda = ">=12.4,<13", cubins = "8.0 9.0" },
]
"""
RELEASES = ("1.0", "1.1", "2.0", "2.1", "3.0")
LINES = 'os = "debian12"\npython = "3.11"\n'


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Every release of the framework, and packages that go with some of them."""
    files = tmp_path / "shelf"
    for release in RELEASES:
        make_wheel(files, "tiny-frame", release)
    make_wheel(files, "needs-one", "1.0", requires=("tiny-frame==1.1",))
    make_wheel(files, "serves", "0.9", requires=("tiny-frame==2.0",))
    make_wheel(files, "serves", "1.0", requires=("needs-one",))
    make_wheel(files, "below-three", "1.0", requires=("tiny-frame<3",))
    make_wheel(files, "not-two", "1.0", requires=("tiny-frame!=2.1",))
    make_wheel(files, "none-fits", "1.0", requires=("tiny-frame==0.1",))
    make_wheel(files, "old-python", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    make_wheel(files, "swaps", "1.0", requires=("numpy",))
    make_wheel(files, "numpy", "2.1.0")
    return files


class Project(TinyProject):
    """One image of the framework in several releases, on a base of the user's own."""

    releases: tuple[str, ...] = RELEASES

    def ask(
        self, packages: list[str], *, framework: str = "tiny", lines: str = LINES, more: str = ""
    ) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "facts.toml").write_text(FACTS + "".join(RELEASE % one for one in self.releases))
        (self.root / "cudaforge.toml").write_text(
            f'schema = 1\n[project]\nname = "{self.name}"\n[matrices]\noverlays = ["facts.toml"]\n'
            f'[images.one]\nframework = "{framework}"\n{lines}\n'
            f"packages = {json.dumps(packages)}\n{more}"
        )

    def locked(self) -> tuple[str, str]:
        """Release and Python of the one image in the lock."""
        done = self.run("lock", "--check")
        assert done.returncode == 0, done.stderr
        text = self.lock.read_text()
        return text.split('reported = "')[1].split('"')[0], text.split('\npython = "')[1].split('"')[0]


@pytest.fixture
def project(tmp_path: Path, shelf: Path, serve_index: Serve):
    def answer(exchange):
        body = index("linux/amd64")
        exchange.send(200, body, Content_Type=OCI_INDEX, Docker_Content_Digest=digest_of(body))

    with serving(answer) as registry:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=serve_index(shelf).url)
        made = Project(tmp_path / "project", variables)
        made.mirror = f'[registries]\n"docker.io" = "{registry.host}"\n'
        yield made


@pytest.mark.parametrize(
    ("packages", "release", "told"),
    [
        (["needs-one==1.0"], "1.1", "needs-one==1.0 needs tiny-frame==1.1"),
        (["serves==1.0"], "1.1", "serves==1.0 needs tiny-frame==1.1"),
        (["below-three"], "2.1", "below-three needs tiny-frame<"),
        (["below-three", "not-two>=1"], "2.0", "not-two>=1 does not go with tiny 2.1"),
    ],
)
def test_a_package_that_needs_another_release_gets_it(project, packages, release, told):
    project.ask(packages, more=project.mirror)
    done = project.run("lock", "--json")
    assert done.returncode == 0, done.stderr
    assert told in json.loads(done.stdout)["moves"]["one"]
    assert told in done.stderr.replace("\n", " ")
    assert project.locked()[0] == release


def test_a_framework_among_the_packages_chooses_its_release_at_once(project):
    project.ask(["tiny-frame<2"], more=project.mirror)
    done = project.run("lock", "--json")
    assert done.returncode == 0, done.stderr
    assert not json.loads(done.stdout)["moves"]
    assert project.locked()[0] == "1.1"


def test_what_needs_another_release_than_the_wishes_allow_is_a_conflict_with_proven_ways_out(project):
    project.ask(["needs-one==1.0", "numpy"], framework="tiny>=2", more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stderr.split())
    assert "one: tiny>=2 and needs-one==1.0 cannot all hold" in text
    assert "needs-one==1.0 needs tiny-frame==1.1 [package index]" in text
    assert "cudaforge.toml:" in text
    assert 'framework = "tiny==1.' in text
    assert "(gives tiny 1.1+cuda12)" in text
    assert "drop package" in text
    assert not project.lock.exists()


def test_a_way_out_is_offered_only_where_uv_finds_the_packages(project, shelf: Path):
    """The facts know nothing of the second package, which rules the nearest release out."""
    make_wheel(shelf, "also", "1.0", requires=("tiny-frame!=1.1",))
    project.ask(["below-three==1.0", "also==1.0"], framework="tiny>2.1", more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 1, done.stderr
    assert "(gives tiny 2.1+cuda12)" in done.stderr
    assert "(gives tiny 1.1+cuda12)" not in done.stderr


def test_a_package_that_goes_with_no_release_says_what_it_needs(project):
    project.ask(["none-fits==1.0"], more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stderr.split())
    assert "tiny and none-fits==1.0 cannot all hold" in text
    assert "none-fits==1.0 needs tiny-frame==0.1" in text


def test_a_package_without_wheels_for_the_newest_python_moves_the_python(project):
    project.ask(["old-python==1.0"], lines='os = "debian12"\n', more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 0, done.stderr
    assert project.locked() == ("3.0", "3.11")
    assert "with Python 3.11 instead of" in " ".join(done.stderr.split())


def test_a_pinned_python_that_a_package_has_no_wheels_for_is_a_conflict(project):
    project.ask(["old-python==1.0"], lines='python = "3.13"\n', more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stderr.split())
    assert "python==3.13 and old-python==1.0 cannot all hold" in text
    assert 'python = "3.11"' in text


def test_a_package_that_nobody_has_is_told_at_once(project):
    project.ask(["no-such-package"], more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 1
    assert "no set of packages fits" in done.stderr
    assert "no-such-package was not found" in done.stderr


def test_a_point_whose_packages_collide_is_left_out(project):
    project.ask(
        ["needs-one==1.0"],
        more=f'[images.one.matrix]\nframework = ["tiny==1.*", "tiny==2.*"]\n{project.mirror}',
    )
    done = project.run("lock", "--json")
    assert done.returncode == 0, done.stderr
    (dropped,) = json.loads(done.stdout)["dropped"]
    assert dropped["core"] == ["tiny==2.*", "needs-one==1.0"]


def test_upgrade_and_outdated_choose_with_the_packages_too_and_offline_does_as_well(project):
    project.ask(["needs-one==1.0"], more=project.mirror)
    assert project.run("lock").returncode == 0
    first = project.lock.read_text()
    done = project.run("outdated", "--json")
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    held = {one["field"]: (one["value"], one["by"]) for one in image["held_back"]}
    assert held["tiny"] == ("3.0", ['packages = "needs-one==1.0"'])
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert project.lock.read_text() == first
    project.lock.unlink()
    done = project.run("lock", "--offline", "--allow-unpinned")
    assert done.returncode == 0, done.stderr
    assert project.locked()[0] == "1.1"


def test_two_images_choose_by_themselves_and_the_same_each_time(project):
    second = f'[images.two]\nframework = "tiny"\n{LINES}packages = ["below-three"]\n{project.mirror}'
    project.ask(["needs-one==1.0"], more=second)
    locks = set()
    for _ in range(2):
        done = project.run("lock")
        assert done.returncode == 0, done.stderr
        locks.add(project.lock.read_text())
        project.lock.unlink()
    (lock,) = locks
    assert lock.index('reported = "1.1"') < lock.index('reported = "2.1"')


def test_a_lock_of_uv_s_chooses_the_framework_by_what_it_pins(project):
    pins = "".join(
        f"""
[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "https://index.example/simple" }}
dependencies = [{", ".join(f'{{ name = "{one}" }}' for one in needs)}]
"""
        for name, version, needs in (("serves", "1.0", ["needs-one"]), ("needs-one", "1.0", ["tiny-frame"]))
    )
    root = """
[[package]]
name = "app"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "serves" }]

[[package]]
name = "tiny-frame"
version = "1.1"
source = { registry = "https://index.example/simple" }
"""
    project.ask([], lines=f'{LINES}requirements = "uv.lock"', more=project.mirror)
    (project.root / "uv.lock").write_text(f"version = 1\n{root}{pins}")
    done = project.run("lock")
    assert done.returncode == 0, done.stderr
    assert project.locked()[0] == "1.1"
    (project.root / "uv.lock").write_text(f"version = 1\n{root}{pins}".replace("1.1", "0.7"))
    assert project.run("lock", "--check").returncode == 1
    done = project.run("lock")
    assert done.returncode == 1
    assert "tiny-frame==0.7" in done.stderr


def test_a_wheel_of_the_project_is_kept_beside_the_lock(project):
    wheel = make_wheel(project.root / "own", "mine", "1.0", requires=("tiny-frame==2.0",))
    project.ask([f"./own/{wheel.name}"], more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 0, done.stderr
    assert project.locked()[0] == "2.0"
    kept = project.root / "cudaforge.lock.d" / "wheels" / wheel.name
    assert kept.read_bytes() == wheel.read_bytes()
    kept.unlink()
    assert project.run("lock").returncode == 0
    assert kept.exists()
    wheel.unlink()
    make_wheel(project.root / "own", "mine", "1.0", requires=("tiny-frame==2.1",))
    assert project.run("lock", "--check").returncode == 1
    assert project.run("lock").returncode == 0
    assert project.locked()[0] == "2.1"
    assert kept.read_bytes() == wheel.read_bytes()
    project.ask([], more=project.mirror)
    assert project.run("lock").returncode == 0
    assert not kept.exists()


def test_a_package_that_has_its_source_alone_is_refused_at_once_and_by_name(project, shelf: Path):
    (shelf / "flash_ops-2.8.3.tar.gz").write_bytes(b"")
    project.ask(["flash-ops==2.8.3"], more=project.mirror)
    done = project.run("lock")
    assert done.returncode == 1
    text = " ".join(done.stderr.split())
    assert "one: flash-ops 2.8.3 has no wheel for Python 3.11 on linux/amd64 with glibc 2.36" in text
    assert 'build_from_source = ["flash-ops"]' in text


MANY = tuple(f"{major}.0" for major in range(1, 13))


def counted(tmp_path: Path, serve_index: Serve, registry: str, fitting: tuple[str, ...]):
    """A project of many releases, of which only the fitting ones go with `library<2`, and its index."""
    files = tmp_path / "many"
    for release in MANY:
        make_wheel(files, "tiny-frame", release, requires=() if release in fitting else ("library>=2",))
    for release in ("1.0", "2.0"):
        make_wheel(files, "library", release)
    make_wheel(files, "on-top", "1.0", requires=("library",))
    served = serve_index(files)
    made = Project(tmp_path / "counted", clean_environment(tmp_path, UV_DEFAULT_INDEX=served.url))
    made.mirror, made.releases = registry, MANY
    return made, served


def questions(served) -> int:
    """How often the framework's releases were asked for: once by each run of uv."""
    return served.asked.count("/simple/tiny-frame/")


@pytest.mark.parametrize(("fitting", "expected"), [(("1.0", "2.0"), "2.0"), (("1.0", "7.0"), "7.0")])
def test_many_releases_that_do_not_go_with_a_package_are_left_out_together(
    project, tmp_path: Path, serve_index: Serve, fitting, expected
):
    """What the framework needs of a package is not what the package says of the framework: each release
    would have to be asked for by itself."""
    made, served = counted(tmp_path, serve_index, project.mirror, fitting)
    made.ask(["on-top", "library<2"], more=project.mirror)
    done = made.run("lock", "--json")
    assert done.returncode == 0, done.stderr
    assert made.locked()[0] == expected
    move = json.loads(done.stdout)["moves"]["one"]
    assert f"library<2 goes with no tiny-frame>{expected} (tiny-frame>=" in move
    assert questions(served) <= 6


def test_where_no_release_goes_with_a_package_the_conflict_is_found_at_once(
    project, tmp_path: Path, serve_index: Serve
):
    made, served = counted(tmp_path, serve_index, project.mirror, ())
    made.ask(["on-top", "library<2"], more=project.mirror)
    done = made.run("lock")
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stderr.split())
    assert "one: tiny and library<2 cannot all hold" in text
    assert "library<2 goes with no tiny-frame (all versions of tiny-frame depend on library>=2)" in text
    assert questions(served) <= 10


def test_wishes_that_leave_out_what_a_package_goes_with_are_named_with_a_way_out(
    project, tmp_path: Path, serve_index: Serve
):
    made, served = counted(tmp_path, serve_index, project.mirror, ("1.0", "2.0", "12.0"))
    made.ask(["library<2"], framework="tiny>=4,<11", more=project.mirror)
    done = made.run("lock")
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stderr.split())
    assert "one: tiny>=4,<11 and library<2 cannot all hold" in text
    assert "library<2 goes with no tiny-frame>2.0,<=10.0" in text
    assert "(gives tiny 12.0+cuda12)" in text
    assert "(gives tiny 2.0+cuda12)" in text
    assert questions(served) <= 20


def test_a_first_answer_that_has_its_packages_is_asked_for_once(project, tmp_path: Path, serve_index: Serve):
    made, served = counted(tmp_path, serve_index, project.mirror, MANY)
    made.ask(["on-top", "library<2"], more=project.mirror)
    assert made.run("lock").returncode == 0
    assert questions(served) == 1


COMPILED = """
schema = 1

[sources]
here = { strength = "measured", checked = "2026-11-22", text = "made for a test" }

[[companions]]
framework = "tiny"
package = "kernels"
role = "extension"
source = "here"
releases = [
    { version = "0.1", needs = ">=1.0", released = "2026-01-15" },
    { version = "0.9", needs = "==2.0", released = "2026-02-15" },
]
"""


def test_no_old_release_is_taken_for_its_open_floor(project, shelf):
    """The newest goes with 2.0 alone, and an old one with what there was on its day: that was before 3.0."""
    make_wheel(shelf, "kernels", "0.1", requires=("tiny-frame>=1.0",))
    make_wheel(shelf, "kernels", "0.9", requires=("tiny-frame==2.0",))
    project.ask(["kernels"], more=project.mirror)
    facts = project.root / "facts.toml"
    later = (RELEASE % "3.0").replace("2026-01-01", "2026-03-01")
    facts.write_text(facts.read_text().replace(RELEASE % "3.0", later))
    (project.root / "kernels.toml").write_text(COMPILED)
    declaration = project.root / "cudaforge.toml"
    text = declaration.read_text().replace('["facts.toml"]', '["facts.toml", "kernels.toml"]')
    declaration.write_text(text)
    done = project.run("lock", "--json")
    assert done.returncode == 0, done.stderr
    assert "kernels" in json.loads(done.stdout)["moves"]["one"]
    assert project.locked()[0] == "2.0"

"""Rendered Dockerfiles, built and looked into on a real engine."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from cudaforge.bootstrap import find_archive_access, loaded_reference, write_archive
from cudaforge.lockfile.model import LockedCopy
from cudaforge.records import replace
from cudaforge.renderer import dump_apt_config, extend_ignore, render_image, render_lock, write_rendered
from cudaforge.renderer.model import (
    APT_CONFIG_SECRET,
    APT_SOURCES_SECRET,
    BASE_CONTEXT,
    CA_SECRET,
    SITE_SECRET,
    UV_CONTEXT,
    WHEELS_CONTEXT,
)
from tests.support.bases import make_base
from tests.support.building import REPOSITORY, Builder, config_of, docker, find_in_layers, python
from tests.support.closures import make_wheel
from tests.support.engine import Engine
from tests.support.locks import CPU_IMAGE, make_lock

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

CODENAME = "bookworm"  # whose Python is CPU_IMAGE's
MARKER = "site-marker-4f1c"
NASTY = {
    "QUOTES": """it's "so" and `so`""",
    "DOLLARS": "$HOME ${X:-y} $(id) $$ \\$x",
    "BACKSLASHES": "a\\b\\\\c\\",
    "HASH": "# syntax=evil",
    "HEREDOC": "cat <<EOF",
    "SPACES": "  two  spaces  ",
    "EMPTY": "",
    "EQUALS": 'x" B="1',
    "TEMPLATE": "{{ 7*7 }} {% raw %}",
    "WIDE": "é \u4e2d\u6587 \U0001f600",
    "LONG": "x" * 30_000,
}


@pytest.fixture(scope="module")
def base(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base as what buildx takes behind `--build-context NAME=`."""
    image = make_base(CODENAME)
    if "io.containerd.snapshotter" in docker("info", "--format", "{{json .DriverStatus}}"):
        yield image.build_context
        return
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    write_archive(image, archive)
    docker("load", "--quiet", "--input", archive)
    yield f"docker-image://{loaded_reference(image)}"
    docker("rmi", loaded_reference(image))


@pytest.fixture
def builder(base: str, tmp_path: Path) -> Iterator[Builder]:
    for name in ("project", "wheels", "uv"):
        (tmp_path / name).mkdir()
    shutil.copy(uv.find_uv_bin(), tmp_path / "uv" / "uv")
    make_wheel(tmp_path / "wheels", "tiny", "1.0", {"tiny.py": b"VALUE = 42\n"})
    made = Builder(directory=tmp_path, base=base)
    yield made
    for tag in made.tags:
        subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, timeout=60, check=False)


def test_written_values_are_the_values_in_the_image(builder: Builder):
    words = tuple(value for name, value in NASTY.items() if name != "LONG")
    workdir = """/w $HOME 'q' "d" \\ #é"""
    image = replace(
        CPU_IMAGE,
        env=NASTY,
        labels={f"test.{name.lower()}": value for name, value in NASTY.items()},
        command=("python", "-c", "import sys, json; print(json.dumps(sys.argv[1:]))", *words),
        workdir=workdir,
        run=tuple(
            f"printf '%s' {word} > /step-{number}"
            for number, word in enumerate(("'a'\"'\"'b'", '"<<EOF \\$x"'))
        ),
    )
    tag = builder.build(image)
    config = config_of(tag)
    environment = dict(item.split("=", 1) for item in config["Env"])
    assert {name: environment[name] for name in NASTY} == NASTY
    assert {name: config["Labels"][f"test.{name.lower()}"] for name in NASTY} == NASTY
    assert config["WorkingDir"] == workdir
    assert tuple(json.loads(builder.run(tag))) == words
    steps = python(builder, tag, "print(open('/step-0').read(), open('/step-1').read())")
    assert steps == "a'b <<EOF $x"


def test_entrypoint_is_exec_form(builder: Builder):
    image = replace(CPU_IMAGE, entrypoint=("python", "-c", "import sys; print(sys.argv[1:])", "$HOME"))
    tag = builder.build(replace(image, command=("a b", "`id`")))
    assert builder.run(tag).strip() == "['$HOME', 'a b', '`id`']"


def test_files_with_odd_names_are_copied(builder: Builder):
    names = [
        "it's",
        "a b",
        'q"q',
        "d$HOME",
        "b\\s",
        "br[1]",
        "é",
        "#h",
        "<<EOF",
        "-dash",
        "a{b}",
        "t`id`",
        "%",
    ]
    for number, name in enumerate([*names, "br1", "not-copied"]):
        (builder.project / name).write_text(str(number))
    image = replace(CPU_IMAGE, copy=tuple(LockedCopy(source=name, target=f"/files/{name}") for name in names))
    tag = builder.build(image)
    found = python(
        builder,
        tag,
        "import json, os; print(json.dumps({n: open('/files/' + n).read() for n in os.listdir('/files')}))",
    )
    assert json.loads(found) == {name: str(number) for number, name in enumerate(names)}


def test_whole_project_without_what_is_a_machines_own(builder: Builder):
    kept = ("main.py", "src/a.py", "src/.hidden")
    left_out = (
        ".git/config",
        ".env",
        "src/__pycache__/a.pyc",
        ".venv/x",
        ".mypy_cache/x",
        "cudaforge.lock.d/x",
    )
    for name in (*kept, *left_out):
        (builder.project / name).parent.mkdir(parents=True, exist_ok=True)
        (builder.project / name).write_text("x")
    tag = builder.build(replace(CPU_IMAGE, copy=(LockedCopy(source=".", target="/app"),)))
    found = builder.run(tag, "find", "/app", "-type", "f", "-printf", "%P\n").split()
    assert sorted(found) == sorted(kept)
    owners = set(builder.run(tag, "find", "/app", "-printf", "%u:%g\n").split())
    assert owners == {"app:app"}
    asked = replace(
        CPU_IMAGE, copy=(LockedCopy(source=".env", target="/app/"), LockedCopy(source="src", target="/s"))
    )
    tag = builder.build(asked)
    assert sorted(builder.run(tag, "find", "/app", "/s", "-type", "f").split()) == [
        "/app/.env",
        "/s/.hidden",
        "/s/a.py",
    ]


def test_the_projects_own_ignore_file_counts(builder: Builder):
    for name in ("main.py", "private.key"):
        (builder.project / name).write_text("x")
    image = replace(CPU_IMAGE, copy=(LockedCopy(source=".", target="/app"),))
    rendered = render_image(image)
    output = builder.directory / "with-own"
    output.mkdir()
    (output / "Dockerfile").write_text(rendered.dockerfile)
    (output / "Dockerfile.dockerignore").write_text(extend_ignore(rendered.ignore, "*.key\n"))
    tag = builder.build_file(output / "Dockerfile", secrets={})
    assert builder.run(tag, "ls", "/app").split() == ["main.py"]


def test_the_environment_is_first_on_the_path(builder: Builder):
    tag = builder.build(CPU_IMAGE)
    seen = python(builder, tag, "import sys, tiny; print(sys.prefix, sys.base_prefix, tiny.VALUE)")
    assert seen == "/opt/venv /usr 42"
    assert builder.run(tag, "sh", "-c", "command -v uv || echo none").strip() == "none"


def test_a_wheel_with_another_hash_is_refused(builder: Builder):
    builder.pylock()
    (builder.wheels / "tiny-1.0-py3-none-any.whl").unlink()
    make_wheel(builder.wheels, "tiny", "1.0", {"tiny.py": b"VALUE = 43\n"})
    assert "Hash mismatch" in builder.build(CPU_IMAGE, fails=True)


def test_a_secret_that_is_missing_stops_the_build(builder: Builder):
    image = replace(CPU_IMAGE, run=("cat /run/secrets/token",), secrets=("token",))
    assert "token" in builder.build(image, fails=True)


def is_trace(name: str, content: bytes) -> bool:
    return (
        MARKER.encode() in content
        or b"uv/_uv" in content
        or name.startswith(("run/", "var/lib/apt/lists/", "root/.cache", "opt/venv/.lock", "tmp/"))
        or name.endswith((".sock", "/uv", "pylock.toml", "site.sh", "ca.crt"))
    )


def test_nothing_of_the_site_is_left_in_any_layer(builder: Builder, tmp_path: Path):
    site = f"export HTTPS_PROXY='http://{MARKER}:3128'\nexport PIP_INDEX_URL='https://{MARKER}/simple'\n"
    step = (
        '[ -n "$HTTPS_PROXY" ] && [ -s "$SSL_CERT_FILE" ] && [ -s "$APT_CONFIG" ] && '
        "[ -s /run/secrets/token ] && touch /proof"
    )
    image = replace(CPU_IMAGE, run=(step,), secrets=("token",))
    secrets = {
        SITE_SECRET: site,
        CA_SECRET: f"# {MARKER}\n",
        APT_SOURCES_SECRET: f"deb http://{MARKER} x main\n",
        APT_CONFIG_SECRET: dump_apt_config(f'Acquire::http::Proxy "http://{MARKER}";\n'),
        "token": MARKER,
    }
    tag = builder.build(image, secrets=secrets)
    assert find_in_layers(tag, tmp_path, lambda name, _: name == "proof") == ["proof"]
    assert find_in_layers(tag, tmp_path, is_trace) == []
    assert MARKER not in docker("image", "inspect", tag) + docker("history", "--no-trunc", tag)
    environment = {item.split("=", 1)[0] for item in config_of(tag)["Env"]}
    assert environment == {"PATH", "VIRTUAL_ENV", "NVIDIA_VISIBLE_DEVICES", *CPU_IMAGE.env}


@pytest.mark.network
def test_os_packages_come_by_apt_and_leave_no_trace(builder: Builder, tmp_path: Path):
    access = find_archive_access(CODENAME)
    secrets = {APT_SOURCES_SECRET: access.sources, APT_CONFIG_SECRET: dump_apt_config(access.config)}
    step = "apt-get update && apt-get install -y --no-install-recommends less"
    image = replace(CPU_IMAGE, os_packages=("python3.11", "hello"), run=(step,))
    tag = builder.build(image, "--no-cache", secrets=secrets)
    assert builder.run(tag, "hello").strip() == "Hello, world!"
    assert builder.run(tag, "sh", "-c", "command -v less").strip()
    places = ("run/", "var/lib/apt/lists/", "var/cache/apt/", "etc/apt/", "usr/share/keyrings/")
    assert find_in_layers(tag, tmp_path, lambda name, _: name.startswith(places)) == []


@pytest.mark.network
def test_the_apt_step_itself_leaves_no_logs(builder: Builder, tmp_path: Path):
    access = find_archive_access(CODENAME)
    secrets = {APT_SOURCES_SECRET: access.sources, APT_CONFIG_SECRET: dump_apt_config(access.config)}
    tag = builder.build(replace(CPU_IMAGE, os_packages=("hello",)), secrets=secrets)
    places = ("var/log/", "var/cache/ldconfig/", "var/cache/apt/", "var/lib/apt/lists/", "tmp/", "root/")
    left = find_in_layers(tag, tmp_path, lambda name, _: name.startswith(places))
    assert [name for name in left if "/.wh." not in name] == []  # whiteouts: the base's own go, too


WHO = (
    "import os, pwd; u = pwd.getpwuid(os.getuid()); print(u.pw_name, u.pw_uid, u.pw_gid, os.environ['HOME'])"
)
WRITES = "import os; open('x', 'w'); open(os.path.expanduser('~/x'), 'w'); print(os.getcwd())"


@pytest.mark.parametrize(
    ("user", "who"),
    [
        ("app", "app 1000 1000 /home/app"),
        ("1234", "user1234 1234 1234 /home/user1234"),
        ("1234:5678", "user1234 1234 5678 /home/user1234"),
        ("root", "root 0 0 /root"),
        ("trainer", "trainer 1000 1000 /home/trainer"),
    ],
)
def test_users(builder: Builder, user: str, who: str):
    tag = builder.build(replace(CPU_IMAGE, user=user))
    assert config_of(tag)["User"] == user
    assert python(builder, tag, WHO) == who
    assert python(builder, tag, WRITES) == "/app"


def test_an_account_of_the_base_with_uid_1000_gives_way(builder: Builder):
    own = builder.directory / "own"
    own.mkdir()
    (own / "Dockerfile").write_text("FROM base\nRUN useradd --create-home --uid 1000 ubuntu\nUSER ubuntu\n")
    tag = f"{REPOSITORY}:ubuntu"
    builder.tags.append(tag)
    docker("buildx", "build", f"--build-context=base={builder.base}", f"--tag={tag}", "--load", own)
    with_app = builder.build(CPU_IMAGE, base=f"docker-image://{tag}")
    assert python(builder, with_app, WHO) == "app 1000 1000 /home/app"
    assert python(builder, with_app, WRITES) == "/app"
    assert builder.run(with_app, "sh", "-c", "id -gn; getent passwd ubuntu || echo gone").split() == [
        "app",
        "gone",
    ]
    kept = builder.build(replace(CPU_IMAGE, user="ubuntu"), base=f"docker-image://{tag}")
    assert python(builder, kept, WHO) == "ubuntu 1000 1000 /home/ubuntu"


def test_a_workdir_of_the_base_is_left_as_it_is(builder: Builder):
    tag = builder.build(replace(CPU_IMAGE, workdir="/usr/share"))
    assert builder.run(tag, "stat", "-c", "%U", "/usr/share").strip() == "root"


def test_libraries_of_the_wheels_are_found_by_name(builder: Builder, tmp_path: Path):
    # Some library of this machine under another name.
    original = next(Path("/lib").rglob("libz.so.1*")).resolve().read_bytes()
    library = original.replace(b"libz.so.1\0", b"libq.so.1\0")
    make_wheel(builder.wheels, "nvidia_test", "1.0", {"nvidia/test/lib/libq.so.1": library})
    framework = replace(CPU_IMAGE.frameworks[0], name="tensorflow", template="tensorflow")
    tag = builder.build(replace(CPU_IMAGE, frameworks=(framework,), cuda_provider="wheels"))
    assert python(builder, tag, "import ctypes; print(ctypes.CDLL('libq.so.1')._name)") == "libq.so.1"
    assert find_in_layers(tag, tmp_path, lambda name, _: name.endswith("/aux-cache")) == []


def test_bake_builds_what_render_wrote(builder: Builder):
    names = ("one", "two.b")
    images = [
        replace(
            CPU_IMAGE,
            name=name,
            tags=(f"{REPOSITORY}:bake-{name}",),
            copy=(LockedCopy(source="main.py", target="/app/"),),
        )
        for name in names
    ]
    builder.tags.extend(image.tags[0] for image in images)
    (builder.project / "main.py").write_text("print(1)\n")
    output = builder.project / "docker"
    write_rendered(render_lock(make_lock(*images)), output, force=False)
    inputs = builder.project / ".cudaforge" / "bake"
    for name in names:
        shutil.copytree(builder.wheels, inputs / name / "wheels")
        shutil.copy(builder.pylock(), inputs / name / "pylock.toml")
        shutil.copytree(builder.directory / "uv", inputs / name / "uv")
    overrides = [f"--set=*.contexts.{BASE_CONTEXT}={builder.base}"]
    done = subprocess.run(
        ["docker", "buildx", "bake", "--load", *overrides],
        cwd=output,
        env={**os.environ, "BUILDX_BAKE_ENTITLEMENTS_FS": "0"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for image in images:
        assert builder.run(image.tags[0], "cat", "/app/main.py") == "print(1)\n"


def test_building_again_is_cached(builder: Builder):
    builder.build(CPU_IMAGE)
    first = docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", builder.tags[-1])
    builder.build(CPU_IMAGE)
    assert docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", builder.tags[-1]) == first


def test_the_engine_has_nothing_to_say_about_the_dockerfile(builder: Builder):
    output = builder.directory / "checked"
    output.mkdir()
    (output / "Dockerfile").write_text(render_image(replace(CPU_IMAGE, run=("true",))).dockerfile)
    if "--check" not in docker("buildx", "build", "--help"):
        pytest.skip("this buildx has no --check")
    words = [f"--build-context={BASE_CONTEXT}={builder.base}", f"--build-context={UV_CONTEXT}={output}"]
    said = docker("buildx", "build", "--check", *words, f"--build-context={WHEELS_CONTEXT}={output}", output)
    assert "WARNING" not in said

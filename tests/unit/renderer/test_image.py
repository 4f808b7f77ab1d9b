import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.errors import InputError
from cudaforge.lockfile.model import LockedBase, LockedCopy
from cudaforge.quoting import find_unsafe_character
from cudaforge.records import replace
from cudaforge.renderer import extend_ignore, render_built, render_collection, render_image, render_lock
from cudaforge.renderer.mark import is_ours
from tests.support.dockerlex import read_word
from tests.support.locks import (
    BASE_DIGEST,
    BOTH_IMAGE,
    CPU_IMAGE,
    ENTRY,
    GPU_IMAGE,
    SNAPSHOT,
    SOURCES,
    STANDALONE,
    STANDALONE_IMAGE,
    make_lock,
)

dockerfile = pytest.importorskip("dockerfile", reason="BuildKit's parser has a wheel for x86_64 alone")

VALUES = st.text(alphabet=st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=30)


def instructions(image) -> "list[dockerfile.Command]":
    return list(dockerfile.parse_string(render_image(image).dockerfile))


def words_of(image, name: str) -> list[str]:
    return [word for command in instructions(image) if command.cmd == name for word in command.value]


def pairs_of(image, name: str) -> dict[str, str]:
    words = [word for word in words_of(image, name) if word != "="]
    return {
        read_word(key): value
        for key, value in zip(words[::2], words[1::2], strict=True)
        if key not in ("PATH", "VIRTUAL_ENV")
    }


def values_of(image, name: str) -> dict[str, str]:
    return {key: read_word(value) for key, value in pairs_of(image, name).items()}


def text_of_runs(image) -> str:
    return "\n".join(words_of(image, "RUN"))


def problems_of(image) -> dict[str, str]:
    with pytest.raises(InputError) as refusal:
        render_image(image)
    return {problem.where.key: problem.what for problem in refusal.value.problems}


def test_a_base_with_cuda_keeps_its_user_mode_driver_where_that_is_asked_for():
    removed = "rm -rf /usr/local/cuda-*/compat"
    with_cuda = replace(GPU_IMAGE, toolkit="12.8.1")
    assert removed in render_image(with_cuda).dockerfile
    forward = render_image(replace(with_cuda, forward_compat=True)).dockerfile
    assert removed not in forward
    assert "forward_compat=" in forward.replace('"', "")
    assert "LD_LIBRARY_PATH" not in forward, "newer hosts keep their own driver"
    assert removed not in render_image(GPU_IMAGE).dockerfile


def test_first_line_names_the_lock_entry_and_no_frontend():
    text = render_image(GPU_IMAGE).dockerfile
    assert text.startswith(f"# made by cudaforge from lock entry {ENTRY}, content sha256:")
    assert "syntax=" not in text
    assert is_ours("train/Dockerfile", text)


def test_same_entry_same_bytes_whatever_the_order_of_its_tables():
    shuffled = replace(
        GPU_IMAGE,
        env={"B": "2", **GPU_IMAGE.env, "A": "1"},
        labels={"z": "1", "a": "2"},
    )
    again = replace(
        shuffled,
        env=dict(reversed(shuffled.env.items())),
        labels=dict(reversed(shuffled.labels.items())),
    )
    assert render_image(shuffled) == render_image(again)


@pytest.mark.parametrize(
    "setting", [{"LC_ALL": "tr_TR.UTF-8"}, {"TZ": "Asia/Tokyo"}, {"PYTHONHASHSEED": "7"}]
)
def test_same_bytes_in_odd_surroundings(setting):
    program = (
        "import sys; from cudaforge.renderer import render_image; from tests.support.locks import GPU_IMAGE;"
        "sys.stdout.buffer.write(render_image(GPU_IMAGE).dockerfile.encode())"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), **setting}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout.decode() == render_image(GPU_IMAGE).dockerfile


def test_base_is_pinned():
    plain = replace(GPU_IMAGE, os_packages=())
    assert words_of(plain, "FROM") == [f"python:3.11-slim-bookworm@{BASE_DIGEST}"]
    unpinned = replace(plain, base=replace(GPU_IMAGE.base, digest=None))
    assert words_of(unpinned, "FROM") == ["python:3.11-slim-bookworm"]
    by_digest = replace(plain, base=replace(GPU_IMAGE.base, reference=f"python@{BASE_DIGEST}"))
    assert words_of(by_digest, "FROM") == [f"python@{BASE_DIGEST}"]


def test_bootstrapped_base_is_a_context():
    assert words_of(CPU_IMAGE, "FROM") == ["cudaforge-base"]
    assert render_image(CPU_IMAGE).contexts == ("cudaforge-base", "cudaforge-uv", "cudaforge-wheels")
    assert render_image(GPU_IMAGE).contexts == ("cudaforge-uv", "cudaforge-wheels")


def test_what_the_build_has_to_bring_is_what_the_dockerfile_mounts():
    image = replace(GPU_IMAGE, run=("x",), secrets=("token",), ssh=True)
    rendered = render_image(image)
    mounts = [flag for command in instructions(image) for flag in command.flags if "type=secret" in flag]
    assert {flag.split("id=")[1].split(",")[0] for flag in mounts} == set(rendered.secrets)
    contexts = [flag for command in instructions(image) for flag in command.flags if "from=" in flag]
    assert {flag.split("from=")[1].split(",")[0] for flag in contexts} == {
        *rendered.contexts,
        "cudaforge-debs",  # a stage, which only a build without a network is given something in place of
    }


def test_own_secrets_and_ssh_are_for_own_steps_alone():
    image = replace(GPU_IMAGE, run=("x",), secrets=("token",), ssh=True)
    with_token = [
        command.value[0] for command in instructions(image) if any("token" in flag for flag in command.flags)
    ]
    assert len(with_token) == 1
    assert with_token[0].endswith("/bin/sh -euc x")
    assert sum("type=ssh" in flag for command in instructions(image) for flag in command.flags) == 1


def test_apt_installs_what_the_base_lacks():
    assert "apt-get" in text_of_runs(GPU_IMAGE)
    assert "apt-get" not in text_of_runs(CPU_IMAGE)
    wanted = ("python3.11", "python3.11=3.11.2-6", "python3.11=3.11.9", "git", "git")
    text = text_of_runs(replace(CPU_IMAGE, os_packages=wanted))
    assert " python3.11=3.11.9 " in text
    assert " python3.11=3.11.2-6 " not in text
    assert " python3.11 " not in text
    assert text.count(" git ") == 1


@pytest.mark.parametrize(
    ("provider", "python", "path"),
    [
        ("image", "3.11", "/usr/local/bin/python3.11"),
        ("distro", "3.11", "/usr/bin/python3.11"),
        ("distro", "3.13t", "/usr/bin/python3.13t"),
        ("image", "3.12.4", "/usr/local/bin/python3.12"),
    ],
)
def test_interpreter(provider, python, path):
    runs = text_of_runs(replace(GPU_IMAGE, python_provider=provider, python=python))
    assert f'uv venv "$@" --python {path} /opt/venv' in runs


def test_closure_is_part_of_the_cache_key_and_hashes_are_required():
    (step,) = (command for command in words_of(GPU_IMAGE, "RUN") if "uv pip install" in command)
    assert GPU_IMAGE.closure.sha256 in step
    assert "--require-hashes" in step


def test_wheels_come_from_the_cache_or_all_anew():
    """What a first attempt copied in part would count as installed in the second."""
    (step,) = (command for command in words_of(GPU_IMAGE, "RUN") if "uv pip install" in command)
    assert "{ said=$(install --offline 2>&1) && echo" in step
    assert "|| { venv --clear && install; };" in step


def test_account_comes_after_os_packages_which_may_bring_it_and_before_wheels_which_differ():
    steps = words_of(replace(GPU_IMAGE, os_packages=("postgresql",)), "RUN")
    marks = ("apt-get", "make the account", "uv pip install")
    (apt,), (account,), (wheels,) = (
        [number for number, step in enumerate(steps) if mark in step] for mark in marks
    )
    assert apt < account < wheels


def test_gpu_environment():
    environment = values_of(GPU_IMAGE, "ENV")
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert "NVIDIA_REQUIRE_CUDA" not in environment


def test_cpu_twin_takes_no_gpu():
    assert values_of(CPU_IMAGE, "ENV")["NVIDIA_VISIBLE_DEVICES"] == "void"


def test_gate():
    assert values_of(replace(GPU_IMAGE, gate="cuda>=12.8"), "ENV")["NVIDIA_REQUIRE_CUDA"] == "cuda>=12.8"
    off = values_of(replace(GPU_IMAGE, gate=""), "ENV")
    assert (off["NVIDIA_REQUIRE_CUDA"], off["NVIDIA_DISABLE_REQUIRE"]) == ("", "1")


def test_declared_environment_wins():
    image = replace(GPU_IMAGE, env={"NVIDIA_VISIBLE_DEVICES": "0"})
    assert values_of(image, "ENV")["NVIDIA_VISIBLE_DEVICES"] == "0"


def test_steps_come_before_copies_and_the_user_last():
    image = replace(GPU_IMAGE, run=("first", "second"))
    order = [command.cmd for command in instructions(image)]
    runs = [position for position, name in enumerate(order) if name == "RUN"]
    assert order.index("COPY") > runs[-1]
    assert order[-3:] == ["USER", "CMD", "LABEL"]
    assert words_of(image, "USER") == ["root", "app"]


def test_root_has_no_account_and_owns_the_files():
    image = replace(GPU_IMAGE, user="root")
    assert "/etc/passwd" not in text_of_runs(image)
    assert [command.flags for command in instructions(image) if command.cmd == "COPY"] == [()]


def test_start():
    assert words_of(GPU_IMAGE, "CMD") == ["python", "main.py"]
    assert words_of(replace(GPU_IMAGE, command=None), "CMD") == []
    assert words_of(CPU_IMAGE, "CMD") == ["python"]
    image = replace(GPU_IMAGE, command=None, entrypoint=("/bin/x", "$HOME"))
    assert words_of(image, "ENTRYPOINT") == ["/bin/x", "$HOME"]
    assert all(command.json for command in instructions(image) if command.cmd == "ENTRYPOINT")


def test_labels_have_every_resolved_version():
    labels = values_of(replace(GPU_IMAGE, labels={"com.acme.team": "vision"}), "LABEL")
    assert labels["io.cudaforge.lock.entry"] == ENTRY
    assert labels["io.cudaforge.framework.pytorch"] == "2.8.0"
    assert labels["io.cudaforge.framework.pytorch.build"] == "cu128"
    assert labels["io.cudaforge.cuda"] == "12.8"
    assert labels["io.cudaforge.cudnn"] == "9.10.2.21"
    assert labels["io.cudaforge.nccl"] == "2.27.3"
    assert labels["io.cudaforge.python"] == "3.11"
    assert labels["io.cudaforge.driver.floor"] == "570.26"
    assert labels["io.cudaforge.gpu.architectures"] == "sm_80 sm_90"
    assert labels["io.cudaforge.package.torchvision"] == "0.23.0"
    assert labels["org.opencontainers.image.base.name"] == "python:3.11-slim-bookworm"
    assert labels["org.opencontainers.image.base.digest"] == BASE_DIGEST
    assert labels["com.acme.team"] == "vision"
    assert "io.cudaforge.cuda" not in values_of(CPU_IMAGE, "LABEL")


def test_two_frameworks_with_one_template_run_it_once():
    tensorflow = replace(GPU_IMAGE.frameworks[0], name="tensorflow", template="tensorflow")
    image = replace(
        GPU_IMAGE, frameworks=(tensorflow, replace(tensorflow, name="keras"), *GPU_IMAGE.frameworks)
    )
    assert text_of_runs(image).count("ld.so.conf.d") == 1
    assert "ld.so.conf.d" not in text_of_runs(replace(image, cuda_provider="system"))


def test_no_shell_word_of_a_package_or_step_escapes():
    image = replace(GPU_IMAGE, run=("echo '$(id)' <<EOF; # \\",))
    (command,) = (command for command in instructions(image) if "-euc" in str(command.value))
    assert command.heredocs == ()
    assert command.value[0].endswith("""/bin/sh -euc 'echo '"'"'$(id)'"'"' <<EOF; # \\'""")


@given(
    env=st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), VALUES, max_size=4),
    labels=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, max_size=4),
    words=st.lists(VALUES, max_size=4),
    steps=st.lists(VALUES.filter(str.strip), max_size=3),
)
def test_no_value_adds_or_changes_an_instruction(env, labels, words, steps):
    plain = [command.cmd for command in instructions(replace(GPU_IMAGE, run=tuple("x" for _ in steps)))]
    image = replace(GPU_IMAGE, env=env, labels=labels, command=tuple(words), run=tuple(steps))
    assert [command.cmd for command in instructions(image)] == plain
    assert env.items() <= values_of(image, "ENV").items()
    assert labels.items() <= values_of(image, "LABEL").items()
    assert words_of(image, "CMD") == words


@pytest.mark.parametrize(
    ("field", "value", "key"),
    [
        ("env", {"A": "a\nRUN x"}, "env.A"),
        ("env", {"A=B": "x"}, "env"),
        ("env", {"A": "x" * 40_000}, "env.A"),
        ("labels", {"a": "\u202e"}, "labels.a"),
        ("labels", {"a b": "x"}, "labels"),
        ("labels", {"io.cudaforge.lock.entry": "x"}, "labels.io.cudaforge.lock.entry"),
        ("command", ("a\0",), "command[0]"),
        ("command", ("x" * 20_000, "y" * 20_000), "command"),
        ("entrypoint", ("\u2028",), "entrypoint[0]"),
        ("run", ("a\nb",), "run[0]"),
        ("run", tuple("x" for _ in range(101)), "run"),
        ("workdir", "app", "workdir"),
        ("workdir", "/a\r", "workdir"),
        ("workdir", "/opt/venv", "workdir"),
        ("workdir", "/opt/x/../venv/src", "workdir"),
        ("workdir", "/opt/python/app", "workdir"),
        ("user", "a b", "user"),
        ("secrets", ("a,type=ssh",), "secrets"),
        ("secrets", ("cudaforge-closure",), "secrets"),
        ("os_packages", ("git; id",), "apt"),
        ("os_packages", ("-o=x",), "apt"),
        ("snapshot", replace(SNAPSHOT, timestamp="2026"), "snapshot.timestamp"),
        ("snapshot", replace(SNAPSHOT, url="http://x/'; id"), "snapshot.url"),
        ("snapshot", replace(SNAPSHOT, keyring="/x] http://evil"), "snapshot.keyring"),
        ("snapshot", replace(SNAPSHOT, archives=("../x stable main",)), "snapshot.archives"),
        ("snapshot", replace(SNAPSHOT, archives=("x stable",)), "snapshot.archives"),
        ("snapshot", replace(SNAPSHOT, archives=("x stable main\ny",)), "snapshot.archives"),
        ("snapshot", replace(SNAPSHOT, archives=()), "snapshot.archives"),
        ("name", "../x", "name"),
        ("os", "debian12,target=/", "os"),
        ("digest", "x\nRUN y", "digest"),
        ("tags", ("a b",), "tags"),
        ("platforms", ("linux",), "platforms"),
        ("python", "3", "python"),
        ("template", "own.j2", "template"),
        ("python_provider", "conda", "python_provider"),
        ("python_provider", "standalone", "standalone"),
        ("standalone", STANDALONE, "standalone"),
        ("os_family", "rhel", "os"),
        ("base", LockedBase(reference="a b", digest=None, codename="x"), "base"),
        ("base", LockedBase(reference="a", digest="sha256:x", codename="x"), "base.digest"),
        ("copy", (LockedCopy(source="../x", target="/x"),), "copy[0].from"),
        ("copy", (LockedCopy(source="/x", target="/x"),), "copy[0].from"),
        ("copy", (LockedCopy(source="a", target=""),), "copy[0].to"),
        ("copy", (LockedCopy(source="*.py", target="/x"),), "copy[0]"),
    ],
)
def test_bad_entries_are_refused_by_key(field, value, key):
    image = replace(GPU_IMAGE, **{field: value})
    keys = [found.removeprefix(f"images.{image.name}.") for found in problems_of(image)]
    assert key in keys


def test_all_problems_are_told_at_once():
    image = replace(GPU_IMAGE, env={"A": "\n", "B": "\0"}, workdir="x")
    assert sorted(problems_of(image)) == ["images.train.env.A", "images.train.env.B", "images.train.workdir"]


@given(value=st.text(max_size=10))
def test_problems_quote_bad_values_safely(value):
    image = replace(GPU_IMAGE, env={"A": value}, name=value)
    try:
        render_image(image)
    except InputError as refusal:
        for problem in refusal.problems:
            assert (problem.what + problem.where.key).isprintable()


@pytest.mark.parametrize("template", ["../Dockerfile", "mxnet", "pytorch.j2", ""])
def test_a_framework_needs_its_template(template):
    image = replace(GPU_IMAGE, frameworks=(replace(GPU_IMAGE.frameworks[0], template=template),))
    assert "images.train.frameworks" in problems_of(image)


def test_importing_render_loads_no_jinja():
    program = "import sys, cudaforge.renderer; sys.exit('jinja2' in sys.modules)"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def ignore_lines(*sources: str) -> list[str]:
    image = replace(GPU_IMAGE, copy=tuple(LockedCopy(source=source, target="/x") for source in sources))
    text = render_image(image).ignore
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_ignore_sends_what_is_copied_alone():
    assert ignore_lines("src", "./main.py")[:3] == ["*", "!main.py", "!src"]
    assert ignore_lines()[:2] == ["*", "**/.git"]
    assert ignore_lines(".")[:2] == ["*", "!**"]


def test_ignore_keeps_what_is_a_machines_own_unless_asked():
    lines = ignore_lines(".", "cudaforge.lock.d", "src/.env")
    assert "**/.git" in lines
    assert lines[-2:] == ["!cudaforge.lock.d", "!src/.env"]


def test_own_ignore_patterns_come_last():
    text = render_image(GPU_IMAGE).ignore
    assert extend_ignore(text, "secrets/\n").startswith(text)
    assert extend_ignore(text, "secrets/\n").splitlines()[-1] == "secrets/"


def test_bake_file_names_every_image():
    images = (GPU_IMAGE, replace(CPU_IMAGE, name="quick.v2", secrets=("token",), ssh=True))
    files = {file.path: file.text for file in render_lock(make_lock(*images))}
    assert sorted(files) == [
        "docker-bake.json",
        "quick.v2/Dockerfile",
        "quick.v2/Dockerfile.dockerignore",
        "train/Dockerfile",
        "train/Dockerfile.dockerignore",
    ]
    assert all(is_ours(path, text) for path, text in files.items())
    bake = json.loads(files["docker-bake.json"])
    assert bake["group"]["default"]["targets"] == ["train", "quick__v2"]
    target = bake["target"]["quick__v2"]
    assert target["dockerfile"] == "cwd://quick.v2/Dockerfile"
    assert target["contexts"]["cudaforge-base"].endswith(f"/quick.v2/base@{BASE_DIGEST}")
    assert "id=token" in target["secret"]
    assert target["ssh"] == ["default"]


def test_values_of_the_tests_are_accepted():
    assert find_unsafe_character("".join(GPU_IMAGE.env.values())) is None


def test_a_standalone_python_is_checked_and_unpacked_before_the_wheels():
    rendered = render_image(STANDALONE_IMAGE)
    assert "cudaforge-python" in rendered.contexts
    unpacked, installed = (step for step in words_of(STANDALONE_IMAGE, "RUN") if "/opt/python" in step)
    assert f"{STANDALONE.archives[0].sha256}  /run/cudaforge/python.tar.gz" in unpacked
    assert "sha256sum -c" in unpacked
    assert 'uv venv "$@" --python /opt/python/bin/python3.11 /opt/venv' in installed
    assert values_of(STANDALONE_IMAGE, "LABEL")["io.cudaforge.python.release"] == "3.11.17"
    bake = next(file.text for file in render_lock(make_lock(STANDALONE_IMAGE)) if file.path.endswith(".json"))
    contexts = json.loads(bake)["target"]["alone"]["contexts"]
    assert contexts["cudaforge-python"] == "${CUDAFORGE_INPUTS}/alone/python"


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3.11; id"},
        {"archives": ()},
        {"archives": (replace(STANDALONE.archives[0], platform="linux/arm64"),)},
        {"archives": (replace(STANDALONE.archives[0], sha256="A" * 64),)},
        {"archives": (replace(STANDALONE.archives[0], sha256="../" + "a" * 61),)},
    ],
    ids=str,
)
def test_a_standalone_python_that_no_dockerfile_can_carry_is_refused(change):
    assert "images.alone.standalone" in problems_of(
        replace(STANDALONE_IMAGE, standalone=replace(STANDALONE, **change))
    )


def test_a_dockerfile_for_several_platforms_is_of_none_of_them():
    """What only one platform takes is found by BuildKit's TARGETARCH."""
    text = render_image(BOTH_IMAGE).dockerfile
    assert f"FROM ubuntu:22.04@{BASE_DIGEST}\n" in text
    assert "\nARG TARGETARCH\n" in text
    assert "from=cudaforge-uv,source=${TARGETARCH}/uv," in text
    assert "from=cudaforge-python,source=${TARGETARCH}/python.tar.gz," in text
    assert f"amd64) sha256={'8' * 64} ;;" in text
    assert f"arm64) sha256={'9' * 64} ;;" in text
    assert "aarch64" not in text
    assert "TARGETARCH" not in render_image(STANDALONE_IMAGE).dockerfile


def test_bake_builds_all_platforms():
    (bake,) = [one for one in render_lock(make_lock(BOTH_IMAGE)) if one.path == "docker-bake.json"]
    assert json.loads(bake.text)["target"]["both"]["platforms"] == ["linux/amd64", "linux/arm64"]


def test_a_source_of_one_platform_alone_is_refused():
    wheel = replace(BOTH_IMAGE.closure.wheels[0], filename="torch-2.8.0.tar.gz")
    image = replace(BOTH_IMAGE, closure=replace(BOTH_IMAGE.closure, wheels=(wheel,)))
    (what,) = problems_of(image).values()
    assert "on some of the platforms alone" in what


def test_what_apt_installs_can_come_as_files_and_what_it_does_not_needs_none():
    text = render_image(GPU_IMAGE).dockerfile
    assert "\nFROM scratch AS cudaforge-debs\n" in text
    assert "RUN --mount=type=bind,from=cudaforge-debs,target=/run/cudaforge/debs " in text
    assert "cudaforge-debs" not in render_image(GPU_IMAGE).contexts  # the empty stage will do
    assert "cudaforge-debs" not in render_image(CPU_IMAGE).dockerfile


@pytest.mark.parametrize("snapshot", [None, SNAPSHOT])
def test_collecting_asks_the_archives_that_building_asks_and_installs_nothing(snapshot):
    image = replace(GPU_IMAGE, snapshot=snapshot, closure=replace(GPU_IMAGE.closure, wheels=SOURCES))
    text = render_collection(image)
    build, collection = (
        [line for line in one.splitlines() if "cudaforge-apt" in line or "[check-valid" in line]
        for one in (render_image(image).dockerfile, text)
    )
    assert set(collection) >= set(build)
    assert text.count("--download-only") == 1
    assert "build-essential" not in text
    assert text.count("        libgomp1 \\\n        git \\\n") == 1
    assert len(dockerfile.parse_string(text)) == 5


def test_wheels_are_built_for_themselves_as_in_the_image():
    image = replace(GPU_IMAGE, closure=replace(GPU_IMAGE.closure, wheels=SOURCES))
    stage = render_image(image).dockerfile.partition(" AS cudaforge-built\n")[2].partition("\nFROM ")[0]
    text = render_built(image)
    assert stage.strip() in text
    assert text.endswith("\nFROM scratch\nCOPY --from=cudaforge-built /wheels/*.whl /\n")
    assert "/opt/venv" not in text

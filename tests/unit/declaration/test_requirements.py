"""Packages from files of the project: requirements.txt, uv.lock, pylock.toml, a project, wheels."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cudaforge.declaration.model import Contents
from cudaforge.errors import InputError
from tests.support.wheels import hash_of, make_wheel
from tests.unit.declaration.support import IMAGE, load, only, problems, write

A, B = "a" * 64, "b" * 64
UV_LOCK = f"""\
version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "app"
version = "0.1"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "numpy", version = "2.2.6", marker = "python_full_version < '3.11'" }},
    {{ name = "numpy", version = "2.4.6", marker = "python_full_version >= '3.11'" }},
    {{ name = "uvicorn", extra = ["standard"] }},
]

[package.optional-dependencies]
train = [{{ name = "tqdm" }}]

[package.dev-dependencies]
dev = [{{ name = "tqdm" }}]

[[package]]
name = "numpy"
version = "2.2.6"
source = {{ registry = "https://index.example/simple" }}
resolution-markers = ["python_full_version < '3.11'"]
wheels = [{{ url = "https://x/numpy-2.2.6-cp310-cp310-linux_x86_64.whl", hash = "sha256:{A}" }}]

[[package]]
name = "numpy"
version = "2.4.6"
source = {{ registry = "https://index.example/simple" }}
resolution-markers = ["python_full_version >= '3.12'", "python_full_version == '3.11.*'"]
wheels = [{{ url = "https://x/numpy-2.4.6-cp311-cp311-linux_x86_64.whl", hash = "sha256:{B}" }}]

[[package]]
name = "uvicorn"
version = "0.30.0"
source = {{ registry = "https://index.example/simple" }}
dependencies = [{{ name = "click" }}]
wheels = [{{ url = "https://x/uvicorn-0.30.0-py3-none-any.whl", hash = "sha256:{A}" }}]

[package.optional-dependencies]
standard = [{{ name = "httptools" }}]

[[package]]
name = "click"
version = "8.1"
source = {{ registry = "https://index.example/simple" }}
wheels = [{{ url = "https://x/click-8.1-py3-none-any.whl", hash = "sha256:{A}" }}]

[[package]]
name = "httptools"
version = "0.9.0"
source = {{ registry = "https://index.example/simple" }}
wheels = [{{ url = "https://x/httptools-0.9.0-py3-none-any.whl", hash = "sha256:{A}" }}]

[[package]]
name = "tqdm"
version = "4.0"
source = {{ registry = "https://index.example/simple" }}
wheels = [{{ url = "https://x/tqdm-4.0-py3-none-any.whl", hash = "sha256:{B}" }}]
"""
PYLOCK = f"""\
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "app"
directory = {{ path = ".", editable = true }}

[[packages]]
name = "numpy"
version = "2.4.6"
marker = "python_full_version >= '3.11'"
wheels = [
    {{ url = "https://x/numpy-2.4.6-cp311-cp311-linux_x86_64.whl", hashes = {{ sha256 = "{A}" }} }},
    {{ url = "https://x/numpy-2.4.6-cp312-cp312-linux_x86_64.whl", hashes = {{ sha256 = "{B}" }} }},
]
"""
PYPROJECT = """\
[project]
name = "app"
dependencies = ["numpy>=2", "click"]

[project.optional-dependencies]
train = ["tqdm"]

[dependency-groups]
dev = ["ruff", { include-group = "test" }]
test = ["pytest"]
"""


def contents(root: Path, line: str, **files: str) -> Contents:
    for name, text in files.items():
        write(root, text, name)
    (image,) = load(root, IMAGE + line).images
    assert image.wishes.packages == image.contents.packages
    assert image.wishes.constraints == image.contents.constraints
    return image.contents


def test_hashes_of_a_requirements_file_are_kept(tmp_path: Path) -> None:
    found = contents(
        tmp_path,
        'packages = ["tqdm"]\nrequirements = "r.txt"',
        **{
            "r.txt": f"--require-hashes\n--only-binary :all:\nnumpy==2.4.6 ; python_version > '3.10' \\\n"
            f"  --hash=sha256:{A} \\\n  --hash sha256:{B}\nFlash.Attn==2.8 --hash=sha256:{B}\n"
        },
    )
    assert found.packages == ("tqdm", 'numpy==2.4.6; python_version > "3.10"', "Flash.Attn==2.8")
    assert found.hashes == {"numpy": (A, B), "flash-attn": (B,)}


def test_constraints_bound_what_others_bring(tmp_path: Path) -> None:
    found = contents(
        tmp_path,
        'requirements = "in/r.txt"',
        **{"in/r.txt": "-c c.txt\n-r more.txt\nnumpy\n", "in/c.txt": "scipy<2\n", "in/more.txt": "tqdm\n"},
    )
    assert (found.packages, found.constraints) == (("tqdm", "numpy"), ("scipy<2",))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("--index-url https://x", "'--index-url' is not supported"),
        ("-ihttps://x", "is not supported"),
        ("--extra-index-url=https://x", "'--extra-index-url' is not supported"),
        ("--find-links ./wheels", "'--find-links' is not supported"),
        ("--trusted-host x", "'--trusted-host' is not supported"),
        ("--no-binary :all:", "'--no-binary' is not supported"),
        ("-e .", "'-e' is not supported"),
        ("--pre", "'--pre' is not supported"),
        ("--nonsense", "'--nonsense' is not supported"),
        ("numpy --config-settings=a=b", "'--config-settings' is not supported"),
        (f"numpy --hash=sha256:{A}", "has a hash and no exact version"),
        (f"numpy==2.* --hash=sha256:{A}", "has a hash and no exact version"),
        ("numpy==2 --hash=sha512:00", "is no hash that is supported"),
        ("x @ git+https://h/x.git@v1", "names no commit"),
        ("git+https://h/x.git", "an address without a name"),
        ("-c c.txt", "a constraint has no extras"),
        ("--require-hashes\nnumpy==2", "has no hash, and --require-hashes asks for one"),
    ],
)
def test_what_a_line_may_not_say_is_refused_with_its_place(tmp_path: Path, line: str, what: str) -> None:
    write(tmp_path, "uvicorn[standard]<1\n", "c.txt")
    write(tmp_path, f"\n{line}\n", "r.txt")
    problem = only(problems(tmp_path, IMAGE + 'requirements = "r.txt"'))
    assert what in problem.what
    assert problem.remedy
    assert problem.where is not None
    place = ("c.txt", 1) if line == "-c c.txt" else ("r.txt", 2 + line.count("\n"))
    assert (problem.where.file, problem.where.line) == place


def test_a_uv_lock_pins_what_its_project_brings(tmp_path: Path) -> None:
    found = contents(tmp_path, 'requirements = "uv.lock"', **{"uv.lock": UV_LOCK})
    assert found.packages == (
        'numpy==2.2.6; python_full_version < "3.11"',
        'numpy==2.4.6; python_full_version >= "3.11"',
        "uvicorn[standard]==0.30.0",
    )
    assert set(found.constraints) == {
        'numpy==2.2.6; python_full_version < "3.11"',
        'numpy==2.4.6; python_full_version >= "3.12" or python_full_version == "3.11.*"',
        "uvicorn==0.30.0",
        "click==8.1",
        "httptools==0.9.0",
    }
    assert set(found.hashes["numpy"]) == {A, B}
    assert "tqdm" not in found.hashes


@pytest.mark.parametrize("choice", ['extras = ["train"]', 'groups = ["dev"]'])
def test_extras_and_groups_of_a_lock_are_chosen(tmp_path: Path, choice: str) -> None:
    line = f'requirements = {{ path = ".", {choice} }}'
    found = contents(tmp_path, line, **{"uv.lock": UV_LOCK, "pyproject.toml": PYPROJECT})
    assert "tqdm==4.0" in found.packages
    assert found.hashes["tqdm"] == (B,)


@pytest.mark.parametrize(
    ("own", "said", "wish"),
    [
        ("", ">=3.10, <3.13", ">=3.10,<3.13"),
        ('python = "3.12"', ">=3.10", "==3.12.*,>=3.10"),
        ('python = "<3.13"', ">=3.10.2", "<3.13,>=3.10"),
        ("", "~=3.11.4", "==3.11.*"),
        ("", ">3.9.1,<3.12.4,!=3.11.*", ">=3.9,<=3.12,!=3.11.*"),
    ],
)
def test_the_pythons_of_a_project_are_a_wish(tmp_path: Path, own: str, said: str, wish: str) -> None:
    own_lock = UV_LOCK.replace('requires-python = ">=3.10"', "")
    project = PYPROJECT.replace("[project]", f'[project]\nrequires-python = "{said}"')
    write(tmp_path, f'requires-python = "{said}"\n{own_lock}', "uv.lock")
    write(tmp_path, f'requires-python = "{said}"\n{PYLOCK}', "pylock.toml")
    write(tmp_path, project, "app/pyproject.toml")
    for name in ("uv.lock", "pylock.toml", "app"):
        (image,) = load(tmp_path, f'{IMAGE}{own}\nrequirements = "{name}"').images
        assert str(image.wishes.python) == wish


def test_pythons_that_nobody_can_read_are_told(tmp_path: Path) -> None:
    write(tmp_path, 'requires-python = "new"\n' + PYLOCK, "pylock.toml")
    problem = only(problems(tmp_path, IMAGE + 'requirements = "pylock.toml"'))
    assert "requires-python is 'new'" in problem.what


def test_a_pylock_is_a_list_of_pins(tmp_path: Path) -> None:
    for name in ("pylock.toml", "pylock.gpu.toml"):
        found = contents(tmp_path, f'requirements = "{name}"', **{name: PYLOCK})
        assert found.packages == ('numpy==2.4.6; python_full_version >= "3.11"',)
        assert found.hashes == {"numpy": (A, B)}


def test_a_project_gives_its_dependencies(tmp_path: Path) -> None:
    found = contents(tmp_path, 'requirements = "app"', **{"app/pyproject.toml": PYPROJECT})
    assert found.packages == ("numpy>=2", "click")
    line = 'requirements = { path = "app", extras = ["train"], groups = ["dev"] }'
    assert contents(tmp_path, line).packages == ("numpy>=2", "click", "tqdm", "ruff", "pytest")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("uv.lock", "version = 9\n", "no uv.lock of version 1"),
        ("uv.lock", "version = 1\n", "no project of this directory"),
        (
            "uv.lock",
            UV_LOCK.replace('name = "click" }', 'name = "gone" }'),
            "names gone and does not have it",
        ),
        (
            "uv.lock",
            UV_LOCK.replace('{ registry = "https://index.example/simple" }', '{ git = "https://h/x" }'),
            "names no commit",
        ),
        ("uv.lock", UV_LOCK.replace(f"sha256:{A}", "md5:0"), "has no SHA-256"),
        ("pylock.toml", "x = 1\n", "no pylock.toml of version 1"),
        ("pylock.toml", PYLOCK.replace('path = "."', 'path = "lib"'), "does not come from a package index"),
        ("pylock.toml", PYLOCK.replace("python_full_version >=", "'x' in extras or 'a' <"), "chosen later"),
        ("app/pyproject.toml", '[project]\ndynamic = ["dependencies"]\n', "dependencies are dynamic"),
        ("app/pyproject.toml", "[project]\ndependencies = 1\n", "'dependencies' is no list"),
        (
            "app/pyproject.toml",
            PYPROJECT + '[tool.uv.sources]\nNumPy = { path = "x" }\n',
            "a place of its own",
        ),
        ("app/pyproject.toml", "[project\n", "not valid TOML"),
    ],
)
def test_what_a_file_has_that_cannot_be_taken_is_named(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    write(tmp_path, text, name)
    path = name.removesuffix("/pyproject.toml")
    problem = only(problems(tmp_path, IMAGE + f'requirements = "{path}"'))
    assert what in problem.what
    assert problem.where is not None
    assert problem.where.file == name


@pytest.mark.parametrize(
    ("choice", "what"),
    [
        ('extras = ["gone"]', "no extra 'gone'"),
        ('groups = ["gone"]', "no dependency group 'gone'"),
        ('groups = ["loop"]', "loop -> loop"),
    ],
)
def test_extras_and_groups_that_are_not_there_are_named(tmp_path: Path, choice: str, what: str) -> None:
    write(tmp_path, PYPROJECT + 'loop = [{ include-group = "loop" }]\n', "pyproject.toml")
    found = only(problems(tmp_path, IMAGE + f'requirements = {{ path = ".", {choice} }}'))
    assert what in found.what


def test_a_wheel_of_the_project_is_its_version_and_its_hash(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "my-ops", "1.0+cu128")
    for entry in (f"./wheels/{wheel.name}", f"my_ops @ ./wheels/{wheel.name}"):
        found = contents(tmp_path, f'packages = ["{entry}"]')
        assert found.packages == ("my-ops==1.0+cu128",)
        (one,) = found.wheels
        assert (one.path, one.sha256) == (f"wheels/{wheel.name}", hash_of(wheel))
    found = contents(tmp_path, 'requirements = "in/r.txt"', **{"in/r.txt": f"../wheels/{wheel.name}\n"})
    assert [one.path for one in found.wheels] == [f"wheels/{wheel.name}"]


def test_two_wheels_of_one_name_have_to_be_the_same(tmp_path: Path) -> None:
    for directory, body in (("a", ""), ("b", ""), ("c", "other = 1")):
        make_wheel(tmp_path / directory, "x", "1", body=body)
    entry = '[images.{0}]\nframework = "jax"\npackages = ["./{0}/x-1-py3-none-any.whl"]\n'
    load(tmp_path, entry.format("a") + entry.format("b"))
    problem = only(problems(tmp_path, entry.format("a") + entry.format("c")))
    assert "have the same name and are different files" in problem.what


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("./wheels", "is no wheel"),
        ("./wheels/x-1.tar.gz", "is no wheel"),
        ("./wheels/x.whl", "is no file name of a wheel"),
        ("other @ ./wheels/x-1-py3-none-any.whl", "is a wheel of x, not of other"),
    ],
)
def test_what_is_no_wheel_is_told(tmp_path: Path, entry: str, what: str) -> None:
    for name in ("x-1.tar.gz", "x.whl", "x-1-py3-none-any.whl"):
        write(tmp_path, b"", f"wheels/{name}")
    assert what in only(problems(tmp_path, IMAGE + f'packages = ["{entry}"]')).what


@pytest.mark.parametrize(
    "name", ["r.txt", "uv.lock", "pylock.toml", "pyproject.toml", "x-1-py3-none-any.whl"]
)
def test_a_change_of_the_file_makes_another_declaration(tmp_path: Path, name: str) -> None:
    texts = {
        "r.txt": (f"a==1 --hash=sha256:{A}\n", f"a==1 --hash=sha256:{B}\n"),
        "uv.lock": (UV_LOCK, UV_LOCK.replace("8.1", "8.2")),
        "pylock.toml": (PYLOCK, PYLOCK.replace(A, "c" * 64)),
        "pyproject.toml": (PYPROJECT, PYPROJECT.replace(">=2", ">=1")),
        "x-1-py3-none-any.whl": ("one", "two"),
    }[name]
    line = f'packages = ["./{name}"]' if name.endswith(".whl") else f'requirements = "{name}"'
    digests = set()
    for text in (*texts, texts[0]):
        write(tmp_path, text, name)
        digests.add(load(tmp_path, IMAGE + line).digest)
    assert len(digests) == 2


FRAGMENTS = st.sampled_from(
    [
        "-r ",
        "-c ",
        "--hash=sha256:",
        A,
        "numpy",
        "==1",
        " ",
        "\n",
        "\\\n",
        "./",
        "x.whl",
        "@",
        "git+",
        "[a]",
        ";",
        "#",
        "-",
        "=",
    ]
)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(text=st.lists(FRAGMENTS, max_size=12).map("".join))
def test_any_requirements_file_is_read_or_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, text, "r.txt")
    _read_or_refused(tmp_path, "r.txt")


@QUICK
@given(data=st.data(), name=st.sampled_from(["uv.lock", "pylock.toml", "pyproject.toml"]))
def test_any_damage_of_a_lock_is_read_or_refused(tmp_path: Path, data: st.DataObject, name: str) -> None:
    text = {"uv.lock": UV_LOCK, "pylock.toml": PYLOCK, "pyproject.toml": PYPROJECT}[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    put = data.draw(st.sampled_from(["", "1", "[]", "{}", '"x"', "\n", "name", "= true\n"]))
    write(tmp_path, text[:start] + put + text[end:], name)
    _read_or_refused(tmp_path, name)


def _read_or_refused(root: Path, name: str) -> None:
    try:
        load(root, IMAGE + f'requirements = "{name}"')
    except InputError as error:
        nowhere = [one for one in error.problems if not (one.what and one.where)]
        if nowhere:
            pytest.fail(str(nowhere))

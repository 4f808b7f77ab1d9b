"""Closures, resolved by the real uv from indexes on loopback."""

import threading
from pathlib import Path

import pytest

from cudaforge.errors import InputError, NegativeAnswer, SurroundingsError
from cudaforge.packages.closure import resolve_closure
from cudaforge.packages.uv import compile_closure
from tests.index.conftest import Serve, request, site
from tests.support.wheels import hash_of, make_wheel

CPU = "pytorch-cpu"


def pinned(wheels):
    return {wheel.package: wheel.version for wheel in wheels}


def only_problem(error):
    (problem,) = error.value.problems
    return problem


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """The default index: a framework with its CUDA, and some packages."""
    files = tmp_path / "files"
    make_wheel(files, "torch", "2.13.0", requires=("numpy", "nvidia-cudnn-cu13==9.20.0.48"))
    make_wheel(files, "torchvision", "0.28.0", requires=("torch==2.13.0", "numpy"))
    make_wheel(files, "nvidia-cudnn-cu13", "9.20.0.48")
    make_wheel(files, "numpy", "2.1.0")
    make_wheel(files, "numpy", "2.2.0")
    make_wheel(files, "timm", "1.0.0", requires=("torchvision",))
    return files


@pytest.fixture
def cpu_shelf(tmp_path: Path) -> Path:
    """The framework's own index: its CPU builds, and a numpy that must not be taken from there."""
    files = tmp_path / "cpu-files"
    make_wheel(files, "torch", "2.13.0+cpu", requires=("numpy",))
    make_wheel(files, "torchvision", "0.28.0+cpu", requires=("torch==2.13.0", "numpy"))
    make_wheel(files, "numpy", "9.9.9")
    return files


def test_a_closure_names_every_wheel_by_file_hash_and_index(tmp_path: Path, shelf: Path, serve_index: Serve):
    index = serve_index(shelf)
    wheels = resolve_closure(request("torch==2.13.0"), site(tmp_path, index=index.url))
    assert [(wheel.package, wheel.version, wheel.index) for wheel in wheels] == [
        ("numpy", "2.2.0", "default"),
        ("nvidia-cudnn-cu13", "9.20.0.48", "default"),
        ("torch", "2.13.0", "default"),
    ]
    for wheel in wheels:
        assert wheel.sha256 == hash_of(shelf / wheel.filename)


def test_an_index_without_hashes_gives_the_same_closure(tmp_path: Path, shelf: Path, serve_index: Serve):
    with_hashes, without = serve_index(shelf), serve_index(shelf, with_hashes=False)
    asked = request("torch==2.13.0")
    assert resolve_closure(asked, site(tmp_path, index=with_hashes.url)) == resolve_closure(
        asked, site(tmp_path, index=without.url)
    )


def test_a_cpu_build_on_the_shelf_does_not_stand_in_for_the_cuda_build(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    here = site(tmp_path, index=serve_index(shelf).url, find_links=(str(cpu_shelf),))
    versions = pinned(resolve_closure(request("torch==2.13.0"), here))
    assert (versions["torch"], "nvidia-cudnn-cu13" in versions) == ("2.13.0", True)


def test_the_named_index_serves_its_framework_alone(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    default, cpu = serve_index(shelf), serve_index(cpu_shelf)
    asked = request("torch==2.13.0+cpu", indexes={CPU: cpu.url}, index_of={"torch==2.13.0+cpu": CPU})
    wheels = resolve_closure(asked, site(tmp_path, index=default.url))
    assert [(wheel.package, wheel.version, wheel.index) for wheel in wheels] == [
        ("numpy", "2.2.0", "default"),
        ("torch", "2.13.0+cpu", CPU),
    ]
    assert cpu.packages_asked == {"torch"}


def test_a_companion_that_another_package_pulls_in_comes_from_the_framework_s_index(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    default, cpu = serve_index(shelf), serve_index(cpu_shelf)
    asked = request(
        "torch==2.13.0+cpu",
        constraints=("torchvision==0.28.0",),
        packages=("timm",),
        indexes={CPU: cpu.url},
        index_of={"torch==2.13.0+cpu": CPU, "torchvision==0.28.0": CPU},
    )
    wheels = resolve_closure(asked, site(tmp_path, index=default.url))
    assert {wheel.package: (wheel.version, wheel.index) for wheel in wheels} == {
        "numpy": ("2.2.0", "default"),
        "timm": ("1.0.0", "default"),
        "torch": ("2.13.0+cpu", CPU),
        "torchvision": ("0.28.0+cpu", CPU),
    }
    assert cpu.packages_asked == {"torch", "torchvision"}


def test_a_companion_that_nothing_asks_for_is_not_installed(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    asked = request(
        "torch==2.13.0+cpu",
        constraints=("torchvision==0.28.0",),
        indexes={CPU: serve_index(cpu_shelf).url},
        index_of={"torch==2.13.0+cpu": CPU, "torchvision==0.28.0": CPU},
    )
    wheels = resolve_closure(asked, site(tmp_path, index=serve_index(shelf).url))
    assert "torchvision" not in pinned(wheels)


def test_what_the_site_has_is_not_asked_of_the_named_index(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    cpu = serve_index(cpu_shelf)
    (cpu_shelf / "numpy-9.9.9-py3-none-any.whl").rename(tmp_path / "numpy-9.9.9-py3-none-any.whl")
    here = site(tmp_path, index=serve_index(shelf).url, find_links=(str(cpu_shelf),))
    asked = request("torch==2.13.0+cpu", indexes={CPU: cpu.url}, index_of={"torch==2.13.0+cpu": CPU})
    wheels = resolve_closure(asked, here)
    assert [(wheel.version, wheel.index) for wheel in wheels if wheel.package == "torch"] == [
        ("2.13.0+cpu", CPU)
    ]
    assert cpu.asked == []


def test_a_mirror_stands_in_for_the_named_index(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    mirror = serve_index(cpu_shelf)
    asked = request(
        "torch==2.13.0+cpu",
        indexes={CPU: "http://named.invalid/whl/cpu"},
        index_of={"torch==2.13.0+cpu": CPU},
    )
    here = site(tmp_path, index=serve_index(shelf).url, indexes={CPU: mirror.url})
    assert pinned(resolve_closure(asked, here))["torch"] == "2.13.0+cpu"


def test_a_constraint_with_extras_pins_what_they_pull_in(tmp_path: Path, serve_index: Serve):
    files = tmp_path / "files"
    make_wheel(files, "jax", "0.9.0", requires=("nvidia-cublas-cu12>=12",))
    make_wheel(files, "nvidia-cublas-cu12", "12.9.1.4")
    make_wheel(files, "nvidia-cublas-cu12", "12.9.3.13")
    make_wheel(
        files,
        "cuda-toolkit",
        "12.9.1",
        extras=("cublas",),
        requires=('nvidia-cublas-cu12==12.9.1.4; extra == "cublas"',),
    )
    here = site(tmp_path, index=serve_index(files).url)
    versions = pinned(
        resolve_closure(request("jax==0.9.0", constraints=("cuda-toolkit[cublas]==12.9.1",)), here)
    )
    assert versions == {"jax": "0.9.0", "nvidia-cublas-cu12": "12.9.1.4", "cuda-toolkit": "12.9.1"}


def test_the_best_wheel_for_the_image_is_chosen_whatever_this_machine_is(tmp_path: Path, serve_index: Serve):
    files = tmp_path / "files"
    for tag in (
        "py3-none-any",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_38_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_28_aarch64",
    ):
        make_wheel(files, "numpy", "2.2.0", tag=tag)
    here = site(tmp_path, index=serve_index(files).url)

    def filename(**image):
        (wheel,) = resolve_closure(request("numpy==2.2.0", **image), here)
        return wheel.filename

    assert filename() == "numpy-2.2.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert filename(glibc="2.39") == "numpy-2.2.0-cp311-cp311-manylinux_2_38_x86_64.whl"
    assert filename(glibc="2.27") == "numpy-2.2.0-py3-none-any.whl"
    assert filename(platform="linux/arm64") == "numpy-2.2.0-cp311-cp311-manylinux_2_28_aarch64.whl"


def test_earlier_versions_are_kept_while_they_fit(tmp_path: Path, shelf: Path, serve_index: Serve):
    here = site(tmp_path, index=serve_index(shelf).url)
    (earlier,) = resolve_closure(request("numpy==2.1.0"), here)
    kept = resolve_closure(request("torch==2.13.0", preferred=(earlier,)), here)
    moved = resolve_closure(request("torch==2.13.0", packages=("numpy>=2.2",), preferred=(earlier,)), here)
    assert (pinned(kept)["numpy"], pinned(moved)["numpy"]) == ("2.1.0", "2.2.0")
    again = resolve_closure(request("torch==2.13.0", preferred=kept), here)
    assert again == kept


def test_packages_that_collide_are_a_no_in_uv_s_words_without_addresses(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    index = serve_index(shelf)
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(
            request("torch==2.13.0", constraints=("nvidia-cudnn-cu13==9.20.0.48",), packages=("torch<2",)),
            site(tmp_path, index=index.url),
        )
    problem = only_problem(error)
    assert "train" in problem.what
    assert "torch<2" in " ".join(problem.because)
    assert index.host not in repr(problem)


def test_a_package_that_has_only_its_source_is_refused_by_name(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    (shelf / "docopt-0.6.2.tar.gz").write_bytes(b"")
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(
            request("torch==2.13.0", packages=("docopt",)), site(tmp_path, index=serve_index(shelf).url)
        )
    problem = only_problem(error)
    assert problem.what == "train: docopt 0.6.2 has no wheel for Python 3.11 on linux/amd64 with glibc 2.36"
    assert 'build_from_source = ["docopt"]' in (problem.remedy or "")
    assert "./wheels/" in (problem.remedy or "")


def test_an_index_that_is_away_is_named_with_the_variable_and_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIP_INDEX_URL", "http://alice:s3cret@127.0.0.1:9/simple")
    with pytest.raises(SurroundingsError) as error:
        resolve_closure(request("torch==2.13.0"), site(tmp_path))
    problem = only_problem(error)
    assert "127.0.0.1:9" in problem.what
    assert "PIP_INDEX_URL" in repr(problem)
    assert "s3cret" not in repr(problem)


def test_a_proxy_that_is_away_is_named_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(SurroundingsError) as error:
        resolve_closure(request("torch==2.13.0"), site(tmp_path, index="http://index.invalid/simple"))
    assert "HTTP_PROXY" in (only_problem(error).remedy or "")


def test_a_named_index_that_is_away_says_what_the_site_lacks(tmp_path: Path, shelf: Path, serve_index: Serve):
    asked = request(
        "torch==2.13.0+cpu",
        indexes={CPU: "http://127.0.0.1:9/whl/cpu"},
        index_of={"torch==2.13.0+cpu": CPU},
    )
    with pytest.raises(SurroundingsError) as error:
        resolve_closure(asked, site(tmp_path, index=serve_index(shelf).url))
    problem = only_problem(error)
    assert "127.0.0.1:9" in problem.what
    assert "torch==2.13.0+cpu" in " ".join(problem.because)
    assert CPU in (problem.remedy or "")


def test_an_index_that_answers_with_an_error_is_named_with_it(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    index = serve_index(shelf, status=500)
    with pytest.raises(SurroundingsError) as error:
        resolve_closure(request("torch==2.13.0"), site(tmp_path, index=index.url))
    assert index.host in only_problem(error).what
    assert "500" in only_problem(error).what


def test_an_index_that_wants_a_password_says_so(tmp_path: Path, shelf: Path, serve_index: Serve):
    index = serve_index(shelf, credentials="alice:s3cret")
    with pytest.raises(SurroundingsError) as error:
        resolve_closure(request("torch==2.13.0"), site(tmp_path, index=index.url))
    assert "password" in only_problem(error).what + (only_problem(error).remedy or "")


def test_an_index_that_never_ends_its_answer_meets_a_deadline(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    index = serve_index(shelf, hangs=threading.Event())
    (tmp_path / "requirements.in").write_text("torch\n")
    with pytest.raises(SurroundingsError, match="no answer within 1 s"):
        compile_closure(
            ["requirements.in"], site=site(tmp_path, index=index.url), directory=tmp_path, deadline=1.0
        )


def test_offline_asks_nobody_and_uses_what_was_loaded(tmp_path: Path, shelf: Path, serve_index: Serve):
    index = serve_index(shelf)
    with pytest.raises(SurroundingsError, match="never loaded"):
        resolve_closure(request("torch==2.13.0"), site(tmp_path, index=index.url, offline=True))
    assert index.asked == []
    online = resolve_closure(request("torch==2.13.0"), site(tmp_path, index=index.url))
    asked = len(index.asked)
    assert resolve_closure(request("torch==2.13.0"), site(tmp_path, index=index.url, offline=True)) == online
    assert len(index.asked) == asked


def test_a_setting_of_uv_s_cannot_swap_the_build(
    tmp_path: Path, shelf: Path, serve_index: Serve, monkeypatch: pytest.MonkeyPatch
):
    make_wheel(shelf, "torch", "2.12.0")
    (tmp_path / "overrides.txt").write_text("torch==2.12.0\n")
    monkeypatch.setenv("UV_OVERRIDE", str(tmp_path / "overrides.txt"))
    with pytest.raises(NegativeAnswer, match=r"uv chose torch 2\.12\.0 where 2\.13\.0 is pinned"):
        resolve_closure(request("torch==2.13.0"), site(tmp_path, index=serve_index(shelf).url))


def test_pip_s_indexes_are_read_as_pip_reads_them(
    tmp_path: Path, shelf: Path, serve_index: Serve, monkeypatch: pytest.MonkeyPatch
):
    """The extra index has an older numpy alone; pip would take the best of all."""
    extra = tmp_path / "extra"
    make_wheel(extra, "numpy", "2.0.0")
    config = tmp_path / "home" / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"[global]\nindex-url = {serve_index(shelf).url}\nextra-index-url = {serve_index(extra).url}\n"
    )
    assert pinned(resolve_closure(request("torch==2.13.0"), site(tmp_path)))["numpy"] == "2.2.0"


def test_uv_s_own_file_goes_before_pip_s(tmp_path: Path, shelf: Path, serve_index: Serve):
    for tool, text in (
        ("uv/uv.toml", f'[[index]]\nurl = "{serve_index(shelf).url}"\ndefault = true\n'),
        ("pip/pip.conf", "[global]\nindex-url = http://127.0.0.1:9/simple\n"),
    ):
        config = tmp_path / "home" / ".config" / tool
        config.parent.mkdir(parents=True)
        config.write_text(text)
    assert pinned(resolve_closure(request("torch==2.13.0"), site(tmp_path)))["torch"] == "2.13.0"


def test_requirements_that_are_addresses_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="six is asked for by its address"):
        resolve_closure(
            request("torch==2.13.0", packages=("six @ https://example.com/six-1-py3-none-any.whl",)),
            site(tmp_path, index="http://127.0.0.1:9"),
        )


def test_a_dependency_cannot_swap_the_framework_by_its_address(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    other = tmp_path / "other"
    swapped = make_wheel(other, "torch", "2.13.0", body="swapped = True")
    elsewhere = serve_index(other)
    make_wheel(shelf, "swaps", "1.0", requires=(f"torch @ http://{elsewhere.host}/files/{swapped.name}",))
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(
            request("torch==2.13.0", packages=("swaps",)), site(tmp_path, index=serve_index(shelf).url)
        )
    assert "a package asks for torch by an address" in only_problem(error).what
    assert elsewhere.host not in repr(error.value.problems)
    assert elsewhere.asked == []


def test_a_package_cannot_ask_for_another_build(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    here = site(tmp_path, index=serve_index(shelf).url, find_links=(str(cpu_shelf),))
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(request("torch==2.13.0", packages=("torch==2.13.0+cpu",)), here)
    assert "torch==2.13.0+cpu" in " ".join(only_problem(error).because)


def test_another_build_of_a_companion_does_not_stand_in_for_the_one_beside_it(
    tmp_path: Path, shelf: Path, cpu_shelf: Path, serve_index: Serve
):
    """A local label makes a version newer, so that uv alone would take it."""
    here = site(tmp_path, index=serve_index(shelf).url, find_links=(str(cpu_shelf),))
    asked = request("torch==2.13.0", constraints=("torchvision==0.28.0",), packages=("torchvision",))
    assert pinned(resolve_closure(asked, here))["torchvision"] == "0.28.0"


def test_only_a_file_with_one_of_the_hashes_is_taken(tmp_path: Path, shelf: Path, serve_index: Serve):
    plain = shelf / "numpy-2.2.0-py3-none-any.whl"
    make_wheel(shelf, "numpy", "2.2.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    for with_hashes in (True, False):
        here = site(tmp_path, index=serve_index(shelf, with_hashes=with_hashes).url)
        asked = request("torch==2.13.0", packages=("numpy==2.2.0",), hashes={"numpy": (hash_of(plain),)})
        (wheel,) = [one for one in resolve_closure(asked, here) if one.package == "numpy"]
        assert wheel.filename == plain.name


def test_a_hash_that_no_file_has_is_told_with_those_that_they_have(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(
            request("torch==2.13.0", hashes={"numpy": ("0" * 64,)}),
            site(tmp_path, index=serve_index(shelf).url),
        )
    problem = only_problem(error)
    assert "no file of numpy 2.2.0 has a hash that is asked for" in problem.what
    assert hash_of(shelf / "numpy-2.2.0-py3-none-any.whl") in " ".join(problem.because)


def test_limits_bound_what_others_bring(tmp_path: Path, shelf: Path, serve_index: Serve):
    here = site(tmp_path, index=serve_index(shelf).url)
    versions = pinned(resolve_closure(request("torch==2.13.0", limits=("numpy<2.2", "absent==1")), here))
    assert versions == {"torch": "2.13.0", "nvidia-cudnn-cu13": "9.20.0.48", "numpy": "2.1.0"}


def test_a_file_of_the_project_goes_before_the_index_s_file_of_that_version(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    own = make_wheel(tmp_path / "own wheels", "timm", "1.0.0", requires=("numpy<2.2",))
    asked = request(
        "torch==2.13.0", packages=("timm==1.0.0",), files={"timm": own}, hashes={"timm": (hash_of(own),)}
    )
    wheels = resolve_closure(asked, site(tmp_path, index=serve_index(shelf).url))
    assert [(one.package, one.version, one.index) for one in wheels] == [
        ("numpy", "2.1.0", "default"),
        ("nvidia-cudnn-cu13", "9.20.0.48", "default"),
        ("timm", "1.0.0", "project"),
        ("torch", "2.13.0", "default"),
    ]

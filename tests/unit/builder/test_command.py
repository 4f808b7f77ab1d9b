import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.builder.command import (
    BuildInputs,
    EngineTraits,
    buildx_command,
    mirror_contexts,
    output_option,
)
from cudaforge.records import replace

DIGEST = "sha256:" + "a" * 64
INPUTS = BuildInputs(
    dockerfile=Path("/s/Dockerfile"),
    context=Path("/project"),
    tags=("acme/vision:train", "acme/vision:latest"),
    contexts={"cudaforge-uv": "/s/uv", "cudaforge-base": f"oci-layout:///c/base@{DIGEST}"},
    secrets={"cudaforge-closure": Path("/s/pylock.toml")},
    platforms=("linux/amd64",),
)
NEW_STORE = EngineTraits(builder="default", has_containerd_store=True)
OLD_STORE = EngineTraits(builder="default", has_containerd_store=False)


def test_the_whole_command():
    assert buildx_command(INPUTS, NEW_STORE, metadata=Path("/s/m.json")) == (
        *("docker", "buildx", "build", "--builder", "default", "--progress=rawjson"),
        *("--metadata-file", "/s/m.json", "--file", "/s/Dockerfile"),
        *("--provenance=false", "--sbom=false"),
        *("--output", "type=image,compression=zstd,oci-mediatypes=true"),
        *("--tag", "acme/vision:train", "--tag", "acme/vision:latest"),
        *("--build-context", f"cudaforge-base=oci-layout:///c/base@{DIGEST}"),
        *("--build-context", "cudaforge-uv=/s/uv"),
        *("--secret", "id=cudaforge-closure,src=/s/pylock.toml"),
        *("--platform", "linux/amd64", "--", "/project"),
    )


def test_ssh_and_no_cache_only_when_asked():
    plain = buildx_command(INPUTS, NEW_STORE, metadata=Path("/m"))
    assert "--ssh" not in plain
    assert "--no-cache" not in plain
    inputs = BuildInputs(
        dockerfile=Path("/d"), context=Path("/p"), tags=("a:1",), has_ssh=True, is_uncached=True
    )
    asked = buildx_command(inputs, NEW_STORE, metadata=Path("/m"))
    assert asked[asked.index("--ssh") + 1] == "default"
    assert "--no-cache" in asked


def test_the_older_store_is_not_asked_to_compress():
    assert output_option(OLD_STORE) == "type=docker"


def test_a_reproducible_image_goes_through_an_archive():
    archive = Path("/state, of mine/image.tar")
    assert next(csv.reader([output_option(NEW_STORE, archive=archive)], strict=True)) == [
        *("type=oci", "compression=zstd", "oci-mediatypes=true"),
        *("rewrite-timestamp=true", f"dest={archive}"),
    ]
    assert output_option(OLD_STORE, archive=Path("/i.tar")) == (
        "type=docker,rewrite-timestamp=true,dest=/i.tar"
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_secret_of_any_path_is_one_field(name):
    inputs = BuildInputs(
        dockerfile=Path("/d"), context=Path("/p"), tags=(), secrets={"token": Path("/s", f"x{name}")}
    )
    words = buildx_command(inputs, OLD_STORE, metadata=Path("/m"))
    (fields,) = csv.reader([words[words.index("--secret") + 1]], strict=True)
    assert fields == ["id=token", f"src={Path('/s', f'x{name}')}"]


@pytest.mark.parametrize(
    ("reference", "mirrors", "expected"),
    [
        ("python:3.12", {}, {}),
        ("python:3.12", {"quay.io": "mirror.example"}, {}),
        ("python:3.12", {"docker.io/nvidia": "mirror.example/nv"}, {}),
        (
            "nvidia/cuda:12.8.1-base-ubuntu22.04",
            {"docker.io": "mirror.example/hub", "docker.io/nvidia": "mirror.example/nv"},
            {
                f"nvidia/cuda:12.8.1-base-ubuntu22.04@{DIGEST}": (
                    f"docker-image://mirror.example/nv/cuda:12.8.1-base-ubuntu22.04@{DIGEST}"
                )
            },
        ),
        (
            "python:3.12",
            {"docker.io": "mirror.example/hub"},
            {f"python:3.12@{DIGEST}": f"docker-image://mirror.example/hub/library/python:3.12@{DIGEST}"},
        ),
        (
            "nvcr.io/nvidia/pytorch:25.01-py3",
            {"nvcr.io": "localhost:5000"},
            {
                f"nvcr.io/nvidia/pytorch:25.01-py3@{DIGEST}": (
                    f"docker-image://localhost:5000/nvidia/pytorch:25.01-py3@{DIGEST}"
                )
            },
        ),
    ],
)
def test_mirrors(reference, mirrors, expected):
    assert mirror_contexts(reference, DIGEST, mirrors) == expected


def test_a_mirror_of_an_unpinned_base():
    assert mirror_contexts("python:3.12", None, {"docker.io": "m.example"}) == {
        "python:3.12": "docker-image://m.example/library/python:3.12"
    }


def test_with_the_network_off_no_step_has_one():
    inputs = replace(INPUTS, has_no_network=True, needs_host_network=True)
    words = buildx_command(inputs, NEW_STORE, metadata=Path("/m"))
    assert words.count("--network") == 1
    assert words[words.index("--network") + 1] == "none"


def test_files_go_into_a_directory_in_place_of_an_image():
    inputs = replace(INPUTS, tags=(), files=Path("/out, of mine"))
    words = buildx_command(inputs, NEW_STORE, metadata=Path("/m"))
    (fields,) = csv.reader([words[words.index("--output") + 1]], strict=True)
    assert fields == ["type=local", "dest=/out, of mine"]
    assert "--tag" not in words

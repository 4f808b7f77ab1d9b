"""Packages out of a commit of a repository, as files of different tools name it."""

from pathlib import Path

from cudaforge.declaration.model import Contents
from tests.unit.declaration.support import IMAGE, load, write

COMMIT = "0123456789" * 4


def contents(root: Path, line: str, **files: str) -> Contents:
    for name, text in files.items():
        write(root, text, name)
    (image,) = load(root, IMAGE + line).images
    return image.contents


def test_a_commit_of_a_repository_is_a_package(tmp_path: Path) -> None:
    wanted = f"x @ git+https://h/p/x.git@{COMMIT}#subdirectory=a/b"
    assert contents(tmp_path, f'packages = ["{wanted}"]').packages == (wanted,)
    found = contents(tmp_path, 'requirements = "r.txt"', **{"r.txt": f"{wanted}  # why\n"})
    assert found.packages == (wanted,)

    source = f'{{ git = "https://h/p/x.git?subdirectory=a%2Fb&rev=v1#{COMMIT}" }}'
    lock = (
        'version = 1\n[[package]]\nname = "own"\nversion = "0"\nsource = { virtual = "." }\n'
        f'dependencies = [{{ name = "x" }}]\n[[package]]\nname = "x"\nversion = "1"\nsource = {source}\n'
    )
    assert contents(tmp_path, 'requirements = "uv.lock"', **{"uv.lock": lock}).packages == (wanted,)

    vcs = f'{{ type = "git", url = "https://h/p/x.git", commit-id = "{COMMIT}", subdirectory = "a/b" }}'
    pylock = f'lock-version = "1.0"\ncreated-by = "y"\n[[packages]]\nname = "x"\nvcs = {vcs}\n'
    found = contents(tmp_path, 'requirements = "pylock.toml"', **{"pylock.toml": pylock})
    assert found.packages == (wanted,)


def test_names_of_what_is_built_are_normal_ones(tmp_path: Path) -> None:
    assert contents(tmp_path, 'build_from_source = ["My.Ops"]').from_source == ("my-ops",)

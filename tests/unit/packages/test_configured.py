from pathlib import Path

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.packages.configured import read_pip_settings, read_uv_keys


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": f"{tmp_path / 'first'}:{tmp_path / 'second'}"}


def settings(environ, tmp_path):
    return {
        name: setting.value
        for name, setting in read_pip_settings(environ, prefix=tmp_path / "prefix").items()
        if name not in ("format",)
    }


def test_later_files_go_before_earlier_ones_and_variables_before_files(tmp_path, environ):
    home = tmp_path / "home"
    for depth, path in enumerate(
        (
            tmp_path / "second" / "pip" / "pip.conf",
            tmp_path / "first" / "pip" / "pip.conf",
            home / ".pip" / "pip.conf",
            home / ".config" / "pip" / "pip.conf",
            tmp_path / "prefix" / "pip.conf",
            tmp_path / "named.conf",
        )
    ):
        write(path, f"[global]\nindex-url = https://{depth}.example\n")
        if path.name == "named.conf":
            environ["PIP_CONFIG_FILE"] = str(path)
        assert settings(environ, tmp_path)["index-url"] == f"https://{depth}.example"
    environ["PIP_INDEX_URL"] = "https://variable.example"
    found = read_pip_settings(environ, prefix=tmp_path / "prefix")["index-url"]
    assert (found.value, found.origin) == ("https://variable.example", "PIP_INDEX_URL")


def test_what_holds_for_install_goes_before_what_holds_for_all(tmp_path, environ):
    write(tmp_path / "first" / "pip" / "pip.conf", "[install]\nfind-links = /install\n")
    write(tmp_path / "home" / ".config" / "pip" / "pip.conf", "[global]\nfind-links = /global\n")
    assert settings(environ, tmp_path)["find-links"] == "/install"


def test_spellings_lists_and_percent_signs(tmp_path, environ):
    write(
        tmp_path / "prefix" / "pip.conf",
        "[global]\nextra_index_url =\n    https://a%40b.example\n    https://c.example\n--cert = /ca.pem\n",
    )
    found = read_pip_settings(environ, prefix=tmp_path / "prefix")
    assert found["extra-index-url"].words == ("https://a%40b.example", "https://c.example")
    assert found["cert"].value == "/ca.pem"


def test_the_null_device_switches_files_off(tmp_path, environ):
    write(tmp_path / "prefix" / "pip.conf", "[global]\nindex-url = https://a.example\n")
    environ["PIP_CONFIG_FILE"] = "/dev/null"
    assert settings(environ, tmp_path) == {"config-file": "/dev/null"}


@pytest.mark.parametrize("content", [b"index-url = https://a.example\n", b"[global]\n\xff = 1\n"])
def test_a_broken_file_is_named(tmp_path, environ, content):
    file = tmp_path / "prefix" / "pip.conf"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(SurroundingsError) as error:
        read_pip_settings(environ, prefix=tmp_path / "prefix")
    assert error.value.problems[0].where.file == str(file)


def test_uv_s_files_are_asked_which_settings_they_make(tmp_path, environ):
    assert read_uv_keys(environ) == frozenset()
    write(tmp_path / "second" / "uv" / "uv.toml", '[[index]]\nurl = "https://a.example"\ndefault = true\n')
    assert "index-url" in read_uv_keys(environ)
    write(
        tmp_path / "home" / ".config" / "uv" / "uv.toml", '[pip]\nfind-links = ["/x"]\n[[index]]\nurl = "b"\n'
    )
    assert {"index-url", "extra-index-url", "find-links"} <= read_uv_keys(environ)
    write(tmp_path / "own.toml", 'index-strategy = "first-index"\n')
    assert read_uv_keys({**environ, "UV_CONFIG_FILE": str(tmp_path / "own.toml")}) == {"index-strategy"}
    assert read_uv_keys({**environ, "UV_NO_CONFIG": "1"}) == frozenset()


def test_a_broken_file_of_uv_s_is_left_to_uv(tmp_path, environ):
    write(tmp_path / "home" / ".config" / "uv" / "uv.toml", "[[")
    assert read_uv_keys(environ) == frozenset()

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.errors import InputError, SurroundingsError
from cudaforge.packages.site import SECRET_LIMIT, DeclaredNetwork, Site, read_site

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


@pytest.fixture
def read(tmp_path, environ):
    def read_it(declared=None, **variables) -> Site:
        network = {"indexes": {}, "registries": {}, "root": tmp_path, "file": "cudaforge.toml"}
        return read_site(
            DeclaredNetwork(**network, **(declared or {})),
            environ={**environ, **variables},
            prefix=tmp_path / "prefix",
        )

    return read_it


def test_without_a_word_uv_s_own_default_holds(read):
    site = read()
    assert (site.index_url, site.extra_index_urls, site.find_links, site.proxies) == (None, (), (), {})
    assert not site.offline
    assert not [name for name in site.environment() if name.startswith("UV_")]


def test_the_declaration_goes_before_uv_and_uv_before_pip(read):
    pip = {"PIP_INDEX_URL": "https://pip.example"}
    uv = {"UV_INDEX_URL": "https://uv.example", **pip}
    newer = {"UV_DEFAULT_INDEX": "https://default.example", **uv}
    assert read(**pip).index_url == "https://pip.example"
    assert read(**uv).index_url == "https://uv.example"
    assert read(**newer).index_url == "https://default.example"
    site = read({"index": "https://declared.example"}, **newer)
    assert site.index_url == "https://declared.example"
    assert site.origin("index_url") == "network.index"
    assert site.environment()["UV_DEFAULT_INDEX"] == "https://declared.example"


def test_each_setting_is_looked_for_by_itself(read, tmp_path):
    site = read(UV_INDEX_URL="https://uv.example", PIP_EXTRA_INDEX_URL="https://a.example https://b.example")
    assert site.index_url == "https://uv.example"
    assert site.extra_index_urls == ("https://a.example", "https://b.example")
    assert site.index_strategy == "unsafe-best-match"


def test_only_pip_s_extra_indexes_are_read_as_one(read):
    assert read(UV_INDEX="https://uv.example").index_strategy is None
    assert read({"extra_indexes": ("https://declared.example",)}).index_strategy is None
    extra = {"PIP_EXTRA_INDEX_URL": "https://pip.example"}
    assert read(**extra, UV_INDEX_STRATEGY="first-index").index_strategy is None


def test_what_uv_s_file_sets_is_left_to_uv(read, tmp_path):
    file = tmp_path / "home" / ".config" / "uv" / "uv.toml"
    file.parent.mkdir(parents=True)
    file.write_text('index-url = "https://uv.example"\n')
    site = read(PIP_INDEX_URL="https://pip.example", PIP_FIND_LINKS="https://links.example")
    assert (site.index_url, site.find_links) == (None, ("https://links.example",))


def test_directories_of_a_declaration_in_the_working_directory(tmp_path, environ, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = DeclaredNetwork(indexes={}, registries={}, root=Path(), find_links=("wheels",))
    site = read_site(network, environ=environ, prefix=tmp_path / "prefix")
    assert site.find_links == (f"{tmp_path.as_uri()}/wheels",)


def test_directories_become_addresses(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read({"find_links": ("wheels, all",)}).find_links == (f"{tmp_path.as_uri()}/wheels%2C%20all",)
    assert read(PIP_FIND_LINKS="wheels /srv/more").find_links == (
        f"{tmp_path.as_uri()}/wheels",
        "file:///srv/more",
    )
    monkeypatch.setenv("HOME", "/home/alice")
    assert read(PIP_FIND_LINKS="~/wheels").find_links == ("file:///home/alice/wheels",)
    assert read(UV_FIND_LINKS="/a,/b").find_links == ("file:///a", "file:///b")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_that_is_not_there_is_named_by_its_variable(read, variable):
    with pytest.raises(SurroundingsError) as error:
        read(**{variable: "/nowhere/ca.pem"})
    (problem,) = error.value.problems
    assert variable in problem.what
    assert "/nowhere/ca.pem" in problem.what
    assert problem.because == ("there is no such file",)


def test_a_ca_bundle_that_holds_no_certificate_is_refused(read, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_bytes(b"\x00binary")
    with pytest.raises(SurroundingsError, match="SSL_CERT_FILE"):
        read(SSL_CERT_FILE=str(file))
    with pytest.raises(SurroundingsError, match="SSL_CERT_FILE"):
        read(SSL_CERT_FILE=str(tmp_path))
    with pytest.raises(InputError) as error:
        read({"ca_bundle": file})
    assert error.value.problems[0].where.key == "network.ca_bundle"


def test_ca_bundles_in_order(read, tmp_path, environ):
    files = {name: tmp_path / f"{name}.pem" for name in ("declared", "openssl", "requests", "pip")}
    for file in files.values():
        file.write_text(PEM)
    variables = {"PIP_CERT": str(files["pip"])}
    assert read(**variables).ca_bundle == files["pip"]
    variables["REQUESTS_CA_BUNDLE"] = str(files["requests"])
    assert read(**variables).ca_bundle == files["requests"]
    variables["SSL_CERT_FILE"] = str(files["openssl"])
    assert read(**variables).ca_bundle == files["openssl"]
    site = read({"ca_bundle": files["declared"]}, **variables)
    assert site.ca_bundle == files["declared"]
    assert site.environment()["SSL_CERT_FILE"] == str(files["declared"])


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_no_address_is_named_by_its_variable(read, variable):
    with pytest.raises(SurroundingsError) as error:
        read(**{variable: "notaurl"})
    assert variable in error.value.problems[0].what


def test_a_password_in_a_wrong_proxy_is_not_shown(read):
    with pytest.raises(SurroundingsError) as error:
        read(HTTPS_PROXY="ftp://alice:s3cret@proxy.example")
    assert "s3cret" not in repr(error.value.problems)


def test_a_declared_proxy_that_is_no_address_is_an_input_error(read):
    with pytest.raises(InputError) as error:
        read({"https_proxy": "notaurl"})
    assert error.value.problems[0].where.key == "network.https_proxy"


def test_proxies_in_both_spellings(read):
    site = read(
        {"http_proxy": "http://declared.example:1"},
        HTTP_PROXY="http://a.example:1",
        https_proxy="http://lower.example:2",
        HTTPS_PROXY="http://upper.example:3",
        NO_PROXY=".example",
        PIP_PROXY="http://pip.example:4",
    )
    assert site.proxies == {
        "HTTP_PROXY": "http://declared.example:1",
        "HTTPS_PROXY": "http://lower.example:2",
        "NO_PROXY": ".example",
    }
    assert site.origin("HTTPS_PROXY") == "https_proxy"
    text, _ = site.build_secrets()
    assert "export http_proxy=http://declared.example:1\n" in text
    assert "export HTTP_PROXY=http://declared.example:1\n" in text


def test_pip_s_proxy_holds_where_no_other_is_named(read):
    assert read(PIP_PROXY="http://pip.example:4").proxies == {
        "HTTP_PROXY": "http://pip.example:4",
        "HTTPS_PROXY": "http://pip.example:4",
    }


def test_build_steps_get_servers_and_no_files_of_this_machine(read, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text(PEM)
    site = read(
        {
            "ca_bundle": bundle,
            "index": "https://index.example/simple",
            "extra_indexes": ("file:///srv/simple", "https://extra.example/simple"),
            "find_links": ("/srv/wheels",),
        }
    )
    text, ca = site.build_secrets()
    assert ca == bundle
    assert "export PIP_INDEX_URL=https://index.example/simple\n" in text
    assert "export UV_INDEX=https://extra.example/simple\n" in text
    assert "export PIP_CERT=/run/cudaforge/ca.crt\n" in text
    assert "/srv" not in text
    assert str(bundle) not in text


def test_a_bundle_too_large_for_a_secret_is_refused(read, tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text(PEM + "x" * SECRET_LIMIT)
    site = read(SSL_CERT_FILE=str(bundle))
    with pytest.raises(SurroundingsError) as error:
        site.build_secrets()
    assert "SSL_CERT_FILE" in error.value.problems[0].because[0]


def test_a_line_break_makes_no_second_line(read):
    site = read(NO_PROXY="a\nexport PATH=/evil")
    with pytest.raises(SurroundingsError, match="NO_PROXY"):
        site.build_secrets()


@given(
    value=st.text(
        st.characters(min_codepoint=32, max_codepoint=0x17E, exclude_characters="\x7f\xad"), max_size=30
    )
)
def test_every_value_reads_back_from_the_shell_file(value):
    if any(0x80 <= ord(character) < 0xA0 for character in value):
        return
    site = Site(named_indexes={}, proxies={"NO_PROXY": value}, registries={}, origins={})
    text, _ = site.build_secrets()
    lines = [shlex.split(line) for line in text.splitlines()]
    assert lines == [["export", f"NO_PROXY={value}"], ["export", f"no_proxy={value}"]]


def test_loopback_needs_the_machine_s_network(read):
    assert not read(PIP_INDEX_URL="https://index.example").needs_host_network
    assert read(PIP_INDEX_URL="http://localhost:3141/root/pypi").needs_host_network
    assert read(UV_INDEX="mirror=http://127.0.0.1:8080").needs_host_network
    assert read(HTTPS_PROXY="http://127.0.0.1:3128").needs_host_network


def test_offline_is_asked_for_by_uv_s_variable_too(read):
    assert read(UV_OFFLINE="1").offline


def test_offline_no_build_step_finds_an_index_or_a_proxy(read):
    index, proxy = "https://index.example/simple", "http://proxy.example:3128"
    lines, _ = read(UV_OFFLINE="1", PIP_INDEX_URL=index, HTTPS_PROXY=proxy).build_secrets()
    assert "UV_OFFLINE=1\n" in lines
    assert "cudaforge-offline.invalid" in lines
    assert "example" not in lines


def test_the_mirror_of_standalone_pythons_is_uv_s_own_setting(read, tmp_path):
    assert read().python_mirror is None
    for directory, address in (("xdg", "https://system.example"), ("home/.config", "https://user.example")):
        (tmp_path / directory / "uv").mkdir(parents=True)
        (tmp_path / directory / "uv" / "uv.toml").write_text(f'python-install-mirror = "{address}"\n')
        assert read().python_mirror == address
    site = read(UV_PYTHON_INSTALL_MIRROR="file:///srv/pythons")
    assert (site.python_mirror, site.origin("python_mirror")) == (
        "file:///srv/pythons",
        "UV_PYTHON_INSTALL_MIRROR",
    )
    declared = read(
        {"python_mirror": "https://declared.example"}, UV_PYTHON_INSTALL_MIRROR="https://uv.example"
    )
    assert declared.python_mirror == "https://declared.example"
    assert "https://declared.example" not in str(declared.build_secrets())

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cudaforge.packages.addresses import (
    credentials_of,
    find_address,
    host_of,
    is_loopback,
    is_proxy,
    quote_credentials,
    redact,
    with_credentials,
    without_addresses,
    without_name,
)

SECRETS = st.text(min_size=1, max_size=20)


@given(user=SECRETS, password=SECRETS, before=st.text(max_size=10))
def test_no_password_survives_redaction(user, password, before):
    quoted = quote_credentials(user, password)
    address = with_credentials("https://index.example:8443/simple/", quoted)
    assert credentials_of(address) == quoted
    shown = redact(f"{before} {address} and {address}")
    assert f"{quoted}@" not in shown
    assert shown.count("@index.example:8443/simple/") == 2
    assert host_of(address) == "index.example:8443"


def test_own_credentials_of_an_address_are_replaced():
    assert with_credentials("https://a:b@index.example/x", "c:d") == "https://c:d@index.example/x"
    assert credentials_of("https://index.example/a@b") is None


def test_explanations_keep_no_address():
    text = "`torch` was found on https://u:p@index.example/simple, not on file:///srv/simple."
    assert without_addresses(text) == "`torch` was found on the package index not on the package index"


def test_the_address_of_a_failure_is_found():
    assert (
        find_address("Failed to fetch: `http://127.0.0.1:9/simple/numpy/`")
        == "http://127.0.0.1:9/simple/numpy/"
    )
    assert find_address("no file:///srv here") is None


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("http://localhost:3141/root/pypi", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80/", True),
        ("http://u:p@127.0.0.1:9", True),
        ("https://index.example", False),
        ("https://127.0.0.1.example", False),
        ("file:///srv", False),
        ("https://[broken", False),
    ],
)
def test_loopback(address, answer):
    assert is_loopback(address) is answer


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("http://proxy.example:3128", True),
        ("https://u:p@proxy.example", True),
        ("socks5h://proxy.example:1080", True),
        ("proxy.example:3128", True),
        ("notaurl", False),
        ("http://", False),
        ("http://proxy.example:99999", False),
        ("ftp://proxy.example", False),
        ("proxy.example:port", False),
    ],
)
def test_what_can_be_a_proxy(value, answer):
    assert is_proxy(value) is answer


def test_named_indexes_of_uv():
    assert without_name("mirror=https://index.example/simple") == "https://index.example/simple"
    assert without_name("https://index.example/simple?a=b") == "https://index.example/simple?a=b"

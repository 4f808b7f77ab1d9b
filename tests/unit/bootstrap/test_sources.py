import pytest

from cudaforge.bootstrap.sources import (
    Release,
    Source,
    choose_sources,
    dump_sources,
    expand_mirrors,
    parse_os_release,
    parse_sources,
    parse_stanzas,
)

STANZAS = """\
# a comment
Types: deb
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://archive.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://archive.example/sources-only
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://archive.example/switched-off
Suites: bookworm
Components: main
"""
LINES = """\
# deb http://archive.example/commented bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/site.gpg] https://archive.example/debian bookworm main # ours
deb-src https://archive.example/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb https://vendor.example/apt stable main
"""


def sources(text: str, name: str = "debian.sources") -> tuple[Source, ...]:
    return parse_sources({name: text})


def choose(text: str, codename: str, name: str = "debian.sources") -> list[tuple[str, str]]:
    chosen = choose_sources(
        sources(text, name), codename=codename, host_codename="bookworm", keyring="/k.gpg"
    )
    return [(source.address.rpartition("/")[2], source.suite) for source in chosen]


def test_stanzas_give_their_binary_sources_that_are_switched_on():
    assert [(source.address, source.suite) for source in sources(STANZAS)] == [
        ("http://archive.example/debian", "bookworm"),
        ("http://archive.example/debian", "bookworm-updates"),
        ("http://archive.example/debian-security", "bookworm-security"),
    ]


def test_lines_give_address_suite_components_and_keyring():
    first, second = sources(LINES, "sources.list")
    assert first == Source(
        address="https://archive.example/debian",
        suite="bookworm",
        components=("main",),
        keyring="/etc/apt/keyrings/site.gpg",
    )
    assert second.address == "https://vendor.example/apt"


def test_a_key_inside_the_stanza_is_no_keyring_file():
    text = STANZAS.replace(
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc",
    )
    assert sources(text)[0].keyring is None


@pytest.mark.parametrize("codename", ["bookworm", "trixie", "forky"])
def test_a_release_takes_main_updates_and_security_from_the_hosts_archives(codename: str):
    assert choose(STANZAS, codename) == [
        ("debian", codename),
        ("debian", f"{codename}-updates"),
        ("debian-security", f"{codename}-security"),
    ]


def test_an_unreleased_suite_has_no_updates():
    assert choose(STANZAS, "sid") == [("debian", "sid")]


def test_sources_that_name_the_release_win():
    own = STANZAS + "\nTypes: deb\nURIs: http://archive.example/other\nSuites: trixie\nComponents: main\n"
    assert choose(own, "trixie") == [("other", "trixie")]


def test_a_suite_named_by_its_alias_counts():
    assert choose("deb http://a.example/debian oldstable main", "bookworm", "sources.list") == [
        ("debian", "bookworm")
    ]


def test_no_archive_of_the_release_gives_nothing():
    assert choose("deb http://a.example/debian jammy main", "bookworm", "sources.list") == []


def test_only_main_is_asked_for_and_the_hosts_keyring_is_kept():
    chosen = choose_sources(
        sources(STANZAS), codename="bookworm", host_codename="bookworm", keyring="/default.gpg"
    )
    assert {source.components for source in chosen} == {("main",)}
    assert [source.keyring for source in chosen] == [
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "/default.gpg",
    ]


def test_dumped_sources_are_read_back_the_same():
    chosen = choose_sources(sources(STANZAS), codename="trixie", host_codename="bookworm", keyring="/k.gpg")
    assert parse_sources({"a.list": dump_sources(chosen, architecture="amd64")}) == chosen
    assert parse_sources({"a.list": dump_sources(chosen)}) == chosen


def test_a_mirror_list_becomes_its_first_mirror():
    source = Source(address="mirror+file:/etc/mirrors", suite="s", components=("main",), keyring=None)
    asked: list[str] = []

    def read(path: str) -> str:
        asked.append(path)
        return "# mirrors\nhttp://one.example/debian priority:1\nhttp://two.example/debian\n"

    assert expand_mirrors([source], read)[0].address == "http://one.example/debian"
    assert asked == ["/etc/mirrors"]


def test_an_empty_mirror_list_changes_nothing():
    source = Source(address="mirror+file:/etc/mirrors", suite="s", components=("main",), keyring=None)
    assert expand_mirrors([source], lambda _: "") == (source,)


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ('ID=debian\nVERSION_CODENAME="trixie"\n', Release(distribution="debian", codename="trixie")),
        ("ID=debian\n", Release(distribution="debian", codename="sid")),
        ("ID=ubuntu\nUBUNTU_CODENAME=noble\n", Release(distribution="ubuntu", codename="noble")),
        ("ID=fedora\n", None),
        ("", None),
    ],
)
def test_os_release(text: str, release: Release | None):
    assert parse_os_release(text) == release


def test_stanzas_keep_continued_lines_and_lose_comments():
    assert list(parse_stanzas("A: 1\n 2\n# no\nB:\n\n\nC: 3")) == [{"a": "1\n2", "b": ""}, {"c": "3"}]

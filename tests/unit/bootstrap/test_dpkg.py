from cudaforge.bootstrap.dpkg import (
    add_alternatives,
    add_database,
    dump_alternative,
    info_name,
    parse_alternatives,
    status_stanza,
    trigger_files,
)
from cudaforge.bootstrap.tree import Kind, Tree
from tests.unit.bootstrap.debs import package

MAWK = r"""
if [ "$1" = "configure" ]; then
    update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \
        --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz \
        --slave /usr/bin/nawk nawk /usr/bin/mawk
fi
"""
AWK_FILE = """\
auto
/usr/bin/awk
awk.1.gz
/usr/share/man/man1/awk.1.gz
nawk
/usr/bin/nawk

/usr/bin/mawk
5
/usr/share/man/man1/mawk.1.gz
/usr/bin/mawk

"""


def test_a_stanza_says_that_the_package_is_installed():
    assert status_stanza("Package: x\nVersion: 1\n\n", [("/etc/x", "abc")]) == (
        "Package: x\nStatus: install ok installed\nVersion: 1\nConffiles:\n /etc/x abc\n"
    )


def test_packages_of_one_architecture_among_several_say_which():
    assert info_name({"package": "libc6", "architecture": "amd64", "multi-arch": "same"}) == "libc6:amd64"
    assert info_name({"package": "bash", "architecture": "amd64", "multi-arch": "foreign"}) == "bash"


def test_the_database_lists_files_and_keeps_scripts():
    deb = package("x", files={"etc/x.conf": b"a\n", "bin/x": b""}, multi="same", conffiles="/etc/x.conf\n")
    tree = Tree()
    for entry in deb.entries:
        tree.add(entry)
    add_database(tree, [deb, package("y", postinst="#!/bin/sh\n")])
    assert tree.find_bytes("var/lib/dpkg/info/x:amd64.list") == b"/.\n/etc/x.conf\n/bin/x\n"
    assert tree["var/lib/dpkg/info/y.postinst"].mode == 0o755
    status = (tree.find_bytes("var/lib/dpkg/status") or b"").decode()
    assert " /etc/x.conf 60b725f10c9c85c70d97880dfe8191b3" in status
    assert "\n\nPackage: y\nStatus: install ok installed\n" in status


def test_triggers_are_filed_by_path_and_by_name():
    debs = [
        package("libc-bin", triggers="# comment\ninterest-await ldconfig\n"),
        package("debianutils", triggers="interest-noawait /usr/share/debianutils/shells.d\n"),
        package("libx", triggers="activate-noawait ldconfig\n"),
        package("certs", triggers="interest update-certs\n"),
    ]
    assert trigger_files(debs) == {
        "File": ["/usr/share/debianutils/shells.d debianutils/noawait\n"],
        "Unincorp": [],
        "ldconfig": ["libc-bin\n"],
        "update-certs": ["certs\n"],
    }


def test_alternatives_are_read_from_a_script_and_written_as_dpkg_does():
    (offer,) = parse_alternatives(MAWK)
    assert (offer.link, offer.name, offer.path, offer.priority) == ("/usr/bin/awk", "awk", "/usr/bin/mawk", 5)
    assert dump_alternative([offer]) == AWK_FILE


def test_what_only_a_shell_can_tell_is_left_out():
    script = """
        update-alternatives --install "$LINK" awk /usr/bin/mawk 5
        update-alternatives --install /usr/bin/a a /usr/bin/b `cat priority`
        update-alternatives --install /usr/bin/a a
        update-alternatives --install /usr/bin/a 'a
        update-alternatives --remove awk /usr/bin/mawk
        # update-alternatives --set awk
    """
    assert list(parse_alternatives(script)) == []


def test_the_best_alternative_that_exists_is_linked():
    tree = Tree()
    for path in ("usr/bin/mawk", "usr/bin/gawk"):
        tree.add_file(path, b"")
    better = "update-alternatives --install /usr/bin/awk awk /usr/bin/gawk 10 || true\n"
    missing = "update-alternatives --install /usr/bin/awk awk /usr/bin/original-awk 99\n"
    add_alternatives(tree, [package(str(i), postinst=text) for i, text in enumerate((MAWK, better, missing))])
    assert tree["usr/bin/awk"].target == "/etc/alternatives/awk"
    assert tree["etc/alternatives/awk"].target == "/usr/bin/gawk"
    assert "usr/bin/nawk" not in tree
    assert tree["etc/alternatives/awk"].kind is Kind.SYMLINK
    assert b"original-awk" not in (tree.find_bytes("var/lib/dpkg/alternatives/awk") or b"")

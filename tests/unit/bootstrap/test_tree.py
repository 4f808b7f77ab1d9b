import pytest

from cudaforge.bootstrap.configure import EXCLUDED
from cudaforge.bootstrap.tree import Entry, Kind, Stored, Tree, keep_entries, merged_path


def file(path: str, **more: object) -> Entry:
    return Entry(path=path, kind=Kind.FILE, **more)  # type: ignore[arg-type]


def paths(tree: Tree) -> list[str]:
    return [entry.path for entry in tree.finished()]


@pytest.mark.parametrize(
    ("path", "kind", "merged"),
    [
        ("bin/sh", Kind.FILE, "usr/bin/sh"),
        ("lib", Kind.DIRECTORY, "usr/lib"),
        ("lib64", Kind.SYMLINK, "lib64"),
        ("lib/x", Kind.SYMLINK, "usr/lib/x"),
        ("libexec/x", Kind.FILE, "libexec/x"),
        ("etc/bin", Kind.FILE, "etc/bin"),
    ],
)
def test_usr_is_merged(path: str, kind: Kind, merged: str):
    assert merged_path(path, kind) == merged


def test_merged_directories_become_links_and_parents_come_first():
    tree = Tree()
    tree.add(file("lib64/ld.so"))
    tree.add(file("bin/sh"))
    entries = {entry.path: entry for entry in tree.finished()}
    assert entries["lib64"].target == "usr/lib64"
    assert entries["bin"].target == "usr/bin"
    assert entries["usr/bin/sh"].kind is Kind.FILE
    assert "lib32" not in entries
    order = paths(tree)
    assert order.index("usr") < order.index("usr/bin") < order.index("usr/bin/sh")


def test_the_order_of_adding_does_not_matter():
    forwards, backwards = Tree(), Tree()
    entries = [file("b/x"), file("a"), Entry(path="b", kind=Kind.DIRECTORY, mode=0o700), file("b-c")]
    for entry in entries:
        forwards.add(entry)
    for entry in reversed(entries):
        backwards.add(entry)
    assert forwards.finished() == backwards.finished()


def test_a_directory_stays_as_it_first_came():
    tree = Tree()
    tree.add_directory("var/mail", mode=0o2775, gid=8)
    tree.add_directory("var/mail")
    assert (tree["var/mail"].mode, tree["var/mail"].gid) == (0o2775, 8)


def test_a_link_takes_the_place_of_a_directory():
    tree = Tree()
    tree.add_directory("var/run")
    tree.add_symlink("var/run", "/run")
    assert tree["var/run"].kind is Kind.SYMLINK


def test_the_first_path_of_hard_links_is_the_file():
    tree = Tree()
    tree.add(file("bin/perl5.36", content=b"elf", mode=0o755, mtime=5))
    tree.add(Entry(path="bin/perl", kind=Kind.HARDLINK, target="bin/perl5.36"))
    entries = {entry.path: entry for entry in tree.finished()}
    assert entries["usr/bin/perl"].kind is Kind.FILE
    assert entries["usr/bin/perl"].content == b"elf"
    assert entries["usr/bin/perl"].mode == 0o755
    assert entries["usr/bin/perl5.36"].kind is Kind.HARDLINK
    assert entries["usr/bin/perl5.36"].target == "usr/bin/perl"


def test_what_has_no_time_gets_the_newest():
    tree = Tree()
    tree.add(file("a", mtime=7))
    tree.add(file("b", mtime=9))
    tree.add_file("c", b"")
    assert {entry.path: entry.mtime for entry in tree.finished()}["c"] == 9


def test_stored_content_is_read_from_its_place(tmp_path):
    (tmp_path / "data").write_bytes(b"--hello--")
    entry = file("a", content=Stored(file=tmp_path / "data", offset=2, size=5))
    assert entry.read() == b"hello"


def test_documentation_goes_and_licences_stay():
    entries = [
        file("usr/share/doc/x/changelog.gz"),
        file("usr/share/doc/x/copyright"),
        Entry(path="usr/share/doc/y", kind=Kind.SYMLINK, target="x"),
        Entry(path="usr/share/man/man1/a.1.gz", kind=Kind.SYMLINK, target="b.1.gz"),
        file("usr/share/documents"),
    ]
    kept = [entry.path for entry in keep_entries(entries, EXCLUDED)]
    assert kept == ["usr/share/doc/x/copyright", "usr/share/doc/y", "usr/share/documents"]


def test_a_file_that_something_else_is_a_link_to_stays():
    entries = [
        file("usr/share/man/page"),
        Entry(path="usr/lib/page", kind=Kind.HARDLINK, target="usr/share/man/page"),
    ]
    assert len(list(keep_entries(entries, EXCLUDED))) == 2

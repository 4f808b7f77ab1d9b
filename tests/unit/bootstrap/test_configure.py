from cudaforge.bootstrap.configure import configure, dump_exclusions
from cudaforge.bootstrap.tree import Kind, Tree

PASSWD = b"root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"


def configured(files: dict[str, bytes]) -> Tree:
    tree = Tree()
    for path, content in files.items():
        tree.add_file(path, content)
    configure(tree, architecture="amd64")
    return tree


def test_accounts_are_made_with_shadow_files():
    tree = configured(
        {"usr/share/base-passwd/passwd.master": PASSWD, "usr/share/base-passwd/group.master": b"root:*:0:\n"}
    )
    assert (tree.find_bytes("etc/passwd") or b"").decode().splitlines() == [
        "root:x:0:0:root:/root:/bin/bash",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin",
    ]
    assert tree.find_bytes("etc/group") == b"root:x:0:\n"
    assert (tree["etc/shadow"].mode, tree["etc/shadow"].gid) == (0o640, 42)
    assert (tree.find_bytes("etc/shadow") or b"").startswith(b"root:*::0:99999:7:::\n")


def test_an_account_of_apts_own_is_kept():
    master = PASSWD + b"_apt:*:77:65534::/nonexistent:/usr/sbin/nologin\n"
    tree = configured({"usr/share/base-passwd/passwd.master": master})
    assert (tree.find_bytes("etc/passwd") or b"").count(b"_apt:") == 1


def test_certificates_become_one_bundle_in_a_fixed_order():
    root = "usr/share/ca-certificates/mozilla"
    tree = configured({f"{root}/b.crt": b"B\n\n", f"{root}/a.crt": b"A"})
    assert tree.find_bytes("etc/ssl/certs/ca-certificates.crt") == b"A\nB\n"
    assert tree.find_bytes("etc/ca-certificates.conf") == b"mozilla/a.crt\nmozilla/b.crt\n"


def test_shells_are_listed_where_they_exist():
    tree = configured(
        {
            "usr/share/debianutils/shells": b"# valid\n/bin/sh\n",
            "usr/share/debianutils/shells.d/bash": b"/bin/bash\n/usr/bin/absent\n",
            "bin/bash": b"",
        }
    )
    assert tree.find_bytes("etc/shells") == b"# valid\n/bin/sh\n/bin/bash\n/usr/bin/bash\n"


def test_places_that_everything_expects():
    tree = configured({"etc/dpkg/origins/debian": b"", "etc/pam.d/su": b""})
    assert (tree["tmp"].mode, tree["root"].mode) == (0o1777, 0o700)
    assert tree["var/run"].target == "/run"
    assert tree["etc/dpkg/origins/default"].target == "debian"
    assert tree.find_bytes("etc/pam.d/common-auth") == b"auth required pam_unix.so\n"
    assert tree["usr/sbin/policy-rc.d"].mode == 0o755


def test_an_image_holds_no_archive_address():
    tree = configured({})
    assert not [path for path in tree.below("etc/apt") if "sources" in path]


def test_a_time_zone_is_set_where_there_are_zones():
    assert "etc/localtime" not in configured({})
    zoned = configured({"usr/share/zoneinfo/Etc/UTC": b""})
    assert zoned["etc/localtime"].kind is Kind.SYMLINK


def test_dpkg_goes_on_leaving_out_what_the_base_leaves_out():
    lines = dump_exclusions().splitlines()
    assert lines.index("path-exclude=/usr/share/doc/*") < lines.index(
        "path-include=/usr/share/doc/*copyright"
    )

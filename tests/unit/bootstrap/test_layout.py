import hashlib
import io
import json
import tarfile

from cudaforge.bootstrap.archive import loaded_reference, write_archive
from cudaforge.bootstrap.layout import find_image, tar_stream, write_layout
from cudaforge.bootstrap.tree import Entry, Kind, Tree


def entries() -> tuple[Entry, ...]:
    tree = Tree()
    tree.add(Entry(path="usr/bin/su", kind=Kind.FILE, mode=0o4755, mtime=86400, content=b"x" * 700))
    tree.add(Entry(path="usr/bin/hard", kind=Kind.HARDLINK, target="usr/bin/su"))
    tree.add_file("etc/shadow", b"", mode=0o640, gid=42)
    tree.add_file("usr/share/ca/Főtanúsítvány.crt", b"1")
    tree.add_symlink("a", "/etc")
    return tree.finished()


def test_the_layer_holds_owners_modes_and_links():
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(entries())))) as tar:
        members = {member.name: member for member in tar}
        assert tar.extractfile("usr/bin/hard").read() == b"x" * 700
    assert members["usr/bin/hard"].mode == 0o4755
    assert members["usr/bin/su"].islnk()
    assert (members["etc/shadow"].mode, members["etc/shadow"].gid) == (0o640, 42)
    assert members["a"].linkname == "/etc"
    assert "usr/share/ca/Főtanúsítvány.crt" in members


def test_a_layout_is_found_again_with_its_digest(tmp_path):
    digest = write_layout(tmp_path / "one", entries(), architecture="amd64")
    image = find_image(tmp_path / "one")
    assert image is not None
    assert image.digest == digest
    assert image.build_context == f"oci-layout://{tmp_path / 'one'}@{digest}"
    manifest = (tmp_path / "one/blobs/sha256" / digest[7:]).read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == digest[7:]
    config = json.loads(
        (tmp_path / "one/blobs/sha256" / json.loads(manifest)["config"]["digest"][7:]).read_bytes()
    )
    assert (config["architecture"], config["created"]) == ("amd64", "1970-01-02T00:00:00Z")


def test_the_same_tree_gives_the_same_bytes(tmp_path):
    first = write_layout(tmp_path / "one", entries(), architecture="amd64")
    assert write_layout(tmp_path / "two", entries(), architecture="amd64") == first
    assert write_layout(tmp_path / "three", entries(), architecture="arm64") != first


def test_a_layout_that_was_cut_off_is_not_found(tmp_path):
    write_layout(tmp_path / "one", entries(), architecture="amd64")
    largest = max((tmp_path / "one/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    assert find_image(tmp_path / "one") is None
    assert find_image(tmp_path / "nothing") is None


def test_an_index_of_platforms_is_found_by_those_that_are_there(tmp_path):
    """As engines save them: the index of all platforms, and what was pulled."""
    place = tmp_path / "one"
    arm = write_layout(tmp_path / "two", entries(), architecture="arm64")
    amd = write_layout(place, entries(), architecture="amd64")
    listed = [
        {"digest": digest, "size": (source / "blobs/sha256" / digest[7:]).stat().st_size}
        for source, digest in ((place, amd), (tmp_path / "two", arm))
    ]
    text = json.dumps({"manifests": listed}).encode()
    digest = hashlib.sha256(text).hexdigest()
    (place / "blobs/sha256" / digest).write_bytes(text)
    top = {"manifests": [{"digest": f"sha256:{digest}", "size": len(text)}]}
    (place / "index.json").write_text(json.dumps(top))
    assert find_image(place).digest == f"sha256:{digest}"
    whole = (tmp_path / "two/blobs/sha256" / arm[7:]).read_bytes()
    (place / "blobs/sha256" / arm[7:]).write_bytes(whole)
    assert find_image(place) is None  # its configuration is missing
    for blob in (tmp_path / "two/blobs/sha256").iterdir():
        (place / "blobs/sha256" / blob.name).write_bytes(blob.read_bytes())
    assert find_image(place) is not None
    for one in (amd, arm):
        (place / "blobs/sha256" / one[7:]).unlink()
    assert find_image(place) is None


def test_the_archive_names_the_image_in_both_forms(tmp_path):
    write_layout(tmp_path / "one", entries(), architecture="amd64")
    image = find_image(tmp_path / "one")
    assert image is not None
    write_archive(image, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        index = json.load(archive.extractfile("index.json"))
        older = json.load(archive.extractfile("manifest.json"))
        held = set(archive.getnames())
    annotations = index["manifests"][0]["annotations"]
    assert annotations["io.containerd.image.name"] == loaded_reference(image)
    assert older[0]["RepoTags"] == [loaded_reference(image)]
    assert {older[0]["Config"], *older[0]["Layers"]} <= held

"""From plain values to the rows about what is published: images, Pythons, and where releases are listed."""

from __future__ import annotations

import re

from cudaforge.matrix.model import (
    BaseImage,
    Feed,
    FrameworkImage,
    Maker,
    PythonRelease,
    SnapshotService,
    StandalonePython,
)
from cudaforge.matrix.model_audit import CondaBuild, Distribution, WheelTag
from cudaforge.matrix.reader import Reader

_FLAVORS = ("base", "runtime", "devel")
_FEED_SUBJECTS = ("cuda", "cudnn", "python")
_ARCHIVE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._+-]*/)*[A-Za-z0-9][A-Za-z0-9._+-]*\.tar\.gz")
_SNAPSHOT = re.compile(r"(?:[a-z0-9][a-z0-9._-]*/)*TIMESTAMP CODENAME[a-z0-9-]*(?: [a-z][a-z0-9-]*)+")
_SNAPSHOT_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~-]+)*")
_KEYRING = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_base_image(read: Reader) -> BaseImage:
    """A tag that images start from. Raises ValueError for what is wrong in it."""
    flavor = read.optional("flavor")
    if flavor not in (None, *_FLAVORS):
        raise ValueError(f"flavor is {flavor!r}: one of {', '.join(_FLAVORS)}")
    return BaseImage(
        reference=read.text("reference"),
        os=read.text("os"),
        platforms=read.words("platforms"),
        flavor=flavor,
        cuda=read.optional_version("cuda"),
        cudnn=read.optional_version("cudnn"),
        gate=read.optional("gate"),
        python=read.optional("python"),
        removed=read.optional("removed"),
        replaced_by=read.optional("replaced_by"),
        size=read.optional_integer("size"),
        installed=read.optional_integer("installed"),
        compat_platforms=read.words("compat_platforms"),
        gate_branches=read.integers("gate_branches"),
        gate_brands=read.words("gate_brands"),
        source=read.source(),
    )


def read_framework_image(read: Reader) -> FrameworkImage:
    """A published image with frameworks in it. Raises ValueError for what is wrong in it."""
    contents = read.mapping("contents")
    if not contents:
        raise ValueError("contents is missing")
    return FrameworkImage(
        reference=read.text("reference"),
        os=read.text("os"),
        platforms=read.words("platforms"),
        python=read.optional("python"),
        cuda=read.optional_version("cuda"),
        cudnn=read.optional_version("cudnn"),
        contents=contents,
        flavor=read.optional("flavor"),
        driver=read.optional_version("driver"),
        released=read.optional("released"),
        removed=read.optional("removed"),
        source=read.source(),
    )


def read_python(read: Reader) -> PythonRelease:
    """A minor version of Python. Raises ValueError for what is wrong in it."""
    return PythonRelease(
        version=read.text("version"),
        released=read.optional("released"),
        eol=read.optional("eol"),
        source=read.source(),
    )


def read_standalone(read: Reader) -> StandalonePython:
    """A Python that comes as an archive. Raises ValueError for what is wrong in it."""
    files, sha256 = read.mapping("files"), read.mapping("sha256")
    for platform, file in files.items():
        if not _ARCHIVE.fullmatch(file):
            raise ValueError(f"files.{platform} is {file!r}: a path of plain names that ends in .tar.gz")
    for platform, digest in sha256.items():
        if not _SHA256.fullmatch(digest):
            raise ValueError(f"sha256.{platform} is {digest!r}: 64 hexadecimal digits")
    if not files or set(files) != set(sha256):
        raise ValueError("files and sha256 must be there for the same platforms, at least for one")
    return StandalonePython(
        version=read.version("version"),
        release=read.text("release"),
        released=read.optional("released"),
        glibc=read.version("glibc"),
        feed=read.text("feed"),
        files=files,
        sha256=sha256,
        source=read.source(),
    )


def read_feed(read: Reader) -> Feed:
    """A directory that a vendor lists releases in. Raises ValueError for what is wrong in it."""
    subject, url = read.text("subject"), read.text("url")
    if subject not in _FEED_SUBJECTS:
        raise ValueError(f"subject is {subject!r}: one of {', '.join(_FEED_SUBJECTS)}")
    if not url.startswith("https://"):
        raise ValueError("url must begin with https://")
    return Feed(name=read.text("name"), subject=subject, url=url, source=read.source())


def read_snapshots(read: Reader) -> SnapshotService:
    """A service that has archives as they were. Raises ValueError for what is wrong in it."""
    url, keyring, archives = read.text("url"), read.text("keyring"), read.texts("archives")
    since = read.text("since")
    if not _DAY.fullmatch(since):
        raise ValueError(f"since is {since!r}: a day such as 2023-03-02")
    if not _SNAPSHOT_URL.fullmatch(url):
        raise ValueError("url must be an http:// or https:// address without a slash at its end")
    if not _KEYRING.fullmatch(keyring):
        raise ValueError(f"keyring is {keyring!r}: a path of plain names that begins with /")
    for archive in archives:
        if not _SNAPSHOT.fullmatch(archive):
            raise ValueError(f"archives has {archive!r}: PATH/TIMESTAMP CODENAME main, of plain names")
    if not archives:
        raise ValueError("archives is empty: at least one is needed")
    return SnapshotService(
        name=read.text("name"),
        family=read.text("family"),
        url=url,
        keyring=keyring,
        since=since,
        archives=archives,
        source=read.source(),
    )


def read_distribution(read: Reader) -> Distribution:
    """A name that frameworks are installed by. Raises ValueError for what is wrong in it."""
    return Distribution(
        name=read.text("name"),
        framework=read.optional("framework"),
        build=read.optional("build"),
        versions=read.optional_wish("versions"),
        released=read.optional("released"),
        retired=read.optional("retired"),
        replaced_by=read.optional("replaced_by"),
        effect=read.optional("effect"),
        source=read.source(),
    )


def read_maker(read: Reader) -> Maker:
    """Who else makes accelerators. Raises ValueError for what is wrong in it."""
    return Maker(name=read.text("name"), words=read.words("words"), source=read.source())


def read_conda_build(read: Reader) -> CondaBuild:
    """A build on a conda channel. Raises ValueError for what is wrong in it."""
    versions, cuda = read.versions("versions"), read.optional_version("cuda")
    if not versions:
        raise ValueError("versions is missing")
    if (cuda is None) != (read.text("build") == "cpu"):
        raise ValueError("cuda is what every build has but that called cpu")
    return CondaBuild(
        channel=read.text("channel"),
        framework=read.text("framework"),
        package=read.text("package"),
        build=read.text("build"),
        versions=versions,
        platforms=read.words("platforms"),
        selector=read.optional("selector"),
        needs_driver=read.flag("needs_driver", default=False),
        cuda=cuda,
        cudnn=read.optional_version("cudnn"),
        cubins=read.versions("cubins"),
        ptx=read.versions("ptx"),
        is_last=read.flag("is_last", default=False),
        source=read.source(),
    )


def read_wheel_tag(read: Reader) -> WheelTag:
    """From which pip on a platform tag is known. Raises ValueError for what is wrong in it."""
    return WheelTag(
        glibc=read.version("glibc"), tag=read.text("tag"), pip=read.version("pip"), source=read.source()
    )

"""From the plain values of a matrix file to the row types of `cudaforge.matrix.model`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType

from cudaforge.matrix.findings import FactsError, Finding
from cudaforge.matrix.model import (
    BaseImage,
    Broken,
    CudaProvider,
    CudaRelease,
    CudnnRelease,
    DriverBranch,
    Framework,
    FrameworkBuild,
    Gpu,
    OperatingSystem,
    PackageIndex,
    Source,
    Strength,
)
from cudaforge.versions import InvalidVersion, Version, VersionWish

Raw = Mapping[str, object]
"""One row as TOML or JSON gives it: every shared setting filled in."""


@dataclass(frozen=True, slots=True)
class _Mistake:
    raw: Raw
    what: str


_EMPTY: Mapping[str, str] = MappingProxyType({})


class _Sources:
    """The sources of one section, made when a row first names them."""

    def __init__(self, raw: Mapping[str, Raw]) -> None:
        self._raw = raw
        self._made: dict[str, Source] = {}

    def find(self, id: str) -> Source | None:  # noqa: A002 -- the field's name
        """The source of that id, or None."""
        if id not in self._made and id in self._raw:
            self._made[id] = _source(id, self._raw[id])
        return self._made.get(id)


class _Reader:
    """Typed access to one raw row. Every method raises ValueError for a value of another kind."""

    __slots__ = ("_raw", "_sources")

    def __init__(self, raw: Raw, sources: _Sources) -> None:
        self._raw = raw
        self._sources = sources

    def text(self, key: str) -> str:
        """A text that must be there."""
        value = self._raw.get(key)
        if type(value) is not str or not value:
            raise ValueError(f"{key} must be a text" if key in self._raw else f"{key} is missing")
        return value

    def optional(self, key: str) -> str | None:
        """A text, or None."""
        return self.text(key) if key in self._raw else None

    def version(self, key: str) -> Version:
        """A version that must be there."""
        return _version(key, self.text(key))

    def optional_version(self, key: str) -> Version | None:
        """A version, or None."""
        return _version(key, self.text(key)) if key in self._raw else None

    def optional_wish(self, key: str) -> VersionWish | None:
        """A version wish, or None."""
        return _wish(key, self.text(key)) if key in self._raw else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; nothing written is an empty list."""
        if key not in self._raw:
            return ()
        value = self._raw[key]
        if not isinstance(value, list) or not all(type(item) is str and item for item in value):
            raise ValueError(f"{key} must be a list of texts")
        return tuple(value)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of words, or one text that holds them; nothing written is an empty list."""
        value = self._raw.get(key)
        return _words(value) if isinstance(value, str) else self.texts(key)

    def versions(self, key: str) -> tuple[Version, ...]:
        """A list of versions, or one text that holds them; nothing written is an empty list."""
        return _versions(key, self.words(key))

    def mapping(self, key: str) -> Mapping[str, str]:
        """A table of texts; nothing written is an empty table."""
        if key not in self._raw:
            return _EMPTY
        value = self._raw[key]
        if not isinstance(value, Mapping) or not all(type(item) is str for item in value.values()):
            raise ValueError(f"{key} must be a table of texts")
        return MappingProxyType(dict(value))

    def optional_integer(self, key: str) -> int | None:
        """A whole number, or None."""
        return None if key not in self._raw else self.integer(key)

    def integer(self, key: str) -> int:
        """A whole number that must be there."""
        value = self._raw.get(key)
        if type(value) is not int:
            raise ValueError(f"{key} must be a whole number")
        return value

    def source(self) -> Source:
        """The row's source, which must be one of its file's."""
        found = self._sources.find(self.text("source"))
        if found is None:
            raise ValueError(f"source {self.text('source')!r} is not among the file's [sources]")
        return found


def read_rows(subject: str, rows: Iterable[Raw], sources: Mapping[str, Raw], *, file: str) -> list[object]:
    """The rows of one subject as values. Raises FactsError with every row that cannot be read."""
    known = _Sources(sources)
    build = _BUILDERS[subject]
    made = [_attempt(build, raw, known) for raw in rows]
    mistakes = [item for item in made if isinstance(item, _Mistake)]
    if mistakes:
        raise FactsError(
            Finding(file=file, row=label(subject, mistake.raw), what=mistake.what) for mistake in mistakes
        )
    return made


def find_row_mistakes(
    rows: Mapping[str, Iterable[Raw]], sources: Mapping[str, Raw], *, file: str
) -> tuple[Finding, ...]:
    """What is wrong with the values of the rows, given by subject."""
    known = _Sources(sources)
    return tuple(
        Finding(file=file, row=label(subject, raw), what=made.what)
        for subject, raws in rows.items()
        for raw in raws
        if isinstance(made := _attempt(_BUILDERS[subject], raw, known), _Mistake)
    )


def known_fields(subject: str) -> frozenset[str]:
    """The keys that a row of the subject may have."""
    return frozenset(field.name for field in fields(_TYPES[subject]))


def key_of(subject: str, raw: Raw) -> tuple[str, ...]:
    """What makes a row of the subject the same row: an overlay replaces by it."""
    return tuple(_plain(raw.get(key, "")) for key in KEYS[subject])


def label(subject: str, raw: Raw) -> str:
    """The row in words, for messages."""
    return " ".join(part for part in key_of(subject, raw) if part) or "a row without a key"


def section_name(subject: str, row: Raw) -> str:
    """Which part of the compiled form a row is in: what one resolve needs together is one part."""
    if subject == "builds":
        return f"builds/{row.get('framework')}"
    if subject == "base_images":
        return f"base_images/{row.get('os')}"
    return subject


def _attempt(build: Callable[[_Reader], object], raw: Raw, sources: _Sources) -> object:
    try:
        return build(_Reader(raw, sources))
    except ValueError as error:
        return _Mistake(raw, str(error))


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in sorted(value.items()))
    return ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


@lru_cache(maxsize=8192)
def _version(key: str, text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{key}: {error}") from error


@lru_cache(maxsize=2048)
def _versions(key: str, words: tuple[str, ...]) -> tuple[Version, ...]:
    return tuple(_version(key, word) for word in words)


@lru_cache(maxsize=2048)
def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@lru_cache(maxsize=2048)
def _wish(key: str, text: str) -> VersionWish:
    try:
        return VersionWish(text)
    except InvalidVersion as error:
        raise ValueError(f"{key}: {error}") from error


def _source(id: str, raw: Raw) -> Source:  # noqa: A002 -- the field's name
    strength = str(raw.get("strength", ""))
    if strength not in _STRENGTHS:
        raise ValueError(f"source {id!r} has strength {strength!r}: one of {', '.join(_STRENGTHS)}")
    return Source(
        id=id,
        text=str(raw.get("text", "")),
        checked=str(raw.get("checked", "")),
        strength=Strength(strength),
        file=str(raw.get("file", "")),
    )


def _framework(read: _Reader) -> Framework:
    return Framework(
        name=read.text("name"),
        title=read.text("title"),
        aliases=read.texts("aliases"),
        proof=read.text("proof"),
        template=read.text("template"),
        source=read.source(),
    )


def _build(read: _Reader) -> FrameworkBuild:
    provider = read.text("provider")
    if provider not in _PROVIDERS:
        raise ValueError(f"provider is {provider!r}: one of {', '.join(_PROVIDERS)}")
    return FrameworkBuild(
        framework=read.text("framework"),
        version=read.version("version"),
        build=read.text("build"),
        platforms=read.words("platforms"),
        released=read.optional("released"),
        pythons=read.words("pythons"),
        glibc=read.version("glibc"),
        provider=CudaProvider(provider),
        cuda=read.optional_wish("cuda"),
        cudnn=read.optional_wish("cudnn"),
        nccl=read.optional_version("nccl"),
        cubins=read.versions("cubins") or None,
        ptx=read.versions("ptx"),
        index=read.text("index"),
        requires=read.texts("requires"),
        constraints=read.texts("constraints"),
        toolkit_extras=read.words("toolkit_extras"),
        cudnn_package=read.optional("cudnn_package"),
        nccl_package=read.optional("nccl_package"),
        companions=read.mapping("companions"),
        reported=read.text("reported"),
        env=read.mapping("env"),
        size=read.optional_integer("size"),
        source=read.source(),
    )


def _cuda(read: _Reader) -> CudaRelease:
    return CudaRelease(
        version=read.version("version"),
        driver=read.optional_version("driver"),
        minor_driver=read.optional_version("minor_driver"),
        capabilities=read.versions("capabilities"),
        metapackage=read.optional("metapackage"),
        source=read.source(),
    )


def _cudnn(read: _Reader) -> CudnnRelease:
    minimum = read.mapping("capability_min")
    return CudnnRelease(
        version=read.version("version"),
        packages=read.mapping("packages"),
        capability_min=MappingProxyType(
            {major: _version("capability_min", text) for major, text in minimum.items()}
        ),
        source=read.source(),
    )


def _gpu(read: _Reader) -> Gpu:
    kind = read.text("kind")
    if kind not in _GPU_KINDS:
        raise ValueError(f"kind is {kind!r}: one of {', '.join(_GPU_KINDS)}")
    return Gpu(
        name=read.text("name"),
        aliases=read.texts("aliases"),
        capability=read.version("capability"),
        kind=kind,
        first_driver=read.optional_version("first_driver"),
        last_branch=read.optional_integer("last_branch"),
        source=read.source(),
    )


def _system(read: _Reader) -> OperatingSystem:
    return OperatingSystem(
        id=read.text("id"),
        family=read.text("family"),
        codename=read.text("codename"),
        glibc=read.version("glibc"),
        image=read.text("image"),
        python=read.optional("python"),
        python_packages=read.words("python_packages"),
        library_packages=read.words("library_packages"),
        bootstrap_packages=read.words("bootstrap_packages"),
        user=read.optional("user"),
        eol=read.optional("eol"),
        source=read.source(),
    )


def _image(read: _Reader) -> BaseImage:
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
        source=read.source(),
    )


def _driver(read: _Reader) -> DriverBranch:
    return DriverBranch(
        branch=read.integer("branch"),
        cuda=read.version("cuda"),
        eol=read.optional("eol"),
        source=read.source(),
    )


def _index(read: _Reader) -> PackageIndex:
    return PackageIndex(name=read.text("name"), url=read.text("url"), source=read.source())


def _broken(read: _Reader) -> Broken:
    when = read.mapping("when")
    for key, wish in when.items():
        if key not in _BROKEN_KEYS:
            raise ValueError(f"when.{key}: one of {', '.join(_BROKEN_KEYS)}")
        if key in _BROKEN_VERSIONS:
            _wish(f"when.{key}", wish)
    if not when:
        raise ValueError("when is empty: it would match everything")
    return Broken(when=when, effect=read.text("effect"), source=read.source())


_STRENGTHS = tuple(strength.value for strength in Strength)
_PROVIDERS = tuple(provider.value for provider in CudaProvider)
_FLAVORS = ("base", "runtime", "devel")
_GPU_KINDS = ("datacenter", "workstation", "consumer", "laptop", "embedded")
_BROKEN_VERSIONS = ("version", "cuda", "capability", "python")
_BROKEN_KEYS = ("framework", "build", "provider", "platform", *_BROKEN_VERSIONS)

_TYPES: Mapping[str, type] = {
    "frameworks": Framework,
    "builds": FrameworkBuild,
    "cuda": CudaRelease,
    "cudnn": CudnnRelease,
    "gpus": Gpu,
    "systems": OperatingSystem,
    "base_images": BaseImage,
    "drivers": DriverBranch,
    "indexes": PackageIndex,
    "broken": Broken,
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "frameworks": ("name",),
    "builds": ("framework", "version", "build", "platforms"),
    "cuda": ("version",),
    "cudnn": ("version",),
    "gpus": ("name",),
    "systems": ("id",),
    "base_images": ("reference",),
    "drivers": ("branch",),
    "indexes": ("name",),
    "broken": ("when",),
}
"""Subject to the fields that make a row of it unique."""
_BUILDERS: Mapping[str, Callable[[_Reader], object]] = {
    "frameworks": _framework,
    "builds": _build,
    "cuda": _cuda,
    "cudnn": _cudnn,
    "gpus": _gpu,
    "systems": _system,
    "base_images": _image,
    "drivers": _driver,
    "indexes": _index,
    "broken": _broken,
}

"""From the plain values of a matrix file to the row types of `cudaforge.matrix.model`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from cudaforge.codes import Code
from cudaforge.matrix.companion import Abi, Companion, CompanionRole
from cudaforge.matrix.findings import FactsError, Finding
from cudaforge.matrix.model import (
    BaseImage,
    Broken,
    CudaProvider,
    CudaRelease,
    CudnnRelease,
    DriverBranch,
    Feed,
    Framework,
    FrameworkBuild,
    FrameworkImage,
    Gpu,
    Maker,
    OperatingSystem,
    PackageIndex,
    PythonRelease,
    SnapshotService,
    StandalonePython,
)
from cudaforge.matrix.model_audit import CondaBuild, Distribution, WheelTag
from cudaforge.matrix.reader import Raw, Reader, Sources, read_version, read_wish
from cudaforge.matrix.row_artefacts import (
    read_base_image,
    read_conda_build,
    read_distribution,
    read_feed,
    read_framework_image,
    read_maker,
    read_python,
    read_snapshots,
    read_standalone,
    read_wheel_tag,
)
from cudaforge.matrix.sources import Source
from cudaforge.records import field_names, record
from cudaforge.versions import Version


@record(kw_only=False)
class _Mistake:
    raw: Raw
    what: str


def read_rows(
    subject: str, rows: Iterable[Raw], sources: Mapping[str, Raw | Source], *, file: str
) -> list[object]:
    """The rows of one subject as values. Raises FactsError with every row that cannot be read."""
    known = Sources(sources)
    build = _BUILDERS[subject]
    made = [_attempt(build, raw, known) for raw in rows]
    mistakes = [item for item in made if isinstance(item, _Mistake)]
    if mistakes:
        raise FactsError(
            Finding(file=file, row=label(subject, mistake.raw), what=mistake.what) for mistake in mistakes
        )
    return made


def read_row(subject: str, raw: Raw, sources: Sources) -> object:
    """One row as a value. Raises ValueError for what is wrong in it."""
    return _BUILDERS[subject](Reader(raw, sources))


def known_fields(subject: str) -> frozenset[str]:
    """The keys that a row of the subject may have."""
    return frozenset(field_names(_TYPES[subject])) - _FILLED_IN.get(subject, frozenset())


def key_of(subject: str, raw: Raw) -> tuple[str, ...]:
    """What makes a row of the subject the same row: an overlay replaces by it."""
    return tuple(plain(raw.get(key, "")) for key in KEYS[subject])


def label(subject: str, raw: Raw) -> str:
    """The row in words, for messages."""
    return " ".join(part for part in key_of(subject, raw) if part) or "a row without a key"


def section_name(subject: str, row: Raw) -> str:
    """Which part of the compiled form a row is in: what one resolve needs together is one part."""
    if subject == "builds":
        return f"builds/{row.get('framework')}"
    if subject == "companions":
        return f"companions/{row.get('framework')}"
    if subject == "base_images":
        return f"{'cuda_images' if 'cuda' in row else 'plain_images'}/{row.get('os')}"
    return subject


def _attempt(build: Callable[[Reader], object], raw: Raw, sources: Sources) -> object:
    try:
        return build(Reader(raw, sources))
    except ValueError as error:
        return _Mistake(raw, str(error))


def plain(value: object) -> str:
    """A value as part of a key."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in sorted(value.items()))
    return ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)


def _framework(read: Reader) -> Framework:
    return Framework(
        name=read.text("name"),
        title=read.text("title"),
        aliases=read.texts("aliases"),
        proof=read.optional("proof") or read.text("name"),
        template=read.optional("template") or read.text("name"),
        facts_only=read.flag("facts_only", default=False),
        ignored=_ignored(read),
        source=read.source(),
    )


def _ignored(read: Reader) -> Mapping[Version, str]:
    reasons = read.mapping("ignored")
    for version, reason in reasons.items():
        if not reason.strip():
            raise ValueError(f"ignored.{version} says no reason")
    return MappingProxyType({read_version("ignored", one): reason for one, reason in reasons.items()})


def _build(read: Reader) -> FrameworkBuild:
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
        compiler=read.optional("compiler"),
        index=read.text("index"),
        requires=read.texts("requires"),
        constraints=read.texts("constraints"),
        toolkit_extras=read.words("toolkit_extras"),
        cudnn_package=read.optional("cudnn_package"),
        nccl_package=read.optional("nccl_package"),
        reported=read.text("reported"),
        env=read.mapping("env"),
        size=read.optional_integer("size"),
        installed=read.optional_integer("installed"),
        cuda_size=read.optional_integer("cuda_size"),
        cuda_installed=read.optional_integer("cuda_installed"),
        own_base=read.flag("own_base", default=False),
        source=read.source(),
    )


def _cuda(read: Reader) -> CudaRelease:
    return CudaRelease(
        version=read.version("version"),
        driver=read.optional_version("driver"),
        minor_driver=read.optional_version("minor_driver"),
        capabilities=read.versions("capabilities"),
        metapackage=read.optional("metapackage"),
        released=read.optional("released"),
        gcc=read.optional_version("gcc"),
        clang=read.optional_version("clang"),
        systems=read.words("systems"),
        compat_package=read.optional("compat_package"),
        compat_branches=read.integers("compat_branches"),
        source=read.source(),
    )


def _cudnn(read: Reader) -> CudnnRelease:
    return CudnnRelease(
        version=read.version("version"),
        packages=read.mapping("packages"),
        capability_min=_capabilities(read, "capability_min"),
        capability_max=_capabilities(read, "capability_max"),
        cuda=read.mapping("cuda"),
        released=read.optional("released"),
        source=read.source(),
    )


def _capabilities(read: Reader, key: str) -> Mapping[str, Version]:
    return MappingProxyType({major: read_version(key, text) for major, text in read.mapping(key).items()})


def _gpu(read: Reader) -> Gpu:
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
        family=read.optional("family"),
        platforms=read.texts("platforms"),
        source=read.source(),
    )


def _system(read: Reader) -> OperatingSystem:
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
        archive_python=read.optional("archive_python"),
        pip=read.optional_version("pip"),
        externally_managed=read.flag("externally_managed", default=False),
        user=read.optional("user"),
        eol=read.optional("eol"),
        lts=read.optional("lts"),
        size=read.optional_integer("size"),
        installed=read.optional_integer("installed"),
        python_size=read.optional_integer("python_size"),
        python_installed=read.optional_integer("python_installed"),
        library_size=read.optional_integer("library_size"),
        library_installed=read.optional_integer("library_installed"),
        bootstrap_size=read.optional_integer("bootstrap_size"),
        bootstrap_installed=read.optional_integer("bootstrap_installed"),
        source=read.source(),
    )


def _driver(read: Reader) -> DriverBranch:
    kind = read.optional("kind")
    if kind not in (None, *_DRIVER_KINDS):
        raise ValueError(f"kind is {kind!r}: one of {', '.join(_DRIVER_KINDS)}")
    return DriverBranch(
        branch=read.integer("branch"),
        cuda=read.version("cuda"),
        kind=kind,
        eol=read.optional("eol"),
        source=read.source(),
    )


def _index(read: Reader) -> PackageIndex:
    return PackageIndex(
        name=read.text("name"), url=read.text("url"), others=read.words("others"), source=read.source()
    )


def _companion(read: Reader) -> Companion:
    role = read.text("role")
    if role not in _ROLES:
        raise ValueError(f"role is {role!r}: one of {', '.join(_ROLES)}")
    return Companion(
        framework=read.text("framework"),
        package=read.text("package"),
        version=read.version("version"),
        needs=read_wish("needs", read.text("needs")),
        role=CompanionRole(role),
        abi=_abi(read),
        source_only=read.flag("source_only", default=False),
        pythons=read.words("pythons"),
        released=read.optional("released"),
        source=read.source(),
    )


def _abi(read: Reader) -> Abi:
    abi = read.optional("abi")
    if abi is not None and abi not in _ABIS:
        raise ValueError(f"abi is {abi!r}: one of {', '.join(_ABIS)}")
    return Abi.FRAMEWORK if abi is None else Abi(abi)


def _broken(read: Reader) -> Broken:
    when = read.mapping("when")
    for key, wish in when.items():
        if key not in _BROKEN_KEYS:
            raise ValueError(f"when.{key}: one of {', '.join(_BROKEN_KEYS)}")
        if key in _BROKEN_VERSIONS:
            read_wish(f"when.{key}", wish)
    if not when:
        raise ValueError("when is empty: it would match everything")
    return Broken(
        when=when,
        effect=read.text("effect"),
        is_fatal=read.flag("is_fatal", default=True),
        code=_code(read),
        source=read.source(),
    )


def _code(read: Reader) -> str | None:
    code = read.optional("code")
    if code is not None and code not in {one.value for one in Code}:
        raise ValueError(f"code is {code!r}: no kind of trouble that cudaforge knows")
    return code


_PROVIDERS = tuple(provider.value for provider in CudaProvider)
_GPU_KINDS = ("datacenter", "workstation", "consumer", "laptop", "embedded")
_DRIVER_KINDS = ("production", "long-term", "new-feature")
_ROLES = tuple(role.value for role in CompanionRole)
_ABIS = tuple(abi.value for abi in Abi)
_FILLED_IN: Mapping[str, frozenset[str]] = {"companions": frozenset(("until",))}
"""Fields that no row says: they follow from other rows."""
_BROKEN_VERSIONS = ("version", "cuda", "cudnn", "capability", "python")
_BROKEN_KEYS = ("framework", "build", "provider", "platform", "os", *_BROKEN_VERSIONS)

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
    "feeds": Feed,
    "snapshots": SnapshotService,
    "companions": Companion,
    "framework_images": FrameworkImage,
    "pythons": PythonRelease,
    "standalone_pythons": StandalonePython,
    "distributions": Distribution,
    "conda_builds": CondaBuild,
    "wheel_tags": WheelTag,
    "makers": Maker,
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
    "feeds": ("name",),
    "snapshots": ("name",),
    "companions": ("framework", "package", "version"),
    "framework_images": ("reference",),
    "pythons": ("version",),
    "standalone_pythons": ("version",),
    "distributions": ("name",),
    "conda_builds": ("channel", "framework", "versions", "build"),
    "wheel_tags": ("glibc",),
    "makers": ("name",),
    "broken": ("when",),
}
"""Subject to the fields that make a row of it unique."""
_BUILDERS: Mapping[str, Callable[[Reader], object]] = {
    "frameworks": _framework,
    "builds": _build,
    "cuda": _cuda,
    "cudnn": _cudnn,
    "gpus": _gpu,
    "systems": _system,
    "base_images": read_base_image,
    "drivers": _driver,
    "indexes": _index,
    "feeds": read_feed,
    "snapshots": read_snapshots,
    "companions": _companion,
    "framework_images": read_framework_image,
    "pythons": read_python,
    "standalone_pythons": read_standalone,
    "distributions": read_distribution,
    "conda_builds": read_conda_build,
    "wheel_tags": read_wheel_tag,
    "makers": read_maker,
    "broken": _broken,
}

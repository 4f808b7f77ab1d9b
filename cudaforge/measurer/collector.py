"""Putting together what the files of one package say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cudaforge.measurer.elf import ElfFile, read_elf
from cudaforge.measurer.fatbins import Window, read_window
from cudaforge.measurer.metadata import Metadata, applying
from cudaforge.measurer.model import NONE, LibraryCode, Measured, Reading
from cudaforge.measurer.readable import Buffered, Malformed, Readable
from cudaforge.measurer.tells import FLAG_LIBRARIES, capabilities, in_order, read_tells
from cudaforge.records import record

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LIBRARY = re.compile(r".*\.so(\.\d+)*", re.DOTALL)
_GLIBC = re.compile(r"GLIBC_(\d{1,4}(?:\.\d{1,4})+)")
_CUDA_LIBRARY = re.compile(
    r"lib(cudart|cublas|cublasLt|cudnn|nccl|cufft|curand|cusolver|cusparse|cupti|nvrtc|nvJitLink)"
    r"(?:[_a-z]*)(?:-[0-9a-f]{8})?\.so\.([0-9.]+)"
)
_CUDA_PACKAGE = re.compile(r"(nvidia|cuda)-[a-z0-9-]+")
_TOOLKIT = "cuda-toolkit"
_TOOLKIT_NUMBERED = re.compile(r"nvidia-(cuda-(runtime|nvcc|nvrtc|cupti)|nvjitlink)(-cu\d+)?")
"""Packages that have the version of the toolkit, to its minor."""
_CUDNN = re.compile(r"nvidia-cudnn(-cu\d+)?")
_NCCL = re.compile(r"nvidia-nccl(-cu\d+)?")
_FLAG = rb"(?:sm|compute)_\d{2,3}[a-z]?"
_FLAG_LIST = re.compile(rb"(" + _FLAG + rb"(?: " + _FLAG + rb"){1,63})\0")
"""Whatever stands before it: compilers put constants without an end next to texts."""
_FLAG_ALONE = re.compile(rb"\0(" + _FLAG + rb")\0")
_FLAG_SECTIONS = (".rodata", ".data.rel.ro", ".rodata.str1.1", ".rodata.str1.8")
_LONGEST_FLAGS = 1024
_MOST_FLAGS = 1000
_LEAST_SHARE = 10


@record()
class Naming:
    """What is said of a package outside of its files."""

    artefact: str
    platforms: tuple[str, ...]
    pythons: tuple[str, ...]
    tag_glibc: str | None
    size: int | None


class Collector:
    """Takes the files of a package in any order, then says what they come to."""

    def __init__(self) -> None:
        self._tells: dict[str, Reading] = {}
        self._glibc: dict[str, str] = {}
        self._code: dict[str, Window] = {}
        self._needed: dict[str, str] = {}
        self._flags: dict[str, str] = {}
        self._bundled: list[str] = []
        self._read: list[str] = []
        self._skipped: list[tuple[str, int]] = []
        self._unreadable: list[tuple[str, str]] = []

    def add_text(self, path: str, text: str) -> None:
        """A Python file: what it tells, where it is one that does."""
        try:
            for field, reading in read_tells(path, text).items():
                self._tells.setdefault(field, reading)
        except Malformed as error:
            self._unreadable.append((path, str(error)))

    def add_library(self, path: str, file: Readable) -> None:
        """A shared object. What is broken is remembered, and never raises."""
        try:
            elf = read_elf(file)
            window = read_window(file, elf)
            flags = tuple(_flags(file, elf)) if path in FLAG_LIBRARIES else ()
        except Malformed as error:
            self._unreadable.append((path, str(error)))
            return
        self._read.append(path)
        self._note_name(path)
        versions = [match[1] for one in elf.versions if (match := _GLIBC.fullmatch(one))]
        if versions:
            self._glibc[path] = max(versions, key=_number)
        if window is not None:
            self._code[path] = window
        for name in elf.needed:
            if _CUDA_LIBRARY.fullmatch(name):
                self._needed.setdefault(name, path)
        if len(set(flags)) == 1:
            self._flags[path] = flags[0]

    def skip_library(self, path: str, packed: int) -> None:
        """A shared object that is not read, with the bytes that it would cost."""
        self._skipped.append((path, packed))
        self._note_name(path)

    def _note_name(self, path: str) -> None:
        if _CUDA_LIBRARY.fullmatch(path.rpartition("/")[2]):
            self._bundled.append(path)

    def finish(self, metadata: Metadata, naming: Naming) -> Measured:
        """What the files come to."""
        platform = naming.platforms[0] if naming.platforms else "linux/amd64"
        python = naming.pythons[0] if naming.pythons else None
        asked = [
            (one, extra)
            for one, extra in applying(metadata.requires, platform=platform, python=python)
            # Wheels without CUDA have such extras, too: for another wheel that they require.
            if _CUDA_PACKAGE.fullmatch(_name(one)) and (not extra or self._has_cuda)
        ]
        pins = _Pins(asked)
        cubins, ptx = self._window()
        cuda = self._cuda(pins)
        return Measured(
            artefact=naming.artefact,
            package=metadata.name,
            version=metadata.version,
            reported=self._tells.get("reported"),
            platforms=naming.platforms,
            pythons=naming.pythons,
            size=naming.size,
            glibc=self._oldest_glibc(),
            tag_glibc=naming.tag_glibc,
            cuda=cuda,
            cudnn=pins.library(_CUDNN, self._tells.get("cudnn")) or self._soname("cudnn"),
            nccl=pins.library(_NCCL, None) or self._soname("nccl"),
            cubins=cubins,
            ptx=ptx,
            code=tuple(_library_code(path, window) for path, window in self._code.items()),
            needed=tuple(Reading(value=name, where=path) for name, path in sorted(self._needed.items())),
            requires=pins.readings(),
            brings_cuda=self._brings_cuda(cuda, pins),
            read=tuple(self._read),
            skipped=tuple(self._skipped),
            unreadable=tuple(self._unreadable),
        )

    @property
    def _has_cuda(self) -> bool:
        """Whether anything inside shows that it was built for CUDA."""
        told = self._tells.get("cuda")
        return bool(self._code or self._needed or (told is not None and told.value != NONE))

    @property
    def _is_partial(self) -> bool:
        return bool(self._skipped or self._unreadable)

    def _oldest_glibc(self) -> Reading | None:
        if not self._glibc:
            return None
        path = max(self._glibc, key=lambda one: _number(self._glibc[one]))
        others = f" (highest of {len(self._read)} libraries)" if len(self._read) > 1 else ""
        where = f"{path}: needed versions{others}"
        return Reading(value=self._glibc[path], where=where, is_partial=self._is_partial)

    def _cuda(self, pins: _Pins) -> Reading | None:
        told = self._tells.get("cuda")
        exact = pins.toolkit()
        if told is not None:
            is_finer = exact is not None and exact.value.startswith(f"{told.value}.")
            return exact if is_finer and exact is not None and not exact.is_bound else told
        found = exact or self._soname("cudart") or self._soname("cublas")
        if found is None and self._read and not self._is_partial and not self._code:
            return Reading(value=NONE, where="no library of it has GPU code, needs CUDA or asks for it")
        return found

    def _soname(self, library: str) -> Reading | None:
        """The major version in the name of a library that is loaded: no more of it is certain."""
        for name, path in sorted(self._needed.items()):
            match = _CUDA_LIBRARY.fullmatch(name)
            if match is not None and match[1] == library:
                return Reading(value=match[2].split(".")[0], where=f"{path}: needs {name}")
        return None

    def _window(self) -> tuple[Reading | None, Reading | None]:
        for path, flags in self._flags.items():
            known = capabilities(flags)
            if known is not None:
                where = f"{path}: arch flags"
                return Reading(value=known[0], where=where), Reading(value=known[1], where=where)
        if "cubins" in self._tells:
            return self._tells["cubins"], self._tells["ptx"]
        return (None, None) if self._is_partial else common_code(self._code)

    def _brings_cuda(self, cuda: Reading | None, pins: _Pins) -> bool | None:
        if cuda is None or cuda.value == NONE:
            return None
        if pins.readings() or any("cudart" in path for path in self._bundled):
            return True
        return None if self._is_partial and not self._needed else False


class _Pins:
    """The CUDA packages that METADATA asks for, by exact version or by the oldest."""

    def __init__(self, asked: Sequence[tuple[Requirement, str]]) -> None:
        self._asked = asked

    def readings(self) -> tuple[Reading, ...]:
        return tuple(
            Reading(value=f"{_name(one)}{one.specifier}", where=_where(extra)) for one, extra in self._asked
        )

    def toolkit(self) -> Reading | None:
        for one, extra in self._asked:
            if _name(one) == _TOOLKIT and (version := _exact(one)):
                return Reading(value=version, where=f"{_where(extra)}: {one.name}{one.specifier}")
        numbered = [(one, extra) for one, extra in self._asked if _TOOLKIT_NUMBERED.fullmatch(_name(one))]
        exact = [(version, one, extra) for one, extra in numbered if (version := _exact(one))]
        lowest = [(version, one, extra) for one, extra in numbered if (version := _lower(one))]
        if not exact and not lowest:
            return None
        version, one, extra = max(exact or lowest, key=lambda item: _number(item[0]))
        minor = ".".join(version.split(".")[:2])
        where = f"{_where(extra)}: {one.name}{one.specifier}"
        return Reading(value=minor, where=where, is_bound=not exact)

    def library(self, package: re.Pattern[str], told: Reading | None) -> Reading | None:
        """One library's version; `told` is what the package says elsewhere."""
        for one, extra in self._asked:
            if package.fullmatch(_name(one)):
                where = f"{_where(extra)}: {one.name}{one.specifier}"
                if version := _exact(one):
                    return Reading(value=version, where=where)
                if version := _lower(one):
                    return Reading(value=version, where=where, is_bound=True)
        return told


def _name(requirement: Requirement) -> str:
    return re.sub(r"[-_.]+", "-", requirement.name).lower()


def _where(extra: str) -> str:
    return f"METADATA, extra {extra}" if extra else "METADATA"


def _exact(requirement: Requirement) -> str | None:
    found = [one.version for one in requirement.specifier if one.operator in ("==", "===")]
    return found[0].removesuffix(".*") if len(found) == 1 and _NUMBERS.match(found[0]) else None


def _lower(requirement: Requirement) -> str | None:
    found = [
        one.version
        for one in requirement.specifier
        if one.operator in (">=", "~=") and _NUMBERS.match(one.version)
    ]
    return max(found, key=_number, default=None)


_NUMBERS = re.compile(r"\d{1,6}(\.\d{1,6}){0,5}")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,6}", version)[:6])


def capability(number: int) -> str:
    """The compute capability that a number like 90 or 120 stands for."""
    return f"{number // 10}.{number % 10}"


def _library_code(path: str, window: Window) -> LibraryCode:
    return LibraryCode(
        library=path,
        containers=window.containers,
        cubins=tuple((capability(number), count) for number, count in window.cubins),
        ptx=tuple((capability(number), count) for number, count in window.ptx),
    )


def common_code(code: Mapping[str, Window]) -> tuple[Reading | None, Reading | None]:
    """What the library with the most fat binaries has in at least a tenth of them.

    Smaller libraries are often made for other GPUs, and single files for fewer (kernels of one
    architecture) or for more (parts of other projects): neither says where the framework runs.
    """
    if not code:
        return None, None
    path, window = max(code.items(), key=lambda item: item[1].containers)
    where = f"{path}: its fat binaries ({window.containers})"
    values = (
        in_order(capability(number) for number, count in counts if _LEAST_SHARE * count >= window.containers)
        for counts in (window.cubins, window.ptx)
    )
    cubins, ptx = (Reading(value=value, where=where) for value in values)
    return cubins, ptx


def _flags(file: Readable, elf: ElfFile) -> Iterator[str]:
    """Texts that are nothing but names of architectures: lists, or else single ones."""
    buffered = Buffered(file)
    lists: set[bytes] = set()
    alone: set[bytes] = set()
    for section in elf.sections:
        if section.name in _FLAG_SECTIONS:
            for chunk in _chunks(buffered, section.offset, section.offset + section.size):
                if len(lists) + len(alone) > _MOST_FLAGS:
                    return
                lists.update(_FLAG_LIST.findall(chunk))
                alone.update(_FLAG_ALONE.findall(chunk))
    yield from (text.decode("ascii") for text in lists or alone)


def _chunks(file: Readable, place: int, end: int) -> Iterable[bytes]:
    while place < end:
        yield file.read_at(place, min(1024 * 1024, end - place))
        place += 1024 * 1024 - _LONGEST_FLAGS if end - place > 1024 * 1024 else end - place

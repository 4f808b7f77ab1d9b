"""Wheels with made-up shared objects: the bytes of ELF files and of fat binaries, written here."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
_HASH = 0x1234


def fat_binary(*, cubins: Iterable[int] = (), ptx: Iterable[int] = (), payload: int = 24) -> bytes:
    """One container as NVIDIA's tools write it; entries for 100 and above have longer headers."""
    entries = b"".join(
        _entry(kind, number, payload) for kind, numbers in ((2, cubins), (1, ptx)) for number in numbers
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries


def _entry(kind: int, number: int, payload: int) -> bytes:
    header = 112 if number >= 100 and kind == 2 else 64
    # The payload looks like a container, to show that payloads are never looked at.
    content = (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 2**40) + bytes(payload))[:payload]
    start = struct.pack("<HHIQIIHHI", kind, 0x101, header, payload, 0, 0, 8, 7, number)
    return start + bytes(header - len(start)) + content


def library(
    *,
    needed: Iterable[str] = (),
    glibc: Iterable[str] = ("2.2.5",),
    weak: Iterable[str] = (),
    code: Iterable[bytes] = (),
    text: bytes = b"",
    machine: int = 62,
) -> bytes:
    """A shared object that loads these libraries, needs these symbol versions (`weak` ones only if they are
    there) and holds this GPU code."""
    names, strong = list(needed), [f"GLIBC_{one}" for one in glibc]
    versions = [*strong, *(f"GLIBC_{one}" for one in weak)]
    strings, places = b"\0", {}
    for name in (*names, "libc.so.6", *versions):
        places[name] = len(strings)
        strings += name.encode() + b"\0"
    dynamic = b"".join(struct.pack("<qQ", 1, places[name]) for name in names) + struct.pack("<qQ", 0, 0)
    wanted = struct.pack("<HHIII", 1, len(versions), places["libc.so.6"], 16, 0)
    for number, version in enumerate(versions):
        is_last = number == len(versions) - 1
        wanted += struct.pack(
            "<IHHII",
            _HASH,
            0 if number < len(strong) else 2,
            number + 2,
            places[version],
            0 if is_last else 16,
        )
    sections = [
        (".dynstr", 3, 0, strings),
        (".dynamic", 6, 1, dynamic),
        (".gnu.version_r", 0x6FFFFFFE, 1, wanted if versions else b""),
        (".rodata", 1, 0, b"before\0" + text + b"\0"),
        (".nv_fatbin", 1, 0, b"".join(one + bytes(-len(one) % 16) for one in code)),
        (".bss", 8, 0, b""),
    ]
    return _elf(machine, [one for one in sections if one[3] or one[0] == ".bss"])


def _elf(machine: int, sections: list[tuple[str, int, int, bytes]]) -> bytes:
    title = b"\0" + b"".join(name.encode() + b"\0" for name, _, _, _ in sections) + b".shstrtab\0"
    body, headers = bytes(64), [bytes(64)]
    for name, kind, link, content in [*sections, (".shstrtab", 3, 0, title)]:
        body += bytes(-len(body) % 16)
        place = title.index(b"\0" + name.encode() + b"\0") + 1
        size = 4096 if kind == 8 else len(content)
        headers.append(struct.pack("<IIQQQQIIQQ", place, kind, 0, 0, len(body), size, link, 0, 1, 0))
        body += content
    body += bytes(-len(body) % 16)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    count = len(headers)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 3, machine, 1, 0, 0, len(body), 0, 64, 56, 0, 64, count, count - 1
    )
    return header + body[64:] + b"".join(headers)


def contents(
    name: str, version: str, files: Mapping[str, bytes | str], *, tag: str, requires: Iterable[str] = ()
) -> dict[str, bytes]:
    """What a wheel of these files unpacks to."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {one}" for one in requires]
    whole = {path: one.encode() if isinstance(one, str) else one for path, one in files.items()}
    whole[f"{info}/METADATA"] = ("\n".join(metadata) + "\n\nRequires-Dist: in-the-description\n").encode()
    whole[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    whole[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*whole, f"{info}/RECORD"]).encode()
    return whole


def make_wheel(
    directory: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes | str],
    *,
    tag: str = "cp312-cp312-manylinux_2_28_x86_64",
    requires: Iterable[str] = (),
    packing: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """A wheel of these files, its name as installers want it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name.replace('-', '_')}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for member, content in contents(name, version, files, tag=tag, requires=requires).items():
            archive.writestr(zipfile.ZipInfo(member, _EPOCH), content, compress_type=packing)
    return path


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


TORCH_FLAGS = b"sm_70 sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"
TORCH_WINDOW = (70, 75, 80, 86, 90, 100, 120)


def torch_files(
    *, version: str = "2.8.0+cu128", flags: bytes = TORCH_FLAGS, glibc: str = "2.28"
) -> dict[str, bytes | str]:
    """The parts of torch's wheel that say something, for CUDA 12.8."""
    return {
        "torch/version.py": f"__version__ = {version!r}\ncuda: str = '12.8'\nhip = None\n",
        "torch/lib/libtorch_python.so": library(glibc=("2.14", glibc), text=b"\0\0unended" + flags),
        "torch/lib/libtorch_cuda.so": library(
            needed=("libcudart.so.12", "libcudnn.so.9", "libc.so.6"),
            glibc=("2.17",),
            code=[fat_binary(cubins=TORCH_WINDOW) for _ in range(20)] + [fat_binary(cubins=(89,))],
        ),
    }


TORCH_REQUIRES = (
    "filelock",
    'nvidia-cuda-runtime-cu12==12.8.90; platform_system == "Linux"',
    'nvidia-cudnn-cu12==9.10.2.21; platform_system == "Linux" and platform_machine == "x86_64"',
    'nvidia-nccl-cu12==2.27.3; platform_system == "Linux"',
    'nvidia-cudnn-cu11==8.0.0; platform_system == "Windows"',
)

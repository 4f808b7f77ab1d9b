"""What was read out of an artefact, each value with the place that it was read from."""

from __future__ import annotations

from cudaforge.records import record

NONE = "none"
"""The value of `cuda` where the artefact says that it was built without."""


@record()
class Reading:
    """One value, as text, and where it stands: `torch/version.py: cuda`."""

    value: str
    where: str
    is_partial: bool = False
    """Whether some of what could have said otherwise was not read."""
    is_bound: bool = False
    """Whether the value is what it asks for at least (`12.6`), not the one that it was made with."""


@record()
class LibraryCode:
    """The GPU code in one library."""

    library: str
    containers: int
    """How many fat binaries it holds: about one for each source file."""
    cubins: tuple[tuple[str, int], ...]
    """Compute capability (`9.0`) and how many of them have machine code for it."""
    ptx: tuple[tuple[str, int], ...]


@record()
class Limits:
    """What is read of an artefact that lies on a server."""

    member: int | None = 64 * 1024 * 1024
    """Libraries that pack to more bytes than this are left out; None reads all."""
    total: int | None = 256 * 1024 * 1024
    """So many packed bytes of libraries at most, small ones first; None reads all."""


EVERYTHING = Limits(member=None, total=None)


@record()
class Measured:
    """What one wheel, or one installed package of an image, says of itself.

    A reading that is None was not found: nothing is known of it. Versions of compute capabilities are
    `9.0`, several with a blank between them; a suffix (`sm_90a`) is left out of them.
    """

    artefact: str
    """The wheel's file name, or the image and the directory in it."""
    package: str
    """Normalised: `jax-cuda12-plugin`."""
    version: str
    """As METADATA has it, `2.8.0`."""
    reported: Reading | None
    """What the framework will say of its own version, `2.8.0+cu128`."""
    platforms: tuple[str, ...]
    """`linux/amd64`; empty where it fits every platform."""
    pythons: tuple[str, ...]
    """Minor versions, `3.13t`; empty where it fits several (abi3, py3)."""
    size: int | None
    """Bytes of the wheel."""
    glibc: Reading | None
    """The highest GLIBC symbol version that its libraries need."""
    tag_glibc: str | None
    """The oldest glibc that its file name claims; installers go by it."""
    cuda: Reading | None
    """`12.8`, as exact as it is said; `none` for CPU builds."""
    cudnn: Reading | None
    nccl: Reading | None
    cubins: Reading | None
    ptx: Reading | None
    """Empty text: none is compiled in."""
    code: tuple[LibraryCode, ...]
    """The GPU code found in its libraries, where these were read."""
    needed: tuple[Reading, ...]
    """CUDA libraries that its own load by name: `libcudnn.so.9`."""
    requires: tuple[Reading, ...]
    """CUDA packages that METADATA asks for: `nvidia-cudnn-cu12==9.10.2.21`."""
    brings_cuda: bool | None
    """Whether CUDA comes with it, inside or by what it requires; None without CUDA, or where nobody says."""
    read: tuple[str, ...]
    """The libraries that were read."""
    skipped: tuple[tuple[str, int], ...]
    """Those that were not, with their packed bytes."""
    unreadable: tuple[tuple[str, str], ...]
    """Those that could not be, with the reason."""
    installed: tuple[str, ...] = ()
    """Of an image: packages of frameworks that are installed beside it, and itself; empty of a wheel."""

    @property
    def build(self) -> str | None:
        """The build as rows call it: `cu128` by its local label, else `cuda12`, `cpu`; None if unknown."""
        for text in (self.reported.value if self.reported else "", self.version):
            if "+" in text:
                return text.partition("+")[2]
        if self.cuda is None:
            return None
        return "cpu" if self.cuda.value == NONE else f"cuda{self.cuda.value.split('.')[0]}"

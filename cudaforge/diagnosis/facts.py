"""What a text says besides its messages: versions, GPUs, drivers, packages, images.

Looked for in the normal form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cudaforge.diagnosis.model import Facts
from cudaforge.diagnosis.words import Words

_MOST = 32
"""So many different values of a kind are kept: the first."""
_DRIVER = r"(\d{3}(?:\.\d{1,3}){0,2})(?![\w.]*\d)"
_PACKAGE = (
    r"(?:torch|torchvision|torchaudio|tensorflow|tensorflow-gpu|tensorflow-cpu|jax|jaxlib|onnxruntime|onnxruntime-gpu"
    r"|cupy-cuda\d{2,3}x?|cupy|paddlepaddle|paddlepaddle-gpu|mxnet|mxnet-cu\d{2,3})"
)
_IMAGE = (
    r"(?:nvidia/cuda|pytorch/pytorch|tensorflow/tensorflow|paddlepaddle/paddle|nvcr\.io/nvidia/[a-z0-9-]{1,40}"
    r"|(?:library/)?(?:python|ubuntu|debian|rockylinux|centos))"
)
_SYSTEM = (
    r"(?:ubuntu ?\d\d\.?\d\d|debian ?\d{1,2}|centos ?\d|rockylinux ?\d|trusty|xenial|bionic|focal|jammy|noble"
    r"|jessie|stretch|buster|bullseye|bookworm|trixie)"
)
_FINDERS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    # field, texts of which one is there, expression with one group
    ("drivers", ("driver version",), rf"(?<!cuda )(?<!nvml )driver version[ =:|]{{1,4}}(?:is )?'?{_DRIVER}"),
    ("drivers", ("nvidia-smi ",), rf"\bnvidia-smi {_DRIVER}"),
    ("drivers", ("kernel module",), rf"\bkernel module (?:for x86_64 )?(?:version )?{_DRIVER}"),
    ("drivers", (" version is: ", " reported version"), rf"\b(?:kernel|libcuda|dso) reported version is: {_DRIVER}"),
    ("drivers", ("driver 3", "driver 4", "driver 5", "driver 6", "driver version", "driver:", "driver="), rf"\b(?:nvidia|gpu) driver[ =:]{{1,3}}(?:version )?{_DRIVER}"),
    ("drivers", ("driver 3", "driver 4", "driver 5", "driver 6", "driver:", "driver="), rf"(?<![\w-])driver[ =:]{{1,2}}{_DRIVER}"),
    ("drivers", ("nvidia-driver-",), r"\bnvidia-driver-(\d{3})\b"),
    ("driver_cuda", ("cuda version:",), r"\bcuda version: (\d{1,2}\.\d)\b"),
    ("driver_cuda", ("found version",), r"\(found version (\d{4,5})\)"),
    ("driver_cuda", ("cuda driver version",), r"\bcuda driver version[ =:]{1,3}(\d{4,5}|\d{1,2}\.\d)\b"),
    ("cuda", ("+cu", "/cu"), r"[+/]cu(\d{2,3})\b"),
    ("cuda", ("cuda 1", "cuda1", "cuda-1", "cuda=", "cuda>", "cuda<", "cuda~", "cuda toolkit", "cuda runtime", "cuda ="), r"\bcuda ?(?:[=<>~]{1,2}|toolkit |runtime |-)? ?(\d{2}\.\d{1,2})\b"),
    ("gpus", ("rtx", "gtx", "titan"), r"\b((?:geforce |quadro )?(?:[rg]tx|titan) ?(?:pro )?[a-z]{0,3}\d{0,4}(?: ?(?:ti|super|ada|blackwell|d|v|xp))?)\b"),
    ("gpus", ("tesla ", *(f"nvidia {letter}" for letter in "abghjklmptv")), r"\b(?:nvidia |tesla )((?:[abhklmptv]\d{1,3}[sgxc]?|gh200|gb\d{3}|jetson [a-z ]{3,16}))\b"),
    ("gpus", ("100", "200", "h20", "a10", "a30", "a40", "l4", "t4", "p4", "k80", "m60"), r"\b((?:[abhv]100|[bh]200|a10g?|a30|a40|l4|l40s?|t4|v100s?|p100|p4|p40|k80|m60|h20)(?:-(?:sxm\d?|pcie)[\w-]{0,12})?)\b"),
    ("capabilities", ("sm_",), r"\bsm_(\d{2,3})[af]?\b"),
    ("capabilities", ("capability",), r"\b(?:compute |cuda )?capability[ :=]{1,3}(?:version )?\(?(\d{1,2}(?:\.|, )\d)\b"),
    ("window", ("supports cuda capabilities",), r"\bsupports cuda capabilities ((?:(?:sm|compute)_\d{2,3}[af]?[ ,]{0,2}){1,24})"),
    ("requirements", ("==", ">=", "<=", "~=", "@ "), rf"(?<![\w./-])({_PACKAGE}(?:\[[\w,-]{{1,40}}\])? ?(?:===?|>=|<=|~=|<|>) ?\d[\w.+!*,<>=]{{0,60}})"),
    ("requirements", (".whl",), rf"(?<![\w.-])({_PACKAGE}-\d[\w.+%]{{1,40}}-cp\d{{2,3}}-[\w.-]{{3,80}}\.whl)"),
    ("pythons", ("python",), r"\b(?:c?python)(?: version)?[ -=:/]{0,2}(\d\.\d{1,2})\b"),
    ("pythons", ("cp3",), r"(?<![\w-])'?cp(3\d{1,2}t?)\b(?!-)"),
    ("platforms", ("aarch64", "arm64", "x86_64", "amd64", "musl", "macosx", "win_amd64"), r"(?<![a-z])(aarch64|arm64|x86_64|amd64|musllinux|win_amd64|macosx)(?![a-z])"),
    ("indexes", ("/whl/",), r"\bdownload\.pytorch\.org/whl/(?:nightly/)?([a-z0-9]{2,8})\b"),
    ("images", ("cuda:", "pytorch:", "tensorflow:", "paddle:", "nvcr.io/", "python:", "ubuntu:", "debian:", "linux:", "centos:"), rf"(?<![\w-])({_IMAGE}:[\w][\w.-]{{0,127}}\w)"),
    ("images", (" in docker.io/",), rf"reading manifest (?P<tag>[\w.-]{{1,128}}) in (?:docker\.io/)?({_IMAGE})"),
    ("systems", ("ubuntu", "debian", "centos", "rocky", "trusty", "xenial", "bionic", "focal", "jammy", "noble", "jessie", "stretch", "buster", "bullseye", "bookworm", "trixie"), rf"(?<![a-z])({_SYSTEM})(?![a-z0-9])"),
)  # fmt: skip


class FactFinder:
    """Collects the facts of a text that comes in parts."""

    def __init__(self) -> None:
        self._compiled: dict[int, re.Pattern[str]] = {}
        self._found: dict[str, dict[str, None]] = {}

    def look_at(self, flat: str, words: Words) -> None:
        """Takes a part in, in its normal form, with its words."""
        for number, (field, literals, regex) in enumerate(_FINDERS):
            kept = self._found.setdefault(field, {})
            if len(kept) >= _MOST or not words.have_any(literals):
                continue
            if number not in self._compiled:
                self._compiled[number] = re.compile(regex)
            self._keep(kept, self._compiled[number].finditer(flat))

    def facts(self) -> Facts:
        """What was found so far."""
        return Facts(**{field: tuple(values) for field, values in self._found.items()})

    @staticmethod
    def _keep(kept: dict[str, None], matches: Iterable[re.Match[str]]) -> None:
        for match in matches:
            groups = match.groupdict()
            kept[f"{match[2]}:{groups['tag']}" if "tag" in groups else match[1].strip()] = None
            if len(kept) >= _MOST:
                return

"""Whether a build has code for a GPU, and which releases have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.codes import Code
from cudaforge.explainer.named import NamedGpu, named_gpu
from cudaforge.explainer.scene import Ruling, Scene
from cudaforge.matrix.gpu_names import parse_capability, sm
from cudaforge.matrix.model import CudaProvider, FrameworkBuild
from cudaforge.matrix.sources import Strength
from cudaforge.resolver.coverage import Coverage, coverage, runs
from cudaforge.versions import Version

_PRODUCTS = {
    "PyTorch": "pytorch",
    "TensorFlow": "tensorflow",
    "JAX": "jax",
    "CuPy": "cupy",
    "PaddlePaddle": "paddlepaddle",
}
_PIN = re.compile(r"(?P<name>[\w-]+?)(?:\[[^\]]*\])? ?={2,3} ?(?P<version>\d[\w.]*)(?:\+(?P<label>\w+))?")


def rule(scene: Scene) -> tuple[Ruling, ...]:
    """Does the build's code reach the GPU, and which releases' does?"""
    gpu = named_gpu(scene)
    if gpu is None:
        return ()
    source = gpu.gpus[0].source.citation() if gpu.gpus else ""
    window = _window(scene)
    if window and _reaches(scene, window, gpu):
        text = (
            f"the framework itself has code for {gpu.text}: an extension, or another library, was compiled "
            "without it"
        )
        remedy = (
            f'compile the extension for it (TORCH_CUDA_ARCH_LIST="{gpu.capability}"), or install its release '
            "for this framework"
        )
        return (Ruling(code=Code.ARCH_UNSUPPORTED, text=text, remedy=remedy, source=source),)
    name, pinned = _framework(scene)
    has = ", ".join(map(sm, window))
    text = (
        f"the build has code for {has}, none of which runs on {gpu.text}"
        if window
        else f"the build has no code for {gpu.text}"
    )
    if name is None:
        told = _by_cuda(scene, gpu)
        return (
            Ruling(
                code=Code.ARCH_UNSUPPORTED, text=text + told, remedy=_remedy("FRAMEWORK", gpu), source=source
            ),
        )
    return (_by_framework(scene, gpu, name, pinned, text, source),)


def _by_framework(
    scene: Scene, gpu: NamedGpu, name: str, pinned: Version | None, text: str, source: str
) -> Ruling:
    able = [row for row in scene.matrix.builds(name) if _runs(scene, row, gpu)]
    title = scene.matrix.frameworks[name].title
    if not able:
        told = f"; no {title} that is known has any"
        return Ruling(
            code=Code.ARCH_UNSUPPORTED,
            text=text + told,
            remedy="take another GPU, or compile the framework for it",
            source=source,
        )
    first, last = able[0], able[-1]
    is_newest = last.version >= max(row.version for row in scene.matrix.builds(name))
    wants_newer = is_newest if pinned is None else pinned < first.version
    told = (
        f"{title} {first.version} is the first with it"
        if wants_newer
        else f"{title} {last.version} is the last with it"
    )
    wish = f"'{name}>={first.version}'" if wants_newer else f"'{name}<={last.version}'"
    row = first if wants_newer else last
    cited = "; ".join(one for one in (source, row.source.citation()) if one)
    return Ruling(
        code=Code.ARCH_UNSUPPORTED,
        text=f"{text}; {told} (build {row.build})",
        remedy=_remedy(wish, gpu),
        source=cited,
    )


def _by_cuda(scene: Scene, gpu: NamedGpu) -> str:
    able = [row for row in scene.matrix.cuda_releases if gpu.capability in row.capabilities]
    if not able:
        return ""
    is_newest = able[-1].version == scene.matrix.cuda_releases[-1].version
    return (
        f"; CUDA {able[0].version.minor()} is the first that compiles for it"
        if is_newest
        else (f"; CUDA {able[-1].version.minor()} is the last that compiles for it")
    )


def _remedy(framework: str, gpu: NamedGpu) -> str:
    return f"cudaforge resolve {framework} 'gpu={gpu.name or sm(gpu.capability)}'"


def _framework(scene: Scene) -> tuple[str | None, Version | None]:
    for text in scene.facts.requirements:
        pin = _PIN.match(text)
        framework = scene.matrix.find_framework(pin["name"]) if pin is not None else None
        if pin is not None and framework is not None:
            return framework.name, Version(pin["version"])
    if scene.facts.window:  # only PyTorch prints one
        return "pytorch", None
    name = _PRODUCTS.get(scene.match.pattern.product)
    return (name if name in scene.matrix.frameworks else None), None


def _window(scene: Scene) -> tuple[Version, ...]:
    words = re.findall(r"sm_\d+", " ".join(scene.facts.window))
    return tuple(found for word in words if (found := parse_capability(word)) is not None)


def _reaches(scene: Scene, window: Sequence[Version], gpu: NamedGpu) -> bool:
    is_embedded = any(one.kind == "embedded" for one in gpu.gpus)
    return runs(window, gpu.capability, is_embedded=is_embedded, embedded=_embedded(scene))


def _runs(scene: Scene, row: FrameworkBuild, gpu: NamedGpu) -> bool:
    """Whether the build has machine code for the GPU, or makes it: what is only inferred does not count."""
    if row.provider is CudaProvider.NONE or row.source.strength is Strength.INFERRED:
        return False
    is_embedded = any(one.kind == "embedded" for one in gpu.gpus)
    reach = coverage(row, gpu.capability, is_embedded=is_embedded, embedded=_embedded(scene))
    return reach is Coverage.CUBIN


def _embedded(scene: Scene) -> frozenset[Version]:
    return frozenset(one.capability for one in scene.matrix.gpus if one.kind == "embedded")

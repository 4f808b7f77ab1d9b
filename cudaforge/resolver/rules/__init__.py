"""Every rule that holds between wishes and facts, each by name, in one place.

Rules read generic rows: no framework and no version stands in them. To add a rule, add its line to
RULES, a maker that yields its bounds, and its words to `cudaforge.resolver.reasons`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cudaforge.records import record
from cudaforge.resolver.rules import broken, builds, environment, forward, gpus, libraries, obstacles
from cudaforge.resolver.rules.scene import Bound, Scene

_COMPATIBILITY = "NVIDIA, CUDA Compatibility"
_WHEELS = "the metadata of the wheels"
_WISH = "cudaforge, the declaration"


@record(kw_only=False)
class Rule:
    """One rule: what it says, and the document that it follows."""

    statement: str
    document: str


RULES: dict[str, Rule] = {
    "confirmed": Rule("a fact that is only inferred makes no yes", "cudaforge, the matrix"),
    "final-release": Rule("pre-releases are chosen only where the wish names one", "PEP 440"),
    "framework-version": Rule("the release is one that the wish allows", _WISH),
    "framework-build": Rule("the build is the one asked for", _WISH),
    "package-framework": Rule(
        "a package that is pinned to a known release goes with the framework releases that it is made for",
        "the package's own metadata",
    ),
    "package-python": Rule("a package that is pinned has wheels for the Python of the image", _WHEELS),
    "package-index": Rule(
        "packages go with what the frameworks pin, and have wheels for the Python of the image",
        "the package index, asked with uv",
    ),
    "gpu-build": Rule('an image uses CUDA unless `cuda = "none"` asks for its CPU twin', _WISH),
    "cpu-twin": Rule("a CPU twin uses builds without CUDA", _WISH),
    "cuda-libraries": Rule("a build loads the CUDA releases that it is made for", _WHEELS),
    "cudnn-libraries": Rule(
        "a build loads the cuDNN releases that it is made for: the same major, at least the built minor",
        "NVIDIA, cuDNN release notes: API compatibility",
    ),
    "cudnn-cuda": Rule(
        "the cuDNN that is loaded supports the CUDA that is loaded", "NVIDIA, cuDNN support matrix"
    ),
    "cuda-version": Rule("the CUDA that is loaded is one that the wish allows", _WISH),
    "cudnn-version": Rule("the cuDNN that is loaded is one that the wish allows", _WISH),
    "one-provider": Rule("all frameworks of an image take CUDA from the same place", _WHEELS),
    "base-cuda": Rule("with CUDA from the image, the CUDA that is loaded is the base's", "the image's tag"),
    "base-cudnn": Rule("with CUDA from the image, the cuDNN that is loaded is the base's", "the image"),
    "toolkit-major": Rule(
        "a devel toolkit has the CUDA major of the wheels", "PyTorch, C++ extensions: CUDA version check"
    ),
    "toolkit-minor": Rule("a devel toolkit has the wheels' CUDA minor unless another is asked for", _WISH),
    "python-wheels": Rule("every framework has wheels for the Python of the image", _WHEELS),
    "glibc": Rule("the glibc of the OS is at least the one that the binaries need", "PEP 600"),
    "platforms": Rule("every framework has builds for all platforms of the image", _WHEELS),
    "base-platforms": Rule("the base image exists for all platforms of the image", "the image's index"),
    "offered-bases": Rule("wheels with CUDA go on bases without, unless a toolkit is asked for", _WISH),
    "removed-tags": Rule("a tag that was removed is never chosen", "NVIDIA, container support policy"),
    "os-packages": Rule(
        "what every image needs of the OS archive can be installed", "cudaforge, the templates"
    ),
    "base": Rule("the base is the one asked for", _WISH),
    "os": Rule("the OS is the one asked for", _WISH),
    "python-version": Rule("the Python is one that the wish allows, and has a provider", _WISH),
    "python-provider": Rule("Python comes from where it is asked to come from", _WISH),
    "cuda-provider": Rule("CUDA comes from where it is asked to come from", _WISH),
    "flavor": Rule("the image carries as much of CUDA as asked for", _WISH),
    "toolkit-version": Rule("the toolkit in the image is one that the wish allows", _WISH),
    "bootstrap-platforms": Rule(
        "a bootstrapped base is made of the packages of one architecture", "cudaforge, bootstrapped bases"
    ),
    "gpu-confirmed": Rule("a GPU whose facts are only inferred makes no yes", "cudaforge, the matrix"),
    "gpu-platform": Rule(
        "a GPU that is built into machines of one platform needs an image that is for it, too",
        "NVIDIA, data sheets of the modules",
    ),
    "gpu-code": Rule(
        "every framework runs on every GPU: by cubins of the same major and no higher minor (embedded GPUs "
        "apart), by embedded PTX, or by code that the loaded toolkit compiles",
        "NVIDIA, CUDA C++ Programming Guide: binary compatibility, PTX compatibility",
    ),
    "gpu-cuda": Rule("the CUDA libraries cover every GPU", "NVIDIA, CUDA Toolkit release notes"),
    "gpu-cudnn": Rule("the cuDNN supports every GPU", "NVIDIA, cuDNN support matrix"),
    "driver-cuda": Rule(
        "the driver is at least the one of CUDA's minor-version compatibility", _COMPATIBILITY
    ),
    "driver-ptx": Rule("where PTX is compiled, the driver is at least CUDA's native one", _COMPATIBILITY),
    "gpu-last-branch": Rule(
        "the last driver branch that supports a GPU runs the CUDA that is loaded",
        "NVIDIA, CUDA Toolkit, Driver, and Architecture Matrix",
    ),
    "gpu-driver": Rule(
        "the driver supports the GPU: from its first driver to its last branch",
        "NVIDIA, CUDA Toolkit, Driver, and Architecture Matrix",
    ),
    "forward-compat-gpus": Rule("forward compatibility is for data-centre GPUs alone", _COMPATIBILITY),
    "forward-compat-base": Rule(
        "with forward compatibility the base carries the package of its CUDA release",
        "the image's Dockerfile",
    ),
    "forward-compat-cuda": Rule(
        "the forward-compatibility package runs the CUDA releases up to its own", _COMPATIBILITY
    ),
    "forward-compat-driver": Rule(
        "the driver is of a branch that the forward-compatibility package works on, or as new as the package",
        _COMPATIBILITY,
    ),
    "forward-compat-branch": Rule(
        "the driver that the forward-compatibility package was made from supports the GPU",
        "NVIDIA, CUDA Toolkit, Driver, and Architecture Matrix",
    ),
    "gate": Rule("the base image's gate lets the driver pass", "NVIDIA Container Toolkit: constraints"),
    "gpu-gate": Rule(
        "a driver that supports the GPU passes the base image's gate", "NVIDIA Container Toolkit: constraints"
    ),
    "broken": Rule("no combination that is known not to work", "cudaforge, the matrix"),
}

_Maker = Callable[[Scene], Iterator[Bound]]

_MAKERS: tuple[_Maker, ...] = (
    builds.known_builds,
    builds.final_releases,
    builds.wished_versions,
    builds.wished_build,
    builds.packages,
    obstacles.learnt,
    builds.gpu_or_cpu,
    libraries.wished_cuda,
    libraries.known_releases,
    environment.wished_environment,
    environment.base,
    environment.platforms,
    environment.bootstrap_platforms,
    gpus.known_gpus,
    gpus.gpu_platforms,
    libraries.cuda_libraries,
    libraries.cudnn_libraries,
    libraries.cudnn_and_cuda,
    libraries.cudnn_is_brought,
    environment.same_provider,
    environment.loaded_from_base,
    environment.devel_toolkit,
    environment.python_wheels,
    environment.glibc,
    environment.installable,
    gpus.gpu_code,
    gpus.gpu_libraries,
    gpus.driver,
    gpus.gpu_driver,
    gpus.gate,
    forward.forward_compat,
    broken.broken,
    broken.broken_on_gpus,
)

_FACTS: frozenset[_Maker] = frozenset(
    (
        builds.known_builds,
        libraries.known_releases,
        libraries.cuda_libraries,
        libraries.cudnn_libraries,
        libraries.cudnn_and_cuda,
        libraries.cudnn_is_brought,
        environment.same_provider,
        environment.loaded_from_base,
        environment.python_wheels,
        environment.glibc,
        environment.installable,
        broken.broken,
    )
)
"""What these yield depends on the frameworks that are asked for and on their places alone, and on no other
wish: images that ask for the same ones share it."""


_RANKED_FACTS = tuple((rank, make) for rank, make in enumerate(_MAKERS) if make in _FACTS)
_RANKED_WISHES = tuple((rank, make) for rank, make in enumerate(_MAKERS) if make not in _FACTS)
RankedBounds = Mapping[int, tuple[Bound, ...]]
"""Bounds by the place of what yields them among the rules."""


def fact_bounds(scene: Scene) -> RankedBounds:
    """The constraints that facts put on every image of these frameworks."""
    return {rank: tuple(make(scene)) for rank, make in _RANKED_FACTS}


def wish_bounds(scene: Scene) -> RankedBounds:
    """The constraints that this image's wishes bring with them."""
    return {rank: tuple(make(scene)) for rank, make in _RANKED_WISHES}

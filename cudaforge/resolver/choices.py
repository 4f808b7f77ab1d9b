"""Why each field of an answer has its value: the wish for it, or the policy among what was left."""

from __future__ import annotations

from collections.abc import Iterator

from cudaforge.declaration.model import Preference
from cudaforge.matrix.model import CudaProvider
from cudaforge.resolver.case import Case
from cudaforge.resolver.model import Choice, PythonProvider, Resolution
from cudaforge.resolver.picked import Picked, is_pinned_here
from cudaforge.resolver.policy import OWN_INDEX

_ORDER = {
    Preference.NEWEST: "the newest that fits the rest",
    Preference.STABLE: "the newest that fits the rest, releases without patches last",
    Preference.SMALLEST: "the newest that fits the rest",
}
_BINDING = {
    "cuda": "CUDA needs it (minor-version compatibility where the code is compiled)",
    "gpu": "it is the first driver that knows the GPUs",
    "ptx": "the driver compiles PTX, for which it has to be as new as CUDA",
    "forward-compat": "it is the oldest that the forward-compatibility package of the base works on",
    "gate": "NVIDIA_REQUIRE_CUDA of the base image asks for it",
}
_PROVIDER = {
    CudaProvider.WHEELS: "the wheels bring the CUDA libraries",
    CudaProvider.SYSTEM: "the wheels load the CUDA libraries of the base image",
    CudaProvider.NONE: "a CPU twin loads none",
}
_PYTHON = {
    PythonProvider.IMAGE: "the base image brings it",
    PythonProvider.DISTRO: "it is the Python of the OS archive",
    PythonProvider.STANDALONE: "an archive of its own brings {release}",
}


def choices(case: Case, rows: Picked, answer: Resolution) -> tuple[Choice, ...]:
    """One choice per field, in the order in which they are made."""
    return (
        *_frameworks(case, rows, answer),
        *_libraries(case, rows, answer),
        *_environment(case, rows, answer),
        *_driver(rows, answer),
    )


def _frameworks(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    for wish, framework, build in zip(
        case.question.wishes.frameworks, answer.frameworks, rows.builds, strict=True
    ):
        asked = f"{wish} is asked for; " if wish.version is not None else ""
        asked += _with_packages(case, framework.name)
        source = build.row.source
        yield Choice(
            field=framework.name,
            value=str(framework.version),
            because=asked + _order(case, "framework"),
            source=source,
        )
        served = (
            "the site's own index serves it" if build.row.index == OWN_INDEX else f"from {build.row.index}"
        )
        asked = _asked(case, "build")
        if answer.cuda_provider is CudaProvider.NONE:
            asked = asked or _asked(case, "cuda")
        yield Choice(
            field=f"{framework.name} build", value=framework.build, because=asked + served, source=source
        )


def _with_packages(case: Case, framework: str) -> str:
    """The packages that the release goes with."""
    question = case.question
    words = [
        wish.text
        for wish in question.packages
        if wish.is_binding and question.frameworks[wish.position].name == framework
    ]
    return f"{' and '.join(words)} {'goes' if len(words) == 1 else 'go'} with it; " if words else ""


def _libraries(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    provider = answer.cuda_provider
    yield Choice(
        field="cuda_provider",
        value=provider.value,
        because=_asked(case, "cuda_provider") + _PROVIDER[provider],
        source=rows.builds[0].row.source,
    )
    is_of_wheel = provider is CudaProvider.WHEELS and not is_pinned_here(rows)
    if rows.cuda is not None:
        how = "the one that the build is made for" if is_of_wheel else _order(case, "cuda")
        yield Choice(
            field="cuda", value=str(answer.cuda), because=_asked(case, "cuda") + how, source=rows.cuda.source
        )
    if rows.cudnn is not None:
        how = "what the base image has" if provider is CudaProvider.SYSTEM else _order(case, "cudnn")
        if is_of_wheel:
            how = "the one that the build is made for"
        yield Choice(
            field="cudnn",
            value=str(answer.cudnn),
            because=_asked(case, "cudnn") + how,
            source=rows.cudnn.source,
        )


def _environment(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    one = rows.environment
    settled = _settled_by_base(case)
    how = _asked(case, "python").rstrip("; ") or settled or "the newest that every framework has wheels for"
    python = f"{how}; {_PYTHON[one.python_provider]}"
    source = one.source
    if one.standalone is not None:
        python, source = python.format(release=one.standalone.version), one.standalone.source
    yield Choice(field="python", value=answer.python, because=python, source=source)
    policy = settled or "not past its end of life where possible, then supported longest"
    asked = _asked(case, "os").rstrip("; ") or policy
    yield Choice(field="os", value=answer.os, because=asked, source=one.os.source)
    yield Choice(
        field="base_image", value=answer.base_image, because=_base_reason(case, rows), source=one.source
    )
    yield Choice(
        field="flavor",
        value=answer.flavor.value,
        because=_asked(case, "flavor").rstrip("; ") or "the default",
    )
    yield Choice(
        field="platforms",
        value=", ".join(answer.platforms),
        because=_asked(case, "platforms").rstrip("; ") or "the default",
    )


def _settled_by_base(case: Case) -> str:
    """What settles the OS and its Python where a base is asked for; empty where none is."""
    asked = [item.word for item in case.question.items if item.key == "base"]
    return f"{asked[0]} has it" if asked else ""


def _base_reason(case: Case, rows: Picked) -> str:
    one = rows.environment
    if case.question.bit("base"):
        return _asked(case, "base").rstrip("; ")
    if one.toolkit is None:
        return "it carries no second copy of CUDA"
    if case.question.wishes.forward_compat and one.compat_platforms:
        return "it brings the forward-compatibility package for the CUDA that is loaded"
    if one.provider is CudaProvider.SYSTEM:
        return "it has the CUDA and cuDNN that are loaded"
    return "it has the compiler of the CUDA that the wheels bring"


def _driver(rows: Picked, answer: Resolution) -> Iterator[Choice]:
    numbers = answer.numbers
    if numbers.driver_floor is not None and numbers.binding is not None and rows.cuda is not None:
        yield Choice(
            field="driver_floor",
            value=str(numbers.driver_floor),
            because=_BINDING[numbers.binding],
            source=rows.cuda.source,
        )


def _asked(case: Case, key: str) -> str:
    words = [item.word for item in case.question.items if item.key == key and not item.is_presence]
    return (
        " and ".join(words) + (" is asked for; " if len(words) == 1 else " are asked for; ") if words else ""
    )


def _order(case: Case, field: str) -> str:
    wishes = case.question.wishes
    return _ORDER[wishes.prefer_per_field.get(field, wishes.prefer)]

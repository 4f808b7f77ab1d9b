"""Why each field of an answer has its value: the wish for it, or the policy among what was left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cudaforge.declaration.model import Preference
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import CudaProvider
from cudaforge.records import replace
from cudaforge.resolver.answer import driver_needs
from cudaforge.resolver.candidates import Environment
from cudaforge.resolver.case import Case
from cudaforge.resolver.excluded import weigh
from cudaforge.resolver.model import Beaten, Choice, PythonProvider, Resolution
from cudaforge.resolver.picked import Picked, is_pinned_here
from cudaforge.resolver.rules.scene import DEFAULT_PLATFORM

_NEWEST = "the newest that fits the rest"
_VERSION_ORDER = {
    Preference.NEWEST: _NEWEST,
    Preference.STABLE: f"{_NEWEST}, the newest release line last",
    Preference.SMALLEST: "the newest that fits the smallest image",
}
_SUPPORTED = "not past its end of life where possible"
_OS_ORDER = {
    Preference.NEWEST: f"{_SUPPORTED}, then supported longest",
    Preference.STABLE: f"{_SUPPORTED}, then out longest",
    Preference.SMALLEST: f"{_SUPPORTED}, then on the smallest base",
}
_BINDING = {
    "cuda": "CUDA needs it (minor-version compatibility where the code is compiled)",
    "gpu": "it is the first driver that knows the GPUs",
    "ptx": "the driver compiles PTX, for which it has to be as new as CUDA",
    "forward-compat": "it is the oldest that the forward-compatibility package of the base works on",
    "gate": "NVIDIA_REQUIRE_CUDA of the base image asks for it",
}
_LOWER = {
    "cuda": "enough for CUDA",
    "gpu": "enough for the GPUs",
    "ptx": "enough to compile PTX",
    "gate": "enough for the gate of the base",
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
    """One choice per field, in the order in which they are made: what it beat, and what was excluded."""
    made = (
        *_frameworks(case, rows, answer),
        *_libraries(case, rows, answer),
        *_environment(case, rows, answer),
        *_driver(case, rows, answer),
    )
    weighed = weigh(case, rows)
    found = []
    for choice in made:
        beat, excluded = weighed.get(choice.field, (choice.beat, ()))
        found.append(replace(choice, beat=beat, excluded=excluded))
    return tuple(found)


def _frameworks(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    for position, (wish, framework, build) in enumerate(
        zip(case.question.wishes.frameworks, answer.frameworks, rows.builds, strict=True)
    ):
        packages = _packages(case, position)
        asked = f"{wish} is asked for; " if wish.version is not None else ""
        source = build.row.source
        yield Choice(
            field=framework.name,
            value=str(framework.version),
            because=asked + _with_packages(packages) + _version_order(case, "framework"),
            source=source,
            wishes=(*((str(wish),) if wish.version is not None else ()), *packages),
            prefer=_preference(case, "framework").value,
        )
        key = "build"
        if answer.cuda_provider is CudaProvider.NONE and not case.question.bit("build"):
            key = "cuda"
        served = (
            "the site's own index serves it"
            if build.row.index == DEFAULT_INDEX
            else f"from {build.row.index}"
        )
        yield Choice(
            field=f"{framework.name} build",
            value=framework.build,
            because=_asked(case, key) + _fewest_bytes(case, "build") + served,
            source=source,
            wishes=_words(case, key),
            prefer=_preference(case, "build").value,
        )


def _packages(case: Case, position: int) -> tuple[str, ...]:
    """The packages that the release has to go with."""
    return tuple(
        wish.text for wish in case.question.packages if wish.is_binding and wish.position == position
    )


def _with_packages(words: Sequence[str]) -> str:
    return f"{' and '.join(words)} {'goes' if len(words) == 1 else 'go'} with it; " if words else ""


def _fewest_bytes(case: Case, field: str) -> str:
    is_smallest = _preference(case, field) is Preference.SMALLEST
    return "the fewest bytes of those that are known; " if is_smallest else ""


def _libraries(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    provider = answer.cuda_provider
    yield Choice(
        field="cuda_provider",
        value=provider.value,
        because=_asked(case, "cuda_provider") + _PROVIDER[provider],
        source=rows.builds[0].row.source,
        wishes=_words(case, "cuda_provider"),
    )
    if provider is not CudaProvider.NONE:
        yield _toolkit(case, rows.environment)
    is_of_wheel = provider is CudaProvider.WHEELS and not is_pinned_here(rows)
    for field, row, value in (("cuda", rows.cuda, answer.cuda), ("cudnn", rows.cudnn, answer.cudnn)):
        if row is None:
            continue
        how = _version_order(case, field)
        if is_of_wheel:
            how = "the one that the build is made for"
        elif field == "cudnn" and provider is CudaProvider.SYSTEM:
            how = "what the base image has"
        yield Choice(
            field=field,
            value=str(value),
            because=_asked(case, field) + how,
            source=row.source,
            wishes=_words(case, field),
            prefer=None if is_of_wheel else _preference(case, field).value,
        )


def _toolkit(case: Case, one: Environment) -> Choice:
    words = (*_words(case, "toolkit"), *_words(case, "flavor"))
    how = "as little of CUDA as the rest allows"
    if one.toolkit is not None and one.provider is not CudaProvider.SYSTEM:
        how = "the newest that goes with what the wheels bring"
        if case.question.wishes.forward_compat:
            how = "the nearest that runs the CUDA that is loaded"
    return Choice(
        field="toolkit",
        value="none" if one.toolkit is None else str(one.toolkit),
        because=_are_asked(words) + how,
        source=one.source,
        wishes=words,
        prefer=_preference(case, "base").value,
    )


def _environment(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    one = rows.environment
    settled = _settled_by_base(case)
    how = _asked(case, "python").rstrip("; ") or settled or _python_order(case)
    brought, source = _PYTHON[one.python_provider], one.source
    if one.standalone is not None:
        brought, source = brought.format(release=one.standalone.version), one.standalone.source
    yield Choice(
        field="python",
        value=answer.python,
        because=f"{how}; {brought}",
        source=source,
        wishes=(*_words(case, "python"), *_words(case, "python_provider")),
        prefer=_preference(case, "python").value,
    )
    yield Choice(
        field="os",
        value=answer.os,
        because=_asked(case, "os").rstrip("; ") or settled or _OS_ORDER[_preference(case, "os")],
        source=one.os.source,
        wishes=_words(case, "os"),
        prefer=_preference(case, "os").value,
    )
    yield Choice(
        field="base_image",
        value=answer.base_image,
        because=_fewest_bytes(case, "base") + _base_reason(case, rows),
        source=one.source,
        wishes=_words(case, "base"),
        prefer=_preference(case, "base").value,
    )
    yield Choice(
        field="flavor",
        value=answer.flavor.value,
        because=_asked(case, "flavor").rstrip("; ") or "the default",
        wishes=_words(case, "flavor"),
    )
    yield _platforms(case, answer)


def _platforms(case: Case, answer: Resolution) -> Choice:
    choice = Choice(field="platforms", value=", ".join(answer.platforms), because="the default")
    words = _words(case, "platforms")
    if words:
        return replace(choice, because=_are_asked(words).rstrip("; "), wishes=words)
    elsewhere = [wish for wish in case.question.gpus if wish.named.apart_from(DEFAULT_PLATFORM)]
    if not elsewhere:
        return choice
    gpu = elsewhere[0].gpus[0]
    others = [wish.item.word for wish in case.question.gpus if wish not in elsewhere]
    because = f"{gpu.name} is built into machines of {elsewhere[0].named.apart_from(DEFAULT_PLATFORM)}"
    if others:
        because += f"; {others[0]} is for machines of the default, {DEFAULT_PLATFORM}"
    words = tuple(wish.item.word for wish in (elsewhere if not others else case.question.gpus))
    return replace(choice, because=because, source=gpu.source, wishes=words)


def _python_order(case: Case) -> str:
    newest = "the newest that every framework has wheels for"
    is_stable = _preference(case, "python") is Preference.STABLE
    return f"{newest}, the newest release line last" if is_stable else newest


def _settled_by_base(case: Case) -> str:
    """What settles the OS and its Python where a base is asked for; empty where none is."""
    asked = [item.word for item in case.question.items if item.key == "base"]
    return f"{asked[0]} has it" if asked else ""


def _base_reason(case: Case, rows: Picked) -> str:
    one = rows.environment
    if case.question.bit("base"):
        return _asked(case, "base").rstrip("; ")
    if one.provider is CudaProvider.NONE:
        return "it brings the Python"
    if one.toolkit is None:
        return "it carries no second copy of CUDA"
    if case.question.wishes.forward_compat and one.compat_platforms:
        return "it brings the forward-compatibility package for the CUDA that is loaded"
    if one.provider is CudaProvider.SYSTEM:
        return "it has the CUDA and cuDNN that are loaded"
    return "it has the compiler of the CUDA that the wheels bring"


def _driver(case: Case, rows: Picked, answer: Resolution) -> Iterator[Choice]:
    numbers = answer.numbers
    if numbers.driver_floor is not None and numbers.binding is not None and rows.cuda is not None:
        lower = {what: floor for floor, what in driver_needs(case, rows) if what != numbers.binding and floor}
        yield Choice(
            field="driver_floor",
            value=str(numbers.driver_floor),
            because=_BINDING[numbers.binding],
            source=rows.cuda.source,
            wishes=_words(case, "driver"),
            beat=tuple(
                Beaten(value=str(floor), because=_LOWER[what])
                for what, floor in sorted(lower.items(), key=lambda pair: pair[1], reverse=True)
            ),
        )


def _words(case: Case, key: str) -> tuple[str, ...]:
    return tuple(item.word for item in case.question.items if item.key == key and not item.is_presence)


def _asked(case: Case, key: str) -> str:
    return _are_asked(_words(case, key))


def _are_asked(words: Sequence[str]) -> str:
    verb = "is" if len(words) == 1 else "are"
    return f"{' and '.join(words)} {verb} asked for; " if words else ""


def _preference(case: Case, field: str) -> Preference:
    wishes = case.question.wishes
    return wishes.prefer_per_field.get(field, wishes.prefer)


def _version_order(case: Case, field: str) -> str:
    """Releases of frameworks have no size of their own, nor has anything where bytes decide fields alone."""
    preference = _preference(case, field)
    is_for_all = case.question.wishes.prefer is Preference.SMALLEST
    if preference is Preference.SMALLEST and (field == "framework" or not is_for_all):
        preference = Preference.NEWEST
    return _VERSION_ORDER[preference]

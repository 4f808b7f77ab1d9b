"""Checks by the image's files alone: is it what was locked, what would be loaded, and for which GPUs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cudaforge.codes import Code
from cudaforge.lockfile.budget import EXCESS_REMEDY, find_excess
from cudaforge.lockfile.model import LockedFramework
from cudaforge.units import bytes_text
from cudaforge.verifier.checks_gpu import is_covered
from cudaforge.verifier.checks_image import REBUILD
from cudaforge.verifier.evidence import Fact
from cudaforge.verifier.inspecting import lost_stages
from cudaforge.verifier.judging import Check, Finding, agrees, failed, failed_by, passed, skipped, some
from cudaforge.verifier.measured import CodeFound, find_code, find_tells
from cudaforge.verifier.model import Tier
from cudaforge.verifier.probes.inspection import FAMILY
from cudaforge.verifier.proofs import proof_files
from cudaforge.verifier.sentences import static_sentence
from cudaforge.verifier.situation import Situation

STATIC = "static"
_DRIVER = re.compile(r"lib(?:cuda|nvidia-[\w-]+|nvcuvid|cudadebugger)\.so(?:\.[\d.]+)?")
"""What the host's driver brings: no image has it, and none has to."""
_STUB_BYTES = 1024 * 1024
"""A driver library has tens of megabytes, and its stub for linkers less than one."""
_HIDDEN_BYTES, _HIDDEN_SHARE = 50_000_000, 0.03
"""Files are counted in blocks, layers are not: a small difference is none."""
_PATHS = "look at LD_LIBRARY_PATH, /etc/ld.so.conf.d and at the packages that `apt` and `run` steps install"
_MISSING = {
    "cudnn": Code.CUDNN_MISSING,
    "nccl": Code.NCCL_MISSING,
}
_SHADOWED = {"cudnn": Code.CUDNN_SHADOWED, "nvJitLink": Code.NVJITLINK_SHADOWED}
_Judge = Callable[[Situation, LockedFramework], Finding]


def static_checks(situation: Situation) -> tuple[Check, ...]:
    """The rows for this image."""
    rows = [Check(id=STATIC, title="The image's files", tier=Tier.STATIC, judge=_judge_files)]
    rows += [row for one in situation.image.frameworks for row in _of_framework(situation, one)]
    if not situation.is_cpu_twin:
        rows.append(_row("stand_ins", "No stand-in for the driver", _judge_stand_ins))
        if situation.expected.driver is not None:
            rows.append(_row("driver", "Driver of the machines", _judge_driver))
    rows.append(_row("size", "Size", _judge_size))
    return tuple(rows)


def _row(id_: str, title: str, judge: Callable[[Situation], Finding]) -> Check:
    return Check(id=id_, title=title, tier=Tier.STATIC, judge=judge, needs=(STATIC,))


def _of_framework(situation: Situation, framework: LockedFramework) -> Iterator[Check]:
    def row(name: str, title: str, judge: _Judge) -> Check:
        return _row(
            f"{framework.name}.{name}", f"{framework.name}: {title}", lambda seen: judge(seen, framework)
        )

    if situation.is_foreign:
        yield row("facts", "facts to compare it with", _judge_facts)
    yield row("installed", "its installed build", _judge_installed)
    yield row("libraries", "its libraries are found", _judge_libraries)
    if not situation.is_cpu_twin:
        yield row("own_cuda", "gets the CUDA libraries that it was made for", _judge_own_cuda)
    if not situation.is_cpu_twin or situation.expected.gpus:
        yield row("code", "code for the GPUs", _judge_code)


def _judge_files(situation: Situation) -> Finding:
    if not situation.is_looked_into:
        return skipped("a job elsewhere does not look at the image's files; verify --tier static does")
    if situation.inspection_failure is not None:
        return failed_by(situation.inspection_failure)
    report = situation.inspected
    lost = lost_stages((report.system, report.files))
    if lost:
        return failed(f"reading the image's files: {'; '.join(lost)}")
    kept = ", as they were found before" if situation.is_kept else f", read in {report.seconds:.1f} s"
    return passed(f"{situation.files('size')['files'].number or 0:,.0f} files{kept}")


def _judge_facts(situation: Situation, framework: LockedFramework) -> Finding:
    assert situation.foreign is not None  # noqa: S101 -- the row is there for foreign images alone
    note = situation.foreign.notes.get(framework.name, "none")
    return skipped(note) if framework.name in situation.foreign.unknown else passed(note)


def _judge_installed(situation: Situation, framework: LockedFramework) -> Finding:
    pattern = re.compile(proof_files(framework.proof).package)
    installed = {
        name: version
        for name, version in situation.inspected.system.value("distributions").texts.items()
        if pattern.fullmatch(name)
    }
    if not installed:
        return failed("no distribution of it is installed", REBUILD, code=Code.FRAMEWORK_BROKEN)
    shown = ", ".join(f"{name} {version}" for name, version in installed.items())
    if len(installed) > 1:
        return failed(
            f"several distributions of it lie over each other: {shown}",
            "install one of them alone",
            code=Code.CONFLICTING_PACKAGES,
        )
    (version,) = installed.values()
    told = find_tells(situation.inspected, framework.proof).get("reported")
    if not agrees(framework.reported, version) or (told and not agrees(framework.reported, told)):
        is_cpu = "+cpu" in version or (told is not None and "+cpu" in told)
        code = (
            Code.CPU_ONLY_BUILD if is_cpu and not situation.is_cpu_twin else Code.BASE_FRAMEWORK_OVERWRITTEN
        )
        found = f"{shown}, which calls itself {told}" if told and told != version else shown
        return failed(
            f"declared {framework.reported}, found {found}",
            "a later install has put another build over it; pin it there, or build again",
            code=code,
        )
    is_cuda = _is_cuda_build(situation, framework)
    if is_cuda is situation.is_cpu_twin:
        kind = "a CUDA build" if is_cuda else "a build for CPUs alone"
        code = Code.CUDA_WHEEL_ON_CPU_IMAGE if is_cuda else Code.CPU_ONLY_BUILD
        return failed(f"{shown} is {kind}", REBUILD, code=code)
    return passed(shown)


def _is_cuda_build(situation: Situation, framework: LockedFramework) -> bool:
    """By what it says itself, by its GPU code, or by the libraries that it loads."""
    found = find_code(situation.inspected, framework.proof)
    if found is not None and found.has_cuda is not None:
        return found.has_cuda
    walked = situation.files(f"libraries.{framework.proof}")
    names = [entry["name"].text or "" for key in ("taken", "missing") for entry in walked[key]]
    return any(FAMILY.fullmatch(name) for name in names)


def _judge_libraries(situation: Situation, framework: LockedFramework) -> Finding:
    if not proof_files(framework.proof).roots:
        return skipped("it has no libraries of its own")
    walked = situation.files(f"libraries.{framework.proof}")
    if not list(walked["roots"]):
        return failed("none of its libraries lies where it should", REBUILD, code=Code.FRAMEWORK_BROKEN)
    missing = {
        entry["name"].text or "": entry["by"].text or ""
        for entry in walked["missing"]
        if not _DRIVER.fullmatch(entry["name"].text or "")
    }
    missing |= dict.fromkeys(_unfound(situation), framework.name)
    if missing:
        names = sorted(missing, key=lambda name: (_family(name) is None, name))
        listed = some([f"{name} (for {missing[name].rpartition('/')[2]})" for name in names])
        return failed(
            f"the loader does not find {listed}",
            "build it again from its lock; what is no library of CUDA is an OS package for `apt`",
            code=_missing_code(names[0]),
        )
    broken = [entry["path"].text or "" for entry in walked["broken"]]
    if broken:
        return failed(f"no shared libraries: {some(broken)}", REBUILD, code=_missing_code(broken[0]))
    return passed(f"all {walked['loaded'].number or 0:.0f} that it loads")


def _unfound(situation: Situation) -> tuple[str, ...]:
    """Libraries that are loaded late and that no framework of the image would get."""
    answers = [
        situation.files(f"libraries.{framework.proof}")["wanted"] for framework in situation.image.frameworks
    ]
    names = {name for answer in answers if isinstance(answer.value, dict) for name in answer.value}
    return tuple(
        sorted(name for name in names if all(answer[name]["path"].text is None for answer in answers))
    )


def _missing_code(name: str) -> Code:
    family = _family(name.rpartition("/")[2])
    return _MISSING.get(family, Code.CUDA_MISSING) if family else Code.FRAMEWORK_BROKEN


def _family(name: str) -> str | None:
    match = FAMILY.fullmatch(name)
    return match["name"] if match else None


def _judge_own_cuda(situation: Situation, framework: LockedFramework) -> Finding:
    walked = situation.files(f"libraries.{framework.proof}")
    wanted = walked["wanted"].value
    entries = [*walked["taken"], *(map(Fact, wanted.values()) if isinstance(wanted, dict) else ())]
    taken = {name: entry for entry in entries if (name := entry["name"].text) is not None}
    found = _find_shadowed(situation, walked, taken) or _find_mixed_parts(walked)
    found = found or _find_other_cudnn(walked, taken)
    if found is not None:
        return found
    if not taken:
        return skipped("it loads none by name")
    others = sorted(
        f"{name} also lies at {copy['path'].text}"
        for name, copies in _table(walked["copies"]).items()
        for copy in copies
        if name in taken and not copy["same"].is_true
    )
    note = f"; {some(others)}, which it does not get" if others else ""
    return passed(f"{len(taken)} libraries{note}")


def _find_shadowed(situation: Situation, walked: Fact, taken: dict[str, Fact]) -> Finding | None:
    """Whether one of the wheels' libraries gives way to another file."""
    if situation.image.cuda_provider != "wheels":
        return None
    for name, entry in taken.items():
        wheel = walked["wheels"][name]
        if wheel["path"].text is not None and not wheel["same"].is_true:
            return failed(
                f"it gets {entry['path'].text} ({entry['way'].text}) and not the wheel's "
                f"{wheel['path'].text}",
                _PATHS,
                code=_SHADOWED.get(_family(name) or "", Code.CUDA_SHADOWED),
            )
    return None


def _find_mixed_parts(walked: Fact) -> Finding | None:
    for part in walked["parts"]:
        if not part["same"].is_true:
            return failed(
                f"cuDNN would load its part {part['path'].text} ({part['way'].text}) and not "
                f"{part['beside'].text}, which lies beside it",
                _PATHS,
                code=Code.CUDNN_MIXED_VERSIONS,
            )
    return None


def _find_other_cudnn(walked: Fact, taken: dict[str, Fact]) -> Finding | None:
    """Another major of cuDNN on the loader's own path: whoever asks for the bare name gets that."""
    majors = {
        match["version"].partition(".")[0]
        for name in taken
        if (match := FAMILY.fullmatch(name)) and match["name"] == "cudnn" and match["version"]
    }
    for name, copies in _table(walked["copies"]).items():
        match = FAMILY.fullmatch(name)
        if match is None or match["name"] != "cudnn" or match["part"] or not match["version"] or not majors:
            continue
        major = match["version"].partition(".")[0]
        if major not in majors and copies:
            return failed(
                f"cuDNN {major} ({copies[0]['path'].text}) is on the loader's path beside the cuDNN "
                f"{', '.join(sorted(majors))} that it loads",
                "take the package of the system's cuDNN out of `apt`, or choose a base without it",
                code=Code.CUDNN_MIXED_VERSIONS,
            )
    return None


def _table(facts: Fact) -> dict[str, list[Fact]]:
    entries = facts.value.items() if isinstance(facts.value, dict) else ()
    return {str(name): list(Fact(copies)) for name, copies in entries}


def _judge_stand_ins(situation: Situation) -> Finding:
    for framework in situation.image.frameworks:
        for entry in situation.files(f"libraries.{framework.proof}")["driver"]["lying"]:
            path, real = entry["path"].text or "", entry["real"].text or ""
            way = entry["way"].text
            if "/compat" in path or "/compat" in real:
                if not situation.image.forward_compat:
                    return failed(
                        f"the forward-compatibility {path} is on the loader's path ({way}): it hides the "
                        "host's driver, and works on data-centre GPUs alone",
                        "take it off the path, or declare forward_compat = true and lock again",
                        code=Code.COMPAT_LIB_ON_PATH,
                    )
            elif "/stubs" in path or "/stubs" in real or (entry["size"].number or 0) < _STUB_BYTES:
                return failed(
                    f"the stub {path}, for linkers alone, is on the loader's path ({way})",
                    "take the stubs directory out of LD_LIBRARY_PATH; for linking there is LIBRARY_PATH",
                    code=Code.CUDA_SHADOWED,
                )
            else:
                return failed(
                    f"the image has a driver library of its own, {path} ({way}): it may hide the host's",
                    "take the driver's package out of the image",
                    code=Code.CUDA_SHADOWED,
                )
    return passed("the loader finds no driver library in the image")


def _judge_driver(situation: Situation) -> Finding:
    """Of the machines that the image is asked to run on."""
    from cudaforge.versions import Version

    driver = Version(situation.expected.driver or "0")
    needed = [
        (Version(floor), what)
        for floor, what in (
            (situation.image.driver_floor or situation.expected.floor, "the image"),
            *(
                (situation.expected.gpu_floors.get(f"sm_{capability.replace('.', '')}"), name)
                for name, capabilities in situation.expected.gpus.items()
                for capability in capabilities
            ),
        )
        if floor is not None
    ]
    if not needed:
        return skipped("nobody says which driver it needs")
    floor, what = max(needed)
    if driver >= floor:
        return passed(f"{driver}, at least {floor}")
    return failed(
        f"{what} needs driver {floor} or newer; {driver} was asked for",
        "install a newer driver, or choose an image of an older CUDA",
        code=Code.DRIVER_TOO_OLD,
    )


def _judge_code(situation: Situation, framework: LockedFramework) -> Finding:
    found = find_code(situation.inspected, framework.proof)
    if situation.is_cpu_twin or (found is not None and found.has_cuda is False):
        asked = (
            f", and {some(list(situation.expected.gpus))} was asked for" if situation.expected.gpus else ""
        )
        return failed(f"it is built for CPUs alone{asked}", REBUILD, code=Code.CPU_ONLY_BUILD)
    if proof_files(framework.proof).compiles:
        found = CodeFound(
            architectures=situation.image.architectures,
            ptx=situation.image.ptx,
            where="it compiles its kernels at run time",
            has_cuda=True,
        )
    elif found is None or not (found.architectures or found.ptx):
        return skipped("its files do not say which GPUs it was compiled for")
    locked = situation.image.architectures
    missing = [name for name in locked if not _runs(name.partition("_")[2], found)]
    unmet = [
        f"{name} ({capability})"
        for name, capabilities in situation.expected.gpus.items()
        for capability in capabilities
        if not _runs(capability.replace(".", ""), found)
    ]
    has = ", ".join((*found.architectures, *found.ptx)) or "none"
    if unmet or missing:
        wanted = some(unmet or missing)
        return failed(
            f"no code for {wanted}; it has {has} ({found.where})",
            "choose a build that has it: cudaforge resolve with these GPUs says which",
            code=Code.ARCH_UNSUPPORTED,
        )
    return passed(f"{static_sentence(situation, found=found.architectures)} ({found.where})")


def _runs(number: str, found: CodeFound) -> bool:
    digits = number.rstrip("af")
    return is_covered(f"{digits[:-1]}.{digits[-1:]}", found.architectures, found.ptx)


def _judge_size(situation: Situation) -> Finding:
    excess = find_excess(situation.image, sum(situation.layers))
    if excess is not None:
        return failed(excess, EXCESS_REMEDY)
    seen = situation.files("size")
    total = int(seen["bytes"].number or 0)
    parts = [f"{bytes_text(total)}{'' if seen['whole'].is_true else ' and more, not all of it was read'}"]
    layers = situation.layers
    if layers:
        largest = ", ".join(bytes_text(size) for size in layers[:3])
        parts.append(f"{len(layers)} layers{', the largest' if len(layers) > 3 else ''}: {largest}")  # noqa: PLR2004
    hidden = sum(layers) - total
    if layers and seen["whole"].is_true and hidden > max(_HIDDEN_BYTES, _HIDDEN_SHARE * total):
        parts.append(f"{bytes_text(hidden)} hidden below later layers")
    code = None
    double = int(seen["double_bytes"].number or 0)
    if double:
        paths = [[path.text or "" for path in entry["paths"]] for entry in seen["doubles"]]
        libraries = [one for one in paths if any(FAMILY.fullmatch(path.rpartition("/")[2]) for path in one)]
        code = Code.DUPLICATE_CUDA_LIBS if libraries else None
        shown = (libraries or paths)[0]
        parts.append(f"{bytes_text(double)} there twice, such as {' and '.join(shown[:2])}")
    return passed("; ".join(parts), code=code)

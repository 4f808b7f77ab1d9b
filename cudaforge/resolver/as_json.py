"""The JSON form of an answer, as the design fixes it."""

from __future__ import annotations

from cudaforge.resolver.model import Answer, Conflict, CudaNumbers, Resolution, Size
from cudaforge.versions import Version


def answer_to_json(name: str, answer: Answer) -> dict[str, object]:
    """One entry of `images` in the output of `resolve --json`."""
    if isinstance(answer, Conflict):
        return {"name": name, "status": "conflict", "conflict": conflict_to_json(answer)}
    return {"name": name, "status": "resolved", "resolution": resolution_to_json(answer)}


def conflict_to_json(conflict: Conflict) -> dict[str, object]:
    """What a conflict says, apart from the image that has it."""
    return {
        "core": list(conflict.core),
        "reasons": [
            {
                "kind": reason.kind.value,
                "text": reason.text,
                "source": reason.source.text if reason.source else None,
            }
            for reason in conflict.reasons
        ],
        "fixes": [{"change": dict(fix.change), "gives": fix.gives} for fix in conflict.fixes],
        "warnings": list(conflict.warnings),
    }


def resolution_to_json(answer: Resolution) -> dict[str, object]:
    """What `resolution` holds."""
    return {
        "frameworks": [
            {"name": one.name, "version": str(one.version), "build": one.build} for one in answer.frameworks
        ],
        "cuda": _text(answer.cuda),
        "cudnn": _text(answer.cudnn),
        "nccl": _text(answer.nccl),
        "cuda_provider": answer.cuda_provider.value,
        "python": answer.python,
        "python_provider": answer.python_provider.value,
        "os": answer.os,
        "base_image": answer.base_image,
        "flavor": answer.flavor.value,
        "platforms": list(answer.platforms),
        "cuda_numbers": _numbers(answer.numbers),
        "gpu_architectures": list(answer.architectures),
        "ptx": ", ".join(answer.ptx) or None,
        "size": _size(answer.size),
        "companions": dict(answer.companions),
        "warnings": list(answer.warnings),
    }


def _numbers(numbers: CudaNumbers) -> dict[str, object]:
    return {
        "toolkit": _text(numbers.toolkit),
        "wheel": _text(numbers.wheel),
        "driver_floor": _text(numbers.driver_floor),
        "gate": numbers.gate,
        "binding": numbers.binding,
    }


def _size(size: Size) -> dict[str, object]:
    duplicate = size.duplicate
    return {
        "compressed": size.compressed,
        "installed": size.installed,
        "known": size.known,
        "parts": [
            {
                "kind": one.kind,
                "name": one.name,
                "compressed": one.bytes.compressed,
                "installed": one.bytes.installed,
            }
            for one in size.parts
        ],
        "duplicate": None
        if duplicate is None
        else {
            "compressed": duplicate.compressed,
            "installed": duplicate.installed,
            "known": duplicate.known,
        },
    }


def _text(version: Version | None) -> str | None:
    return None if version is None else str(version)

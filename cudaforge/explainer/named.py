"""The GPU that a text is about."""

from __future__ import annotations

from cudaforge.explainer.scene import Scene
from cudaforge.matrix.gpu_names import parse_capability, sm
from cudaforge.matrix.model import Gpu
from cudaforge.records import record
from cudaforge.versions import Version, find_version


@record()
class NamedGpu:
    """A GPU by name, or by its compute capability alone."""

    name: str
    capability: Version
    gpus: tuple[Gpu, ...]
    """The products that it may be; empty where only the capability is said."""

    @property
    def text(self) -> str:
        """`RTX 5090 (sm_120)`."""
        return f"{self.name} ({sm(self.capability)})" if self.gpus else sm(self.capability)


def named_gpu(scene: Scene) -> NamedGpu | None:
    """The GPU that the text names, where it names products of one compute capability; else the capability
    that it names, or None."""
    said = _said_capability(scene)
    for text in scene.facts.gpus:
        found = scene.matrix.find_gpus(text)
        capabilities = {gpu.capability for gpu in found}
        if len(capabilities) == 1 and (said is None or said in capabilities):
            return NamedGpu(
                name=found[0].name if len(found) == 1 else text, capability=capabilities.pop(), gpus=found
            )
    return NamedGpu(name="", capability=said, gpus=()) if said is not None else None


def _said_capability(scene: Scene) -> Version | None:
    group = scene.match.groups.get("capability")
    if group is not None:
        return parse_capability(f"sm_{group}")
    window = " ".join(scene.facts.window)
    for text in scene.facts.capabilities:
        if "." in text or "," in text:
            return find_version(text.replace(", ", "."))
        if f"sm_{text}" not in window:
            return parse_capability(f"sm_{text}")
    return None

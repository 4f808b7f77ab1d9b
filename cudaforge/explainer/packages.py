"""Why an index has no file for a requirement: no such release or build, another index, Python or platform."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.codes import Code
from cudaforge.explainer.scene import Ruling, Scene
from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import FrameworkBuild
from cudaforge.records import record
from cudaforge.versions import Version, find_version

_REQUIREMENT = re.compile(
    r"(?P<name>[a-z][\w-]*?)(?:\[[^\]]*\])? ?\{?={2,3} ?(?P<version>\d[\w.]*)(?:\+(?P<label>\w+))?\}?"
)
_WHEEL = re.compile(
    r"(?P<name>[a-z]\w*?)-(?P<version>\d[\w.]*)(?:(?:\+|%2b)(?P<label>\w+))?-(?P<python>cp\d{2,3}t?)-\w+-(?P<tags>[\w.-]+?)\.whl"
)
_PLATFORMS = {
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
    "x86_64": "linux/amd64",
    "amd64": "linux/amd64",
}
_NO_LINUX = {"musllinux": "musl (Alpine)", "win_amd64": "Windows", "macosx": "macOS"}


@record()
class _Asked:
    """What was asked for: a release of a framework, and a build of it where one was named."""

    framework: str
    title: str
    version: Version
    label: str | None
    builds: Sequence[FrameworkBuild]
    """Those of the release, and of the build where it is known."""

    @property
    def text(self) -> str:
        """`PyTorch 2.0.1+cu118`."""
        return f"{self.title} {self.version}" + (f"+{self.label}" if self.label else "")


def rule(scene: Scene) -> tuple[Ruling, ...]:
    """Which of the causes it is, by the release, its builds, their Pythons, platforms and indexes."""
    pin = _pin(scene)
    framework = scene.matrix.find_framework(pin["name"]) if pin is not None else None
    if pin is None or framework is None:
        return ()
    version, label = find_version(pin["version"]), pin.groupdict().get("label")
    if version is None:
        return ()
    rows = [row for row in scene.matrix.builds(framework.name) if row.version.public() == version]
    here = [row for row in rows if label is None or row.build == label]
    asked = _Asked(framework=framework.name, title=framework.title, version=version, label=label, builds=here)
    if not here:
        return (_no_build(scene, asked, rows),)
    ruling = _other_wheel(scene, pin, asked) or _no_platform(scene, asked) or _no_python(scene, asked)
    ruling = ruling or _other_index(scene, asked)
    return (ruling,) if ruling is not None else ()


def _pin(scene: Scene) -> re.Match[str] | None:
    groups = scene.match.groups
    if "wheel" in groups:
        return _WHEEL.fullmatch(groups["wheel"].lower().rpartition("/")[2])
    said = groups.get("requirement") or groups.get("package", "")
    texts = (said, *(text for text in scene.facts.requirements if text.startswith(said.lower())))
    return next((pin for text in texts if (pin := _REQUIREMENT.match(text.lower())) is not None), None)


def _no_build(scene: Scene, asked: _Asked, rows: Sequence[FrameworkBuild]) -> Ruling:
    every = scene.matrix.builds(asked.framework)
    as_of = scene.matrix.as_of
    if rows:
        text = f"{asked.title} {asked.version} has no build {asked.label}, as far as is known on {as_of}"
        names = dict.fromkeys(row.build for row in rows)
        remedy = f"take one of its builds: {', '.join(names)}"
        return Ruling(code=Code.NO_SUCH_BUILD, text=text, remedy=remedy, source=rows[0].source.citation())
    versions = list(dict.fromkeys(row.version.public() for row in every))
    below = [str(one) for one in versions if one < asked.version][-1:]
    above = [str(one) for one in versions if one > asked.version][:1]
    text = f"no {asked.title} {asked.version} is known on {as_of}"
    remedy = f"the nearest are {' and '.join((*below, *above))}; cudaforge data list {asked.framework}"
    return Ruling(
        code=Code.NO_SUCH_BUILD, text=text, remedy=remedy, source=every[-1].source.citation() if every else ""
    )


def _other_wheel(scene: Scene, pin: re.Match[str], asked: _Asked) -> Ruling | None:
    """Is the wheel for another Python, or another platform, than those that the text tells of?"""
    if "tags" not in pin.groupdict():
        return None
    tags = pin["tags"]
    named = {_PLATFORMS[one] for one in scene.facts.platforms if one in _PLATFORMS and one not in tags}
    own = {value for key, value in _PLATFORMS.items() if key in tags}
    foreign = next((title for key, title in _NO_LINUX.items() if key.split("_")[0] in tags), None)
    if foreign is not None or (named - own and own):
        text = f"the wheel is for {foreign or ', '.join(sorted(own))}, and not for this machine"
        return Ruling(code=Code.NO_WHEEL_FOR_ARCH, text=text, remedy=_platform_remedy(asked))
    wanted = _minor(pin["python"].removeprefix("cp"))
    others = [found for text in scene.facts.pythons if (found := _minor(text)) != wanted]
    if not others:
        return None
    text = f"the wheel is for Python {wanted}, and Python {others[0]} runs the installer"
    remedy = f"take the wheel for Python {others[0]}, or run pip with Python {wanted}"
    return Ruling(code=Code.PYTHON_UNSUPPORTED, text=text, remedy=remedy)


def _no_platform(scene: Scene, asked: _Asked) -> Ruling | None:
    musl = next((title for key, title in _NO_LINUX.items() if key in scene.facts.platforms), None)
    known = {platform for row in asked.builds for platform in row.platforms}
    named = {_PLATFORMS[text] for text in scene.facts.platforms if text in _PLATFORMS}
    if musl is None and (not named or named & known):
        return None
    where = musl if musl is not None else ", ".join(sorted(named))
    text = f"{asked.text} has no wheel for {where}: it has them for {', '.join(sorted(known))}"
    remedy = _platform_remedy(asked)
    return Ruling(
        code=Code.NO_WHEEL_FOR_ARCH, text=text, remedy=remedy, source=asked.builds[0].source.citation()
    )


def _platform_remedy(asked: _Asked) -> str:
    return (
        "take an image of glibc (Debian, Ubuntu) on a platform that has wheels: "
        f"cudaforge resolve '{asked.framework}=={asked.version}' platform=linux/amd64"
    )


def _no_python(scene: Scene, asked: _Asked) -> Ruling | None:
    known = list(dict.fromkeys(python for row in asked.builds for python in row.pythons))
    used = next((_minor(text) for text in scene.facts.pythons), None)
    if used is None or not known or used in known:
        return None
    text = f"{asked.text} has wheels for Python {', '.join(known)}, and none for {used}"
    remedy = (
        f"take one of these Pythons (cudaforge resolve '{asked.framework}=={asked.version}'), or a release "
        f"for this one: cudaforge resolve {asked.framework} python={used}"
    )
    return Ruling(
        code=Code.PYTHON_UNSUPPORTED, text=text, remedy=remedy, source=asked.builds[0].source.citation()
    )


def _other_index(scene: Scene, asked: _Asked) -> Ruling | None:
    if asked.label is None:
        return None
    names = {row.index for row in asked.builds}
    asked_for = {f"{asked.framework}-{channel}" for channel in scene.facts.indexes}
    if DEFAULT_INDEX in names or names & asked_for:
        return None
    name = sorted(names)[0]
    index = scene.matrix.indexes.get(name)
    if index is None:
        return None
    text = f"{asked.text} is on the index {index.url} alone, and another was asked"
    remedy = f"add --index-url {index.url} (uv: an index of that address in [tool.uv.sources])"
    source = asked.builds[0].source.citation()
    return Ruling(code=Code.WRONG_INDEX, text=text, remedy=remedy, source=source)


def _minor(text: str) -> str:
    """`3.12` of `3.12` or `312`."""
    return text if "." in text else f"{text[0]}.{text[1:]}"

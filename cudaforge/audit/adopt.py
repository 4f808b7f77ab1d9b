"""From what an audit inferred to the wishes of a declaration that makes the same image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from cudaforge.audit.model import Asked, Facts

Wishes = Mapping[str, object]
"""The keys of `[images.NAME]`, as TOML has them."""

_OWN_ENV = re.compile(
    r"PATH|LD_LIBRARY_PATH|DEBIAN_FRONTEND|LANG|LC_ALL|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE"
    r"|VIRTUAL_ENV|(?:PIP|UV|NVIDIA|CUDA|CONDA)_.*"
)
_OWN_PACKAGES = re.compile(r"(?:pip|setuptools|wheel|uv|virtualenv|nvidia-.*|triton|tensorrt.*)(?:\W.*)?")
_OWN_APT = re.compile(
    r"python.*|pip.*|cuda.*|libcu.*|libnccl.*|libnv.*|nvidia.*|virtualenv|ca-certificates|software-properties-common"
)
_APT = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_LOOSENED = ("os", "python", "build", "packages", "apt", "driver")
"""What is given up, one after the other, where nothing has all of it."""


def wishes_of(facts: Facts, asked: Asked) -> Wishes:
    """The wishes that the facts about an image amount to."""
    wishes: dict[str, object] = {}
    names = [f"{name}=={version.partition('+')[0]}" for name, version in facts.frameworks.items()]
    wishes["framework"] = names[0] if len(names) == 1 else names
    labels = set(facts.builds.values())
    if not facts.is_for_gpu:
        wishes["cuda"] = "none"
    elif len(names) == 1 and len(labels) == 1:
        wishes["build"] = labels.pop()
    wishes |= {key: value for key, value in (("python", facts.python), ("os", facts.os)) if value}
    if asked.gpus and facts.is_for_gpu:
        wishes["gpus"] = [name for name, _ in asked.gpus]
    if asked.driver is not None and facts.is_for_gpu:
        wishes["driver"] = str(asked.driver)
    if asked.platform != "linux/amd64":
        wishes["platforms"] = [asked.platform]
    wishes.update(_contents(facts))
    return wishes


def _contents(facts: Facts) -> Iterator[tuple[str, object]]:
    packages = [one for one in facts.packages if not _OWN_PACKAGES.fullmatch(one) and "@" not in one]
    if packages:
        yield "packages", packages
    apt = [name for name in facts.apt if _APT.fullmatch(name) and not _OWN_APT.fullmatch(name)]
    if apt:
        yield "apt", apt
    copies = list(_copies(facts.copies))
    if copies:
        yield "copy", copies
    if facts.workdir is not None:
        yield "workdir", facts.workdir
    env = {name: value for name, value in facts.env.items() if not _OWN_ENV.fullmatch(name)}
    if env:
        yield "env", env
    if facts.entrypoint is not None:
        yield "entrypoint", list(facts.entrypoint)
    if facts.command is not None:
        yield "command", list(facts.command)


def _copies(copies: Sequence[tuple[str, str]]) -> Iterator[dict[str, str]]:
    for source, target in copies:
        is_requirements = re.fullmatch(r"(?:.*/)?(?:requirements|constraints)[\w.-]*\.txt", source)
        if not is_requirements and not set(source) & set("*?[") and "://" not in source:
            yield {"from": source.removeprefix("./").rstrip("/") or ".", "to": target}


def loosened(wishes: Wishes) -> Iterator[tuple[Wishes, tuple[str, ...]]]:
    """The wishes, and then fewer and fewer of them, with the names of those that were given up. The
    framework's release goes from exact to its minor, and then to whatever there is."""
    yield wishes, ()
    left, dropped = dict(wishes), []
    for key in _LOOSENED:
        if key in left:
            del left[key]
            dropped.append(key)
            yield dict(left), tuple(dropped)
    for shorten in (_minor, _any):
        left["framework"] = shorten(left["framework"])
        yield dict(left), (*dropped, "the framework's release")


def _minor(framework: object) -> object:
    if isinstance(framework, list):
        return [_minor(one) for one in framework]
    return re.sub(r"==(\d+\.\d+).*", r"==\1.*", str(framework))


def _any(framework: object) -> object:
    if isinstance(framework, list):
        return [_any(one) for one in framework]
    return str(framework).partition("==")[0]

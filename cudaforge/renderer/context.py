"""Lock entry to template variables: everything that a template would otherwise have to decide."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from cudaforge.lockfile.model import LockedImage
from cudaforge.quoting import dump_copy, quote_ignore, quote_shell
from cudaforge.renderer.account import find_account
from cudaforge.renderer.model import BASE_CONTEXT, ENTRY_LABEL, LABEL_PREFIX, platform_path
from cudaforge.renderer.snapshot import snapshot_lines
from cudaforge.systems import APT_FAMILIES

_NEVER_SENT = (".git", ".hg", ".svn", "__pycache__", ".venv", ".env", ".ipynb_checkpoints")
_NEVER_SENT_ENDINGS = ("_cache",)  # .mypy_cache, .pytest_cache, .ruff_cache
_OWN_NAMES = (".cudaforge", "cudaforge.lock.d")
_INTERPRETERS = {"image": "/usr/local/bin", "distro": "/usr/bin", "standalone": "/opt/python/bin"}
"""By who brings Python."""
_COMPILER = "build-essential"
"""What Debian and Ubuntu call the compilers that building a package takes (Debian policy, 4.2)."""
_OCI = "org.opencontainers.image."


def make_context(image: LockedImage) -> Mapping[str, object]:
    """The variables of `templates/Dockerfile.j2`. The entry has passed `check_image`."""
    account = find_account(image.user)
    return {
        "base": _base(image),
        "os": image.os,
        "is_for_several": len(image.platforms) > 1,
        "has_apt": has_apt(image),
        "apt_packages": find_missing_packages(image),
        "snapshot": snapshot_lines(image.snapshot) if image.snapshot is not None else (),
        "needs_debs": installs_os_packages(image),
        "standalone": _standalone(image),
        "closure_sha256": image.closure.sha256,
        "interpreter": _interpreter(image),
        "framework_templates": _framework_templates(image),
        "cuda_provider": image.cuda_provider,
        "drops_compat": image.toolkit is not None and not image.forward_compat,
        "sources": _sources(image),
        "built": [quote_shell(f"{one['package']}==={one['version']}") for one in _sources(image)],
        "source_packages": source_packages(image),
        "account": account,
        "user": image.user,
        "copy_owner": None if account is None else image.user,
        "workdir": image.workdir,
        "environment": _environment(image),
        "run_steps": image.run,
        "ssh": image.ssh,
        "user_secrets": image.secrets,
        "copies": [dump_copy(copy.source, copy.target) for copy in image.copy],
        "entrypoint": image.entrypoint,
        "command": _command(image),
        "labels": sorted(make_labels(image).items()),
    }


def make_ignore_context(image: LockedImage) -> Mapping[str, object]:
    """The variables of `templates/dockerignore.j2`."""
    sources = sorted({posixpath.normpath(copy.source) for copy in image.copy})
    asked = [source for source in sources if _is_never_sent(source)]
    return {
        "sent": ["**" if source == "." else quote_ignore(source) for source in sources],
        "never_sent": [
            *(f"**/{name}" for name in _NEVER_SENT),
            *(f"**/.*{ending}" for ending in _NEVER_SENT_ENDINGS),
            *_OWN_NAMES,
            *(f"!{quote_ignore(source)}" for source in asked),
        ],
    }


def has_apt(image: LockedImage) -> bool:
    """Whether OS packages of the image come by apt."""
    return image.os_family in APT_FAMILIES


def find_missing_packages(image: LockedImage) -> tuple[str, ...]:
    """The OS packages that the base does not bring: a bootstrapped base says what it has."""
    present = {package.name: package.version for package in image.base.packages}
    missing = []
    for wanted in image.os_packages:
        name, _, version = wanted.partition("=")
        if name not in present or (version and present[name] != version):
            missing.append(wanted)
    return tuple(dict.fromkeys(missing))


def installs_os_packages(image: LockedImage) -> bool:
    """Whether a build installs OS packages: on the base, or in a stage that builds wheels."""
    is_compiling = any(wheel.is_built for wheel in image.closure.wheels)
    return bool(find_missing_packages(image) or (is_compiling and source_packages(image)))


def make_labels(image: LockedImage) -> Mapping[str, str]:
    """All labels of the image: OCI's, every resolved version, then the user's own, which win."""
    versions = {
        "image": image.image,
        "name": image.name,
        "lock.closure": image.closure.sha256,
        "base": image.base.reference,
        "cuda": image.cuda,
        "cuda.provider": image.cuda_provider,
        "cuda.toolkit": image.toolkit,
        "cudnn": image.cudnn,
        "nccl": image.nccl,
        "driver.floor": image.driver_floor,
        "driver.gate": image.gate,
        "driver.forward_compat": "true" if image.forward_compat else None,
        "flavor": image.flavor,
        "gpu.architectures": " ".join(image.architectures) or None,
        "gpu.ptx": " ".join(image.ptx) or None,
        "os": image.os,
        "os.snapshot": image.snapshot.timestamp if image.snapshot is not None else None,
        "python": image.python,
        "python.provider": image.python_provider,
        "python.release": image.standalone.version if image.standalone is not None else None,
        **{f"package.{name}": version for name, version in image.companions.items()},
        **{f"framework.{framework.name}": framework.version for framework in image.frameworks},
        **{f"framework.{framework.name}.build": framework.build for framework in image.frameworks},
    }
    return {
        ENTRY_LABEL: image.digest,
        **{LABEL_PREFIX + name: value for name, value in versions.items() if value is not None},
        f"{_OCI}title": image.name,
        f"{_OCI}description": _description(image),
        **_base_labels(image),
        **image.labels,
    }


def _base_labels(image: LockedImage) -> Mapping[str, str]:
    if image.base.is_bootstrap:
        return {}
    labels = {f"{_OCI}base.name": image.base.reference}
    if image.base.digest is not None:
        labels[f"{_OCI}base.digest"] = image.base.digest
    return labels


def _description(image: LockedImage) -> str:
    frameworks = " and ".join(f"{framework.name} {framework.version}" for framework in image.frameworks)
    cuda = f"CUDA {image.cuda}" if image.cuda is not None else "CPU"
    return f"{frameworks}, {cuda}, Python {image.python}, {image.os}"


def _base(image: LockedImage) -> str:
    if image.base.is_bootstrap:
        return BASE_CONTEXT
    if image.base.digest is None or "@" in image.base.reference:
        return image.base.reference
    return f"{image.base.reference}@{image.base.digest}"


def _interpreter(image: LockedImage) -> str:
    minor = re.sub(r"^(\d+\.\d+)[^t]*(t?)$", r"\1\2", image.python)
    return f"{_INTERPRETERS[image.python_provider]}/python{minor}"


def _standalone(image: LockedImage) -> Mapping[str, object] | None:
    """The archive that Python is unpacked from, with its hash on each platform."""
    if image.standalone is None:
        return None
    found = {platform: image.standalone.find_archive(platform) for platform in image.platforms}
    hashes = [(platform_path(image, one), archive.sha256) for one, archive in found.items() if archive]
    if len(hashes) < len(image.platforms):
        raise AssertionError("the entry has passed check_image")
    return {"version": image.standalone.version, "sha256": hashes[0][1], "hashes": hashes}


def source_packages(image: LockedImage) -> tuple[str, ...]:
    """The OS packages of the stage that builds wheels: the image's own, and a compiler."""
    python = re.sub(r"^(\d+\.\d+).*$", r"\1", image.python)
    headers = (f"python{python}-dev",) if image.python_provider == "distro" else ()
    return (*find_missing_packages(image), _COMPILER, *headers) if has_apt(image) else ()


def _sources(image: LockedImage) -> list[Mapping[str, str]]:
    """What wheels are built from, each as the template needs it."""
    return [
        {
            "package": wheel.package,
            "version": wheel.version,
            "file": wheel.filename,
            "origin": f"{wheel.git.url} at {wheel.git.commit}" if wheel.git is not None else wheel.filename,
            "sha256": wheel.sha256,
            "directory": wheel.git.subdirectory if wheel.git is not None else "",
            "scm_variable": f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{wheel.package.replace('-', '_').upper()}",
        }
        for wheel in sorted(image.closure.wheels, key=lambda wheel: wheel.package)
        if wheel.is_built
    ]


def _framework_templates(image: LockedImage) -> tuple[str, ...]:
    names = dict.fromkeys(framework.template for framework in image.frameworks)
    return tuple(f"frameworks/{name}.j2" for name in names)


def _environment(image: LockedImage) -> list[tuple[str, str]]:
    if image.cuda is None:
        # A CPU twin takes no GPU, not even on a host whose default runtime hands them out or on a
        # base that asks for them: then the base's gate would stop it without a driver.
        ours = {"NVIDIA_VISIBLE_DEVICES": "void"}
    else:
        ours = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
        if image.gate is not None:
            ours["NVIDIA_REQUIRE_CUDA"] = image.gate
        if image.gate == "":
            # An empty requirement is not specified; this is how the container toolkit is told.
            ours["NVIDIA_DISABLE_REQUIRE"] = "1"
    return sorted({**ours, **image.env}.items())


def _command(image: LockedImage) -> tuple[str, ...] | None:
    if image.command is None and image.entrypoint is None and image.base.is_bootstrap:
        return ("python",)  # a bootstrapped base has no command of its own
    return image.command


def _is_never_sent(source: str) -> bool:
    return (
        any(
            part in _NEVER_SENT or (part.startswith(".") and part.endswith(_NEVER_SENT_ENDINGS))
            for part in source.split("/")
        )
        or source.split("/", 1)[0] in _OWN_NAMES
    )

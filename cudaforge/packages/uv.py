"""Running uv, and telling what its failures mean."""

from __future__ import annotations

import os
import platform as host
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

from cudaforge.errors import CudaforgeError, NegativeAnswer, Problem, SurroundingsError
from cudaforge.packages.addresses import find_address, host_of, is_loopback, redact, without_addresses
from cudaforge.packages.machines import ARCHITECTURES
from cudaforge.packages.site import Site
from cudaforge.process import Completed, ProgramTimeout, run
from cudaforge.records import record, replace

DEADLINE = 300.0
"""Seconds for one question to the package indexes."""

PROJECT_NAME = "cudaforge-closure"
"""What the project that stands for the image is called in questions to uv."""

_FINDING = Lock()
"""Finding uv is what fills Python's `sysconfig`, which hands a half-filled table to a second thread."""
_READING = Lock()
"""Several images want to know at once what uv knows, and it is read once."""
_HELP_DEADLINE = 30.0
_NO_SOLUTION = 1
_RETRIES = "UV_HTTP_RETRIES"
_FEW_RETRIES = "2"
_CONTROL = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_NO_PROGRESS": "1",
    "UV_PREVIEW_FEATURES": "pylock",
    "NO_COLOR": "1",
    "RUST_BACKTRACE": "0",
    "COLUMNS": "10000",  # or its sentences are broken at 80 columns, and their halves read as causes
}
_GIT_SETTINGS = {
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
    "protocol.file.allow": "user",  # uv clones out of its own cache; submodules may not
    "core.hooksPath": os.devnull,
}
_UNAUTHORIZED = re.compile(r"\b(401 Unauthorized|403 Forbidden|40[13])\b")
_BY_ADDRESS = re.compile(r"Package `(?P<package>[^`\s]+)` was included as a URL dependency")
_UNTIL = "--exclude-newer="
_UNDATED = re.compile(r"`(?P<file>[^`\s]+)` is missing an upload date")
_WITHOUT_GIT = "Git executable not found"
_GIT_FAILED = "Git operation failed"
_NEEDS_BUILD = re.compile(r"Building source distributions for `(?P<package>[^`\s]+)` is disabled")
_STATUS = re.compile(r"HTTP status \w+ error \((\d{3}[^)]*)\)")


@record()
class NoSolution:
    """uv found no set of wheels. `explanation` is its own, in lines, without its hints."""

    explanation: tuple[str, ...]
    hints: str

    def names(self, package: str) -> bool:
        """Whether the explanation is about a version of this package that no index has."""
        name = re.escape(package)
        missing = rf"no versions? of {name}\b|{name} was not found|(?:versions of )?{name}\S* ha(?:s|ve) no "
        return re.search(missing, " ".join(self.explanation)) is not None


def uv_binary(platform: str) -> Path:
    """The uv program that runs in images of this platform: the one that this installation brings.

    Raises SurroundingsError for another platform than this machine's.
    """
    if ARCHITECTURES.get(platform) != host.machine():
        raise SurroundingsError(
            Problem(
                what=f"images for {platform} cannot be built on this machine ({host.machine()})",
                because=("the uv program that installs the packages is the one of this machine",),
                remedy=f"build them on a machine of {platform}",
            )
        )
    return Path(_find_uv())


def uv_version() -> str:
    """The version of the uv that resolves and installs."""
    answer = run([_find_uv(), "--version"], timeout=_HELP_DEADLINE)
    return answer.stdout.removeprefix("uv ").split(" ", 1)[0].strip()


def git_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables with which git asks nobody, runs no hooks, and takes repositories and their submodules from
    web servers alone. What `environ` sets in the same way is kept."""
    number = environ.get("GIT_CONFIG_COUNT", "")
    first = int(number) if number.isdecimal() else 0
    variables = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": str(first + len(_GIT_SETTINGS))}
    for position, (key, value) in enumerate(_GIT_SETTINGS.items(), first):
        variables |= {f"GIT_CONFIG_KEY_{position}": key, f"GIT_CONFIG_VALUE_{position}": value}
    return variables


def compile_closure(
    arguments: Sequence[str], *, site: Site, directory: Path, deadline: float = DEADLINE
) -> str | NoSolution:
    """What `uv pip compile --format pylock.toml` answers in this directory, with the site's settings.

    The answer is the text of a PEP 751 file. Raises SurroundingsError where an index does not answer.
    """
    argv = [
        _find_uv(),
        "pip",
        "compile",
        "--format=pylock.toml",
        "--only-binary=:all:",
        "--no-header",
        # Which files of an index have no date, it only warns of.
        *(() if any(word.startswith(_UNTIL) for word in arguments) else ("--quiet",)),
        *(("--offline",) if site.offline else ()),
        *(("--no-index",) if site.no_index else ()),
        *arguments,
    ]
    retries = os.environ.get(_RETRIES) or _FEW_RETRIES
    # What is built from its source leaves lock files in TMPDIR.
    own = {_RETRIES: retries, "TMPDIR": str(directory)}
    variables = {**git_variables(os.environ), **own, **_CONTROL, **site.environment()}
    try:
        answer = run(argv, timeout=deadline, env=variables, cwd=directory)
    except ProgramTimeout:
        raise SurroundingsError(
            Problem(
                what=f"the package indexes gave no answer within {deadline:g} s",
                because=(f"they come from {site.origin('index_url')}",),
                remedy="check the network and try again: what was loaded is kept",
            )
        ) from None
    if answer.returncode == 0:
        return answer.stdout
    if answer.returncode == _NO_SOLUTION and "No solution found" in answer.stderr:
        return _no_solution(answer.stderr, site)
    raise explain_failure(answer, site)


def python_tag_platform(platform: str, glibc: str) -> str:
    """uv's name of a platform with that glibc: the newest that it knows and that is not newer.

    Raises SurroundingsError where it knows none.
    """
    architecture = ARCHITECTURES.get(platform, "")
    minor = int(glibc.split(".")[1])
    with _READING:
        known = [one for one in _known_glibc(architecture) if one <= minor]
    if not known:
        raise SurroundingsError(
            Problem(what=f"uv knows no wheels for {platform} with glibc {glibc}", remedy="choose a newer os")
        )
    return f"{architecture}-manylinux_2_{max(known)}"


def explain_failure(answer: Completed, site: Site) -> CudaforgeError:
    """The error for a run of uv that ended without an answer: it names the host and the setting."""
    text = redact(answer.stderr)
    if _WITHOUT_GIT in text:
        return SurroundingsError(
            Problem(what="a package comes from a git repository, and git is missing", remedy="install git")
        )
    if _GIT_FAILED in text:
        told = [line for line in _lines(text) if not line.startswith(("---", _GIT_FAILED))]
        return SurroundingsError(
            Problem(
                what="a git repository cannot be fetched, or has no such commit",
                because=(*told[:1], *told[1:][-2:]),
                remedy="see that `git ls-remote` reaches it from here, and that the commit is still there",
            )
        )
    needs_build = _NEEDS_BUILD.search(text)
    if needs_build is not None:
        return NegativeAnswer(_metadata_problem(needs_build["package"]))
    by_address = _BY_ADDRESS.search(text)
    if by_address is not None:
        return NegativeAnswer(address_problem(by_address["package"]))
    address = find_address(text)
    lines = _lines(text)
    cause = lines[-1] if lines else f"exit status {answer.returncode}"
    if address is None:
        return SurroundingsError(
            Problem(what="uv could not answer", because=lines[:4], remedy=_remedy_for_sources(text, site))
        )
    name = host_of(address)
    status = _STATUS.search(text)
    if status is not None:
        return SurroundingsError(
            Problem(
                what=f"the package index at {name} answered {status[1]}",
                because=(_whence(address, site),),
                remedy="check its address and, if it asks for them, user and password",
            )
        )
    return SurroundingsError(
        Problem(
            what=f"the package index at {name} cannot be reached",
            because=(cause, _whence(address, site)),
            remedy=_remedy(text, address, site),
        )
    )


def _metadata_problem(package: str) -> Problem:
    return Problem(
        what=f"what {package} needs is known only to code of it, which would have to run on this machine",
        because=("its pyproject.toml has `dynamic` metadata, or there is none",),
        remedy=f'allow it: build_from_source = ["{package}"]',
    )


def address_problem(package: str) -> Problem:
    """That another package asks for this one by an address, which could bring any build of it."""
    return Problem(
        what=f"a package asks for {package} by an address, which could swap what was chosen by its version",
        remedy=f"use a release of it that asks for versions of {package} alone",
    )


@lru_cache
def _find_uv() -> str:
    from uv import find_uv_bin

    try:
        with _FINDING:
            return find_uv_bin()
    except FileNotFoundError:
        raise SurroundingsError(
            Problem(what="the uv program of this installation is missing", remedy="install cudaforge again")
        ) from None


@lru_cache
def _known_glibc(architecture: str) -> tuple[int, ...]:
    answer = run([_find_uv(), "pip", "compile", "--help"], timeout=_HELP_DEADLINE, env={"COLUMNS": "200"})
    found = re.findall(rf"\b{re.escape(architecture)}-manylinux_2_(\d+)\b", answer.stdout)
    return tuple(sorted({int(one) for one in found}))


def _no_solution(stderr: str, site: Site) -> NoSolution:
    explanation, _, hints = redact(stderr).partition("\nhint:")
    if _UNAUTHORIZED.search(hints):
        address = find_address(hints) or ""
        raise SurroundingsError(
            Problem(
                what=f"the package index at {host_of(address)} asks for a user and a password",
                because=(_whence(address, site),),
                remedy="give them in ~/.netrc, or in the address that the environment names",
            )
        )
    if site.offline and "network was disabled" in stderr:
        raise SurroundingsError(
            Problem(
                what="packages that are needed were never loaded on this machine",
                because=("--offline opens no socket", *_explained(explanation)),
                remedy="run once without --offline",
            )
        )
    undated = _UNDATED.findall(stderr)
    if undated:
        raise SurroundingsError(_undated_problem(undated, _explained(explanation)))
    return NoSolution(explanation=_explained(explanation), hints=hints)


def _undated_problem(files: Sequence[str], explanation: tuple[str, ...]) -> Problem:
    return Problem(
        what="a package index does not tell when it got its files, so that what it had on a day is not known",
        because=(f"{len(files)} files without a date, such as {files[0]}", *explanation),
        remedy="use an index that tells upload times (PEP 700), or lock without a day: cudaforge lock "
        "--as-of none",
    )


def _explained(text: str) -> tuple[str, ...]:
    lines = _lines(
        _without_warnings(without_addresses(text)).replace(f"{PROJECT_NAME} depends on", "the image needs")
    )
    return tuple(line for line in lines if not line.startswith("No solution found"))


def _without_warnings(text: str) -> str:
    """What uv says without `--quiet` besides its answer left out."""
    return text[text.find("error:") :] if "error:" in text else text


def _lines(text: str) -> tuple[str, ...]:
    plain = text.partition("\nhint:")[0]
    stripped = (re.sub(r"^(error:|cause:|Caused by:)\s*", "", line.strip()) for line in plain.splitlines())
    return tuple(line for line in stripped if line)


def _whence(address: str, site: Site) -> str:
    """By what the address was chosen, as far as the site says."""
    own = {
        "index_url": (site.index_url or "",),
        "extra_index_urls": site.extra_index_urls,
        "find_links": site.find_links,
    }
    for field, addresses in own.items():
        if any(host_of(address) == host_of(one) for one in addresses if one):
            return f"it comes from {site.origin(field)}"
    for name, one in site.named_indexes.items():
        if host_of(one) == host_of(address):
            return f"it comes from network.indexes.{name}"
    return "it is the address that uv or the matrix has for it"


def _remedy(text: str, address: str, site: Site) -> str:
    if "certificate" in text:
        return f"name the CA bundle of this network in SSL_CERT_FILE (now: {site.origin('ca_bundle')})"
    variable = "HTTPS_PROXY" if address.startswith("https") else "HTTP_PROXY"
    proxy = next((name for name in (variable, "ALL_PROXY") if name in site.proxies), None)
    if proxy is not None and not is_loopback(address):
        return f"check {site.origin(proxy)} ({host_of(site.proxies[proxy])}), the proxy that is used"
    return f"check the network, or name another index; a proxy goes into {variable}"


def _remedy_for_sources(text: str, site: Site) -> str | None:
    if "No space left on device" in text:
        return "free some space there, or name another place in UV_CACHE_DIR"
    return f"check {site.origin('find_links')}" if "find-links" in text else None


class NoClosure(NegativeAnswer):
    """No set of wheels is what an image asks for. `explanation` is uv's, in lines."""

    def __init__(self, problem: Problem, explanation: Sequence[str]) -> None:
        super().__init__(problem)
        self.explanation = tuple(explanation)


def refuse(
    name: str, answer: NoSolution, *, target: str, as_of: str | None = None, platform: str | None = None
) -> NoClosure:
    """The error for a closure that does not exist, with uv's explanation. `platform` is which of several it
    does not exist on."""
    problem = _refusal(name, answer, target=target)
    if platform is not None:
        told = f"this is so on {platform}, one of the platforms of the image"
        problem = replace(problem, because=(*problem.because, told))
    if as_of is not None:
        told = f"only what the package index had on {as_of} counts (--as-of)"
        problem = replace(problem, because=(*problem.because, told))
    return NoClosure(problem, answer.explanation)


def _refusal(name: str, answer: NoSolution, *, target: str) -> Problem:
    sourceless = sorted(_without_wheels(answer.explanation))
    if sourceless:
        names = ", ".join(f'"{one.split()[0]}"' for one in sourceless)
        verb = "have" if len(sourceless) > 1 else "has"
        return Problem(
            what=f"{name}: {', '.join(sourceless)} {verb} no wheel for {target}",
            because=answer.explanation,
            remedy="ask for another version, have it built, which runs code of it: build_from_source = "
            f"[{names}], or build a wheel of it and name its file in `packages` (./wheels/...)",
        )
    return Problem(
        what=f"{name}: no set of packages fits what is asked for",
        because=answer.explanation,
        remedy="loosen or drop the package that collides; the frameworks' own pins stay as they are",
    )


def _without_wheels(explanation: Sequence[str]) -> set[str]:
    """Packages whose every version that is asked for has only its source."""
    text = " ".join(explanation)
    every = re.findall(r"all versions of ([A-Za-z0-9][\w.-]*) have no usable wheels", text)
    one = re.findall(r"\b([A-Za-z0-9][\w.-]*)==(\S+) has no (?:usable wheels|wheels with)", text)
    return {*every, *(f"{package} {version}" for package, version in one)}

"""The second builder: Podman, which builds by itself into the store of its service."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from cudaforge import process
from cudaforge.builder.archives import blame_snapshot
from cudaforge.builder.bases import taken_in_reference
from cudaforge.builder.cache import Caches
from cudaforge.builder.command import BuildInputs
from cudaforge.builder.epoch import EPOCH_VARIABLE, build_epoch
from cudaforge.builder.failures import classify_failure
from cudaforge.builder.inputs import Sources, from_text, prepare_inputs
from cudaforge.builder.kept import ARCHIVE_SECONDS, EngineKept
from cudaforge.builder.logfile import open_log
from cudaforge.builder.podman_scratch import build_scratch
from cudaforge.builder.podman_steps import StepTracker
from cudaforge.builder.protocol import BuildEnd, BuildOrder, GivenUp, ImageJob, Listener
from cudaforge.builder.scratch import scratch_directory, sweep_scratch
from cudaforge.engine import Engine, EngineError, EngineRefused, LocalPodman, NamedBuilder, words_of
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import record, replace
from cudaforge.references import parse_reference
from cudaforge.renderer.model import CLOSURE_SECRET

_LAYOUT = "oci-layout://"
_IMAGE = "docker-image://"
_CACHE = re.compile(r"^((?:RUN)? *--mount=type=cache,)(\S*\bsharing=(?:private|locked)\b\S*)", re.MULTILINE)
_CLOSURE = re.compile(rf'"id={CLOSURE_SECRET},type=file,src=((?:[^"\\]|\\.)+")')
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")


@record(kw_only=False)
class _Program:
    """Podman as it is started for one build."""

    words: tuple[str, ...]
    temporary: Path

    @property
    def env(self) -> Mapping[str, str]:
        return {"TMPDIR": str(self.temporary)}


class Podman(EngineKept):
    """This machine's Podman, and its service, which finds the images afterwards."""

    def __init__(self, named: NamedBuilder, sources: Sources) -> None:
        super().__init__(named.name, named.engine)
        self._sources = sources

    def build(self, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        """See `Builder`."""
        local = self.engine.require_podman()
        sweep_scratch(local.temporary)
        try:
            with build_scratch(local.temporary) as temporary:
                end = self._build(_Program(local.words, temporary), job, order, listener)
            return self.with_image(end, job.image)
        finally:
            self._sweep(local)

    def _build(self, program: _Program, job: ImageJob, order: BuildOrder, listener: Listener) -> BuildEnd:
        with scratch_directory() as private, scratch_directory(order.state / "tmp") as staging:
            rendered = replace(
                job.rendered, dockerfile=in_podmans_words(job.rendered.dockerfile, job.image.name)
            )
            inputs = prepare_inputs(job.image, rendered, self._sources, private=private, staging=staging)
            inputs = replace(
                inputs,
                contexts=self._contexts(program, job.image, inputs.contexts, private),
                is_uncached=order.is_uncached,
            )
            if order.is_given_up():
                raise GivenUp
            command = podman_command(inputs, words=program.words, epoch=build_epoch(os.environ))
            run = partial(
                process.stream,
                command,
                with_stdout=True,
                timeout=order.timeout,
                env=program.env,
                owner=self.engine,
            )
            end = _follow(job.image.name, run, listener=listener)
            return blame_snapshot(end, job.image, self._sources.site)

    def _sweep(self, local: LocalPodman) -> None:
        """Remove the containers of builds that were ended: Podman leaves them."""
        with contextlib.suppress(EngineError):
            for container in find_abandoned_builds(local.containers):
                self.engine.remove_container(container)

    def _contexts(
        self, program: _Program, image: LockedImage, contexts: Mapping[str, str], private: Path
    ) -> Mapping[str, str]:
        """The named contexts as Podman knows them: it reads no layouts."""
        base = from_text(image)
        is_here = image.base.digest is None and self.engine.find_image(base) is not None
        known = contexts if is_here else with_full_names(image, contexts)
        return {
            name: f"{_IMAGE}{self._take_in(program, value.removeprefix(_LAYOUT), private)}"
            if value.startswith(_LAYOUT)
            else value
            for name, value in known.items()
        }

    def _take_in(self, program: _Program, layout: str, private: Path) -> str:
        """The name under which Podman has the image of `DIRECTORY@DIGEST`, an OCI image layout."""
        directory, _, digest = layout.rpartition("@")
        reference = taken_in_reference(digest)
        name = reference.rpartition("/")[2]
        if self.engine.find_image(reference) is None:
            # Older releases make the image's name of the path, newer ones give it none.
            (private / name).symlink_to(Path(directory).absolute())
            words = (*program.words, "pull", "--quiet", f"oci:{name}")
            done = process.run(
                words, timeout=ARCHIVE_SECONDS, cwd=private, env=program.env, owner=self.engine
            )
            taken = done.stdout.strip().rpartition("\n")[2]
            if done.returncode != 0 or _ID.fullmatch(taken) is None:
                raise EngineRefused(
                    Problem(what=f"Podman could not take in the base image: {done.stderr.strip()}")
                )
            self.engine.tag_image(taken, reference)
        return reference


def with_full_names(image: LockedImage, contexts: Mapping[str, str]) -> Mapping[str, str]:
    """The contexts, and one for a base from a registry, with images by names that need no list of registries.

    A digest stands alone: a tag beside it is more than Podman reads.
    """
    known = dict(contexts)
    if not image.base.is_bootstrap:
        known.setdefault(from_text(image), f"{_IMAGE}{from_text(image)}")
    for name, value in known.items():
        if value.startswith(_IMAGE):
            parsed = parse_reference(value.removeprefix(_IMAGE))
            known[name] = f"{_IMAGE}{replace(parsed, tag=None) if parsed.digest is not None else parsed}"
    return known


def in_podmans_words(dockerfile: str, name: str) -> str:
    """A Dockerfile of BuildKit's as Podman takes it.

    Each cache that one step at a time may use is that step's alone: Podman knows no private ones, and holds
    on to a lock until the build ends, so that a second step with the same cache would wait for ever.
    """
    numbers = count(1)

    def own(match: re.Match[str]) -> str:
        said = dict(part.partition("=")[::2] for part in match[2].split(","))
        told = {**said, "id": f"{said.get('id') or said.get('target', '')}-{name}-{next(numbers)}"}
        told["sharing"] = "locked"
        return match[1] + ",".join(f"{key}={value}" if value else key for key, value in told.items())

    return _CACHE.sub(own, dockerfile)


def find_abandoned_builds(containers: Path) -> tuple[str, ...]:
    """The containers of builds of cudaforge's whose private files are gone, and so are they.

    `containers` is where Podman keeps those: each has a note of the secrets that its build was given.
    """
    found = []
    for note in sorted(containers.glob("*/userdata/buildah.json")):
        with contextlib.suppress(OSError, ValueError):  # it went away meanwhile
            closure = _CLOSURE.search(note.read_text(encoding="utf-8"))
            if closure is not None and not Path(json.loads(f'"{closure[1]}')).exists():
                found.append(note.parents[1].name)
    return tuple(found)


def podman_command(inputs: BuildInputs, *, words: Sequence[str], epoch: int) -> tuple[str, ...]:
    """The arguments of `podman build` that leave the image in Podman's store. `words` begin the line.

    Raises SurroundingsError for a path that cannot be said.
    """
    command = [*words, "build", "--file", str(inputs.dockerfile), "--format", "oci"]
    command += ["--ignorefile", f"{inputs.dockerfile}.dockerignore"]
    # Proxies come with the site's own secret, and to steps that need them alone.
    command += ["--http-proxy=false", "--build-arg", f"{EPOCH_VARIABLE}={epoch}"]
    for tag in inputs.tags:
        command += ["--tag", tag]
    for name, value in sorted(inputs.contexts.items()):
        command += ["--build-context", f"{name}={value}"]
    for name, path in sorted(inputs.secrets.items()):
        # Without a type it is the environment's, where a variable has the secret's name.
        command += ["--secret", f"id={name},type=file,src={_sayable(path)}"]
    command += [word for platform in inputs.platforms for word in ("--platform", platform)]
    if inputs.has_ssh:
        command += ["--ssh", "default"]
    if inputs.has_no_network:
        command += ["--network", "none", "--pull=never"]
    elif inputs.needs_host_network:
        command += ["--network", "host"]
    if inputs.is_uncached:
        command.append("--no-cache")
    return (*command, "--", str(inputs.context))


def check_podman(
    images: Sequence[LockedImage],
    builders: Sequence[NamedBuilder],
    *,
    is_reproducible: bool,
    caches: Caches,
) -> None:
    """Raise SurroundingsError for what is asked of Podman and it cannot do, before anything is built.

    One that does not answer is passed over: its loss is a result of the run.
    """
    for named in builders:
        if named.engine.is_podman:
            problems = [*_refusals(images, is_reproducible=is_reproducible, caches=caches)]
            if problems:
                raise SurroundingsError(problems)
            _require(named.engine)


def _require(engine: Engine) -> None:
    try:
        engine.require_podman()
    except SurroundingsError as error:
        try:
            engine.check_alive()
        except EngineError:
            return
        raise error from None


def _refusals(images: Sequence[LockedImage], *, is_reproducible: bool, caches: Caches) -> Iterator[Problem]:
    several = [image.name for image in images if len(image.platforms) > 1]
    if several:
        yield Problem(
            what=f"Podman builds one platform at a time, and {', '.join(several)} has several",
            remedy="make one image for each platform, by a matrix with the axis `platforms`; or build with "
            "Docker",
        )
    if is_reproducible:
        yield Problem(
            what="--reproducible and --reproduce need BuildKit, and here Podman builds",
            because=("Podman's layers have the times of the build in them",),
            remedy="leave it out, or build with Docker",
        )
    if caches.to or caches.from_:
        yield Problem(
            what="--cache-to and --cache-from name caches as BuildKit writes them, and here Podman builds",
            remedy="leave them out (Podman keeps steps in its own store), or build with Docker",
        )


def _follow(name: str, run: Callable[..., int], *, listener: Listener) -> BuildEnd:
    with open_log(listener.log) as write:
        tracker = StepTracker(name, write=write, clean=listener.clean)

        def take(line: str) -> None:
            for event in tracker.take(line):
                listener.emit(event)

        status = run(on_line=take)
        # Ended by a signal, Podman says that all is well.
        is_done = status == 0 and tracker.has_image
        for event in tracker.finish() if is_done else tracker.fail():
            listener.emit(event)
    return BuildEnd(failure=None) if is_done else _explain(tracker, status)


def _explain(tracker: StepTracker, status: int) -> BuildEnd:
    error = tracker.error or f"podman build ended with exit status {status}"
    words = words_of(is_podman=True)
    failed = tracker.failed_step
    if failed is None:
        return BuildEnd(failure=classify_failure(error=error, words=words), last_lines=tracker.first_lines)
    failure = classify_failure(error=error, step=failed.name, lines=failed.lines, words=words)
    return BuildEnd(failure=failure, failed_step=failed.name, last_lines=failed.lines or (error,))


def _sayable(path: Path) -> str:
    if "," in str(path):
        raise SurroundingsError(
            Problem(what=f"Podman takes no secret from a path with a comma: {path}", remedy="move it")
        )
    return str(path)

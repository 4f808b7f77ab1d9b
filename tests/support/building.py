"""Lock entries made into images on a real engine, and a look into their layers."""

import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cudaforge.lockfile.model import LockedImage
from cudaforge.renderer import render_lock, write_rendered
from cudaforge.renderer.model import BASE_CONTEXT, CLOSURE_SECRET, UV_CONTEXT, WHEELS_CONTEXT
from tests.support.closures import dump_pylock
from tests.support.locks import make_lock

REPOSITORY = "cudaforge.invalid/test-render"


def docker(*words: str | Path, fails: bool = False) -> str:
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + (done.stderr if fails else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds lock entries as images that are gone after the test."""

    directory: Path
    base: str
    tags: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.directory / "project"

    @property
    def wheels(self) -> Path:
        return self.directory / "wheels"

    def pylock(self) -> Path:
        path = self.directory / "pylock.toml"
        if not path.exists():
            path.write_text(dump_pylock(*sorted(self.wheels.iterdir())))
        return path

    def build(
        self,
        image: LockedImage,
        *words: str,
        secrets: dict[str, str] | None = None,
        base: str | None = None,
        fails: bool = False,
    ) -> str:
        """The tag of the image, or what the failed build said."""
        output = self.directory / f"rendered-{len(self.tags)}"
        write_rendered(render_lock(make_lock(image)), output, force=False)
        file = output / image.name / "Dockerfile"
        return self.build_file(file, *words, secrets=secrets or {}, base=base, fails=fails)

    def build_file(
        self, file: Path, *words: str, secrets: dict[str, str], base: str | None = None, fails: bool = False
    ) -> str:
        tag = f"{REPOSITORY}:{len(self.tags)}"
        self.tags.append(tag)
        contexts = {
            BASE_CONTEXT: base or self.base,
            UV_CONTEXT: str(self.directory / "uv"),
            WHEELS_CONTEXT: str(self.wheels),
        }
        files = {CLOSURE_SECRET: str(self.pylock())}
        for name, text in secrets.items():
            (file.parent / name).write_text(text)
            files[name] = str(file.parent / name)
        arguments = [f"--build-context={name}={value}" for name, value in contexts.items()]
        arguments += [f"--secret=id={name},src={path}" for name, path in files.items()]
        said = docker(
            "buildx",
            "build",
            *arguments,
            *words,
            f"--file={file}",
            f"--tag={tag}",
            "--load",
            self.project,
            fails=fails,
        )
        return said if fails else tag

    def run(self, tag: str, *command: str) -> str:
        return docker("run", "--rm", "--network=none", tag, *command)


def config_of(tag: str) -> dict[str, object]:
    return json.loads(docker("image", "inspect", tag))[0]["Config"]


def python(builder: Builder, tag: str, program: str) -> str:
    return builder.run(tag, "python", "-c", program).strip()


def layers_of(tag: str, directory: Path) -> Iterator[tarfile.TarFile]:
    """The layers above the base's."""
    docker("save", "--output", directory / "image.tar", tag)
    with tarfile.open(directory / "image.tar") as image:
        manifest = json.load(image.extractfile("manifest.json"))[0]
        for name in manifest["Layers"][1:]:  # the base has one
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                yield layer


def find_in_layers(tag: str, directory: Path, is_trace: Callable[[str, bytes], bool]) -> list[str]:
    found = []
    for layer in layers_of(tag, directory):
        for member in layer:
            content = layer.extractfile(member).read() if member.isreg() else b""
            if is_trace(member.name.removeprefix("./"), content):
                found.append(member.name)
    return found

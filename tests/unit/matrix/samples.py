"""A small matrix directory that tests write, break and read."""

from pathlib import Path

SOURCES = """
[sources]
seen = { strength = "measured", checked = "2026-01-31", text = "read from the wheel" }
guess = { strength = "inferred", checked = "2026-01-30", text = "recalled" }
"""

FILES = {
    "frameworks/example.toml": f"""
schema = 1
{SOURCES}
[framework]
name = "example"
title = "The Example"
aliases = ["ex"]
proof = "example"
template = "example"
source = "seen"

[defaults]
provider = "wheels"
platforms = "linux/amd64"
like = "channel"

[shapes.channel]
index = "example-{{build}}"
requires = ["example==={{version}}+{{build}}"]
reported = "{{version}}+{{build}}"

[shapes.cpu]
provider = "none"
index = "default"
requires = ["example==={{version}}", "examplelib==={{library}}"]
reported = "{{version}}"
parameters = {{ library = "{{version}}" }}

[[releases]]
version = "1.9"
pythons = "3.11 3.12"
glibc = "2.17"
source = "seen"
builds = [
    {{ build = "cu126", cuda = "12.6", cudnn = ">=9.1,<10", cubins = "8.0 9.0", ptx = "9.0" }},
    {{ build = "cpu", like = "cpu", parameters = {{ library = "1.8" }} }},
]

[[releases]]
version = "1.10"
pythons = ["3.12", "3.13t"]
glibc = "2.28"
source = "seen"
builds = [
    {{ build = "cu126", cuda = "12.6", cubins = "8.0 9.0", source = "guess" }},
    {{ build = "cpu", like = "cpu", platforms = "linux/amd64 linux/arm64" }},
]
""",
    "cuda.toml": f"""
schema = 1
{SOURCES}
[[cuda]]
minor_driver = "525.60.13"
capabilities = "8.0 9.0"
source = "seen"
releases = [
    {{ version = "12.6.0", driver = "560.28.03", metapackage = "cuda-toolkit==12.6.0" }},
    {{ version = "12.6.3" }},
]

[[cuda]]
version = "13.0.0"
capabilities = "9.0"
source = "guess"
""",
    "cudnn.toml": f"""
schema = 1
{SOURCES}
[[cudnn]]
capability_min = {{ 12 = "5.0" }}
packages = {{ 12 = "nvidia-cudnn-cu12" }}
source = "seen"
releases = ["9.1.0.70", "9.10.2.21"]

[[cudnn]]
version = "9.11.0.98"
source = "guess"
""",
    "os.toml": f"""
schema = 1
{SOURCES}
[[systems]]
id = "debian12"
family = "debian"
codename = "bookworm"
glibc = "2.36"
image = "debian:12-slim"
python = "3.11"
python_packages = "python3"
library_packages = "ca-certificates libgomp1"
source = "seen"

[[systems]]
id = "ubuntu24.04"
family = "ubuntu"
codename = "noble"
glibc = "2.39"
image = "ubuntu:24.04"
user = "ubuntu"
source = "guess"
""",
    "base_images.toml": f"""
schema = 1
{SOURCES}
[shapes.base]
reference = "vendor/cuda:{{cuda}}-base-{{os}}"
flavor = "base"
parameters = {{ tag = "base" }}

[shapes.cudnn-runtime]
reference = "vendor/cuda:{{cuda}}-cudnn-runtime-{{os}}"
flavor = "runtime"
cudnn = "{{cudnn}}"
parameters = {{ tag = "cudnn-runtime" }}

[[base_images]]
cuda = "12.6.0"
gate = "cuda>=12.6"
platforms = "linux/amd64"
parameters = {{ cudnn = "9.1.0.70", newer = "12.6.3" }}
removed = "unknown"
replaced_by = "vendor/cuda:{{newer}}-{{tag}}-{{os}}"
source = "seen"
like = ["base", "cudnn-runtime"]
images = [{{ os = "debian12" }}]

[[base_images]]
cuda = "12.6.3"
gate = "cuda>=12.6"
platforms = "linux/amd64 linux/arm64"
parameters = {{ cudnn = "9.10.2.21" }}
source = "seen"
like = ["base", "cudnn-runtime"]
images = [{{ os = "debian12" }}, {{ os = "ubuntu24.04", like = "base", source = "guess" }}]
""",
    "gpus.toml": f"""
schema = 1
{SOURCES}
[[gpus]]
capability = "9.0"
kind = "datacenter"
first_driver = "520.61.05"
source = "seen"
products = ["Maker H1", {{ name = "Maker H2", aliases = ["H2 NVL"] }}]

[[gpus]]
name = "GeForce OLD 10"
capability = "3.5"
kind = "consumer"
last_branch = 560
source = "guess"
""",
    "drivers.toml": f"""
schema = 1
{SOURCES}
[[drivers]]
branch = 560
cuda = "12.6"
source = "seen"

[[drivers]]
branch = 1000
cuda = "13.0"
eol = "2028-06"
source = "guess"
""",
    "indexes.toml": f"""
schema = 1
{SOURCES}
[[indexes]]
name = "example-cu126"
url = "https://wheels.example/cu126"
source = "seen"

[[indexes]]
name = "spare"
url = "https://wheels.example/spare"
source = "guess"
""",
    "broken.toml": f"""
schema = 1
{SOURCES}
[[broken]]
when = {{ framework = "example", version = "<1.10", provider = "wheels" }}
effect = "it falls over"
source = "seen"

[[broken]]
when = {{ framework = "example", python = ">=3.13" }}
effect = "it may fall over"
source = "guess"
""",
}


def write_matrix(directory: Path, **changes: tuple[str, str]) -> Path:
    """The sample below `directory`, with `name=(old, new)` replaced in `name.toml`; returns it."""
    for name, text in FILES.items():
        old, new = changes.get(Path(name).stem, ("", ""))
        assert old in text, f"{old!r} is not in {name}"
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return directory

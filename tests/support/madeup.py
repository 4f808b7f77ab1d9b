"""A framework that nobody has heard of, added in the way that CONTRIBUTING names: by three new files.

They are put into a copy of the source tree, where the facts, the templates and the proofs are looked for. A
wheel of the framework computes for real, in Python.
"""

import filecmp
import shutil
from pathlib import Path

from tests.support.closures import make_wheel

ROOT = Path(__file__).parents[2]
NAME, TITLE, VERSION = "abacus", "Abacus", "3.1.0"
FACTS = """\
# Abacus, which exists in this test alone.

schema = 1

[sources]
here = { strength = "measured", checked = "2026-11-23", text = "made for a test" }

[framework]
name = "abacus"
title = "Abacus"
aliases = ["abax"]
source = "here"

[defaults]
platforms = "linux/amd64 linux/arm64"
index = "default"
reported = "{version}"
source = "here"
pythons = "3.11 3.13"
glibc = "2.17"

[shapes.cuda]
provider = "wheels"
requires = ["abacus-frame[cuda]==={version}"]

[[releases]]
version = "3.0.0"
released = "2026-01-01"
builds = [{ build = "cpu", provider = "none", requires = ["abacus-frame==={version}"] }]

[[releases]]
version = "3.1.0"
released = "2026-02-01"
builds = [
    { build = "cpu", provider = "none", requires = ["abacus-frame==={version}"] },
    { build = "cuda12", like = "cuda", cuda = ">=12.4,<13", cubins = "8.0 9.0", toolkit_extras = "cudart" },
]
"""
TEMPLATE = """\

# Abacus counts with the beads that it finds here.
RUN echo {{ cuda_provider | shell }} > /etc/abacus
"""
PROOF = '''\
"""The proof of Abacus."""

from importlib import import_module

ENVIRONMENT = {"ABACUS_BEADS": "wood"}
PACKAGE = "abacus-frame"


def load():
    return import_module("abacus")


def describe(abacus):
    return {"version": abacus.__version__, "cuda_build": False, "cuda": None, "cudnn": None, "nccl": None}


def find_devices(abacus):
    return {"devices": [], "reason": "it has beads alone"}


def compute(abacus, network, device):
    from cudaforge.verifier.probes import forward

    sizes = {"side": forward.SIDE, "filters": forward.FILTERS, "classes": forward.CLASSES}
    return {"outputs": abacus.count(network, **sizes), "placed": [device], "api": abacus.beads()}
'''
MODULE = b"""\
import math
import os

__version__ = "3.1.0"


def beads():
    return os.environ["ABACUS_BEADS"] + " beads"


def count(network, side, filters, classes):
    answers = []
    for start in range(0, len(network.pixels), side * side):
        image = network.pixels[start : start + side * side]
        features = []
        for kernel in range(0, 9 * filters, 9):
            weights = network.kernels[kernel : kernel + 9]
            plane = {
                (y, x): sum(w * image[(y + k // 3) * side + x + k % 3] for k, w in enumerate(weights))
                for y in range(side - 2)
                for x in range(side - 2)
            }
            for y in range(0, side - 2, 2):
                for x in range(0, side - 2, 2):
                    features.append(max(0.0, *(plane[y + dy, x + dx] for dy in (0, 1) for dx in (0, 1))))
        powers = [
            math.exp(bias + sum(f * network.matrix[i * classes + label] for i, f in enumerate(features)))
            for label, bias in enumerate(network.bias)
        ]
        answers += [power / sum(powers) for power in powers]
    return answers
"""
ADDED = {
    f"matrices/frameworks/{NAME}.toml": FACTS,
    f"templates/frameworks/{NAME}.j2": TEMPLATE,
    f"cudaforge/verifier/probes/{NAME}.py": PROOF,
}
"""All that it takes."""
_TREES = ("cudaforge", "matrices", "templates")


def make_source_tree(directory: Path) -> Path:
    """A copy of the source tree with the framework in it."""
    ignored = shutil.ignore_patterns("__pycache__", "matrix.jsonl")
    for name in _TREES:
        shutil.copytree(ROOT / name, directory / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", directory)
    for name, text in ADDED.items():
        assert not (directory / name).exists()
        (directory / name).write_text(text)
    return directory


def differences(directory: Path) -> set[str]:
    """Every file in which the copy and the source tree differ."""
    found = set()
    for name in _TREES:
        one, other = _files(ROOT / name), _files(directory / name)
        found |= {f"{name}/{path}" for path in one ^ other}
        same = sorted(one & other)
        _, changed, unread = filecmp.cmpfiles(ROOT / name, directory / name, same, shallow=False)
        found |= {f"{name}/{path}" for path in (*changed, *unread)}
    return found


def make_madeup_wheel(directory: Path) -> Path:
    """The framework itself."""
    directory.mkdir(parents=True, exist_ok=True)
    return make_wheel(directory, "abacus_frame", VERSION, {"abacus/__init__.py": MODULE})


def _files(directory: Path) -> set[str]:
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "matrix.jsonl"
    }

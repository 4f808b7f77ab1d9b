"""The probe as a command: small enough, old enough, alone enough."""

import ast
import sys
from importlib import resources
from pathlib import Path

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.verifier import bundle, probes
from cudaforge.verifier.bundle import ARGUMENT_LIMIT, has_proof, probe_arguments, probe_digest

SOURCES = sorted(Path(probes.__file__).parent.glob("*.py"))
PROOFS = [path.stem for path in SOURCES if has_proof(path.stem)]
PACKAGE = "cudaforge.verifier.probes"


def arguments(*proofs: str, timeout: float = 60.0) -> tuple[str, ...]:
    return probe_arguments(proofs, nonce="n" * 32, steps=20, seed=1, timeout=timeout)


def test_every_argument_fits_into_a_command_line():
    for argument in arguments(*PROOFS):
        assert len(argument.encode()) < ARGUMENT_LIMIT // 4, "half of the room should stay free"


def test_proofs_are_found_by_their_files():
    assert {"cupy", "jax", "onnxruntime", "pytorch", "tensorflow"} == set(PROOFS)
    for name in (
        "core",
        "stages",
        "forward",
        "__init__",
        "",
        "..",
        "../core",
        "pytorch.py",
        "PyTorch",
        "os",
        "samples",
    ):
        assert not has_proof(name)


@pytest.mark.parametrize("name", ["mxnet", "../situation", "core"])
def test_an_unknown_proof_is_refused(name: str):
    with pytest.raises(SurroundingsError, match="no proof called"):
        arguments(name)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_probe_is_python_3_6(source: Path):
    ast.parse(source.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_probe_needs_the_standard_library_alone(source: Path):
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        else:
            continue
        for name in imported:
            assert name.startswith(PACKAGE) or name.split(".")[0] in sys.stdlib_module_names


@pytest.mark.parametrize("name", PROOFS)
def test_every_proof_has_its_names(name: str):
    source = next(path for path in SOURCES if path.stem == name)
    defined = set()
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined.update(target.id for target in targets if isinstance(target, ast.Name))
    assert {"ENVIRONMENT", "PACKAGE", "load", "describe", "find_devices"} <= defined
    assert len({"train", "compute"} & defined) == 1


def test_the_digest_follows_the_proofs():
    digests = {probe_digest([name]) for name in PROOFS}
    assert len(digests) == len(PROOFS)
    assert probe_digest(["jax"]) == probe_digest(["jax"])
    assert probe_digest(["jax", "pytorch"]) not in digests


@pytest.mark.parametrize("modules", [bundle._DRIVER, bundle._INSPECTION])
def test_each_module_imports_earlier_ones_alone(modules: tuple[str, ...]):
    """What is packed is run in this order, and nothing else of cudaforge is there."""
    for at, name in enumerate(modules):
        source = resources.files(bundle.PROBES).joinpath(f"{name}.py").read_text("utf-8")
        wanted = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module == bundle.PROBES:
                wanted |= {one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{bundle.PROBES}."):
                wanted.add(str(node.module).rpartition(".")[2])
        assert wanted <= set(modules[:at]), name

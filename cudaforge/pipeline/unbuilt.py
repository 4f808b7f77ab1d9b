"""Packages that are not built from their source yet: those that compile against a framework."""

from __future__ import annotations

from collections.abc import Iterable

from cudaforge.declaration.model import ImageDeclaration
from cudaforge.errors import Location, NegativeAnswer, Problem
from cudaforge.matrix import Matrix
from cudaforge.matrix.companion import CompanionRole
from cudaforge.resolver.packages import named, normal


def check_sources(images: Iterable[ImageDeclaration], matrix: Matrix) -> None:
    """Raise NegativeAnswer for what is to be built and would need the framework, and a CUDA toolkit that
    matches it, to be there while it compiles: the stage that builds wheels has neither."""
    compiled = {
        row.package: framework
        for framework in matrix.frameworks
        for row in matrix.companions(framework)
        if row.role is CompanionRole.EXTENSION
    }
    problems = [
        Problem(
            what=f"{image.name}: {package} compiles against {compiled[package]}, which is not supported yet",
            where=Location(file="declaration", key=f"{image.key}.build_from_source"),
            because=(f"the facts know it as an extension of {compiled[package]}: data show {package}",),
            remedy='build its wheel against the locked framework, in an image with flavor = "devel", '
            "and name the file in `packages` (./wheels/...)",
        )
        for image in images
        for package in sorted(_built(image) & compiled.keys())
    ]
    if problems:
        raise NegativeAnswer(problems)


def _built(image: ImageDeclaration) -> set[str]:
    commits = {normal(named(text)) for text in image.contents.packages if "@ git+" in text}
    return commits | set(image.contents.from_source)

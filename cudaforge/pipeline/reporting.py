"""From verdicts to evidence: reports in files, and attestations at images in their registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cudaforge import __version__
from cudaforge.declaration.model import Declaration
from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.files import write_atomically
from cudaforge.pipeline.outside import find_site, registry_access
from cudaforge.pipeline.publishing import pushed_image
from cudaforge.records import record, replace
from cudaforge.registry import Attached, attach, find_subject
from cudaforge.report.evidence import Proof

TOOL = f"cudaforge {__version__}"
FORMATS: Mapping[str, tuple[str, ...]] = {
    "html": (".html", ".htm"),
    "junit": (".xml",),
    "markdown": (".md", ".markdown"),
    "attestation": (".jsonl", ".json"),
}
"""Each format with the endings of files that mean it."""
_ATTACH_SECONDS = 120.0


@record()
class AttachedProof:
    """An image whose attestation is in its registry."""

    name: str
    reference: str
    attached: Attached


def format_of(path: Path) -> str:
    """The format that a file's ending means. Raises InputError for another."""
    for name, endings in FORMATS.items():
        if path.suffix.lower() in endings:
            return name
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise InputError(
        Problem(
            what=f"{show(path.name)} does not say by its ending which report it is to be",
            where=Location(file="command line"),
            remedy=f"end it with one of {known}",
        )
    )


def report_text(proofs: Sequence[Proof], form: str) -> str:
    """The report in one of FORMATS. An attestation is one line for each image that has a verdict."""
    return _WRITERS[form](proofs)


def write_reports(proofs: Sequence[Proof], paths: Sequence[Path]) -> None:
    """Write each file in the format that its ending means. Raises InputError before anything is written."""
    for path, form in [(path, format_of(path)) for path in paths]:
        write_atomically(path, report_text(proofs, form))


def attach_all(proofs: Sequence[Proof], declaration: Declaration) -> tuple[AttachedProof, ...]:
    """Attach each verdict to its image in its registry: where it was pushed last, else under its own tag.

    Raises NegativeAnswer where an image has no verdict, or its registry another image;
    SurroundingsError where the registry fails. Images before that one keep what was attached to them.
    """
    from cudaforge.report.attestation import MEDIA_TYPE, PREDICATE, statement_text

    access = registry_access(find_site(declaration), timeout=_ATTACH_SECONDS)
    done = []
    for proof in proofs:
        verdict = proof.verdict
        if verdict is None or not verdict.image_id:
            raise NegativeAnswer(
                Problem(
                    what=f"{proof.name}: {proof.summary}: there is nothing to attach",
                    remedy=f"cudaforge {'build' if proof.failed else 'verify'} {proof.name}",
                )
            )
        pushed = pushed_image(proof.name, verdict.image_id, declaration)
        reference = pushed or verdict.reference
        if "/" not in reference:
            raise NegativeAnswer(
                Problem(
                    what=f"{proof.name}: {reference} is in no registry to attach anything in",
                    remedy="declare project.registry, lock again, then cudaforge build --push and verify",
                )
            )
        try:
            subject = find_subject(reference, access, image_id=verdict.image_id)
        except NegativeAnswer as error:
            raise error if pushed is not None else _not_pushed(proof.name, error) from None
        attached = attach(
            reference,
            access,
            subject=subject,
            media_type=MEDIA_TYPE,
            content=statement_text(verdict, tool=TOOL, subject=subject.digest).encode(),
            annotations={"in-toto.io/predicate-type": PREDICATE},
        )
        done.append(AttachedProof(name=proof.name, reference=reference, attached=attached))
    return tuple(done)


def _not_pushed(name: str, error: NegativeAnswer) -> NegativeAnswer:
    """The registry's no, of an image that this project has not pushed."""
    remedy = f"push it first: cudaforge build {name} --push"
    return NegativeAnswer(
        replace(problem, because=(*problem.because, "it was not pushed from here"), remedy=remedy)
        for problem in error.problems
    )


def _html(proofs: Sequence[Proof]) -> str:
    from cudaforge.report.page import page_text

    return page_text(proofs, tool=TOOL)


def _junit(proofs: Sequence[Proof]) -> str:
    from cudaforge.report.junit import junit_text

    return junit_text(proofs)


def _markdown(proofs: Sequence[Proof]) -> str:
    from cudaforge.report.markdown import markdown_text

    return markdown_text(proofs)


def _attestation(proofs: Sequence[Proof]) -> str:
    from cudaforge.report.attestation import statement_text

    return "".join(
        statement_text(proof.verdict, tool=TOOL)
        for proof in proofs
        if proof.verdict is not None and proof.verdict.image_id
    )


_WRITERS: Mapping[str, Callable[[Sequence[Proof]], str]] = {
    "html": _html,
    "junit": _junit,
    "markdown": _markdown,
    "attestation": _attestation,
}

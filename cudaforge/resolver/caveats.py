"""What an answer has to be read with: what it ignores, and what is known or not known of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from cudaforge.matrix.companion import CompanionRole
from cudaforge.matrix.model import Broken, CudaProvider
from cudaforge.matrix.sources import Source
from cudaforge.resolver.candidates import is_confirmed
from cudaforge.resolver.case import Case
from cudaforge.resolver.coverage import is_seen
from cudaforge.resolver.packages import named, newest_asked, normal
from cudaforge.resolver.picked import Picked
from cudaforge.resolver.rules.broken import broken_parts, is_about, is_on
from cudaforge.resolver.rules.scene import DEFAULT_PLATFORM
from cudaforge.resolver.solver import Blocks, Domains
from cudaforge.versions import VersionWish

_OF_CUDA = ("gpus", "driver", "cudnn", "flavor", "toolkit", "cuda_provider", "forward_compat")


def caveats(case: Case, rows: Picked, domains: Domains) -> Iterator[str]:
    """The warnings of one answer."""
    question, environment = case.question, rows.environment
    if environment.os.eol is not None and environment.os.eol < case.scene.tables.matrix.as_of:
        yield f"regular support of {environment.os.id} ended on {environment.os.eol}"
    yield from _old_driver(case)
    yield from _boards(case)
    says_platform = any(wish.named.apart_from(DEFAULT_PLATFORM) for wish in question.gpus)
    ignored = [key for key in _OF_CUDA if question.bit(key) and not (key == "gpus" and says_platform)]
    if case.scene.cpu and ignored:
        yield "a CPU twin does not use: " + ", ".join(ignored)
    yield from _forward(case, rows)
    yield from _unseen(case, rows)
    yield from _broken(case, domains)
    yield from _overtaken(case, rows)
    yield from _compiled(case)
    yield from disputes(_sources(case, rows))


def disputes(sources: Iterable[Source]) -> Iterator[str]:
    """What other sources say otherwise of the rows that name these."""
    told = (one.sentence() for source in sources for one in source.disputes)
    yield from dict.fromkeys(told)


def _sources(case: Case, rows: Picked) -> Iterator[Source]:
    """The sources of all rows that an answer is made of."""
    question, matrix = case.question, case.scene.tables.matrix
    yield from (one.source for one in question.frameworks)
    for build in rows.builds:
        yield from (row.source for row in build.rows)
        yield from (matrix.indexes[row.index].source for row in build.rows if row.index in matrix.indexes)
    for release in (rows.cuda, rows.cudnn, rows.toolkit(case)):
        if release is not None:
            yield release.source
    yield rows.environment.source
    yield rows.environment.os.source
    if rows.environment.standalone is not None:
        yield rows.environment.standalone.source
    yield from (gpu.source for wish in question.gpus for gpu in wish.gpus)
    yield from (row.source for wish in question.packages for row in wish.rows)
    if rows.environment.gate is not None:
        yield from (branch.source for branch in matrix.driver_branches)


def _old_driver(case: Case) -> Iterator[str]:
    """The oldest driver of the fleet may be of a branch that gets no more fixes."""
    driver, matrix = case.question.driver, case.scene.tables.matrix
    if driver is None or case.scene.cpu:
        return
    for one in matrix.driver_branches:
        # A branch that ends in a month is supported in it.
        if one.branch == driver.major and one.eol is not None and one.eol < matrix.as_of[: len(one.eol)]:
            yield f"support of driver branch {one.branch} ended in {one.eol} {one.source.citation()}"


def _boards(case: Case) -> Iterator[str]:
    """Drivers of embedded GPUs are numbered and updated apart from those that driver floors are about."""
    names = [wish.item.word.partition("=")[2] for wish in case.question.gpus if "embedded" in wish.kinds]
    if names and not case.scene.cpu:
        what = "the driver comes with the board's software (JetPack), and which CUDA that runs is not known"
        yield f"{', '.join(names)}: {what} here"


def _forward(case: Case, rows: Picked) -> Iterator[str]:
    """Between the branches that forward compatibility works on there are others that it does not."""
    toolkit = rows.toolkit(case)
    if rows.cuda is None or toolkit is None or not case.question.wishes.forward_compat:
        return
    branches = ", ".join(map(str, sorted(toolkit.compat_branches)))
    yield (
        f"forward compatibility is for data-centre GPUs on driver branches {branches} and drivers from "
        f"{toolkit.driver} on; the host's container toolkit has to enable it (1.17.5 or newer) "
        f"{toolkit.source.citation()}"
    )


def _unseen(case: Case, rows: Picked) -> Iterator[str]:
    """Builds that are chosen for no GPU in particular, and of which nobody knows the GPUs."""
    for framework, build in zip(case.question.frameworks, rows.builds, strict=True):
        if build.row.provider is not CudaProvider.NONE and not is_seen(build):
            what = f"which GPUs {framework.name} {build.label} has code for is not known"
            yield f"{what} {build.row.source.citation()}"


def _broken(case: Case, domains: Domains) -> Iterator[str]:
    """Combinations that the answer is or may be: not fatal, on GPUs that nobody named, or unconfirmed."""
    known = case.scene.tables.keep(("caveats", case.scene.asked), partial(_known, case))
    for row, position, parts in known:
        if any(domains[variable] & ~mask for variable, mask in parts):
            continue
        text = _told(case, row, position)
        if text is not None:
            yield f"{text} {row.source.citation()}"
            yield from disputes((row.source,))


def _known(case: Case) -> list[tuple[Broken, int, Blocks]]:
    """Every combination that is about one of the frameworks, which one, and the values that it is made of."""
    tables = case.scene.tables
    return [
        (row, position, broken_parts(tables, table, row, position))
        for row in tables.matrix.broken
        for position, table in enumerate(case.scene.frameworks)
        if is_about(row, table)
    ]


def _told(case: Case, row: Broken, position: int) -> str | None:
    """What to say of a combination whose parts the answer has, of several frameworks which one it is about;
    None where it does not concern it."""
    question = case.question
    doubt = "" if is_confirmed(row.source) else "not confirmed: "
    name = question.frameworks[position].name if len(question.frameworks) > 1 else ""
    if "capability" not in row.when:
        subject = f"{name}: " if name else ""
        return f"{doubt}{subject}{row.effect}" if doubt or not row.is_fatal else None
    if case.scene.cpu:
        return None
    wish, subject = VersionWish(row.when["capability"]), f"{name} " if name else ""
    named = [gpu.item.word.partition("=")[2] for gpu in question.gpus if is_on(wish, gpu)]
    if named and (doubt or not row.is_fatal):
        return f"{doubt}{subject}on {', '.join(named)}: {row.effect}"
    return None if question.gpus else f"{doubt}{subject}on GPUs of compute capability {wish}: {row.effect}"


def _overtaken(case: Case, rows: Picked) -> Iterator[str]:
    """Packages whose newest known release is made for another release of the framework: an index then gives
    an older one, or none; and those of which nobody knows whether they go with it."""
    if not case.question.wishes.packages:
        return
    for framework, build in zip(case.question.frameworks, rows.builds, strict=True):
        known = case.scene.tables.matrix.companions(framework.name, CompanionRole.EXTENSION)
        for text in case.question.wishes.packages:
            newest = newest_asked(text, known)
            if newest is None or newest.goes_with(build.version):
                continue
            if newest.needs.allows(build.version) and newest.is_unknown:
                yield (
                    f"it is not known whether {newest.package} {newest.version} goes with {framework.name} "
                    f"{build.version}: it is compiled against one release, and that it needs {newest.needs} "
                    f"says nothing of later ones {newest.source.citation()}"
                )
            else:
                yield (
                    f"{newest.package} {newest.version}, the newest known, is made for {framework.name}"
                    f"{newest.fits}: next to {framework.name} {build.version} an index may give an "
                    f"older one, or none; pin the release that you need {newest.source.citation()}"
                )


def _compiled(case: Case) -> Iterator[str]:
    """Packages that would have to be compiled against a framework, which locking refuses."""
    wishes = case.question.wishes
    if not wishes.packages:
        return
    asked = dict.fromkeys(normal(named(text)) for text in wishes.packages)
    for framework in case.question.frameworks:
        known = case.scene.tables.matrix.companions(framework.name, CompanionRole.EXTENSION)
        newest = {row.package: row for row in known}
        for package in asked:
            row = newest.get(package)
            if row is None or package in wishes.wheels:
                continue
            is_source = package in wishes.from_source
            if is_source or row.source_only:
                where = "asked for as source" if is_source else "on the package index as source alone"
                yield (
                    f"{package} is {where}, which compiles against {framework.name}: lock refuses it; "
                    'build its wheel in an image with flavor = "devel", and name the file in packages '
                    f"{row.source.citation()}"
                )

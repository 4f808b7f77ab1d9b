"""With which releases of a framework packages do not go, asked of the package indexes for many at once and
not one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from cudaforge.indexes import DEFAULT_INDEX
from cudaforge.matrix.model import FrameworkBuild
from cudaforge.packages.model import ClosureRequest
from cudaforge.packages.needs import clauses_between
from cudaforge.packages.uv import NoClosure
from cudaforge.records import record, replace
from cudaforge.resolver import Obstacle
from cudaforge.resolver.learnt import exact_versions, is_within
from cudaforge.resolver.model import FrameworkChoice

Look = Callable[[ClosureRequest], Mapping[str, str] | NoClosure | None]
"""What a set of wheels has, by package, or why there is none; None where nobody can say."""
_MAX_STEPS = 4
"""Questions for a newer release, after which the newest one counts as not found."""
_MANY = 2
"""Releases of which it is worth saying something together."""
NEWEST_GLIBC = "2.999"
"""Next to which every wheel loads that loads next to any."""


@record(kw_only=False, eq=False)
class _Search:
    """One framework that failed, and the question about it."""

    request: ClosureRequest
    package: str
    """What stands for the framework on its index."""
    failed: str
    framework: FrameworkChoice
    rows: Sequence[FrameworkBuild]
    named: tuple[str, ...]
    """The packages that the failure is about, as it seems."""
    look: Look

    @property
    def everything(self) -> tuple[str, ...]:
        """All packages and limits of the image."""
        return (*self.request.packages, *self.request.limits)

    def ask(
        self, versions: str, texts: Collection[str], *, glibc: str | None = None
    ) -> Mapping[str, str] | NoClosure | None:
        """What goes with one of these versions of the framework, of whatever build."""
        text = f"{self.package}{versions}"
        asked = only(self.request, texts)
        index = self.framework.index
        return self.look(
            replace(
                asked,
                requirements=(text,),
                constraints=(),
                index_of={text: index} if index in asked.indexes else {},
                glibc=glibc or asked.glibc,
            )
        )

    def prove(self, versions: str, texts: tuple[str, ...]) -> Obstacle | None:
        """That these packages go with none of these versions; None where they do, or it is about few."""
        if self.covered(versions) < _MANY:
            return None
        for glibc in (NEWEST_GLIBC, self.request.glibc):  # what fails next to the newest fails next to any
            refusal = self.ask(versions, texts, glibc=glibc)
            if isinstance(refusal, NoClosure):
                return self._obstacle(versions, texts, refusal, None if glibc == NEWEST_GLIBC else glibc)
        return None

    def _obstacle(
        self, versions: str, texts: tuple[str, ...], refusal: NoClosure, glibc: str | None
    ) -> Obstacle:
        clauses = tuple(clauses_between(refusal.explanation, self.package, texts))
        because = f" ({clauses[-1]})" if clauses else ""  # the last one is what the others come to
        verb = "go" if len(texts) > 1 else "goes"
        return Obstacle(
            packages=texts,
            python=self.request.python,
            glibc=glibc,
            excluded=(self.package, versions),
            index=self.framework.index,
            text=f"{' and '.join(texts)} {verb} with no {self.package}{versions}{because}",
        )

    def covered(self, versions: str) -> int:
        """How many known releases, on the framework's own index, are among these versions. None counts where
        the default index, which is asked first, is not known to have all of them."""
        of_index = {row.version for row in self.rows if row.index == self.framework.index}
        by_default = {row.version for row in self.rows if row.index == DEFAULT_INDEX}
        covered = {one for one in of_index if is_within(one.text, versions)}
        return len(covered) if covered <= by_default else 0


def find_span(
    request: ClosureRequest,
    framework: FrameworkChoice,
    rows: Sequence[FrameworkBuild],
    *,
    named: tuple[str, ...],
    look: Look,
) -> Obstacle | None:
    """The releases around the one that failed of which none goes with the packages, as a question about all
    of them proves; None where they are fewer than two, or where another reason is in the way.

    `rows` are the builds of the framework, `named` the packages that the failure is about.
    """
    search = _open(request, framework, rows, named or (*request.packages, *request.limits), look)
    if search is None:
        return None
    for versions, texts in _candidates(search):
        found = search.prove(versions, texts)
        if found is not None:
            return _fewest(search, versions, found)
    return None


def renewed_span(
    obstacle: Obstacle,
    request: ClosureRequest,
    framework: FrameworkChoice,
    rows: Sequence[FrameworkBuild],
    *,
    look: Look,
) -> Obstacle | None:
    """What was proven for another Python, proven for that of the request; None where it does not hold there,
    or says nothing of its framework."""
    package, versions = obstacle.excluded or ("", "")
    pin = _own_pin(framework)
    if pin is None or pin[0] != package or not is_within(pin[1], versions):
        return None
    search = _open(request, framework, rows, obstacle.packages, look)
    return None if search is None else search.prove(versions, obstacle.packages)


def only(request: ClosureRequest, texts: Collection[str]) -> ClosureRequest:
    """The request with these of its packages and limits alone."""
    return replace(
        request,
        packages=tuple(text for text in request.packages if text in texts),
        limits=tuple(text for text in request.limits if text in texts),
    )


def _own_pin(framework: FrameworkChoice) -> tuple[str, str] | None:
    """The package whose version is the framework's release."""
    release = framework.version.public()
    for name, version in exact_versions(framework.requires):
        public = version.partition("+")[0]
        if public == release.text:
            return name, public
    return None


def _open(
    request: ClosureRequest,
    framework: FrameworkChoice,
    rows: Sequence[FrameworkBuild],
    named: tuple[str, ...],
    look: Look,
) -> _Search | None:
    """The search for a framework; None where its release cannot be had whatever goes with it."""
    pin = _own_pin(framework)
    if pin is None:
        return None
    search = _Search(request, *pin, framework, rows, named, look)
    return search if isinstance(search.ask(f"=={search.failed}", ()), Mapping) else None


def _candidates(search: _Search) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Versions that include the failed one and that may not go with packages, the widest statement first."""
    below, newest = f"<={search.failed}", ""
    for _ in range(_MAX_STEPS):
        found = search.ask(f">{newest},{below}" if newest else below, search.everything)
        if isinstance(found, Mapping):
            newest = found.get(search.package, search.failed).partition("+")[0]
        if found is None or newest == search.failed:
            return
        if newest:
            yield f">{newest}", search.named
        elif isinstance(found, NoClosure):
            yield "", search.named
        if isinstance(found, NoClosure):
            bounded = f">{newest},{below}" if newest else below
            yield bounded, search.named
            yield bounded, search.everything
            return


def _fewest(search: _Search, versions: str, proven: Obstacle) -> Obstacle:
    """The same without every package that it does not take."""
    for one in proven.packages if len(proven.packages) > 1 else ():
        rest = tuple(text for text in proven.packages if text != one)
        proven = (search.prove(versions, rest) if rest else None) or proven
    return proven

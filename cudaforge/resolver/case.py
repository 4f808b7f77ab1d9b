"""One image's question with its rules bound: solved under all wishes or under some of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property, lru_cache

from cudaforge.declaration.model import Flavor, Wishes
from cudaforge.matrix.model import CudaProvider
from cudaforge.matrix.tables import Matrix
from cudaforge.resolver.candidates import BOOTSTRAP
from cudaforge.resolver.earlier import Earlier, kept_first
from cudaforge.resolver.learnt import Obstacle
from cudaforge.resolver.model import PythonProvider
from cudaforge.resolver.policy import criteria, policy_of
from cudaforge.resolver.question import Question, ask
from cudaforge.resolver.rules import RankedBounds, fact_bounds, wish_bounds
from cudaforge.resolver.rules.scene import FIRST_FRAMEWORK, Bound, Scene, wished_patches
from cudaforge.resolver.solver import Criterion, Domains, Exclusion, Network, Total
from cudaforge.resolver.tables import Tables, tables_of


class Case:
    """What one image asks, ready to be solved as often as an explanation needs."""

    def __init__(
        self,
        question: Question,
        tables: Tables,
        host_os: str | None = None,
        earlier: Earlier | None = None,
        *,
        identity: Hashable = None,
        is_wide: bool = True,
    ) -> None:
        self.question = question
        self.identity = identity
        """What stands for the values that there are, of whatever width."""
        self.is_wide = is_wide
        """Whether standalone Pythons are among them. They are many, and seldom wanted."""
        self._earlier = earlier
        self.host_os = host_os
        cpu = next((item.bit for item in question.items if item.word == "cuda=none"), 0)
        self.scene = Scene(
            question, tables, tuple(tables.framework(one.name) for one in question.frameworks), cpu
        )
        kept = () if earlier is None else kept_first(self.scene, earlier)
        self.criteria: tuple[Criterion | Total, ...] = (*kept, *criteria(self.scene))
        self._presences = (1 << len(self.scene.frameworks)) - 1

    def widened(self) -> Case:
        """The same case with the answers that have a standalone Python."""
        return _case(self.question, self.scene.tables.matrix, self.host_os, self._earlier, is_wide=True)

    @cached_property
    def everything(self) -> Domains:
        """All values of each variable."""
        tables = self.scene.tables
        return (
            (1 << len(tables.cuda)) - 1,
            (1 << len(tables.cudnn)) - 1,
            (1 << len(tables.environments)) - 1,
            *(table.everything for table in self.scene.frameworks),
        )

    @cached_property
    def bounds(self) -> tuple[Bound, ...]:
        """All constraints, wishes and facts alike, in the order of the rules."""
        ranked = {**self._facts, **self._wishes}
        return tuple(bound for rank in sorted(ranked) for bound in ranked[rank])

    @cached_property
    def _facts(self) -> RankedBounds:
        return self.scene.tables.keep(("facts", self.scene.asked), lambda: fact_bounds(self.scene))

    @cached_property
    def _wishes(self) -> RankedBounds:
        return wish_bounds(self.scene)

    def active(self, wished: int, lifting: int = 0) -> tuple[Bound, ...]:
        """The bounds that hold while the wishes of these bits do; the others that are lifting keep defaults
        away and ask for nothing."""
        return tuple(bound for bound in self.bounds if _holds(bound, wished, wished | lifting))

    def network(self, wished: int) -> Network:
        """The constraints under these wishes."""
        if self._presences & ~wished:
            return Network(self.everything, [bound.constraint for bound in self.active(wished)])
        of_facts = self.scene.tables.keep(("network", self.scene.asked), self._fact_network)
        wishes = (bound for part in self._wishes.values() for bound in part)
        return of_facts.extended([one.constraint for one in wishes if _holds(one, wished, wished)])

    def _fact_network(self) -> Network:
        """What every image of these frameworks starts from."""
        facts = [bound.constraint for part in self._facts.values() for bound in part]
        return Network(self.everything, facts).extended(())

    def best(self, wished: int) -> Domains | None:
        """The best answer under these wishes. Images whose wishes leave the same values, by the same policy,
        share it: the points of a matrix often do."""
        network = self.network(wished)
        if self._earlier is not None:
            return network.best(self.criteria)
        key = ("best", self.scene.asked, policy_of(self.scene), network.start, network.added)
        return self.scene.tables.keep(key, lambda: network.best(self.criteria))

    @property
    def unreleased(self) -> tuple[int, ...]:
        """The frameworks of which there is no build at all, by position: before their first release, say."""
        return tuple(place for place, table in enumerate(self.scene.frameworks) if not table.everything)

    def has_answer(self, wished: int) -> bool:
        """Whether an answer exists under these wishes."""
        return self.network(wished).best(()) is not None

    def behind(self, core: int) -> tuple[Bound, ...]:
        """The bounds of wishes that collide: those of no platform where they suffice, else of the one that
        is asked for, and only then of the default one."""
        asked = self.question.bit("platforms")
        worlds = (self.active(core, asked), self.active(core | asked)) if asked else ()
        for bounds in worlds:
            if Network(self.everything, [bound.constraint for bound in bounds]).best(()) is None:
                return bounds
        return self.active(core)

    def collides_always(self, core: int) -> bool:
        """Whether these wishes have no answer whatever else is asked for, as long as nothing is that lifts a
        default which the other wishes of this case leave in force."""
        everything = self.question.all_bits
        bounds = [one for one in self.bounds if one.needs & ~core == 0 and one.unless & everything == 0]
        return Network(self.everything, [one.constraint for one in bounds]).best(()) is None

    def answers(self) -> Iterator[Domains]:
        """The best answer of every choice of framework builds, best first."""
        network = self.network(self.question.all_bits)
        while (domains := network.best(self.criteria)) is not None:
            yield domains
            network = network.extended([self._same_builds(domains)])

    def _same_builds(self, domains: Domains) -> Exclusion:
        parts = []
        for position, table in enumerate(self.scene.frameworks):
            variable = FIRST_FRAMEWORK + position
            label = table.candidates[domains[variable].bit_length() - 1].label
            parts.append((variable, table.by("label", lambda one: one.label)[label]))
        return Exclusion(tuple(parts))


def _holds(bound: Bound, wished: int, lifting: int) -> bool:
    return bound.needs & ~wished == 0 and bound.unless & lifting == 0


def open_case(
    wishes: Wishes,
    matrix: Matrix,
    *,
    host_os: str | None = None,
    earlier: Earlier | None = None,
    is_wide: bool = False,
    learnt: Sequence[Obstacle] = (),
) -> Case:
    """The case of one image; what an earlier answer chose goes before the policy, and what was `learnt` of
    packages is a fact like others. Raises InputError as `ask` does.

    Its answers are those without a standalone Python, as long as none is asked for, was chosen earlier, or
    `is_wide`: by the policy these go before all others. Where there is none, `settled` looks on.
    """
    question = ask(wishes, matrix, host_os=host_os, learnt=learnt)
    is_standalone = wishes.python_provider == PythonProvider.STANDALONE.value
    is_wide = is_wide or is_standalone or (earlier is not None and earlier.standalone is not None)
    return _case(question, matrix, host_os, earlier, is_wide=is_wide)


def _case(
    question: Question, matrix: Matrix, host_os: str | None, earlier: Earlier | None, *, is_wide: bool
) -> Case:
    kept = earlier.standalone if earlier is not None else None
    patches = tuple(
        dict.fromkeys((*wished_patches(question.wishes.python), *([f"=={kept}"] if kept else ())))
    )
    has_cuda_images = _may_use_cuda_images(question, matrix)
    is_forward = question.wishes.forward_compat
    tables = tables_of(
        matrix,
        question.base,
        question.own,
        has_cuda_images=has_cuda_images,
        is_forward=is_forward,
        standalone=patches if is_wide else None,
    )
    identity = (question.base, question.own, has_cuda_images, is_forward, patches)
    return Case(question, tables, host_os, earlier, identity=identity, is_wide=is_wide)


def settled(case: Case) -> tuple[Case, Domains | None]:
    """The best answer of all, and the case that it is one of; None where there is none at all."""
    domains = case.best(case.question.all_bits)
    if domains is not None or case.is_wide:
        return case, domains
    wide = case.widened()
    return wide, wide.best(wide.question.all_bits)


def _may_use_cuda_images(question: Question, matrix: Matrix) -> bool:
    """Whether a base that brings CUDA can be an answer: wheels on such a base carry CUDA twice, so that it
    is offered to them only where a toolkit is the point."""
    wishes = question.wishes
    return (
        (question.base is not None and not _is_plain(question.base, matrix))
        or wishes.toolkit is not None
        or wishes.forward_compat
        or wishes.flavor is Flavor.DEVEL
        or wishes.cuda_provider == CudaProvider.SYSTEM.value
        or any(_takes_cuda_of_base(matrix, framework.name) for framework in question.frameworks)
    )


@lru_cache(maxsize=64)
def _takes_cuda_of_base(matrix: Matrix, framework: str) -> bool:
    return any(row.provider is CudaProvider.SYSTEM for row in matrix.builds(framework))


def _is_plain(base: str, matrix: Matrix) -> bool:
    return base.startswith(BOOTSTRAP) or any(image.reference == base for image in matrix.plain_images)


def reopened(case: Case, wishes: Wishes) -> Case:
    """The case of other wishes on the same facts."""
    return open_case(
        wishes,
        case.scene.tables.matrix,
        host_os=case.host_os,
        is_wide=case.is_wide,
        learnt=case.question.learnt,
    )

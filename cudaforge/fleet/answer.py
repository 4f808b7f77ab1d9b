"""One image of a declaration on all machines of a fleet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cudaforge.declaration.model import Declaration, FleetNode, Wishes
from cudaforge.errors import InputError, Problem
from cudaforge.fleet.cover import LIMIT, smallest_cover
from cudaforge.fleet.model import FleetAnswer, FleetImage, NodeGroup, ServedGroup, Unserved
from cudaforge.fleet.products import is_known_product, unknown_product
from cudaforge.matrix.tables import Matrix
from cudaforge.records import replace
from cudaforge.resolver import Conflict
from cudaforge.resolver.joint import Joint, Rank
from cudaforge.resolver.main import keyed
from cudaforge.resolver.solver import Domains


def answer_fleet(
    declaration: Declaration,
    nodes: Sequence[FleetNode],
    matrix: Matrix,
    *,
    host_os: str | None = None,
    limit: int = LIMIT,
) -> tuple[FleetAnswer, ...]:
    """For each image the smallest set of images that serves all nodes that can be served, and who gets which.

    The nodes' GPUs and drivers stand in place of the image's own; a CPU twin has no use for either. Of the
    sets with as few images, the one that is best for the group with the most machines, then for the largest
    that this image does not serve, and so on; a node gets the best of the images that serve it. After `limit`
    steps without a proof the set may not be the smallest, and says so.

    Raises InputError as `resolve_all` does.
    """
    groups = _grouped(nodes)
    problems: list[Problem] = []
    answers: list[FleetAnswer] = []
    known: dict[str, FleetAnswer] = {}
    for image in declaration.images:
        # What is left of the wishes: points that differ in GPUs and driver alone share the work.
        wishes = replace(image.wishes, gpus=(), driver=None)
        identity = repr(wishes)
        try:
            if identity not in known:
                known[identity] = _answer(wishes, groups, matrix, host_os=host_os, limit=limit)
            answers.append(replace(known[identity], name=image.name))
        except InputError as error:
            problems += [keyed(problem, image.key) for problem in error.problems]
    if problems:
        raise InputError(tuple(dict.fromkeys(problems)))
    return tuple(answers)


def _answer(
    wishes: Wishes, groups: Sequence[NodeGroup], matrix: Matrix, *, host_os: str | None, limit: int
) -> FleetAnswer:
    """The answer of one image, which still has no name."""
    known = [one for one in groups if wishes.is_cpu or _are_known(one, matrix)]
    unserved = [_unknown(one, matrix) for one in groups if one not in known]
    if not known:
        return FleetAnswer(name="", images=(), unserved=tuple(unserved), is_smallest=True)
    joint = Joint([_wishes(wishes, one) for one in known], matrix, host_os=host_os)
    fleet = _Fleet(joint)
    cover = smallest_cover(fleet, fleet.servable, limit=limit)
    images = tuple(_images(joint, fleet, known, cover.answers))
    unserved += [
        Unserved(groups=(group,), conflict=joint.conflict(number))
        for number, group in enumerate(known)
        if not any(group is one.group for served in images for one in served.groups)
    ]
    return FleetAnswer(
        name="",
        images=images,
        unserved=tuple(_merged(unserved)),
        is_smallest=cover.is_smallest,
    )


class _Fleet:
    """What the search for a cover asks: each need is a kind of wishes that are met by the same answers."""

    def __init__(self, joint: Joint) -> None:
        self._joint = joint
        self._kinds = joint.kinds()
        found = (self.best(1 << kind) for kind in range(len(self._kinds)))
        self.servable = sum(1 << kind for kind, answer in enumerate(found) if answer is not None)

    def members(self, needs: int) -> int:
        """The numbers of the wishes of these kinds, as a set."""
        return sum(one for kind, one in enumerate(self._kinds) if needs >> kind & 1)

    def best(self, needs: int) -> Domains | None:
        """The best answer that meets all of the set."""
        return self._joint.best(self.members(needs))

    def met(self, answer: Domains) -> int:
        """All kinds that an answer meets."""
        return sum(
            1 << kind
            for kind, one in enumerate(self._kinds)
            if self._joint.meets(answer, (one & -one).bit_length() - 1)
        )

    def rank(self, answer: Domains) -> Rank:
        """How good an answer is by the policy."""
        return self._joint.rank(answer)


def _images(
    joint: Joint, fleet: _Fleet, groups: Sequence[NodeGroup], answers: Sequence[Domains]
) -> Iterator[FleetImage]:
    """The images with those who get them: everybody the best that serves them."""
    met = {answer: fleet.members(fleet.met(answer)) for answer in answers}
    got: dict[Domains, list[int]] = {answer: [] for answer in answers}
    for number in range(len(groups)):
        serving = [answer for answer in answers if met[answer] >> number & 1]
        if serving:
            got[min(serving, key=joint.rank)].append(number)
    for answer, numbers in got.items():
        if not numbers:
            continue
        served = []
        for number in numbers:
            own = joint.numbers(answer, number)
            served.append(
                ServedGroup(group=groups[number], driver_floor=own.driver_floor, binding=own.binding)
            )
        members = sum(1 << number for number in numbers)
        yield FleetImage(resolution=joint.resolution(answer, members), groups=tuple(served))


def _grouped(nodes: Iterable[FleetNode]) -> list[NodeGroup]:
    """Nodes with the same GPUs and driver together, those of the most machines first."""
    found: dict[tuple[frozenset[str], str | None], list[FleetNode]] = {}
    for node in nodes:
        found.setdefault((frozenset(node.gpus), node.driver), []).append(node)
    groups = [NodeGroup(gpus=own[0].gpus, driver=own[0].driver, nodes=tuple(own)) for own in found.values()]
    return sorted(groups, key=lambda one: -one.count)


def _wishes(wishes: Wishes, group: NodeGroup) -> Wishes:
    return wishes if wishes.is_cpu else replace(wishes, gpus=group.gpus, driver=group.driver)


def _are_known(group: NodeGroup, matrix: Matrix) -> bool:
    return all(is_known_product(gpu, matrix) for gpu in group.gpus)


def _unknown(group: NodeGroup, matrix: Matrix) -> Unserved:
    names = [gpu for gpu in group.gpus if not is_known_product(gpu, matrix)]
    conflict = Conflict(
        core=tuple(f"gpu={name}" for name in names),
        keys=("gpus",),
        reasons=tuple(unknown_product(name, matrix) for name in names),
        fixes=(),
    )
    return Unserved(groups=(group,), conflict=conflict)


def _merged(unserved: Iterable[Unserved]) -> Iterator[Unserved]:
    """Those with the same conflict told once."""
    found: dict[str, list[Unserved]] = {}
    for one in unserved:
        found.setdefault(repr(one.conflict), []).append(one)
    for alike in found.values():
        yield replace(alike[0], groups=tuple(group for one in alike for group in one.groups))

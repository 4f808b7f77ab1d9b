"""The gradient that every framework is measured by, and how its answers are judged."""

import copy
import math

import pytest

from cudaforge.codes import Code
from cudaforge.records import replace
from cudaforge.verifier.evidence import SEED, Fact
from cudaforge.verifier.model import CheckState
from cudaforge.verifier.outcomes import GRADIENT_MAY_DIFFER, judge_gradient
from cudaforge.verifier.probes import forward
from cudaforge.verifier.reference import differentiate, draw_challenge, find_reference
from tests.unit.verifier.reports import GRADIENT, results, situation, value

NETWORK = forward.make_network(SEED)
STEP = 1e-5


@pytest.mark.parametrize("name", ["kernels", "matrix", "bias"])
def test_the_gradient_is_the_slope_of_the_loss(name: str):
    """By central differences, which know nothing of the chain rule."""
    numbers = getattr(NETWORK, name)
    gradient = find_reference().gradients[name]
    assert len(gradient) == len(numbers)
    for index in range(0, len(numbers), max(1, len(numbers) // 12)):
        moved = []
        for step in (STEP, -STEP):
            changed = list(numbers)
            changed[index] += step
            moved.append(differentiate(NETWORK._replace(**{name: changed})).loss)
        assert math.isclose((moved[0] - moved[1]) / (2 * STEP), gradient[index], rel_tol=1e-5, abs_tol=1e-8)


def test_the_outputs_are_the_network_s_answer():
    assert list(find_reference().outputs) == forward.answer(NETWORK)


def test_every_challenge_is_new_and_stands_off_from_where_a_gradient_jumps():
    """Max pooling is not smooth where two are equal: rounding to 32 bits must not choose another."""
    challenges = {draw_challenge() for _ in range(8)}
    assert len(challenges) == 8
    for challenge in challenges:
        network = forward.make_network(challenge)
        rounded = network._replace(kernels=[number * (1 + 1e-6) for number in network.kernels])
        one, other = differentiate(network), differentiate(rounded)
        for name, gradient in one.gradients.items():
            worst = max(abs(a - b) for a, b in zip(gradient, other.gradients[name], strict=True))
            assert worst < 1e-4 * max(map(abs, gradient))


def test_an_answer_to_another_challenge_fails():
    """What was recorded once, or written down by hand, answers no later run."""
    assert judge_gradient(told(), SEED + 1).state is CheckState.FAIL
    seen = replace(situation(), challenge=SEED + 1)
    assert results(seen)["pytorch.gradient_cpu"].state is CheckState.FAIL


def told(**changes: object) -> Fact:
    return Fact({**copy.deepcopy(GRADIENT), "placed": ["cpu"], **changes})


def test_the_reference_itself_passes():
    assert judge_gradient(told()).state is CheckState.PASS


@pytest.mark.parametrize("name", ["kernels", "matrix", "bias"])
@pytest.mark.parametrize(
    ("share", "state"), [(0.5, CheckState.PASS), (2.0, CheckState.FAIL)], ids=["within", "beyond"]
)
def test_the_bound_is_of_the_largest_element(name: str, share: float, state: CheckState):
    gradients = copy.deepcopy(GRADIENT["gradients"])
    gradients[name][0] += share * GRADIENT_MAY_DIFFER * max(map(abs, gradients[name]))
    found = judge_gradient(told(gradients=gradients))
    assert found.state is state
    assert found.state is CheckState.PASS or found.code is Code.FRAMEWORK_BROKEN


@pytest.mark.parametrize(
    "gradients",
    [
        {},
        {**GRADIENT["gradients"], "bias": []},
        {**GRADIENT["gradients"], "bias": [None] * forward.CLASSES},
        {**GRADIENT["gradients"], "matrix": [0.0] * len(NETWORK.matrix)},
        {**GRADIENT["gradients"], "kernels": [-number for number in GRADIENT["gradients"]["kernels"]]},
    ],
    ids=["none", "empty", "not-numbers", "zero", "turned"],
)
def test_no_gradient_and_a_wrong_one_fail(gradients: dict):
    assert judge_gradient(told(gradients=gradients)).state is CheckState.FAIL


def test_a_gradient_that_was_not_asked_for_is_no_pass():
    seen = situation(lambda facts: facts["frameworks"]["pytorch"]["stages"].pop(3))
    assert results(seen)["pytorch.gradient_cpu"].state is CheckState.FAIL
    elsewhere = situation(value("pytorch", "gradient_cpu", placed=["cuda:0"]))
    assert results(elsewhere)["pytorch.gradient_cpu"].state is CheckState.FAIL

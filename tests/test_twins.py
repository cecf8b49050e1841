"""What is proved is what runs: each operator equals its sympy twin."""

import math

import pytest
import sympy as sp
import torch

from kdlib import operators, simplex, twins

PAIRS = {
    "escort": (operators.escort, twins.escort),
    "burg": (operators.burg, twins.burg),
    "tsallis": (
        lambda x, t: operators.tsallis(x, t, 0.5),
        lambda p, t: twins.tsallis(p, t, sp.Rational(1, 2)),
    ),
    "glue": (operators.glue, twins.glue),
    "layer_cake": (operators.layer_cake, twins.layer_cake),
    "matched_escort": (operators.matched_escort, twins.matched_escort),
}
ROWS = [(3, 1), (5, 3, 2), (1, 1, 4), (1, 1, 1, 1), (40, 7, 7, 2, 1)]
TEMPERATURES = [
    sp.Rational(1, 1000),
    sp.Rational(1, 4),
    sp.Rational(1),
    sp.Rational(2),
    sp.Integer(1000),
]


def worst_gap(tensor_form, twin, weights, temperature) -> float:
    """Largest difference of log-probabilities, relative where they are large."""
    p = [sp.Rational(w, sum(weights)) for w in weights]
    exact = [sp.log(x).evalf(40) for x in twin(p, temperature)]
    log_p = torch.tensor([float(sp.log(x).evalf(30)) for x in p], dtype=torch.float64)
    got = tensor_form(log_p, float(temperature)).tolist()
    return max(
        abs(float(sp.Float(g, 40) - e)) / (1 + abs(float(e)))
        for g, e in zip(got, exact, strict=True)
    )


# Dividing log p by T = 1/1000 multiplies the rounding of log p by 1000.
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("temperature", TEMPERATURES, ids=str)
def test_operator_equals_its_twin(name, temperature):
    bound = 1e-13 * max(1.0, 1 / float(temperature))
    for weights in ROWS:
        assert worst_gap(*PAIRS[name], weights, temperature) < bound, (name, weights)


@pytest.mark.parametrize("name", PAIRS)
def test_a_wrong_twin_is_noticed(name):
    tensor_form, twin = PAIRS[name]
    gap = worst_gap(
        tensor_form, lambda p, t: twin(p, t * sp.Rational(1001, 1000)), (5, 3, 2), sp.Integer(2)
    )
    assert gap > 1e-6


def test_burg_twin_solves_its_equation_exactly():
    p = [sp.Rational(1, 2), sp.Rational(1, 3), sp.Rational(1, 6)]
    q = twins.burg(p, sp.Integer(2))
    assert sp.simplify(sum(q) - 1).equals(0)
    # 1/q_i - 1/(T p_i) is the same nu for every class.
    nus = [(1 / x - 1 / (2 * y)).evalf(50) for x, y in zip(q, p, strict=True)]
    assert max(nus) - min(nus) < sp.Float("1e-45")


def test_entropy_twin():
    p = [sp.Rational(1, 2), sp.Rational(1, 4), sp.Rational(1, 4), sp.Integer(0)]
    log_p = simplex.from_probs(torch.tensor([float(x) for x in p], dtype=torch.float64))
    assert math.isclose(float(twins.entropy(p)), float(simplex.entropy(log_p)), rel_tol=1e-14)

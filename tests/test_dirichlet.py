"""Dirichlet teachers against scipy, exact arithmetic and sampling-free identities."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from flint import arb, ctx

from kdlib import dirichlet, operators, simplex

DTYPE = torch.float64
ROWS = [(0.3, 2.0, 5.0), (1.0, 1.0, 1.0), (40.0, 0.01, 3.0), (1e6, 3e6, 7e5), (49.9, 50.1, 2e9)]
ROWS += [(1e-300, 1e-300, 2e-300), (50.0, 60.0, 70.0)]


def exact_information(row) -> float:
    """Sum of m_i (digamma(a_i + 1) - log a_i) - (digamma(A + 1) - log A) at 200 bits."""
    before, ctx.prec = ctx.prec, 200
    try:
        total = sum(map(arb, row))
        terms = [arb(a) / total * ((arb(a) + 1).digamma() - arb(a).log()) for a in row]
        return float((sum(terms) - ((total + 1).digamma() - total.log())).mid())
    finally:
        ctx.prec = before


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_mutual_information_equals_exact_arithmetic(row):
    found = float(dirichlet.mutual_information(torch.tensor(row, dtype=DTYPE)))
    assert found == pytest.approx(exact_information(row), rel=1e-12, abs=0)
    assert found > 0


def test_mutual_information_is_an_entropy_gap():
    row = np.array([0.7, 2.5])
    beta = scipy.stats.beta(*row)
    inside = beta.expect(lambda x: -x * math.log(x) - (1 - x) * math.log(1 - x))
    mean = torch.tensor(row / row.sum()).log()
    found = dirichlet.mutual_information(torch.tensor(row))
    assert float(found) == pytest.approx(float(simplex.entropy(mean)) - inside, rel=1e-6)


def test_expected_kl_equals_quadrature_and_has_the_gradient_of_the_mean():
    row, student = torch.tensor([1.5, 3.0], dtype=DTYPE), torch.tensor([0.2, 0.8], dtype=DTYPE)

    def divergence(x):
        return x * math.log(x / 0.2) + (1 - x) * math.log((1 - x) / 0.8)

    expected = scipy.stats.beta(1.5, 3.0).expect(divergence)
    assert float(dirichlet.expected_kl(row, student.log())) == pytest.approx(expected, rel=1e-7)
    logits = torch.tensor([0.4, -1.0], dtype=DTYPE, requires_grad=True)
    dirichlet.expected_kl(row, logits.log_softmax(-1)).backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - row / row.sum())


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_tempering_evidence_is_mixing(temperature):
    evidence = torch.tensor([[4.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=DTYPE)
    total = evidence.sum(-1, keepdim=True)
    heat = 1 + (temperature - 1) * 3 / (3 + total)
    at_one = dirichlet.temper_evidence(evidence, 1.0)
    mixed = at_one.exp() / heat + (1 - 1 / heat) / 3
    found = dirichlet.temper_evidence(evidence, temperature)
    torch.testing.assert_close(found.exp(), mixed)
    if temperature > 1:
        torch.testing.assert_close(found, operators.glue(at_one, heat))


@pytest.mark.parametrize("temperature", [1e-310, 1e300])
def test_tempering_at_the_ends_of_the_temperature(temperature):
    evidence = torch.tensor([4.0, 1.0, 0.0], dtype=DTYPE)
    found = dirichlet.temper_evidence(evidence, temperature).exp()
    limit = evidence / 5 if temperature < 1 else torch.full_like(evidence, 1 / 3)
    torch.testing.assert_close(found, limit)


def test_vmap_gradients_and_meta():
    rows = torch.tensor([[0.3, 2.0, 60.0], [1.0, 5.0, 49.0]], dtype=DTYPE, requires_grad=True)
    assert torch.autograd.gradcheck(dirichlet.mutual_information, rows)
    assert torch.autograd.gradcheck(lambda e: dirichlet.temper_evidence(e, 2.0), rows)
    by_row = torch.func.vmap(dirichlet.mutual_information)(rows)
    torch.testing.assert_close(by_row, dirichlet.mutual_information(rows))
    with torch.device("meta"):
        assert dirichlet.mutual_information(torch.empty(5, 3)).shape == (5,)
        assert dirichlet.temper_evidence(torch.empty(5, 3), 2.0).shape == (5, 3)


def test_bad_input():
    good = torch.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="concentration must be finite and > 0, got 0"):
        dirichlet.mutual_information(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="evidence must be finite and >= 0, got -1"):
        dirichlet.temper_evidence(torch.tensor([1.0, -1.0]), 2.0)
    with pytest.raises(ValueError, match="temperature must be finite and > 0, got 0"):
        dirichlet.temper_evidence(good, 0.0)
    with pytest.raises(ValueError, match="temperature must be finite and > 0, got -2"):
        dirichlet.temper_evidence(good, torch.tensor([-2.0]))
    with pytest.raises(ValueError, match="temperature must have a last axis of size 1"):
        dirichlet.temper_evidence(good, torch.tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="concentration must be a floating-point tensor"):
        dirichlet.mutual_information(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="sums to 1"):
        dirichlet.expected_kl(good, good)

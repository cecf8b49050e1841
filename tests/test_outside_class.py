"""Mixing and gini: agreement with each other and with peers, gradients, transforms, bad inputs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from test_axioms import distributions, probs, temperatures
from torch.func import jacrev, vmap

from kdlib import operators as op
from kdlib.outside_class import gini, mixing

each = pytest.mark.parametrize("soften", [mixing, gini])
EASY = torch.stack([probs(0.5, 0.3, 0.2), probs(0.45, 0.35, 0.2)])


def close(found, wanted, atol=1e-12):
    torch.testing.assert_close(found.exp(), wanted.exp(), rtol=0, atol=atol)


@settings(max_examples=60, deadline=None)
@given(log_p=distributions(), t=temperatures())
def test_gini_is_the_projection_found_by_a_root_finder(log_p, t):
    """tau with sum max(p/T - tau, 0) = 1 lies between max p/T - 1 and max p/T."""
    z = log_p.exp() / t
    top = float(z.max())
    tau = brentq(lambda x: float((z - x).clamp(min=0).sum()) - 1, top - 1, top, xtol=1e-15)
    torch.testing.assert_close(
        gini(log_p, t).exp(), (z - tau).clamp(min=0), rtol=0, atol=1e-12 / min(t, 1)
    )


@settings(max_examples=60, deadline=None)
@given(log_p=distributions(), share=st.floats(1e-6, 1), t=temperatures())
def test_gini_is_the_mixture_where_that_exists(log_p, share, t):
    exits = 1 - len(log_p) * float(log_p.exp().min())
    between = max(exits, 1e-3) + share * (1 - exits) + 1e-9
    close(gini(log_p, between), mixing(log_p, between), 1e-13 / min(between, 1))
    warm = max(t, 1.0)
    close(mixing(log_p, warm), op.glue(log_p, warm))


def test_mixing_at_and_below_its_exit_temperature():
    log_p = probs(0.5, 0.25, 0.25)  # exit at T = 1/4, exact in binary
    assert mixing(log_p, 0.25).exp().tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"temperature must be >= 1 - V min p"):
        mixing(log_p, 0.2)
    assert bool(mixing(log_p, 0.2, validate=False)[1:].isnan().all())


def test_zeros_and_ties():
    log_p = probs(0.4, 0.4, 0.2, 0.0)
    for t in (1.0, 2.0, 1e3):
        q, r = mixing(log_p, t), gini(log_p, t)
        assert q[0] == q[1] and r[0] == r[1]
        assert (q[3] > -math.inf) == (t > 1)
        close(q, r)
    assert gini(log_p, 0.01).exp().tolist() == [0.5, 0.5, 0.0, 0.0]
    assert gini(probs(1.0, 0.0), 0.5).exp().tolist() == [1.0, 0.0]


@each
def test_gradients(soften):
    logits = EASY.clone().requires_grad_()
    for t in ([[0.7], [0.9]], [[1.5], [3.0]]):
        temperature = torch.tensor(t, dtype=torch.float64, requires_grad=True)
        arguments = (lambda z, x: soften(z.log_softmax(-1), x), (logits, temperature))
        assert torch.autograd.gradcheck(*arguments) and torch.autograd.gradgradcheck(*arguments)


def test_gradient_of_gini_where_entries_are_zero():
    log_p = probs(0.6, 0.3, 0.1).requires_grad_()
    (slope,) = torch.autograd.grad(gini(log_p, 0.4).exp()[0], log_p)
    # q_1 = (1 + (p_1 - p_2) / T) / 2 while the third label has nothing.
    torch.testing.assert_close(slope, torch.tensor([0.6, -0.3, 0.0]).double() / 0.8)


@each
def test_transforms(soften):
    t = torch.tensor([[0.8], [2.0]], dtype=torch.float64)
    expected = torch.stack([soften(x, float(y)) for x, y in zip(EASY, t, strict=True)])
    torch.testing.assert_close(soften(EASY, t), expected)
    torch.testing.assert_close(vmap(soften)(EASY, t), expected)
    assert bool(vmap(jacrev(soften))(EASY, t).isfinite().all())
    assert soften(torch.empty(3, 7, device="meta"), 2.0).shape == (3, 7)
    single = soften(EASY.float(), t.float())
    assert single.dtype == torch.float32
    close(single.double(), expected, 1e-6)


@each
def test_bad_input(soften):
    with pytest.raises(TypeError, match="log_probs.*int64"):
        soften(torch.zeros(2, 4, dtype=torch.int64), 2.0)
    with pytest.raises(ValueError, match="log_probs.*NaN"):
        soften(EASY * math.nan, 2.0)
    with pytest.raises(ValueError, match="log_probs.*row 0 sums to 1"):
        soften(EASY + 0.1, 2.0)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"temperature.*> 0, got {wrong}"):
            soften(EASY, wrong)
    with pytest.raises(ValueError, match="temperature.*last axis of size 1"):
        soften(EASY, torch.ones(2))


@pytest.mark.parametrize("size", [30_000, 100_000])
def test_gini_keeps_a_long_tail_at_temperature_one(size):
    # The identity there; a rough sum over so many labels would be off by a billionth.
    p = torch.arange(1, size + 1, dtype=torch.float64) ** -3
    p = p / p.sum()
    distance = float((gini(p.log(), 1.0).exp() - p).abs().sum()) / 2
    assert distance < torch.finfo(torch.float64).eps * size

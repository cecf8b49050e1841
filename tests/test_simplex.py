"""Entropies, orders and metrics on the simplex, against scipy and by their laws."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlib import simplex as sx

counts = st.lists(st.integers(0, 1000), min_size=2, max_size=8).filter(any)
small = settings(max_examples=80, deadline=None)


def distribution(weights) -> torch.Tensor:
    p = torch.tensor(weights, dtype=torch.float64)
    return sx.from_probs(p / p.sum())


def random_logits(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@small
@given(weights=counts)
def test_entropies_match_scipy(weights):
    log_p = distribution(weights)
    p = log_p.exp().numpy()
    assert math.isclose(float(sx.entropy(log_p)), scipy.stats.entropy(p), abs_tol=1e-12)
    q = p[p > 0]
    assert math.isclose(float(sx.renyi_entropy(log_p, 2)), -math.log((q**2).sum()), abs_tol=1e-12)
    assert math.isclose(float(sx.tsallis_entropy(log_p, 2)), 1 - (q**2).sum(), abs_tol=1e-12)
    assert math.isclose(float(sx.renyi_entropy(log_p, 0)), math.log(len(q)), abs_tol=1e-12)
    assert math.isclose(float(sx.renyi_entropy(log_p, math.inf)), -math.log(q.max()), abs_tol=1e-12)
    near = float(sx.renyi_entropy(log_p, 1 + 1e-6))
    assert math.isclose(near, float(sx.renyi_entropy(log_p, 1)), abs_tol=1e-4)


@small
@given(a=counts, seed=st.integers(0, 2**20))
def test_kl_matches_scipy(a, seed):
    b = np.random.default_rng(seed).integers(0, 9, len(a))
    if not b.any():
        b[0] = 1
    log_p, log_q = distribution(a), distribution(b.tolist())
    expected = scipy.stats.entropy(log_p.exp().numpy(), log_q.exp().numpy())
    assert math.isclose(
        float(sx.kl_divergence(log_p, log_q)), expected, rel_tol=1e-9, abs_tol=1e-12
    )


@small
@given(weights=counts, seed=st.integers(0, 2**20))
def test_doubly_stochastic_maps_are_majorised(weights, seed):
    log_p = distribution(weights)
    rng = np.random.default_rng(seed)
    mixing = sum(
        w * np.eye(len(weights))[rng.permutation(len(weights))] for w in rng.dirichlet(np.ones(4))
    )
    log_q = torch.log(torch.tensor(mixing @ log_p.exp().numpy()))
    assert bool(sx.majorizes(log_p, log_q))
    flipped = sx.majorizes(log_q, log_p)
    same = np.allclose(np.sort(log_p.exp()), np.sort(log_q.exp()), atol=1e-12)
    assert bool(flipped) == same


def test_incomparable_pair():
    p, q = distribution([60, 20, 20]), distribution([50, 40, 10])
    assert not bool(sx.majorizes(p, q)) and not bool(sx.majorizes(q, p))


def test_hilbert_distance():
    p, q = distribution([1, 2, 1]), distribution([2, 1, 1])
    assert math.isclose(float(sx.hilbert_distance(p, q)), math.log(4))
    assert float(sx.hilbert_distance(p, p)) == 0.0
    assert float(sx.hilbert_distance(distribution([1, 0, 1]), p)) == math.inf
    assert math.isclose(
        float(sx.hilbert_distance(distribution([1, 0, 1]), distribution([3, 0, 1]))), math.log(3)
    )


def test_fisher_distance_and_length():
    a, b = distribution([1, 0]), distribution([0, 1])
    assert math.isclose(float(sx.fisher_distance(a, b)), math.pi)
    p, q = distribution([3, 1, 1]), distribution([1, 2, 5])
    overlap = float(((p + q) / 2).exp().sum())
    assert math.isclose(float(sx.fisher_distance(p, q)), 2 * math.acos(overlap), rel_tol=1e-12)
    # Points on the great circle from p to q add up to its length.
    angle = math.acos(overlap)
    steps = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    circle = (
        torch.sin((1 - steps) * angle) * (p / 2).exp() + torch.sin(steps * angle) * (q / 2).exp()
    ) / math.sin(angle)
    assert math.isclose(float(sx.fisher_length(2 * circle.log())), 2 * angle, rel_tol=1e-12)


def test_nearby_points_keep_their_digits():
    p = distribution([1, 1])
    q = torch.log_softmax(torch.tensor([1e-9, 0.0], dtype=torch.float64), -1)
    assert math.isclose(float(sx.fisher_distance(p, q)), 5e-10, rel_tol=1e-6)


@pytest.mark.parametrize(
    "measure",
    [
        sx.entropy,
        lambda x: sx.renyi_entropy(x, 2.5),
        lambda x: sx.tsallis_entropy(x, 0.5),
        sx.lorenz,
        lambda x: sx.kl_divergence(x, x.roll(1, -1)),
        lambda x: sx.hilbert_distance(x, x.roll(1, -1)),
        lambda x: sx.fisher_distance(x, x.roll(1, -1)),
    ],
)
def test_gradients_vmap_and_meta(measure):
    logits = random_logits(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: measure(torch.log_softmax(z, -1)), (logits,))
    log_p = torch.log_softmax(logits.detach(), -1)
    torch.testing.assert_close(torch.func.vmap(measure)(log_p), measure(log_p))
    assert measure(log_p.to("meta")).shape == measure(log_p).shape


def test_zero_classes_have_finite_gradients():
    log_p = distribution([1, 3, 0]).requires_grad_()
    for measure in (
        sx.entropy,
        lambda x: sx.tsallis_entropy(x, 2.0),
        lambda x: sx.kl_divergence(x, x),
    ):
        (grad,) = torch.autograd.grad(measure(log_p), log_p)
        assert bool(grad.isfinite().all())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"log\(probs\).*NaN in row 1"):
        sx.from_probs(torch.tensor([[0.5, 0.5], [1.5, -0.5]]))
    with pytest.raises(ValueError, match="row 0 sums to 1 -0.1"):
        sx.from_probs(torch.tensor([0.5, 0.4]))
    with pytest.raises(TypeError, match="probs.*int64"):
        sx.from_probs(torch.tensor([1, 0]))
    with pytest.raises(ValueError, match="order must be >= 0, got -1"):
        sx.renyi_entropy(distribution([1, 1]), -1)
    with pytest.raises(ValueError, match="log_q"):
        sx.hilbert_distance(distribution([1, 1]), torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="log_target"):
        sx.kl_divergence(torch.zeros(2), torch.zeros(2))
    # The fault's row is found past the first chunk, too.
    rows = torch.full((3 * 2**18, 4), math.log(0.25))
    rows[-1, 0] = 0.0
    with pytest.raises(ValueError, match=f"row {len(rows) - 1} "):
        sx.check_log_probs(rows)

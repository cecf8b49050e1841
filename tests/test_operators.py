"""Softening operators: axioms as properties, gradients, transforms, hard inputs, bad inputs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import jacrev, vmap

from kdlib import operators as op
from kdlib.simplex import entropy, from_probs, majorization_gap

OPERATORS = {
    "escort": op.escort,
    "burg": op.burg,
    "tsallis": op.tsallis,
    "glue": op.glue,
    "layer_cake": op.layer_cake,
    "matched_escort": op.matched_escort,
}
each_operator = pytest.mark.parametrize("soften", OPERATORS.values(), ids=OPERATORS.keys())

weights = st.lists(st.integers(1, 10**6), min_size=2, max_size=9)
small = settings(max_examples=60, deadline=None)


def distribution(counts: list[int]) -> torch.Tensor:
    p = torch.tensor(counts, dtype=torch.float64)
    return (p / p.sum()).log()


def random_log_probs(*shape: int, scale: float = 3.0, dtype=torch.float64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(scale * torch.randn(*shape, generator=generator, dtype=dtype), -1)


@each_operator
@small
@given(counts=weights, log_t=st.floats(-2.0, 3.0))
def test_ranking_is_kept(soften, counts, log_t):
    log_p = distribution(counts)
    log_q = soften(log_p, math.exp(log_t))
    order = log_p.argsort()
    steps, gaps = log_q[order].diff(), log_p[order].diff()
    assert bool((steps >= -1e-12).all())
    assert bool((steps[gaps == 0].abs() <= 1e-12).all())


@each_operator
@small
@given(counts=weights, log_t=st.floats(-2.0, 3.0), log_ratio=st.floats(0.01, 2.0))
def test_larger_temperature_is_majorised(soften, counts, log_t, log_ratio):
    log_p = distribution(counts)
    sharp, soft = soften(log_p, math.exp(log_t)), soften(log_p, math.exp(log_t + log_ratio))
    assert float(majorization_gap(sharp, soft)) < 1e-12
    assert float(entropy(soft) - entropy(sharp)) > -1e-12


@each_operator
@small
@given(counts=weights)
def test_temperature_one_is_the_identity(soften, counts):
    log_p = distribution(counts)
    torch.testing.assert_close(soften(log_p, 1.0), log_p, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["escort", "burg", "tsallis", "layer_cake"])
@small
@given(counts=weights, a=st.floats(-1.0, 1.0), b=st.floats(-1.0, 1.0))
def test_semigroup(name, counts, a, b):
    soften, log_p = OPERATORS[name], distribution(counts)
    twice = soften(soften(log_p, math.exp(a)), math.exp(b))
    torch.testing.assert_close(twice, soften(log_p, math.exp(a + b)), rtol=1e-9, atol=1e-9)


def test_glue_is_no_semigroup():
    log_p = distribution([5, 3, 2])
    twice = op.glue(op.glue(log_p, 2.0), 0.5)
    assert float((twice - log_p).abs().max()) > 1e-2


def test_escort_is_softmax_of_scaled_logits():
    logits = 4 * torch.randn(6, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for temperature in (0.3, 1.0, 5.0):
        expected = torch.log_softmax(logits / temperature, -1)
        torch.testing.assert_close(op.escort(torch.log_softmax(logits, -1), temperature), expected)


@pytest.mark.parametrize("order", [0.0, 1e-4, 0.01])
def test_small_order_tends_to_the_escort(order):
    log_p = random_log_probs(4, 20)
    gap = (op.tsallis(log_p, 2.0, order) - op.escort(log_p, 2.0)).abs().max()
    assert float(gap) <= 60 * order


@each_operator
def test_gradients(soften):
    logits = random_log_probs(3, 5).requires_grad_()
    temperature = torch.tensor([[0.7], [1.8], [3.0]], dtype=torch.float64, requires_grad=True)

    def from_logits(z, t):
        return soften(torch.log_softmax(z, -1), t)

    assert torch.autograd.gradcheck(from_logits, (logits, temperature))
    assert torch.autograd.gradgradcheck(from_logits, (logits, temperature))


@each_operator
def test_batched_equals_row_by_row_under_vmap(soften):
    log_p, temperature = random_log_probs(4, 6), torch.tensor([0.5, 0.9, 2.0, 7.0]).double()
    expected = torch.stack([soften(x, float(t)) for x, t in zip(log_p, temperature, strict=True)])
    torch.testing.assert_close(vmap(soften)(log_p, temperature[:, None]), expected)
    torch.testing.assert_close(soften(log_p, temperature[:, None]), expected)
    torch.testing.assert_close(
        vmap(soften, in_dims=(1, 0))(log_p.T.contiguous(), temperature[:, None]), expected
    )
    grid = soften(log_p, temperature[:, None, None])
    torch.testing.assert_close(vmap(lambda t: soften(log_p, t))(temperature), grid)
    jacobian = vmap(jacrev(soften))(log_p, temperature[:, None])
    assert jacobian.shape == (4, 6, 6) and bool(jacobian.isfinite().all())


@each_operator
def test_meta_device(soften):
    log_p = torch.empty(3, 7, device="meta")
    assert soften(log_p, 2.0).shape == (3, 7)
    assert soften(log_p, torch.empty(5, 1, 1, device="meta")).shape == (5, 3, 7)


@each_operator
@pytest.mark.parametrize("temperature", [1e-3, 0.05, 1.0, 20.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_hard_rows(soften, temperature, dtype):
    rows = torch.log_softmax(
        torch.tensor(
            [
                [0.0, 0.0, -700.0, -math.inf],  # a tie, a far tail, a zero
                [0.0, -math.inf, -math.inf, -math.inf],  # one-hot
                [0.0, 0.0, 0.0, 0.0],  # uniform
                [0.0, -1e-9, -40.0, -5000.0],  # a near-tie and underflow
            ],
            dtype=dtype,
        ),
        -1,
    ).requires_grad_()
    t = torch.tensor(temperature, dtype=dtype, requires_grad=True)
    log_q = soften(rows, t)
    values = log_q.detach()
    assert not bool(values.isnan().any())
    torch.testing.assert_close(values.exp().sum(-1), torch.ones(4, dtype=dtype))
    assert bool(values[0, 0] == values[0, 1])
    torch.testing.assert_close(values[2].exp(), torch.full((4,), 0.25, dtype=dtype))
    if soften is not op.glue:
        # Zeros stay zeros: only glue moves mass onto them.
        assert float(values[0, 3]) == -math.inf and float(values[1, 0]) == 0.0
        if temperature >= 1:
            assert float(values[3, 3]) > -math.inf
    grads = torch.autograd.grad(log_q.exp().square().sum(), (rows, t))
    assert all(not bool(g.isnan().any()) for g in grads)


@each_operator
def test_wide_vocabulary(soften):
    # Zipf-like tail with an exact tie and a zero, V = 131072.
    ranks = torch.arange(1, 131073, dtype=torch.float32)
    probs = ranks**-1.1
    probs[1], probs[-1] = probs[0], 0.0
    log_p = from_probs(probs / probs.sum())
    for temperature in (1e-3, 0.5, 2.0, 1e3):
        log_q = soften(log_p, temperature)
        reference = soften(log_p.double(), temperature)
        assert abs(float(log_q.double().exp().sum()) - 1) < 1e-4
        assert float(log_q[0]) == float(log_q[1])
        gap = (log_q.double().exp() - reference.exp()).abs().sum() / 2
        assert float(gap) < 1e-4, temperature


@each_operator
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(soften, dtype):
    log_p = random_log_probs(5, 9, dtype=torch.float32).to(dtype)
    log_q = soften(log_p, 2.0)
    assert log_q.dtype == dtype
    reference = soften(torch.log_softmax(log_p.double(), -1), 2.0)
    torch.testing.assert_close(log_q.double(), reference, rtol=0.02, atol=0.05)


def test_boundary_limits():
    log_p = distribution([4, 4, 2, 1])
    for name, soften in OPERATORS.items():
        hot, cold = (1e40, 1e-40) if name == "layer_cake" else (1e7, 1e-6)
        torch.testing.assert_close(
            soften(log_p, hot).exp(), torch.full((4,), 0.25).double(), atol=1e-5, rtol=0
        )
        top = torch.tensor([0.5, 0.5, 0.0, 0.0]).double()
        torch.testing.assert_close(soften(log_p, cold).exp(), top, atol=1e-5, rtol=0)


@each_operator
def test_bad_input(soften):
    good = random_log_probs(2, 4)
    with pytest.raises(TypeError, match="log_probs.*int64"):
        soften(torch.zeros(2, 4, dtype=torch.int64), 2.0)
    with pytest.raises(TypeError, match="log_probs.*list"):
        soften([0.0], 2.0)
    with pytest.raises(ValueError, match="log_probs.*NaN"):
        soften(good.clone().index_fill_(0, torch.tensor([1]), math.nan), 2.0)
    with pytest.raises(ValueError, match="log_probs.*row 0 sums to 1"):
        soften(good + 0.1, 2.0)
    with pytest.raises(ValueError, match="log_probs.*last axis"):
        soften(good[:, :0], 2.0)
    with pytest.raises(ValueError, match="log_probs.*last axis"):
        soften(torch.tensor(0.0), 2.0)
    for wrong in (0.0, -1.0, math.nan, math.inf, torch.tensor([[1.0], [0.0]])):
        with pytest.raises(ValueError, match="temperature.*> 0, got"):
            soften(good, wrong)
    with pytest.raises(ValueError, match="temperature.*last axis of size 1"):
        soften(good, torch.ones(4))
    with pytest.raises(TypeError, match="temperature"):
        soften(good, torch.ones(2, 1, dtype=torch.int64))
    with pytest.raises(TypeError, match="temperature"):
        soften(good, "2")
    with pytest.raises(ValueError, match="NaN"):
        vmap(soften, in_dims=(0, None))(good * math.nan, 2.0)


def test_order_outside_its_range():
    with pytest.raises(ValueError, match=r"order must lie in \[0, 1\], got 1.5"):
        op.tsallis(random_log_probs(3), 2.0, 1.5)


def test_validation_can_be_skipped_knowingly():
    logits = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(
        op.escort(logits, 2.0, validate=False), torch.log_softmax(logits / 2, -1)
    )

"""Influence functions against their closed forms, and numerical ones against both."""

import pytest
import torch

from kdlib import operators
from kdlib.influence import influence, numerical_influence

DTYPE = torch.float64
COSTS = torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=DTYPE)


def rows(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 4, generator=generator, dtype=DTYPE).softmax(-1)


def softened(temperature, soften=operators.escort):
    return lambda p: (soften(p.log(), temperature, validate=False).exp() * COSTS).sum(-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_escort_equals_its_closed_form(temperature):
    p = rows()
    q = operators.escort(p.log(), temperature).exp()
    gain = COSTS - (q * COSTS).sum(-1, keepdim=True)
    torch.testing.assert_close(influence(softened(temperature), p), q / p * gain / temperature)


@pytest.mark.parametrize("order", [0.5, 1.0])
def test_tsallis_equals_its_closed_form(order):
    p, heat = rows(), 2.0
    q = operators.tsallis(p.log(), heat, order).exp()
    weight = q ** (1 + order)
    mean = (weight * COSTS).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
    slope = (q / p) ** (1 + order) * (COSTS - mean) / heat
    expected = slope - (p * slope).sum(-1, keepdim=True)
    found = influence(softened(heat, lambda x, t, **k: operators.tsallis(x, t, order, **k)), p)
    torch.testing.assert_close(found, expected)
    assert float((p * slope).sum(-1).abs().max()) > 1e-3  # centring is needed here


def test_mean_is_zero_and_continuation_does_not_matter():
    p, plain = rows(), softened(2.0)
    found = influence(plain, p)
    assert float((p * found).sum(-1).abs().max()) < 1e-15
    bent = influence(lambda x: plain(x) * x.sum(-1) ** 3, p)
    torch.testing.assert_close(bent, found)


def test_differences_converge_at_their_orders():
    p, plain = rows(), softened(2.0)
    exact = influence(plain, p)

    def error(*steps):
        found = sum(numerical_influence(plain, p, s) for s in steps) / len(steps)
        return float((found - exact).abs().max())

    assert error(1e-3) / error(5e-4) == pytest.approx(2, rel=0.05)
    assert error(1e-3, -1e-3) / error(5e-4, -5e-4) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("step", [0.1, 1.0, -0.05])
def test_a_difference_has_the_value_of_its_formula(step):
    # No operator here: the escort alone could not tell a moved point from a longer one.
    p = torch.tensor([0.5, 0.3, 0.2], dtype=DTYPE)
    square = float(p.square().sum())
    moved = [(1 - step) ** 2 * square + 2 * step * (1 - step) * v + step**2 for v in p.tolist()]
    found = numerical_influence(lambda x: x.square().sum(-1), p, step)
    torch.testing.assert_close(found, (torch.tensor(moved, dtype=DTYPE) - square) / step)


def test_vmap_gradients_and_meta():
    p, plain = rows(), softened(2.0)
    by_row = torch.func.vmap(lambda x: influence(plain, x))(p)
    torch.testing.assert_close(by_row, influence(plain, p))
    stepped = torch.func.vmap(lambda x: numerical_influence(plain, x, 0.01))(p)
    torch.testing.assert_close(stepped, numerical_influence(plain, p, 0.01))
    z = torch.randn(2, 4, dtype=DTYPE, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda z: influence(plain, z.softmax(-1)), z.requires_grad_())
    with torch.device("meta"):
        costs = torch.empty(4)
        found = influence(lambda p: (p.sqrt() * costs).sum(-1), torch.empty(5, 4))
        assert found.shape == (5, 4)
        assert numerical_influence(lambda p: p.amax(-1), torch.empty(5, 4), 0.1).shape == (5, 4)


def test_bad_input():
    p, plain = rows(), softened(2.0)
    with pytest.raises(ValueError, match=r"step must lie in \[-1, 1\] and not be 0, got 0"):
        numerical_influence(plain, p, 0)
    with pytest.raises(ValueError, match="step -0.9 leaves the simplex"):
        numerical_influence(plain, p, -0.9)
    with pytest.raises(ValueError, match="sums to 1"):
        influence(plain, 2 * p)


def test_a_zero_is_no_number_in_the_log_domain():
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.4, 0.3, 0.2, 0.1]], dtype=DTYPE)
    found = influence(softened(2.0), p)
    assert bool(found[0].isnan().all()) and bool(found[1].isfinite().all())

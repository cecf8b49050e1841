"""Exact counts, ties, nesting and batching of magnitude masks, against sorting and torch's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from kdlib import pruning

small = settings(max_examples=60, deadline=None)
ratios = st.floats(0, 1)


def weights(seed: int = 0, *, lead: tuple[int, ...] = ()) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "first": torch.randn(*lead, 7, 5, generator=generator),
        "second": torch.randn(*lead, 3, 7, generator=generator),
    }


def kept(masks: dict[str, torch.Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


@small
@given(values=st.lists(st.integers(-4, 4), min_size=1, max_size=40), ratio=ratios)
def test_as_many_as_asked_for_the_largest_and_the_first_of_ties(values, ratio):
    count = pruning.kept_count(len(values), ratio)
    mark = pruning.largest(torch.tensor(values, dtype=torch.float64), count)
    best = sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
    assert mark.nonzero().squeeze(1).tolist() == sorted(best)


def test_the_share_is_rounded_half_up():
    shares = {0.0: 0, 0.04: 0, 0.05: 1, 0.24: 2, 0.25: 3, 0.5: 5, 0.96: 10, 1.0: 10}
    assert {share: pruning.kept_count(10, share) for share in shares} == shares


@pytest.mark.parametrize("count", [1, 5_000, 50_000, 140_000, 199_999])
@pytest.mark.parametrize("shape", ["spread", "tied", "sorted", "misleading"])
def test_long_rows_take_the_short_cut_to_the_same_result(count, shape):
    row = torch.randn(200_000, generator=torch.Generator().manual_seed(1)).abs()
    if shape == "tied":
        row = (4 * row).round()
    if shape == "sorted":
        row = row.sort().values
    if shape == "misleading":
        # The large entries are just those that a sample at equal distances looks at.
        row[:: len(row) // pruning.SAMPLE] += 10
    mark = pruning.largest(row, count)
    order = row.argsort(descending=True, stable=True)[:count]
    assert torch.equal(mark.nonzero().squeeze(1), order.sort().values)


@small
@given(ratio=ratios, seed=st.integers(0, 99))
def test_global_count_is_exact_and_no_dropped_weight_is_larger(ratio, seed):
    params = weights(seed)
    masks = pruning.magnitude_masks(params, ratio)
    assert kept(masks) == pruning.kept_count(56, ratio)
    inside = [params[n][masks[n]].abs().min() for n in params if masks[n].any()]
    outside = [params[n][~masks[n]].abs().max() for n in params if not masks[n].all()]
    if inside and outside:
        assert min(inside) >= max(outside)


@small
@given(ratio=ratios)
def test_each_layer_keeps_its_own_share(ratio):
    masks = pruning.magnitude_masks(weights(), ratio, scope="layer")
    for name, size in (("first", 35), ("second", 21)):
        assert int(masks[name].sum()) == pruning.kept_count(size, ratio)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_stages_are_nested_although_the_weights_move(scope):
    before, masks = 1.0, None
    for stage, ratio in enumerate((0.8, 0.5, 0.25, 0.1)):
        params = {
            name: value * (masks[name] if masks else 1) for name, value in weights(stage).items()
        }
        now = pruning.magnitude_masks(params, ratio, scope=scope, within=masks)
        if masks:
            assert all(bool((now[n] <= masks[n]).all()) for n in now)
        assert scope == "layer" or kept(now) == pruning.kept_count(56, ratio)
        before, masks = ratio, now
    with pytest.raises(ValueError, match="within keeps fewer weights than keep_ratio 0.3"):
        pruning.magnitude_masks(weights(), 0.3, scope=scope, within=masks)
    assert before == 0.1


def test_a_kept_zero_stays_before_a_dropped_weight():
    params = {"w": torch.tensor([0.0, 0.0, 5.0, 5.0])}
    within = {"w": torch.tensor([1, 1, 1, 0])}
    masks = pruning.magnitude_masks(params, 0.5, within=within)
    assert masks["w"].tolist() == [True, False, True, False]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_replicates_are_pruned_one_by_one(scope):
    params = weights(3, lead=(6,))
    together = pruning.magnitude_masks(params, 0.3, scope=scope, replicates=True)
    for r in range(6):
        alone = pruning.magnitude_masks({n: v[r] for n, v in params.items()}, 0.3, scope=scope)
        assert all(torch.equal(together[n][r], alone[n]) for n in params)


def test_same_masks_as_torch():
    torch.manual_seed(0)
    layers = {"a": nn.Linear(30, 20), "b": nn.Linear(20, 10)}
    masks = pruning.magnitude_masks({n: m.weight for n, m in layers.items()}, 0.25)
    prune.global_unstructured(
        [(m, "weight") for m in layers.values()],
        pruning_method=prune.L1Unstructured,
        amount=800 - pruning.kept_count(800, 0.25),
    )
    for name, layer in layers.items():
        assert torch.equal(masks[name], layer.weight_mask.bool())


def test_bad_input():
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="keep_ratio must lie in .*got"):
            pruning.magnitude_masks(weights(), wrong)
    with pytest.raises(ValueError, match="scope must be .*'local'"):
        pruning.magnitude_masks(weights(), 0.5, scope="local")
    with pytest.raises(ValueError, match="params must name"):
        pruning.magnitude_masks({}, 0.5)
    with pytest.raises(ValueError, match="within must name"):
        pruning.magnitude_masks(weights(), 0.5, within={"first": torch.ones(7, 5)})
    with pytest.raises(ValueError, match="NaN"):
        pruning.magnitude_masks({"w": torch.tensor([1.0, math.nan])}, 0.5)
    with pytest.raises(ValueError, match=r"count must lie in \[0, 3\], got 4"):
        pruning.largest(torch.ones(3), 4)

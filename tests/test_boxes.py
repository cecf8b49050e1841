"""Interval boxes: what is true passes, what is false or open does not."""

from fractions import Fraction

import flint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdlib.evidence import EvidenceError, Refuted, Undecided
from kdlib.evidence.boxes import certified_box, prove_positive

ALL = {"domain": "all points of the box", "covers": "every case"}
UNIT = [(0, 1)]


def parabola(constant):
    """x (1 - x) <= constant on [0, 1] exactly when constant >= 1/4."""
    return lambda x: constant - x * (1 - x)


def test_box_proves_a_true_bound_and_counts_boxes():
    evidence = certified_box(
        *("label", "parabola", parabola(flint.arb("0.26")), UNIT),
        sibling=parabola(flint.arb("0.24")),
        **ALL,
    )
    assert (evidence.kind, evidence.covers, evidence.sibling_rejected) == (
        "certified",
        "every case",
        True,
    )
    assert evidence.assumed == ("box [0, 1]", "gap > 0 claimed")
    count = int(evidence.figure.removesuffix(" boxes"))
    assert count == prove_positive(parabola(flint.arb("0.26")), UNIT) > 1


def test_box_error_names_label_check_and_the_exact_point():
    with pytest.raises(EvidenceError, match=r"label · parabola: .*x1=1/2"):
        certified_box(
            *("label", "parabola", parabola(flint.arb("0.24")), UNIT),
            sibling=parabola(flint.arb("0.1")),
            **ALL,
        )


def test_box_mutant_must_be_refuted_not_merely_undecided():
    true = parabola(flint.arb("0.26"))
    with pytest.raises(EvidenceError, match="wrong sibling passes"):
        certified_box("label", "parabola", true, UNIT, sibling=true, **ALL)

    def touching(x):
        return (x - flint.fmpq(1, 3)) ** 2

    with pytest.raises(EvidenceError, match="wrong sibling is not provably wrong"):
        certified_box("label", "parabola", true, UNIT, sibling=touching, strict=False, **ALL)


def test_strict_claims_may_fail_at_a_corner_only():
    with pytest.raises(Refuted, match="x1=0"):
        prove_positive(lambda x: x, UNIT)


def test_weak_claims_allow_zero():
    with pytest.raises(Refuted):
        prove_positive(lambda x: 0 * x, UNIT)
    assert prove_positive(lambda x: 0 * x, UNIT, strict=False) == 1
    with pytest.raises(Refuted, match="x1=0"):
        prove_positive(lambda x: x - flint.fmpq(1, 10**30), UNIT, strict=False)


def test_box_limits_raise_undecided():
    with pytest.raises(Undecided, match="3 boxes examined"):
        prove_positive(parabola(flint.arb("0.2500001")), UNIT, max_boxes=3)
    with pytest.raises(Undecided, match="thin box"):
        prove_positive(lambda x: (x - flint.fmpq(1, 3)) ** 2, UNIT, strict=False)
    with pytest.raises(Undecided):  # never finite
        prove_positive(lambda x: (-1 - x).log(), UNIT, max_boxes=50)


def test_mean_value_form_needs_fewer_boxes():
    def gap(x, y):
        return (x - y).exp() - (x - y) - flint.fmpq(19, 20)

    def gradient(x, y):
        slope = (x - y).exp() - 1
        return slope, -slope

    box = [(0, Fraction(1, 2)), (flint.fmpq(1, 4), 1)]
    assert prove_positive(gap, box, gradient=gradient) < prove_positive(gap, box) / 2


def test_wrong_gradient_is_refused():
    gap = parabola(flint.arb("0.2"))
    with pytest.raises(ValueError, match=r"gradient\[0\]"):
        prove_positive(gap, UNIT, gradient=lambda x: [flint.arb(0)])


def test_wide_and_flat_sides():
    # the second side is 1000 times wider; a flat side is never split
    count = prove_positive(
        lambda x, y, z: 1 + z + x * x - x * y / 1000, [(-1, 1), (-1000, 1000), (1, 1)]
    )
    assert count > 1


@pytest.mark.parametrize("end", [0.5, True, "1/2"])
def test_box_ends_are_exact(end):
    with pytest.raises(TypeError, match="box end"):
        prove_positive(lambda x: x + 1, [(0, end)])


@pytest.mark.parametrize("box", [[], [(1, 0)]])
def test_bad_boxes(box):
    with pytest.raises(ValueError, match="low <= high"):
        prove_positive(lambda x: x + 1, box)


def test_gap_must_return_a_ball():
    with pytest.raises(TypeError, match="gap must return a flint.arb, got 1"):
        prove_positive(lambda x: 1, UNIT)


def test_precision_is_restored():
    before = flint.ctx.prec
    prove_positive(lambda x: x + 1, UNIT, precision=before + 99)
    assert flint.ctx.prec == before


@settings(max_examples=30, deadline=None)
@given(st.fractions(min_value=0, max_value=1, max_denominator=50))
def test_box_agrees_with_the_known_minimum(constant):
    # min over [0, 1] of constant - x(1-x) is constant - 1/4; keep clear of the boundary
    gap = parabola(flint.fmpq(constant.numerator, constant.denominator))
    if constant > Fraction(1, 4):
        assert prove_positive(gap, UNIT) >= 1
    else:
        with pytest.raises((Refuted, Undecided)) as caught:
            prove_positive(gap, UNIT)
        if isinstance(caught.value, Refuted):
            x = caught.value.at["x1"]
            assert constant - x * (1 - x) <= 0

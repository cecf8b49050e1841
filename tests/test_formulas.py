"""Claims for z3: what follows passes, what does not or stays unknown fails."""

from fractions import Fraction

import pytest
import z3

from kdlib.evidence import EvidenceError, Undecided
from kdlib.evidence.formulas import certified_smt, find_witness

ALL = {"domain": "all points that meet the hypotheses", "covers": "every case"}
mu, s = z3.Reals("mu s")
u = mu * (1 - mu)
POLYNOMIAL = (1 - 2 * mu) * ((1 - 3 * mu) * s + u * mu) + u * s - s * s
RANGE = {"mean": z3.And(mu >= 0, mu <= z3.Q(1, 2)), "variance": z3.And(s >= 0, s <= u)}


def test_smt_proves_the_sharp_constant_and_rejects_a_smaller_one():
    evidence = certified_smt(
        *("hinton-limit", "polynomial step", POLYNOMIAL <= z3.Q(1, 16), RANGE),
        sibling=POLYNOMIAL <= z3.Q(1, 17),
        domain="all mu in [0,1/2]",
        covers="every case",
    )
    assert evidence.figure.startswith("unsat; wrong sibling fails at mu=")
    start = "✓ hinton-limit · certified · polynomial step · all mu in [0,1/2] · assumed: mean: "
    assert evidence.line().startswith(start)
    assert evidence.assumed[0] == "mean: And(mu >= 0, 1/2 >= mu)"
    assert evidence.line().endswith("wrong sibling rejected")


def test_smt_false_claim_and_passing_mutant_raise():
    with pytest.raises(EvidenceError, match="label · step: .*fails at mu="):
        certified_smt("label", "step", POLYNOMIAL <= z3.Q(1, 17), RANGE, sibling=mu < 0, **ALL)
    with pytest.raises(EvidenceError, match="wrong sibling passes"):
        certified_smt("label", "step", mu >= 0, RANGE, sibling=mu >= -1, **ALL)


def test_contradictory_hypotheses_prove_nothing():
    with pytest.raises(EvidenceError, match="wrong sibling passes"):
        certified_smt("label", "step", mu > 2, [mu > 1, mu < 0], sibling=mu > 3, **ALL)


def test_unknown_is_a_failure():
    # no integer solution exists (Fermat, exponent 3), and z3 cannot tell
    a, b, c = z3.Ints("a b c")
    claim = a * a * a + b * b * b != c * c * c
    with pytest.raises(EvidenceError, match="z3 answers unknown"):
        certified_smt(
            *("label", "cubes", claim, [a > 0, b > 0, c > 0]), sibling=a > 1, timeout_ms=50, **ALL
        )


def test_unknown_for_the_mutant_is_a_failure(monkeypatch):
    answers = iter([z3.unsat, z3.unknown])
    monkeypatch.setattr(z3.Solver, "check", lambda self: next(answers))
    with pytest.raises(EvidenceError, match="not provably wrong: z3 answers unknown"):
        certified_smt("label", "step", mu >= 0, RANGE, sibling=mu >= 1, **ALL)


def test_a_model_that_does_not_fit_is_not_believed(monkeypatch):
    wrong = z3.Solver()
    wrong.add(mu == 5, s == 0)
    wrong.check()
    model = wrong.model()
    monkeypatch.setattr(z3.Solver, "model", lambda self: model.translate(self.ctx))
    with pytest.raises(EvidenceError, match="does not satisfy"):
        certified_smt("label", "step", mu >= 0, RANGE, sibling=mu >= 1, **ALL)


def test_irrational_models_are_rounded():
    x = z3.Real("x")
    evidence = certified_smt("label", "root", x * x == 2, [x * x == 2, x > 0], sibling=x > 2, **ALL)
    assert evidence.figure == "unsat; wrong sibling fails at x≈1.41"


def test_smt_claim_must_be_a_formula():
    with pytest.raises(TypeError, match="got True"):
        certified_smt("label", "step", True, [], sibling=mu > 0, **ALL)


# --- witnesses ----------------------------------------------------------------------------

p0, p1, w0, w1 = z3.Reals("p0 p1 w0 w1")
ORDER = {
    "distribution": z3.And(p0 > p1, p1 > 0, p0 + p1 == 1),
    "tilt": z3.And(w0 > 0, w1 >= w0, p0 * w0 + p1 * w1 == 1),
    "same ranking": p0 * w0 >= p1 * w1,
}
TOP = p0 >= z3.If(p0 * w0 > p1 * w1, p0 * w0, p1 * w1)


def test_witness_breaks_the_claim_and_only_the_dropped_hypothesis():
    found = find_witness(TOP, ORDER, "same ranking")
    a, b, c, d = (found[name] for name in ("p0", "p1", "w0", "w1"))
    assert all(type(x) is Fraction for x in found.values())
    assert a > b > 0 and a + b == 1 and d >= c > 0 and a * c + b * d == 1
    assert a * c < b * d and max(a * c, b * d) > a


def test_no_witness_raises():
    with pytest.raises(ValueError, match="no counterexample to the claim exists"):
        find_witness(TOP, ORDER, None)
    with pytest.raises(ValueError, match="drops must name one of .*got 'nothing'"):
        find_witness(TOP, ORDER, "nothing")


def test_witnesses_are_rational_or_refused():
    x = z3.Real("x")
    found = find_witness(x * x <= 2, {"bounded": x < 10, "positive": x > 0}, None)
    assert 2 < found["x"] ** 2 < 100
    with pytest.raises(Undecided, match="irrational x"):
        find_witness(x < 0, {"root": x * x == 2}, None)


def test_witness_of_integers():
    n = z3.Int("n")
    assert find_witness(n < 3, {"small": n < 4}, None) == {"n": Fraction(3)}


def test_unknown_witness_is_undecided(monkeypatch):
    monkeypatch.setattr(z3.Solver, "check", lambda self: z3.unknown)
    with pytest.raises(Undecided, match="unknown"):
        find_witness(TOP, ORDER, None)

"""Every kind of evidence: the truth passes, a falsehood and a passing mutant raise."""

import json
import random
from fractions import Fraction
from pathlib import Path

import flint
import nbformat
import numpy as np
import pytest
import sympy as sp
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

from kdlib.evidence import (
    Evidence,
    EvidenceError,
    Undecided,
    about,
    certified_box,
    certified_smt,
    cited,
    confidence_interval,
    counterexample,
    derived,
    exact,
    identities,
    measured,
    notation,
    stated,
)
from kdlib.evidence.settling import brief, format_point
from kdlib.records import MIME, STATED_MIME, check_id

KEYS = ["label", "kind", "check", "domain", "assumed", "covers", "figure", "tolerance", "stated"]
KEYS += ["verdict", "sibling_rejected"]
STATEMENT = {"domain": "every V", "covers": "every case"}

b = sp.symbols("b", positive=True)
x, y = sp.symbols("x y", real=True)
i, j, k, m = sp.symbols("i j k m", integer=True)
V = sp.symbols("V", integer=True, positive=True)
z = sp.IndexedBase("z", real=True)
p = sp.IndexedBase("p", positive=True)


def over_i(term):
    return sp.Sum(term, (i, 1, V))


S0, S1, S2 = (over_i(z[i] ** n * sp.exp(b * z[i])) for n in range(3))
A = sp.log(S0)
H = A - b * sp.diff(A, b)
VARIANCE = S2 / S0 - (S1 / S0) ** 2


# --- the record ---------------------------------------------------------------------------


def sound(**change):
    fields = dict.fromkeys(KEYS, "word") | {
        "kind": "exact",
        "covers": "every case",
        "verdict": "holds",
        "tolerance": None,
        "assumed": (),
        "stated": (),
        "sibling_rejected": True,
    }
    return Evidence(**(fields | change))


def test_record_has_exactly_its_keys_and_is_json():
    record = sound().record()
    assert list(record) == KEYS
    assert json.loads(json.dumps(record)) == record


def test_evidence_is_frozen():
    with pytest.raises(AttributeError):
        sound().verdict = "fails"


def test_line():
    evidence = sound(label="hinton-limit", check="step", domain="all mu", figure="unsat")
    text = "✓ hinton-limit · exact · step · all mu · every case · unsat · wrong sibling rejected"
    assert evidence.line() == str(evidence) == text
    assert sound(tolerance="0.1").line().endswith("· tolerance 0.1 · wrong sibling rejected")
    assert sound(verdict="fails").line().startswith("✗")


def test_html_is_escaped_and_carries_its_id():
    html = sound(label="a-b", check="Step 2: x & y", domain='V >= 2 <b> "q"').html()
    assert 'id="check-a-b-step-2-x-y"' in html
    assert "<b>" not in html and "&lt;b&gt;" in html and "x &amp; y" in html
    assert "style=" not in html and html.startswith('<div class="evidence evidence-exact"')
    assert "holds" in html  # the verdict is a word, not only a colour or a mark


def test_check_id():
    assert check_id("hinton-limit", "  Polynomial step (1/16) ") == (
        "check-hinton-limit-polynomial-step-1-16"
    )


@pytest.mark.parametrize(
    "change, word",
    [
        ({"label": "Has_Capitals"}, "label"),
        ({"label": ""}, "label"),
        ({"check": "a <b>"}, "check"),
        ({"check": "·"}, "check"),
        ({"check": "two\nlines"}, "check"),
        ({"domain": " "}, "domain"),
        ({"kind": "guessed"}, "kind"),
        ({"covers": "all"}, "covers"),
        ({"verdict": "maybe"}, "verdict"),
    ],
)
def test_bad_fields_are_named(change, word):
    with pytest.raises(ValueError, match=f"{word} must be"):
        sound(**change)


FIXED = ["V=3", "V = 3", "V in {2,3}", "V<=6", "V ≤ 6", "all p with V==3", "V ∈ {2, 3}", "V < 7"]
FIXED += [r"$V \in \{2,3\}$", r"$V \le 6$", "2 <= V <= 6", "6 >= V", "V in [2, 6]", "V = 2..6"]
FIXED += ["V from 2 to 6", "V in {2, ..., 6}", "V in range(2, 7)", "V is 3", "V up to 6"]
OPEN = ["every V", "V >= 2", "2 ≤ V", "V in [2, ∞)", "V in {2, 3, ...}", "every V, W <= 3"]
OPEN += ["all mu in [0,1/2]", "V > 1, T=3", "p in the interior of the simplex, 0 < p_i"]


@pytest.mark.parametrize("domain", FIXED)
def test_a_fixed_V_never_covers_a_statement(domain):
    with pytest.raises(ValueError, match="fixes V"):
        derived("label", "step", x, x, domain=domain, covers="every case", sibling=x + 1)
    evidence = derived("label", "step", x, x, domain=domain, covers="instances", sibling=x + 1)
    assert evidence.covers == "instances"


@pytest.mark.parametrize("domain", OPEN)
def test_an_open_V_may_cover_a_statement(domain):
    assert sound(domain=domain).covers == "every case"


def test_nothing_is_run_for_a_bad_domain():
    def never(*_):
        raise AssertionError("was run")

    with pytest.raises(ValueError, match="fixes V"):
        exact("label", "step", never, [1], domain="V=3", sibling=never, covers="every case")


def test_short_texts():
    point = {"a": Fraction(1, 8), "b": Fraction(123456, 1234567), "c": sp.Rational(1, 3)}
    assert format_point(point) == "a=1/8, b≈0.1, c=1/3"
    assert brief({"p": (Fraction(1, 2), 0.123456), "q": torch.tensor([True, False])}) == (
        "p=(1/2, 0.123), q=(True, False)"
    )
    assert len(brief(list(range(1000)))) <= 72 and brief(list(range(1000))).endswith("…")


# --- derived ------------------------------------------------------------------------------


def test_entropy_slope_for_every_V():
    evidence = derived(
        "entropy-slope", "slope", sp.diff(H, b), -b * VARIANCE, sibling=-VARIANCE, **STATEMENT
    )
    assert evidence.figure == "residual 0, 5 random points"
    assert (evidence.kind, evidence.verdict, evidence.tolerance) == ("derived", "holds", None)


def test_missing_b_is_rejected_as_the_claim():
    with pytest.raises(EvidenceError, match=r"entropy-slope · slope: the claim .* at V=\d"):
        derived("entropy-slope", "slope", sp.diff(H, b), -VARIANCE, sibling=0, **STATEMENT)


def test_a_true_mutant_raises():
    same = -b * (S0 * S2 - S1**2) / S0**2
    with pytest.raises(EvidenceError, match="entropy-slope · slope: the wrong sibling passes"):
        derived("entropy-slope", "slope", sp.diff(H, b), -b * VARIANCE, sibling=same, **STATEMENT)


SOFTMAX = sp.exp(b * z[i]) / sp.Sum(sp.exp(b * z[j]), (j, 1, V))
ESCORT = p[i] ** b / sp.Sum(p[j] ** b, (j, 1, V))
PAIRS = sp.exp(b * z[i]) * sp.exp(b * z[j]) * (z[i] - z[j]) ** 2
f, g = sp.Function("f"), sp.Function("g", positive=True)
GENERAL = {
    "entropy of a softmax": (-over_i(SOFTMAX * sp.log(SOFTMAX)), H, A),
    "variance as a double sum": (
        sp.Sum(PAIRS, (i, 1, V), (j, 1, V)) / (2 * S0**2),
        VARIANCE,
        2 * VARIANCE,
    ),
    "gradient at a free index": (
        sp.diff(A, z[k]),
        b * sp.exp(b * z[k]) / S0,
        sp.exp(b * z[k]) / S0,
    ),
    "hessian at free indices": (
        sp.diff(A, z[k], z[m]),
        b**2 * sp.exp(b * z[k]) / S0 * (sp.KroneckerDelta(k, m) - sp.exp(b * z[m]) / S0),
        -(b**2) * sp.exp(b * z[k]) / S0 * sp.exp(b * z[m]) / S0,
    ),
    "escort log-partition": (
        sp.diff(sp.log(over_i(p[i] ** b)), b),
        over_i(ESCORT * sp.log(p[i])),
        over_i(ESCORT),
    ),
    "triangle": (
        sp.Sum(p[i] * p[j], (j, 1, i), (i, 1, V)) * 2 - sp.Sum(p[j] * p[i], (j, 1, i), (i, 1, V)),
        over_i(p[i] * sp.Sum(p[j], (j, 1, i))),
        over_i(p[i]) ** 2 / 2,
    ),
    "closed form": (over_i(i**2), V * (V + 1) * (2 * V + 1) / 6, V**3 / 3),
    "abstract function": (
        sp.diff(f(x) - x * sp.diff(f(x), x), x),
        -x * sp.diff(f(x), x, 2),
        -sp.diff(f(x), x, 2),
    ),
    "positive function in a sum": (
        sp.diff(sp.log(over_i(g(b) * p[i])), b),
        sp.diff(g(b), b) / g(b),
        sp.diff(g(b), b),
    ),
    "unevaluated derivative": (sp.Derivative(S0, b), S1, S2),
    "trigonometry": (sp.sin(x) ** 2 + sp.cos(x) ** 2, 1, 2),
    "logarithms": (sp.log(b / (1 + b)), sp.log(b) - sp.log(1 + b), sp.log(b) + sp.log(1 + b)),
}


@pytest.mark.parametrize("name", GENERAL)
def test_general_identities(name):
    lhs, rhs, wrong = GENERAL[name]
    assert derived("label", name, lhs, rhs, sibling=wrong, **STATEMENT).covers == "every case"


def test_sequences_and_matrices_need_every_entry():
    evidence = derived("label", "rows", [x, y], [x, y], sibling=[x, -y], **STATEMENT)
    assert evidence.figure == "2 residuals 0, 5 random points"
    square = sp.Matrix([[x, y], [y, x]])
    derived("label", "matrix", square**2, square * square, sibling=square, **STATEMENT)
    with pytest.raises(EvidenceError, match="label · rows"):
        derived("label", "rows", [x, y], [x, 2 * y], sibling=[0, 0], **STATEMENT)
    with pytest.raises(ValueError, match="lhs has 2 entries, rhs has 1"):
        derived("label", "rows", [x, y], x, sibling=x, **STATEMENT)
    with pytest.raises(ValueError, match="lhs must not be empty"):
        derived("label", "rows", [], [], sibling=[], **STATEMENT)


def test_own_simplification_is_used_and_not_trusted():
    lhs, rhs = sp.sqrt(3 + 2 * sp.sqrt(2)), 1 + sp.sqrt(2)
    derived("label", "root", lhs, rhs, sibling=sp.sqrt(2), simplify=sp.sqrtdenest, **STATEMENT)
    with pytest.raises(EvidenceError, match="not provably wrong: simplification gives 0"):
        derived("label", "lie", x, x, sibling=x + 1, simplify=lambda r: sp.S.Zero, **STATEMENT)
    with pytest.raises(EvidenceError, match="the claim does not pass: simplification gives 0 but"):
        derived("label", "lie", x, y, sibling=x + 1, simplify=lambda r: sp.S.Zero, **STATEMENT)


def test_what_vanishes_without_a_proof_is_no_evidence():
    with pytest.raises(EvidenceError, match="no simplification gives 0, though"):
        derived("label", "idle", x - x * y / y, 0 * x, sibling=1, simplify=lambda r: y, **STATEMENT)


def test_a_wrong_branch_is_seen():
    # log(uv) = log u + log v is false for negative u and v
    u, v = sp.symbols("u v", real=True)
    forced = {"simplify": lambda r: sp.expand_log(r, force=True)}
    with pytest.raises(EvidenceError, match="simplification gives 0 but"):
        derived(
            "label", "log", sp.log(u * v), sp.log(u) + sp.log(v), sibling=1, **forced, **STATEMENT
        )


def test_floats_are_refused_in_expressions():
    with pytest.raises(TypeError, match="floats"):
        derived("label", "half", 0.5 * x, x / 2, sibling=x, **STATEMENT)


ASSUMPTIONS = [{"positive": True}, {"negative": True}, {"integer": True}, {"real": True}, {}]
ASSUMPTIONS += [{"nonnegative": True}, {"even": True}, {"integer": True, "positive": True}]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ASSUMPTIONS), st.integers(0, 10**6), st.sampled_from([None, -1, 1]))
def test_points_respect_assumptions(assumptions, seed, sign):
    value = identities._draw(sp.Symbol("s", **assumptions), random.Random(seed), sign=sign)
    assert value.is_rational and value != 0
    assert all(getattr(value, f"is_{name}") for name in assumptions)
    assert all(
        sp.Symbol("s", **assumptions).assumptions0.get(n) in (None, t)
        for n, t in [("positive", value > 0), ("integer", value.is_integer)]
    )


def test_impossible_assumptions_are_undecided():
    with pytest.raises(Undecided, match="no rational meets the assumptions of s"):
        identities._draw(sp.Symbol("s", irrational=True), random.Random(0))


def test_what_has_no_regular_point_is_undecided():
    with pytest.raises(EvidenceError, match="random points are regular"):
        derived("label", "pole", sp.zoo * x, 0, sibling=1, **STATEMENT)
    with pytest.raises(EvidenceError, match="cannot write out"):
        endless = sp.Sum(z[i], (i, 1, sp.oo))
        derived("label", "endless", endless, endless, sibling=1, **STATEMENT)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=4).filter(any), st.integers(1, 5))
def test_polynomials(coefficients, extra):
    lhs = sum(c * (x + 1) ** n for n, c in enumerate(coefficients))
    right = sp.expand(lhs)
    derived("label", "polynomial", lhs, right, sibling=right + extra, **STATEMENT)


# --- exact --------------------------------------------------------------------------------


def mean_and_total(*values):
    return Fraction(sum(values), len(values)) * len(values), sum(values)


def off_by_one(*values):
    return Fraction(sum(values), len(values)) * len(values), sum(values) + 1


def test_exact():
    evidence = exact(
        "label", "sum", mean_and_total, [(1, 2), (3, 4, 5)], domain="two lists", sibling=off_by_one
    )
    assert (evidence.figure, evidence.covers, evidence.kind) == ("2 cases", "instances", "exact")
    one = exact("label", "sum", lambda n: (n, n), [5], domain="5", sibling=lambda n: (n, 0))
    assert one.figure == "1 case"


def test_exact_failures():
    with pytest.raises(EvidenceError, match=r"label · sum: .*case \(1, 2\): 3 == 4 is false"):
        exact("label", "sum", off_by_one, [(1, 2)], domain="a list", sibling=off_by_one)
    with pytest.raises(EvidenceError, match="wrong sibling passes"):
        exact("label", "sum", mean_and_total, [(1, 2)], domain="a list", sibling=mean_and_total)
    with pytest.raises(ValueError, match="cases must not be empty"):
        exact("label", "sum", mean_and_total, [], domain="none", sibling=off_by_one)
    with pytest.raises(ValueError, match="relation must be one of"):
        exact("label", "sum", mean_and_total, [1], domain="1", sibling=off_by_one, relation="!=")


@pytest.mark.parametrize("relation, wrong", [("<=", -1), ("<", 0), (">=", 1), (">", 0), ("==", 1)])
def test_relations(relation, wrong):
    right = {"<=": 0, ">=": 0, "==": 0, "<": 1, ">": -1}[relation]
    cases = (Fraction(n, 7) for n in range(-3, 4))  # an iterator is enough
    exact(
        "label",
        "order",
        lambda q: (q, q + right),
        cases,
        domain="sevenths",
        sibling=lambda q: (q, q + wrong),
        relation=relation,
    )


def test_lists_of_pairs_and_fmpq():
    def sides(n):
        return [(flint.fmpq(n, 3), Fraction(n, 3)), (n, n)]

    exact("label", "thirds", sides, range(5), domain="n<5", sibling=lambda n: [(n, n), (n, -n)])
    for found in ([], (1, 2, 3), [1, 2], 1):
        with pytest.raises(TypeError, match="pair"):
            exact("label", "odd", lambda n, r=found: r, [1], domain="1", sibling=sides)


@pytest.mark.parametrize("value", [1.0, True, np.float64(1), np.int64(1), sp.Integer(1), "1", None])
def test_exact_refuses_by_type(value):
    with pytest.raises(TypeError, match=r"must be an int, Fraction or flint.fmpq, got"):
        exact("label", "type", lambda: (1, value), [()], domain="1", sibling=lambda: (1, 2))
    with pytest.raises(TypeError, match="got"):
        exact("label", "type", lambda: (1, 1), [()], domain="1", sibling=lambda: (value, 2))


# --- measured -----------------------------------------------------------------------------

NORMAL = np.random.default_rng(0).normal(0.01, 0.1, 4000)


def test_measured_mean():
    evidence = measured(
        "label",
        "mean",
        NORMAL,
        within=(0, 0.01),
        tolerance=0.01,
        domain="4000 draws",
        sibling=NORMAL + 0.1,
    )
    mean, low, high = confidence_interval(NORMAL)
    assert evidence.figure == f"{mean:.3g} [{low:.3g}, {high:.3g}], n=4000"
    assert evidence.tolerance == "0.01 beyond [0, 0.01]"
    assert evidence.covers == "instances"


def test_measured_proportion():
    sample = torch.arange(1000) % 100 > 0
    evidence = measured(
        "label",
        "share",
        sample,
        within=(0.99, None),
        tolerance=0.02,
        domain="1000 rows",
        sibling=~sample,
    )
    assert evidence.figure == "0.99 [0.979, 0.996], n=1000"
    assert evidence.tolerance == "0.02 beyond [0.99, ∞)"
    assert confidence_interval([True] * 10)[2] == 1.0


def test_measured_failures():
    common = {"domain": "draws", "sibling": NORMAL + 9}
    with pytest.raises(EvidenceError, match=r"label · mean: .*estimate .* outside \[1, 2\]"):
        measured("label", "mean", NORMAL, within=(1, 2), tolerance=0, **common)
    with pytest.raises(EvidenceError, match="interval .* leaves"):
        measured("label", "mean", NORMAL[:50], within=(0, 0.03), tolerance=0, **common)
    with pytest.raises(EvidenceError, match="wrong sibling passes"):
        measured("label", "mean", NORMAL, within=(-1, 1), tolerance=0, domain="d", sibling=NORMAL)
    with pytest.raises(EvidenceError, match="not provably wrong"):  # wide, but centred right
        measured(
            "label",
            "mean",
            NORMAL,
            within=(0, 0.02),
            tolerance=0,
            domain="draws",
            sibling=np.array([-1.0, 1.02]),
        )


@pytest.mark.parametrize(
    "sample", [[], [0.1], [0.1, float("nan")], [0.1, float("inf")], [[0.1, 0.2]], 0.5]
)
def test_bad_samples(sample):
    with pytest.raises(ValueError, match="sample must"):
        confidence_interval(np.asarray(sample, dtype=float))
    with pytest.raises(ValueError, match="sibling must"):
        measured(
            "label",
            "mean",
            NORMAL,
            within=(0, 1),
            tolerance=1,
            domain="d",
            sibling=np.asarray(sample, dtype=float),
        )


def test_sample_types():
    for sample in ([1, 2], ["a", "b"], [1j, 2j]):
        with pytest.raises(TypeError, match="sample must hold floats or bools"):
            confidence_interval(sample)


@pytest.mark.parametrize(
    "change, word",
    [
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"within": (None, None)}, "within"),
        ({"within": (1, 0)}, "within"),
        ({"within": (float("nan"), 0)}, "within"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_bad_bounds(change, word):
    bounds = {"within": (0, 1), "tolerance": 0.1} | change
    with pytest.raises(ValueError, match=word):
        measured("label", "mean", NORMAL, domain="d", sibling=NORMAL + 9, **bounds)


def test_tolerance_is_required():
    with pytest.raises(TypeError, match="tolerance"):
        measured("label", "mean", NORMAL, within=(0, 1), domain="d", sibling=NORMAL + 9)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = []
    for _ in range(400):
        _, low, high = confidence_interval(rng.normal(3, 2, 12), 0.9)
        hits.append(low <= 3 <= high)
    assert 0.85 < np.mean(hits) < 0.95  # 0.9 within 3.3 standard errors
    hits = []
    for _ in range(400):
        _, low, high = confidence_interval(rng.random(40) < 0.3, 0.9)
        hits.append(low <= 0.3 <= high)
    assert np.mean(hits) > 0.87  # Clopper-Pearson is conservative


# --- counterexample -----------------------------------------------------------------------

# "a convex function on [0, 1] attains its maximum at an end", told by three values
CLAIM = {
    "claim": lambda v: v[1] <= max(v[0], v[2]),
    "hypotheses": {
        "convex": lambda v: 2 * v[1] <= v[0] + v[2],
        "nonnegative": lambda v: min(v) >= 0,
    },
}
BUMP, BOWL = (0, Fraction(1, 2), 0), (1, 0, 1)


def test_counterexample_without_a_hypothesis():
    evidence = counterexample(
        "label", "bump", BUMP, drops="convex", domain="three values", sibling=BOWL, **CLAIM
    )
    assert evidence.domain == "without convex: three values"
    assert evidence.figure == "(0, 1/2, 0)"
    assert (evidence.verdict, evidence.covers) == ("holds", "instances")


def test_counterexample_to_the_claim_itself():
    evidence = counterexample(
        "label",
        "two",
        2,
        claim=lambda n: n % 2 == 1,
        drops=None,
        hypotheses={"prime": lambda n: n in (2, 3, 5)},
        domain="V=3, primes",
        sibling=3,
    )
    assert (evidence.verdict, evidence.covers) == ("fails", "every case")
    assert evidence.line().startswith("✗ label · counterexample") and "refuted" in evidence.line()


@pytest.mark.parametrize(
    "witness, drops, reason",
    [
        (BOWL, "convex", "the claim holds at"),
        (BUMP, None, "violates the hypothesis 'convex'"),
        ((-1, 0, -1), "convex", "violates the hypothesis 'nonnegative'"),
        (BUMP, "nonnegative", "violates the hypothesis 'convex'"),
    ],
)
def test_witnesses_that_do_not_qualify(witness, drops, reason):
    with pytest.raises(EvidenceError, match=f"label · bump: .*{reason}"):
        counterexample("label", "bump", witness, drops=drops, domain="d", sibling=BOWL, **CLAIM)


def test_a_dropped_hypothesis_that_holds_proves_nothing():
    hypotheses = CLAIM["hypotheses"] | {"first is 0": lambda v: v[0] == 0}
    hypotheses.pop("convex")
    with pytest.raises(EvidenceError, match="meets the dropped hypothesis 'first is 0'"):
        counterexample(
            "label",
            "bump",
            BUMP,
            claim=CLAIM["claim"],
            hypotheses=hypotheses,
            drops="first is 0",
            domain="d",
            sibling=BOWL,
        )


def test_counterexample_arguments():
    with pytest.raises(EvidenceError, match="wrong sibling passes"):
        counterexample(
            "label", "bump", BUMP, drops="convex", domain="d", sibling=(0, 1, 0), **CLAIM
        )
    with pytest.raises(ValueError, match="drops must name one of .*'linear'"):
        counterexample("label", "bump", BUMP, drops="linear", domain="d", sibling=BOWL, **CLAIM)
    with pytest.raises(TypeError, match="claim must return a bool, got None"):
        counterexample(
            "label",
            "bump",
            BUMP,
            claim=lambda v: None,
            hypotheses={},
            drops=None,
            domain="d",
            sibling=BOWL,
        )
    with pytest.raises(TypeError, match=r"hypotheses\['h'\] must return a bool, got 1"):
        counterexample(
            "label",
            "bump",
            BUMP,
            claim=lambda v: np.False_,
            drops=None,
            hypotheses={"h": lambda v: 1},
            domain="d",
            sibling=BOWL,
        )


# --- cited --------------------------------------------------------------------------------


@pytest.fixture
def bibliography(tmp_path):
    (tmp_path / "book").mkdir()
    path = tmp_path / "book" / "references.bib"
    path.write_text("@comment{x}\n@article{hinton2015,\n  title={T},\n}\n  @Book {cover, year=1}\n")
    return path


def test_cited_finds_the_bibliography_above(bibliography, monkeypatch):
    deep = bibliography.parent / "chapters" / "one"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    evidence = cited("label", "hinton2015", "states the limit in section 2.1")
    assert (evidence.kind, evidence.check, evidence.figure) == (
        "cited",
        "hinton2015",
        "in references.bib",
    )
    assert evidence.line() == (
        "✓ label · cited · hinton2015 · states the limit in section 2.1 · in references.bib "
        "· wrong sibling rejected"
    )


def test_cited_failures(bibliography, tmp_path, monkeypatch):
    cited("label", "cover", "says so", bibliography=bibliography)
    for key in ("absent", "hinton", "title", "Cover"):
        with pytest.raises(EvidenceError, match=f"label · {key}: .*no entry '{key}'"):
            cited("label", key, "says so", bibliography=bibliography)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(FileNotFoundError, match="no book/references.bib"):
        cited("label", "cover", "says so")


# --- in a kernel --------------------------------------------------------------------------

CELL = """
from kdlib.evidence import exact
exact("label", "sum", lambda n: (n + n, 2 * n), range(3), domain="n<3", sibling=lambda n: (n, 1))
"""


def test_a_kernel_shows_each_record_once():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(CELL)]
    folder = str(Path(__file__).parents[1])
    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert set(output.data) == {"text/plain", "text/html", MIME}
    assert list(output.data[MIME]) == KEYS
    start = "✓ label · exact · sum · n<3 · assumed: cases 0, 1, 2 (digest "
    assert output.data["text/plain"].startswith(start)
    assert output.data["text/plain"].endswith(") · instances · 3 cases · wrong sibling rejected")


def test_without_a_kernel_nothing_is_printed(capsys):
    exact("label", "same", lambda n: (n, n), [1], domain="1", sibling=lambda n: (n, 0))
    assert capsys.readouterr().out == ""


# --- one label for the checks of a statement ----------------------------------------------------


def test_about_gives_label_and_shared_arguments_to_each_check_that_takes_them():
    check = about("label", domain="every V", covers="every case")
    assert check.derived("step", x + x, 2 * x, sibling=x) == derived(
        "label", "step", x + x, 2 * x, domain="every V", covers="every case", sibling=x
    )
    narrow = check.derived("step", x, x, sibling=-x, covers="instances")
    assert narrow.covers == "instances"
    sample = np.array([0.1, 0.2, 0.3])
    found = check.measured("mean", sample, within=(0, 1), tolerance=1, sibling=sample + 9)
    assert (found.covers, found.domain) == ("instances", "every V")  # measured takes no covers
    with pytest.raises(TypeError, match="covers"):
        check.measured("m", sample, within=(0, 1), tolerance=1, sibling=sample, covers="instances")


# --- what a check assumed is shown ---------------------------------------------------------------


def narrowed_smt(bound):
    t = z3.Real("t")
    rest = {"domain": "all t", "covers": "every case", "sibling": t > 9}
    return certified_smt("label", "step", t > 0, {"range": t > bound}, **rest)


def narrowed_box(end):
    rest = {"domain": "all t", "covers": "every case", "sibling": lambda t: t - 1}
    return certified_box("label", "step", lambda t: t, [(1, end)], **rest)


def narrowed_cases(last):
    rest = {"domain": "n", "sibling": lambda n: (n, n + 1)}
    return exact("label", "step", lambda n: (2 * n, n + n), range(9 + last), **rest)


def narrowed_symbols(sign):
    t = sp.Symbol("t", **({"real": True} if sign else {"positive": True}))
    rest = {"domain": "all t", "covers": "every case", "sibling": t}
    return derived("label", "step", (t + 1) ** 2 - 1, t**2 + 2 * t, **rest)


@pytest.mark.parametrize("check", [narrowed_smt, narrowed_box, narrowed_cases, narrowed_symbols])
def test_a_narrowed_check_leaves_another_record(check):
    wide, narrow = check(1), check(2) if check is not narrowed_symbols else check(0)
    assert wide.domain == narrow.domain  # the words stay, the objects tell
    assert wide.assumed and wide.assumed != narrow.assumed
    assert check(1).assumed == wide.assumed


# --- declared numbers -----------------------------------------------------------------------------


def test_a_declared_number_is_named_by_the_checks_that_use_it():
    c = stated("label", "C", sp.sqrt(3) / 36)
    rest = {"domain": "every x", "covers": "every case"}
    evidence = derived("label", "a", 36 * c * x, sp.sqrt(3) * x, sibling=c * x, **rest)
    assert evidence.stated == ("label:C",)
    assert derived("label", "b", x, x, sibling=-x, **rest).stated == ()
    with pytest.raises(EvidenceError, match="does not pass"):
        derived("label", "c", 35 * c * x, sp.sqrt(3) * x, sibling=c * x, **rest)
    t = z3.Real("t")
    algebra = certified_smt(
        "label", "d", 432 * c.z3() ** 2 * t == t, [], sibling=t > c.z3(), **rest
    )
    assert algebra.stated == ("label:C",)
    box = certified_box(
        "label", "e", lambda y: y - c.arb(), [(1, 2)], sibling=lambda y: c.arb() - y, **rest
    )
    assert box.stated == ("label:C",)
    with flint.ctx.workprec(128):
        assert abs(c.arb() - flint.arb(3).sqrt() / 36) < 1e-30
        assert c.arb().overlaps(flint.arb(3).sqrt() / 36) and c.arb().rad() < 1e-30
        assert not c.arb().contains(flint.arb("0.0481125224324689"))
    with pytest.raises(ValueError, match="label:C must be rational"):
        c.fraction()


def test_a_formula_is_printed_from_the_object_that_is_checked():
    variance = notation(r"\operatorname{Var}", VARIANCE)
    entropy = notation("H", H)
    claim = stated("label", "slope", sp.Eq(sp.Derivative(entropy, b), -b * variance))
    assert claim.latex_form == r"\frac{\partial}{\partial b} H = - \operatorname{Var} b"
    rest = {"domain": "every V", "covers": "every case"}
    evidence = derived("label", "slope", claim.lhs, claim.rhs, sibling=variance, **rest)
    assert evidence.stated == ("label:slope",)
    with pytest.raises(EvidenceError, match="does not pass"):
        derived("label", "slope", claim.lhs, -claim.rhs, sibling=variance, **rest)


def test_a_declared_value_is_exact_and_its_form_comes_from_the_object():
    with pytest.raises(TypeError, match="must be exact"):
        stated("label", "C", 0.5)
    with pytest.raises(ValueError, match="latex may replace"):
        stated("label", "C", x**2, latex="x")
    with pytest.raises(ValueError, match="name must be"):
        stated("label", r"\C", sp.Rational(1, 2))
    assert STATED_MIME != MIME

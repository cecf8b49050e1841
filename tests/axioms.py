"""The axioms of softening as checks on one case, and what the chapters promise of each operator.

A check returns by how much an operator breaks an axiom, after the allowance for rounding; above 0
is a violation. Every allowance and every rate of convergence is a theorem of the chapters "The
axioms" and "A continuum of operators", or is derived where it is written. `log_p` has shape (V,).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdlib import operators as op
from kdlib import outside_class
from kdlib.simplex import entropy, majorization_gap

EPS, INF = torch.finfo(torch.float64).eps, math.inf

# --- rounding -----------------------------------------------------------------------------


def rounding(size: int) -> float:
    """Error of a sum of V terms of total 1, one after the other, and of a few operations."""
    return 32 * EPS * (size + 8)


def tv(log_p: Tensor, log_q: Tensor) -> float:
    return float((log_p.exp() - log_q.exp()).abs().sum()) / 2


def fannes(distance: float, size: int) -> float:
    """Largest difference of entropies at a total variation (Audenaert 2007)."""
    if distance >= 1 - 1 / size:
        return math.log(size)
    t = max(distance, 1e-300)
    return t * math.log(max(size - 1, 1)) - t * math.log(t) - (1 - t) * math.log1p(-t)


def drops(log_p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sorted log p, the differences p_k - p_(k+1) of it, with p_(V+1) = 0, and k."""
    ordered = log_p.sort(descending=True).values
    below = torch.cat([ordered[1:], ordered.new_tensor([-INF])])
    step = torch.where(ordered == below, 0.0, ordered - below)
    sizes = torch.arange(1, len(log_p) + 1, dtype=torch.float64)
    return ordered, ordered.exp() * -torch.expm1(-step), sizes


# --- what the chapters say of each operator -------------------------------------------------


def support(log_p: Tensor) -> Tensor:
    return log_p[log_p > -INF]


def phi_gap(s):
    """log q_i - log q_j from q_j^-s - q_i^-s = (p_j^-s - p_i^-s) / T (`phi-members`)."""

    def gap(high, low, log_q, t):
        if s == 0:
            return (high - low) / t
        return torch.log1p((s * (log_q - high)).exp() * torch.expm1(s * (high - low)) / t) / s

    return gap


def mixing_gap(high, low, log_q, t):
    return -torch.log1p(torch.expm1(low - high) * (high - log_q).exp() / t)


def layer_gap(log_p, log_q, t):
    """q_k - q_(k+1) = k^a (p_k - p_(k+1)) / Z, a = log2 T (`layer-cake-axioms`)."""
    _, drop, k = drops(log_p)
    log_weight = drop.log() + math.log2(t) * k.log()
    log_z = torch.logsumexp(log_weight + k.log(), 0)
    return -torch.log1p(-(log_weight - log_z - log_q).exp().clamp(max=1))[:-1]


def phi_slope(s):
    """dH / dlog T; `phi-entropy` with p eliminated: dlog q_i / dlog T = (1 - q_i^s / m) / s."""

    def slope(log_p, log_q, t):
        x = support(log_q)
        if s == 0:
            return float((x.exp() * (x + entropy(log_q)) ** 2).sum())
        weight = torch.softmax((1 + s) * x, 0)
        return float((weight * x).sum() + entropy(log_q)) / s

    return slope


def mixing_slope(log_p, log_q, t):
    """dq / dlog T = u - q."""
    return float(-entropy(log_q) - log_q.mean())


def layer_slope(log_p, log_q, t):
    """dq_i / da = sum of (q_k - q_(k+1)) (log k - mean) over k >= i, a = log2 T."""
    ordered, drop, k = drops(log_q)
    mean = (k * drop * k.log()).sum()
    moved = (drop * (k.log() - mean)).flip(0).cumsum(0).flip(0) / math.log(2)
    return -float((moved * ordered)[ordered > -INF].sum())


# A modulus bounds the total variation from F_T(p) to F_T'(p') by dp = sup |log p' - log p| and
# dt = log T' - log T >= 0; integrals of the derivatives given here, over the support.


def phi_modulus(s):
    """dlog q_i is x_i - q_i^s (sum qx) / m with x_i = (q_i/p_i)^s dlog p_i / T, or the same
    with dlog p_i = dt / s; (q_i/p_i)^s / T <= max(1, V^s / T). For s = 0, sum q |log q + H| <= 2H.
    """

    def modulus(log_p, log_q, t, dp, dt):
        size = len(support(log_p))
        in_t = math.log(size) if s == 0 else max(1, size**s / t) / s
        return max(1, size**s / t) * dp + in_t * dt

    return modulus


def mixing_modulus(log_p, log_q, t, dp, dt):
    return (math.expm1(dp) / 2 + dt) / t


def glue_modulus(log_p, log_q, t, dp, dt):
    return phi_modulus(0)(log_p, log_q, t, dp, dt) + mixing_modulus(log_p, log_q, max(t, 1), dp, dt)


def gini_modulus(log_p, log_q, t, dp, dt):
    """Projections do not increase Euclidean distances."""
    length = float(log_p.exp().norm())
    return math.sqrt(len(log_p)) / 2 * length * (math.expm1(dp) + dt) / t


def layer_modulus(log_p, log_q, t, dp, dt):
    """q_i = N_i / Z; for a >= 0 N_i is a sum of positive multiples of the p_k, so its relative
    change is that of p; for a < 0 sum |dN_i| <= (1 - a) max |dlog p|. And dlambda'_k / da =
    lambda'_k (log k - mean), where the mean deviation of log k is at most (log V) / 2.
    """
    _, drop, k = drops(log_p)
    a = math.log2(t)
    scale = 1 if a >= 0 else (1 - a) / float((drop * k ** (1 + a)).sum())
    return math.expm1(dp) * scale + math.log(len(support(log_p))) / (4 * math.log(2)) * dt


def clock(log_p, log_q):
    """beta of q ~ p^beta, from the two ends of the support."""
    p, q = support(log_p), support(log_q)
    spread = float(p.max() - p.min())
    return float(q.max() - q.min()) / spread if spread else 1.0


def matched_modulus(log_p, log_q, t, dp, dt):
    """p'^beta is near p^beta; F_T'(p') is on its curve, with an entropy that is h away. On one
    curve KL(cold || warm) <= H(warm) - H(cold), as dH = -beta Var dbeta; then Pinsker.
    """
    size, beta = len(support(log_p)), clock(log_p, log_q)
    h = fannes(phi_modulus(1)(log_p, log_q, t, dp, dt), size) + fannes(beta * dp, size)
    return beta * dp + math.sqrt(h / 2)


# Bounds on the total variation to the limits, u and the uniform distribution on the leaders.


def phi_hot(s):
    """`phi-limits` 1: |q_i^-s - V^s| <= osc(p^-s) / T, so V q_i is at least (1 + b)^(-1/s)."""

    def hot(log_p, t):
        low, high = float(log_p.min()), float(log_p.max())
        if s == 0:
            return -math.expm1(-(high - low) / t)
        bound = (math.exp(-s * low) - math.exp(-s * high)) / t / len(log_p) ** s
        return -math.expm1(-math.log1p(bound) / s)

    return hot


def phi_cold(s):
    """`escort-axioms` and `cold-rate`, summed; m leaders instead of one change nothing."""

    def cold(log_p, t):
        behind = log_p.max() - log_p
        behind = behind[behind > 0]
        if len(behind) == 0:
            return 0.0
        if s == 0:
            return len(behind) * math.exp(-float(behind.min()) / t)
        gamma = torch.expm1(s * behind) * (-s * log_p.max()).exp()
        return float((gamma / t + 1).pow(-1 / s).sum())

    return cold


def mixing_hot(log_p, t):
    return tv(log_p, torch.full_like(log_p, -math.log(len(log_p)))) / t if t >= 1 else 1.0


def layer_limit(keep):
    """Mass outside one layer k0: R / (1 + R), R = sum of (lambda_k / lambda_k0) (k / k0)^a.

    At extreme T the rounding of a log k is the largest: it enters a log of V q.
    """

    def bound(log_p, t):
        _, drop, k = drops(log_p)
        weight = drop.log() + k.log() + math.log2(t) * k.log()
        rest = 1 - float(torch.softmax(weight, 0)[(drop > 0).nonzero()[keep]])
        return rest + 4 * EPS * abs(math.log2(t)) * math.log(len(log_p))

    return bound


def matched_hot(log_p, t):
    """Pinsker: KL(q || u) = KL(Burg || u) <= log max V q_i."""
    bound = (math.exp(-float(log_p.min())) - math.exp(-float(log_p.max()))) / t / len(log_p)
    return math.sqrt(-math.log1p(-bound) / 2) if bound < 1 else 1.0


def matched_cold(log_p, t):
    """As in `matched_modulus`: KL(limit || q) <= H(q) - H(limit), the entropies are Burg's."""
    return math.sqrt(fannes(phi_cold(1)(log_p, t), len(support(log_p))) / 2)


def gini_cold(log_p, t):
    """`gini-weak`, step 7: m leaders have all mass from T = m (p_1 - p_(m+1)) down."""
    leaders = int((log_p == log_p.max()).sum())
    drop = drops(log_p)[1][leaders - 1] if leaders < len(log_p) else INF
    return 0.0 if t <= leaders * drop / 2 else 1.0


@dataclass(frozen=True)
class Operator:
    soften: Callable
    gap: Callable  # (log_p, log_q, T), sorted: log q_k - log q_(k+1) in exact arithmetic
    slope: Callable  # (log_p, log_q, T): dH / dlog T
    modulus: Callable  # (log_p, log_q, T, dp, dt): how far q can move
    hot: Callable  # (log_p, T): bound on the distance to u
    cold: Callable  # (log_p, T): bound on the distance to the leaders
    steep: bool = True  # zeros stay zeros
    # What has few errors: every "log q", every "q", or (matched escort) only the "entropy".
    exact: str = "log q"

    def reach(self, log_p: Tensor, t: float) -> float:
        """The nearest temperature at which the operator exists (`mixing-leaves`)."""
        if self.soften is not outside_class.mixing:
            return t
        return max(t, 1 - len(log_p) * float(log_p.exp().min()) + 1e-6)

    def slack(self, size: int, t: float = 1.0) -> float:
        """Rounding of the result in total variation; an entropy fixes q by Pinsker only."""
        if self.exact == "entropy":
            return math.sqrt(rounding(size) / 2)
        return rounding(size) / (min(t, 1) if self.exact == "q" else 1)


def neighbours(gap):
    return lambda log_p, log_q, t: gap(log_p[:-1], log_p[1:], log_q[:-1], t)


def phi(soften, s):
    parts = (neighbours(phi_gap(s)), phi_slope(s), phi_modulus(s), phi_hot(s), phi_cold(s))
    return Operator(soften, *parts)


def halves(cold, warm):
    """Of the glue operator; T is the last argument."""
    return lambda *args: (warm if args[-1] > 1 else cold)(*args)


ESCORT, BURG = phi(op.escort, 0), phi(op.burg, 1)
MIXING = Operator(
    outside_class.mixing,
    neighbours(mixing_gap),
    mixing_slope,
    mixing_modulus,
    mixing_hot,
    lambda log_p, t: 0.0,
    steep=False,
    exact="q",
)
OPERATORS = {
    "escort": ESCORT,
    "burg": BURG,
    "tsallis": phi(op.tsallis, 0.5),
    "glue": Operator(
        op.glue,
        halves(ESCORT.gap, MIXING.gap),
        halves(ESCORT.slope, MIXING.slope),
        glue_modulus,
        mixing_hot,
        halves(ESCORT.cold, lambda log_p, t: 1.0),
        steep=False,
    ),
    "layer_cake": Operator(
        op.layer_cake, layer_gap, layer_slope, layer_modulus, layer_limit(-1), layer_limit(0)
    ),
    "matched_escort": Operator(
        op.matched_escort,
        lambda log_p, log_q, t: clock(log_p, log_q) * (log_p[:-1] - log_p[1:]),
        lambda log_p, log_q, t: BURG.slope(log_p, op.burg(log_p, t), t),
        matched_modulus,
        matched_hot,
        matched_cold,
        exact="entropy",
        # test_axioms.test_matched_escort_follows_a_near_tie_to_the_cold has what fails below.
    ),
    "mixing": MIXING,
    # The strict halves are held against the escort's order and entropy: the gini has none.
    "gini": Operator(
        outside_class.gini,
        ESCORT.gap,
        lambda log_p, log_q, t: ESCORT.slope(log_p, op.escort(log_p, t), t),
        gini_modulus,
        mixing_hot,
        gini_cold,
        steep=False,
        exact="q",
    ),
}

# --- the axioms ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    log_p: Tensor
    t: float
    step: float = 0.5  # log of the ratio to a second, larger temperature
    second: float = 2.0  # the other temperature of A6
    nudge: float = 1e-9  # size of a small change
    extreme: float = 30.0  # limits are looked at near 10^extreme and 10^-extreme
    seed: int = 0


def random(case: Case) -> torch.Generator:
    return torch.Generator().manual_seed(case.seed)


def log_error(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Of log q where every operation is in the log domain."""
    finite = log_q > -INF
    size = torch.where(finite, log_p.abs() + log_q.abs(), 0.0)
    return rounding(len(log_p)) + 16 * EPS * size


def mismatch(o: Operator, case: Case, t: float, log_p: Tensor, found: Tensor, wanted: Tensor):
    """How far two results are apart that are one in exact arithmetic."""
    worst = tv(found, wanted) - 2 * o.slack(len(found), t)
    if o.exact == "log q":
        apart = torch.where(found == wanted, 0.0, (found - wanted).abs())
        worst = max(worst, float((apart - 2 * log_error(log_p, wanted)).max()))
    return worst


def in_the_open_simplex(o: Operator, case: Case) -> float:
    try:
        log_q = o.soften(case.log_p, case.t)
    except ValueError:
        return 1.0
    if not bool((support(case.log_p).isfinite() & (log_q > -INF)[case.log_p > -INF]).all()):
        return 1.0
    return abs(float(log_q.exp().sum()) - 1) - 2 * o.slack(len(log_q), case.t)


def ranking(o: Operator, case: Case, strict: bool = True) -> float:
    """Ties stay ties to the bit. Labels apart stay apart by half their distance in exact
    arithmetic where that is 4 times what float64 resolves in log q; never change places."""
    t = o.reach(case.log_p, case.t)
    order = case.log_p.argsort(descending=True, stable=True)
    log_p, log_q = case.log_p[order], o.soften(case.log_p, t)[order]
    high, low = log_q[:-1], log_q[1:]
    moved = torch.where(high == low, 0.0, high - low)
    tied = log_p[:-1] == log_p[1:]
    resolution = 4 + torch.where(low > -INF, -low, torch.where(high > -INF, -high, 0.0))
    if o.exact == "q":
        mass = torch.where(low > -INF, low, torch.where(high > -INF, high, 0.0)).exp()
        resolution = resolution + 1 / (min(t, 1) * mass)
    resolution = 16 * EPS * resolution
    wrong = torch.where(tied, moved.abs(), -moved - resolution)
    if strict:
        gap = torch.where(tied, 0.0, o.gap(log_p, log_q, t)).clamp(max=1)
        wrong = torch.where(~tied & (gap > 4 * resolution), gap / 2 - moved, wrong)
    return float(wrong.max())


def continuity(o: Operator, case: Case) -> float:
    """A nudge of p that breaks ties and near ties, one of T, and both at once."""
    sign = torch.randint(-1, 2, case.log_p.shape, generator=random(case)).double()
    nudged = torch.log_softmax(case.log_p + case.nudge * sign, 0)
    dp = float((support(nudged) - support(case.log_p)).abs().max())
    t = max(o.reach(case.log_p, case.t), o.reach(nudged, case.t))
    log_q, worst, later = o.soften(case.log_p, t), -INF, t * math.exp(case.nudge)
    for point, temperature in ((nudged, t), (case.log_p, later), (nudged, later)):
        moves = dp * (point is nudged), math.log(later / t) * (temperature > t)
        allowed = o.modulus(case.log_p, log_q, t, *moves) + 2 * o.slack(len(log_q), t)
        worst = max(worst, tv(o.soften(point, temperature), log_q) - allowed)
    return worst


def entropy_rises(o: Operator, case: Case, strict: bool = True) -> float:
    """By 1/16 of what the smaller of the slopes at both ends promises, where that is more than
    the entropy's rounding; it never falls."""
    t = o.reach(case.log_p, case.t)
    later = t * math.exp(case.step)
    sharp, soft = o.soften(case.log_p, t), o.soften(case.log_p, later)
    allowed = 2 * fannes(o.slack(len(sharp), t), len(sharp))
    rise = float(entropy(soft) - entropy(sharp))
    slope = min(o.slope(case.log_p, sharp, t), o.slope(case.log_p, soft, later))
    promised = slope * case.step / 16
    return promised - rise if strict and promised > allowed else -rise - allowed


def majorisation(o: Operator, case: Case) -> float:
    t = o.reach(case.log_p, case.t)
    sharp, soft = o.soften(case.log_p, t), o.soften(case.log_p, t * math.exp(case.step))
    return float(majorization_gap(sharp, soft)) - 2 * o.slack(len(sharp), t)


def identity(o: Operator, case: Case) -> float:
    return mismatch(o, case, 1.0, case.log_p, o.soften(case.log_p, 1.0), case.log_p)


def hot_limit(o: Operator, case: Case) -> float:
    uniform, worst = torch.full_like(case.log_p, -math.log(len(case.log_p))), -INF
    for t in (o.reach(case.log_p, case.t), 1e3, 10**case.extreme):
        allowed = o.hot(case.log_p, t) + o.slack(len(uniform), t)
        worst = max(worst, tv(o.soften(case.log_p, t), uniform) - allowed)
    return worst


def cold_limit(o: Operator, case: Case) -> float:
    top, worst = case.log_p == case.log_p.max(), -INF
    limit = torch.where(top, -top.sum().double().log(), -INF)
    for t in (min(case.t, 1.0), 1e-3, 10**-case.extreme):
        try:
            found = o.soften(case.log_p, t)
        except ValueError:
            return 1.0
        worst = max(worst, tv(found, limit) - o.cold(case.log_p, t) - o.slack(len(top)))
    return worst


def semigroup(o: Operator, case: Case) -> float:
    """The rounding of the first result goes through the modulus of the second step."""
    t = o.reach(case.log_p, case.t)
    once = o.soften(case.log_p, t)
    second = o.reach(once, case.second)
    together = o.soften(case.log_p, t * second)
    error = float(log_error(case.log_p, once).max())
    allowed = o.modulus(once, o.soften(once, second), second, error, 0.0)
    allowed += 2 * o.slack(len(once), min(t, 1) * min(second, 1))
    return tv(o.soften(once, second), together) - allowed


def equivariance(o: Operator, case: Case) -> float:
    order = torch.randperm(len(case.log_p), generator=random(case))
    t = o.reach(case.log_p, case.t)
    log_p, log_q = case.log_p[order], o.soften(case.log_p, t)[order]
    return mismatch(o, case, t, log_p, o.soften(log_p, t), log_q)


AXIOMS = {
    "stays in the open simplex": in_the_open_simplex,
    "A1": ranking,
    "A1w": lambda o, case: ranking(o, case, strict=False),
    "A2": continuity,
    "A3": entropy_rises,
    "A3w": lambda o, case: entropy_rises(o, case, strict=False),
    "A3+": majorisation,
    "A4": identity,
    "B∞": hot_limit,
    "B0": cold_limit,
    "A6": semigroup,
    "equivariance": equivariance,
}

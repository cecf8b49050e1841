"""Decompositions against populations whose truth is known exactly, and the reach of intervals."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch

from kdlib import statistics as stats

DTYPE = torch.float64


def population() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four equally likely students of two inputs and three labels, and the truth."""
    generator = torch.Generator().manual_seed(0)
    students = torch.softmax(torch.randn(4, 2, 3, generator=generator, dtype=DTYPE), -1)
    truth = torch.softmax(torch.randn(2, 3, generator=generator, dtype=DTYPE), -1)
    return students, truth, students.mean(0)


def squared_truth() -> tuple[float, float]:
    students, truth, mean = population()
    bias = float(((mean - truth) ** 2).sum(-1).mean())
    return bias, float(((students - mean) ** 2).sum(-1).mean())


def kl_truth() -> tuple[float, float]:
    students, truth, _ = population()
    log_mean = students.log().mean(0)
    variance = -torch.logsumexp(log_mean, -1)
    log_centre = log_mean + variance[:, None]
    bias = (truth * (truth.log() - log_centre)).sum(-1)
    return float(bias.mean()), float(variance.mean())


def test_squared_estimates_are_unbiased_exactly():
    students, truth, _ = population()
    samples = itertools.product(range(4), repeat=3)  # every sample of three replicates
    found = [stats.squared_decomposition(students[list(s)], truth) for s in samples]
    bias, variance = squared_truth()
    assert math.isclose(np.mean([d.bias.value for d in found]), bias, rel_tol=1e-12)
    assert math.isclose(np.mean([d.variance.value for d in found]), variance, rel_tol=1e-12)
    assert math.isclose(np.mean([d.risk.value for d in found]), bias + variance, rel_tol=1e-12)


def test_the_plug_in_bias_is_too_large_by_the_variance_over_r():
    students, truth, _ = population()
    bias, variance = squared_truth()
    for count in (2, 3, 4):
        plug_in = [
            float(((students[list(s)].mean(0) - truth) ** 2).sum(-1).mean())
            for s in itertools.product(range(4), repeat=count)
        ]
        assert math.isclose(np.mean(plug_in), bias + variance / count, rel_tol=1e-12)


def test_kl_estimates_lose_the_bias_of_order_one_over_r():
    students, truth, _ = population()
    bias, variance = kl_truth()
    off = {}
    for count in (3, 4, 5):
        plug_in, corrected = [], []
        for s in itertools.product(range(4), repeat=count):
            sample = students[list(s)].log()
            plug_in.append(float(-torch.logsumexp(sample.mean(0), -1).mean()))
            corrected.append(stats.kl_decomposition(sample, truth.log()).variance.value)
        off[count] = (np.mean(plug_in) - variance, np.mean(corrected) - variance)
        assert off[count][0] < 0  # too small, by about variance / R
        assert abs(off[count][1]) < abs(off[count][0]) / 5
    # The plug-in error falls like 1/R, the corrected one like 1/R^2.
    assert math.isclose(off[3][0] / off[5][0], 5 / 3, rel_tol=0.1)
    assert abs(off[3][1] / off[5][1]) > (25 / 9 + 5 / 3) / 2  # nearer to the second order


@pytest.mark.parametrize("name", ["squared", "kl"])
def test_bias_and_variance_add_up_to_the_risk(name):
    students, truth, _ = population()
    if name == "squared":
        found = stats.squared_decomposition(students, truth)
    else:
        found = stats.kl_decomposition(students.log(), truth.log())
        expected = (truth * (truth.log() - students.log())).sum(-1).mean()
        assert math.isclose(found.risk.value, float(expected), rel_tol=1e-12)
    assert math.isclose(found.bias.value + found.variance.value, found.risk.value, rel_tol=1e-9)


@pytest.mark.parametrize("name", ["squared", "kl"])
def test_intervals_cover_the_truth_as_often_as_they_say(name):
    students, truth, _ = population()
    bias, variance = squared_truth() if name == "squared" else kl_truth()
    generator = torch.Generator().manual_seed(5)
    inside = {"bias": 0, "variance": 0, "risk": 0}
    trials, count = 400, 40
    for _ in range(trials):
        sample = students[torch.randint(4, (count,), generator=generator)]
        if name == "squared":
            found = stats.squared_decomposition(sample, truth, confidence=0.9)
        else:
            found = stats.kl_decomposition(sample.log(), truth.log(), confidence=0.9)
        for part, value in (("bias", bias), ("variance", variance), ("risk", bias + variance)):
            estimate = getattr(found, part)
            inside[part] += estimate.low <= value <= estimate.high
    # Fixed beforehand: coverage within 4 points of 90 %, up to the binomial error of 400 trials.
    for part, hits in inside.items():
        interval = scipy.stats.binomtest(hits, trials).proportion_ci(0.999, "exact")
        assert interval.low <= 0.94 and interval.high >= 0.86, (part, hits / trials)


def test_paired_test_against_scipy():
    generator = torch.Generator().manual_seed(2)
    teacher = torch.rand(30, generator=generator, dtype=DTYPE)
    student = teacher - 0.02 + 0.05 * torch.randn(30, generator=generator, dtype=DTYPE)
    gain, p_value = stats.beats(student, teacher)
    paired = scipy.stats.ttest_rel(teacher.numpy(), student.numpy(), alternative="greater")
    assert math.isclose(p_value, float(paired.pvalue), rel_tol=1e-9)
    both = scipy.stats.ttest_rel(teacher.numpy(), student.numpy()).confidence_interval(0.95)
    assert math.isclose(gain.low, both.low, rel_tol=1e-9)
    assert math.isclose(gain.high, both.high, rel_tol=1e-9)
    assert stats.beats(teacher, teacher)[1] == 1.0
    assert stats.beats(teacher - 1, teacher)[1] < 1e-9


def test_bad_input():
    students, truth, _ = population()
    with pytest.raises(ValueError, match="R >= 3"):
        stats.squared_decomposition(students[:2], truth)
    with pytest.raises(ValueError, match="truth must have shape"):
        stats.squared_decomposition(students, truth[:1])
    with pytest.raises(ValueError, match="confidence must lie in .*got 1.5"):
        stats.squared_decomposition(students, truth, confidence=1.5)
    with pytest.raises(ValueError, match="log_probs must be finite"):
        sharp = torch.tensor([1.0, 0.0, 0.0], dtype=DTYPE).log().expand(4, 2, 3)
        stats.kl_decomposition(sharp, truth.log())
    with pytest.raises(ValueError, match="log_truth.*sums to"):
        stats.kl_decomposition(students.log(), truth.log() + 1)
    with pytest.raises(ValueError, match="student_risks"):
        stats.beats(torch.zeros(3), torch.zeros(4))

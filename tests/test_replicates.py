"""Many replicates at once against one after the other, in float64."""

import joblib
import pytest
import torch
from torch import nn

from kdlib import operators, replicates

DTYPE = torch.float64
SEEDS = [3, 1, 4, 15]


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).to(DTYPE)


def make_convolution() -> nn.Module:
    layers = nn.Conv1d(1, 2, 3), nn.GELU(), nn.Flatten(), nn.LayerNorm(6), nn.Linear(6, 3)
    return nn.Sequential(nn.Unflatten(1, (1, 5)), *layers).to(DTYPE)


def data(rows: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, 5, generator=generator, dtype=DTYPE)
    scores = torch.randn(rows, 3, generator=generator, dtype=DTYPE)
    return inputs, torch.log_softmax(2 * scores, -1)


def cross_entropy(outputs: torch.Tensor, log_targets: torch.Tensor) -> torch.Tensor:
    return -(log_targets.exp() * outputs.log_softmax(-1)).sum(-1).mean(-1)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.AdamW(p, lr=0.05),
}


def loop(make, optimizer, *, batch_size, rows=None, masks=None, targets_of=None, steps=23):
    """Plain torch, one model after the other; the batches repeat the documented order."""
    inputs, targets = data()
    trained = []
    for r, seed in enumerate(SEEDS):
        torch.manual_seed(seed)
        model = make()
        mine = torch.arange(40) if rows is None else rows[r]
        mask = {n: m[r] for n, m in (masks or {}).items()}
        with torch.no_grad():
            for name, m in mask.items():
                model.get_parameter(name).mul_(m)
        step_with = optimizer(model.parameters())
        order, start = torch.Generator().manual_seed(seed), len(mine)
        for _ in range(steps):
            if batch_size is None:
                batch = mine
            else:
                if start + batch_size > len(mine):
                    shuffled, start = mine[torch.randperm(len(mine), generator=order)], 0
                batch, start = shuffled[start : start + batch_size], start + batch_size
            wanted = targets if targets_of is None else targets_of[r]
            step_with.zero_grad()
            cross_entropy(model(inputs[batch])[None], wanted[batch][None]).sum().backward()
            for name, m in mask.items():
                model.get_parameter(name).grad.mul_(m)
            step_with.step()
        trained.append({n: p.detach() for n, p in model.named_parameters()})
    return trained


def together(make, optimizer, *, targets=None, steps=23, **options):
    inputs, plain = data()
    params = replicates.initial_parameters(make, SEEDS)
    return replicates.train(
        make(),
        params,
        cross_entropy,
        inputs,
        plain if targets is None else targets,
        steps=steps,
        seeds=SEEDS,
        optimizer=optimizer,
        progress=False,
        **options,
    )


def largest_gap(stacked, one_by_one) -> float:
    return max(
        float((stacked[name][r] - value).abs().max())
        for r, params in enumerate(one_by_one)
        for name, value in params.items()
    )


@pytest.mark.parametrize("make", [make_model, make_convolution])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@pytest.mark.parametrize("batch_size", [None, 7, 40])
def test_same_as_a_loop(make, optimizer, batch_size):
    found = together(make, optimizer, batch_size=batch_size)
    expected = loop(make, optimizer, batch_size=batch_size)
    assert largest_gap(found, expected) < 1e-10
    shuffled = expected[1:] + expected[:1]
    assert largest_gap(found, shuffled) > 1e-2  # the comparison can fail


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_own_rows_masks_and_targets(optimizer):
    generator = torch.Generator().manual_seed(9)
    rows = torch.stack([torch.randperm(40, generator=generator)[:17] for _ in SEEDS])
    masks = {
        name: (torch.rand(p.shape, generator=generator) < 0.5).to(DTYPE)
        for name, p in replicates.initial_parameters(make_model, SEEDS).items()
        if name.endswith("weight")
    }
    _, log_targets = data()
    softened = torch.stack([operators.escort(log_targets, 2.0), operators.burg(log_targets, 4.0)])
    condition = torch.tensor([0, 1, 1, 0])
    found = together(
        make_model,
        optimizer,
        batch_size=8,
        rows=rows,
        masks=masks,
        targets=softened,
        condition=condition,
    )
    expected = loop(
        make_model,
        optimizer,
        batch_size=8,
        rows=rows,
        masks=masks,
        targets_of=softened[condition],
    )
    assert largest_gap(found, expected) < 1e-10
    for name, mask in masks.items():
        assert bool((found[name][mask == 0] == 0).all())


def test_one_temperature_per_replicate_in_the_loss():
    inputs, log_targets = data()
    temperatures = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=DTYPE).view(-1, 1, 1)

    def softened(outputs, targets):
        target = operators.escort(targets, temperatures, validate=False)
        student = operators.escort(outputs.log_softmax(-1), temperatures, validate=False)
        return -(target.exp() * student).sum(-1).mean(-1) * temperatures.flatten() ** 2

    params = replicates.initial_parameters(make_model, SEEDS)
    options = {"steps": 9, "batch_size": 10, "progress": False}
    found = replicates.train(
        make_model(), params, softened, inputs, log_targets, seeds=SEEDS, **options
    )
    for r, seed in enumerate(SEEDS):
        t = float(temperatures[r])

        def single(outputs, targets, t=t):
            student = operators.escort(outputs.log_softmax(-1), t, validate=False)
            return -(operators.escort(targets, t).exp() * student).sum(-1).mean(-1) * t**2

        alone = replicates.train(
            make_model(),
            {n: p[r : r + 1] for n, p in params.items()},
            single,
            inputs,
            log_targets,
            seeds=[seed],
            **options,
        )
        assert (
            largest_gap(
                {n: p[r : r + 1] for n, p in found.items()}, [{n: p[0] for n, p in alone.items()}]
            )
            < 1e-10
        )


def test_the_global_generator_and_the_initial_values_stay_as_they_were():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    params = replicates.initial_parameters(make_model, SEEDS)
    before = {n: p.clone() for n, p in params.items()}
    inputs, targets = data()
    replicates.train(
        make_model(), params, cross_entropy, inputs, targets, steps=3, seeds=SEEDS, progress=False
    )
    assert all(torch.equal(before[n], p) and not p.requires_grad for n, p in params.items())
    torch.manual_seed(7)
    replicates.initial_parameters(make_model, SEEDS)
    assert torch.equal(torch.rand(3), expected)


def test_bad_input():
    inputs, targets = data()
    params = replicates.initial_parameters(make_model, SEEDS)

    def run(**changes):
        options = {"steps": 2, "seeds": SEEDS, "progress": False} | changes
        loss = options.pop("loss", cross_entropy)
        model = options.pop("model", make_model())
        return replicates.train(model, params, loss, inputs, targets, **options)

    with pytest.raises(ValueError, match="seeds must have one entry per replicate .4., got 2"):
        run(seeds=[1, 2])
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        run(steps=0)
    with pytest.raises(ValueError, match=r"batch_size must lie in \[1, 40\], got 41"):
        run(batch_size=41)
    with pytest.raises(ValueError, match=r"rows must have shape \(4, n >= 1\), got \(2, 3\)"):
        run(rows=torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"condition must have shape \(4,\), got \(3,\)"):
        run(condition=torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="masks name unknown parameters: .'0.wight'"):
        run(masks={"0.wight": torch.ones(4, 8, 5)})
    with pytest.raises(ValueError, match=r"loss must return one value per replicate"):
        run(loss=lambda o, t: cross_entropy(o, t).sum())
    with pytest.raises(ValueError, match="model must have no buffers .*'1.running_mean'"):
        replicates.initial_parameters(
            lambda: nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), SEEDS
        )
    with pytest.raises(ValueError, match="seeds must name at least one"):
        replicates.initial_parameters(make_model, [])


def final_loss(seed: int, steps: int, log: str) -> float:
    """One point of a sweep; leaves a line in the log each time that it really runs."""
    inputs, targets = data()
    params = replicates.initial_parameters(make_model, [seed])
    trained = replicates.train(
        make_model(),
        params,
        cross_entropy,
        inputs,
        targets,
        steps=steps,
        seeds=[seed],
        progress=False,
    )
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{seed} {steps}\n")
    return float(cross_entropy(replicates.forward(make_model(), trained, inputs[None]), targets)[0])


def test_a_stopped_sweep_resumes(tmp_path):
    log = tmp_path / "log"
    settings = [{"seed": s, "steps": 4, "log": str(log)} for s in (1, 2, 3)]
    first = replicates.sweep(final_loss, settings[:2], folder=tmp_path / "kept", progress=False)
    again = replicates.sweep(final_loss, settings, folder=tmp_path / "kept", progress=False)
    assert again[:2] == first and len(set(again)) == 3
    assert sorted(log.read_text().split("\n")) == ["", "1 4", "2 4", "3 4"]


def test_a_sweep_on_dask_gives_the_same(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask's cluster is not installed")
    settings = [{"seed": s, "steps": 4, "log": str(tmp_path / "log")} for s in (1, 2)]
    expected = replicates.sweep(final_loss, settings, progress=False)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as c,
        distributed.Client(c),
        joblib.parallel_config(backend="dask"),
    ):
        found = replicates.sweep(final_loss, settings, progress=False)
    assert found == expected

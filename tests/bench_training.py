"""Speed and memory of training many replicates at once, and of pruning, as ratios.

Run with `make bench`. Methods take turns after a warm-up round; each is timed with one thread and
with all, and its better median counts. Nothing here is asserted by the tests: goals are printed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch  # noqa: E402
from stamps import processor  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from tqdm import tqdm  # noqa: E402

from kdlib import pruning, replicates  # noqa: E402

STEPS, BATCH, ROWS, REPLICATES = 50, 64, 1500, 64
CURVE = (1, 4, 16, 64, 256)
LAYERS, KEEP = 10, 0.1  # ten layers of a million weights
ROUNDS = 5
INPUTS = torch.randn(ROWS, 64, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(10, (ROWS,), generator=torch.Generator().manual_seed(1))


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    each = nn.functional.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none")
    return each.view(labels.shape).mean(1)


def together(count: int) -> dict[str, torch.Tensor]:
    seeds = range(count)
    params = replicates.initial_parameters(make_model, seeds)
    options = {"steps": STEPS, "seeds": seeds, "batch_size": BATCH, "progress": False}
    return replicates.train(make_model(), params, losses, INPUTS, LABELS, **options)


def one_by_one(count: int) -> dict[str, torch.Tensor]:
    trained = []
    for seed in range(count):
        torch.manual_seed(seed)
        model = make_model()
        step_with = torch.optim.SGD(model.parameters(), lr=0.1)
        generator, start = torch.Generator().manual_seed(seed), ROWS
        for _ in range(STEPS):
            if start + BATCH > ROWS:
                order, start = torch.randperm(ROWS, generator=generator), 0
            batch, start = order[start : start + BATCH], start + BATCH
            step_with.zero_grad()
            nn.functional.cross_entropy(model(INPUTS[batch]), LABELS[batch]).backward()
            step_with.step()
        trained.append({name: p.detach() for name, p in model.named_parameters()})
    return {name: torch.stack([t[name] for t in trained]) for name in trained[0]}


def saved_bytes(count: int) -> int:
    """Parameters, their gradients and what one step keeps for its backward pass."""
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    params = replicates.initial_parameters(make_model, range(count))
    weights = {name: p.requires_grad_() for name, p in params.items()}
    batch = INPUTS[:BATCH].expand(count, -1, -1).clone()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = replicates.forward(make_model(), weights, batch)
        losses(outputs, LABELS[:BATCH].expand(count, -1)).sum().backward()
    own = {p.untyped_storage().data_ptr(): 0 for p in weights.values()}
    activations = sum(size for place, size in kept.items() if place not in own)
    return activations + 2 * sum(p.untyped_storage().nbytes() for p in weights.values())


def prune_with_torch(layers: list[nn.Linear]) -> None:
    for layer in layers:
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")
    weights = [(layer, "weight") for layer in layers]
    prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=1 - KEEP)


def best_medians(methods: dict[str, Callable[[], object]]) -> dict[str, tuple[float, int]]:
    """Median milliseconds of each method at its own best number of threads."""
    best: dict[str, tuple[float, int]] = {}
    available = torch.get_num_threads()
    for threads in sorted({1, available}):
        torch.set_num_threads(threads)
        times: dict[str, list[float]] = {name: [] for name in methods}
        for turn in tqdm(range(ROUNDS + 1), desc=f"{threads} threads", leave=False):
            for name, method in methods.items():
                start = time.perf_counter()
                method()
                if turn:
                    times[name].append(1e3 * (time.perf_counter() - start))
        for name, taken in times.items():
            best[name] = min(best.get(name, (float("inf"), 0)), (statistics.median(taken), threads))
    torch.set_num_threads(available)
    return best


def main() -> None:
    print(f"\n{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    small, expected = together(3), one_by_one(3)
    assert all(torch.allclose(small[name], expected[name], atol=1e-5) for name in small)

    methods = {"one by one": lambda: one_by_one(REPLICATES)}
    methods |= {f"together, R = {r}": lambda r=r: together(r) for r in CURVE}
    found = best_medians(methods)
    base = found["one by one"][0]
    print(
        f"{STEPS} steps of MLPs 64-32-10, minibatch {BATCH}, float32; the loop trains {REPLICATES}"
    )
    print(f"{'method':22}{'ms':>8}{'threads':>9}{'ms / replicate':>16}{'loop / it':>11}{'MiB':>7}")
    print(f"{'one by one':22}{base:8.0f}{found['one by one'][1]:9}{base / REPLICATES:16.2f}")
    for r in CURVE:
        taken, threads = found[f"together, R = {r}"]
        ratio = (base / REPLICATES) / (taken / r)
        print(
            f"{f'together, R = {r}':22}{taken:8.0f}{threads:9}{taken / r:16.2f}{ratio:11.1f}"
            f"{saved_bytes(r) / 2**20:7.2f}" + ("   goal: at least 5, aim 7" if r == 64 else "")
        )
    print("MiB: parameters, gradients and the activations of one step; linear in R")

    generator = torch.Generator().manual_seed(2)
    values = [torch.randn(1000, 1000, generator=generator) for _ in range(LAYERS)]
    layers = [nn.Linear(1000, 1000, bias=False) for _ in values]
    for layer, value in zip(layers, values, strict=True):
        layer.weight.data.copy_(value)
    weights = {str(i): value for i, value in enumerate(values)}
    masks = pruning.magnitude_masks(weights, KEEP)
    kept = sum(int(mask.sum()) for mask in masks.values())
    size = sum(value.numel() for value in values)
    assert kept == pruning.kept_count(size, KEEP)
    found = best_medians(
        {
            "torch": lambda: prune_with_torch(layers),
            "kdlib": lambda: pruning.magnitude_masks(weights, KEEP),
        }
    )
    ratio = found["torch"][0] / found["kdlib"][0]
    print(
        f"pruning {size:,} weights to {kept:,}: torch.nn.utils.prune {found['torch'][0]:.0f} ms, "
        f"kdlib {found['kdlib'][0]:.0f} ms, ratio {ratio:.1f}; goal: at least 10, exact count"
    )


if __name__ == "__main__":
    main()

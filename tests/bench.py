"""Speed and memory of the operators, as ratios to `torch.log_softmax` in one run.

Run with `make bench`. Methods take turns (A B C A B C ...) after one warm-up round, so a
machine whose speed drifts slows all of them; the ratio of medians is what to quote. Nothing
here is asserted by the tests: the goals are printed beside the figures.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import time
from pathlib import Path

# Page faults on fresh half-gigabyte tensors would drown the arithmetic of the fastest method.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import torch  # noqa: E402
from stamps import processor  # noqa: E402
from tqdm import tqdm  # noqa: E402

from kdlib import operators  # noqa: E402

TEMPERATURE = 2.0
GOALS = {"escort": 1.3, "burg": 15.0}

METHODS = {
    "torch.log_softmax": lambda x: torch.log_softmax(x, -1),
    "torch.log_softmax(x / T)": lambda x: torch.log_softmax(x / TEMPERATURE, -1),
    "escort": lambda x: operators.escort(x, TEMPERATURE, validate=False),
    "escort, validated": lambda x: operators.escort(x, TEMPERATURE),
    "burg": lambda x: operators.burg(x, TEMPERATURE, validate=False),
    "burg, validated": lambda x: operators.burg(x, TEMPERATURE),
}


def peak_extra_bytes(method, x: torch.Tensor) -> float:
    """Highest resident memory during the call, less what was resident before (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    result = method(x)
    peak = _status("VmHWM")
    del result
    return peak - before


def _status(key: str) -> float:
    text = Path("/proc/self/status").read_text()
    return 1024 * float(re.search(rf"{key}:\s+(\d+)", text)[1])


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def gate(x: torch.Tensor) -> None:
    """Before any timing: each method agrees with itself in float64 on a few rows."""
    for name, method in METHODS.items():
        got, want = method(x[:8]).double(), method(x[:8].double())
        error = float((got.exp() - want.exp()).abs().sum(-1).max()) / 2
        assert error < 1e-5, (name, error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(options.rows, options.vocabulary, generator=generator)
    x = torch.log_softmax(logits, -1)
    del logits
    gate(x)
    wall = {name: [] for name in METHODS}
    cpu = {name: [] for name in METHODS}
    for turn in tqdm(range(options.rounds + 1), desc="rounds", leave=False):
        for name, method in METHODS.items():
            start, used = time.perf_counter(), cpu_seconds()
            result = method(x)
            if turn:
                wall[name].append(1e3 * (time.perf_counter() - start))
                cpu[name].append(1e3 * (cpu_seconds() - used))
            del result

    print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    shape = (options.rows, options.vocabulary)
    print(f"{shape} float32, T = {TEMPERATURE}, {options.rounds} rounds")
    print(f"{'method':26}{'median':>8}{'min':>8}{'max':>8}{'cpu':>8}  ratio  tensors  goal")
    base = statistics.median(wall["torch.log_softmax"])
    size = x.numel() * x.element_size()
    for name, method in METHODS.items():
        middle = statistics.median(wall[name])
        extra = peak_extra_bytes(method, x) / size
        goal = f"ratio <= {GOALS[name]}, tensors <= 2" if name in GOALS else ""
        print(
            f"{name:26}{middle:8.0f}{min(wall[name]):8.0f}{max(wall[name]):8.0f}"
            f"{statistics.median(cpu[name]):8.0f}  {middle / base:5.2f}  {extra:7.2f}  {goal}"
        )
    print(
        "times in ms; tensors = peak extra memory in tensors of the input's size, result included"
    )


if __name__ == "__main__":
    main()

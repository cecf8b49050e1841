"""Train many copies of one small model at once, with the replicate as the first array axis.

Each replicate has its own initial weights, order of minibatches, rows of the data, mask and
targets, and the result is that of training the copies one after the other: no operation mixes
replicates. Memory is R times that of one copy: parameters, gradients and optimiser state, and
the activations of one minibatch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from joblib import Memory, Parallel, delayed
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from tqdm import tqdm

Parameters = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]

__all__ = ["forward", "initial_parameters", "sweep", "train"]


def initial_parameters(make_model: Callable[[], nn.Module], seeds: Sequence[int]) -> Parameters:
    """Parameters of one fresh model for each seed, stacked: each of shape (R, ...).

    Parameters
    ----------
    make_model : callable
        Builds the model; its random numbers come from torch's global generator, which is
        seeded for each replicate and restored afterwards.
    seeds : sequence of int, length R

    Raises
    ------
    ValueError
        For no seed, or for a model with buffers, such as batch normalisation: batch
        statistics belong to no single replicate.
    """
    if not len(seeds):
        raise ValueError("seeds must name at least one replicate, got an empty sequence")
    models = []
    with torch.random.fork_rng():
        for seed in seeds:
            torch.manual_seed(int(seed))
            models.append(make_model())
    _check_model(models[0])
    return {name: p.detach().clone() for name, p in stack_module_state(models)[0].items()}


def forward(model: nn.Module, params: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """Outputs of all replicates, shape (R, N, ...).

    Parameters
    ----------
    model : nn.Module
        Gives the architecture; its own weights are not used.
    params : mapping of name to Tensor, shape (R, ...)
    inputs : Tensor, shape (R, N, ...)
        Expand a batch that all replicates share: ``x.expand(R, *x.shape)`` copies nothing.
    """
    return vmap(lambda p, x: functional_call(model, p, (x,)))(dict(params), inputs)


def train(
    model: nn.Module,
    params: Mapping[str, Tensor],
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    *,
    steps: int,
    seeds: Sequence[int],
    batch_size: int | None = None,
    rows: Tensor | None = None,
    condition: Tensor | None = None,
    masks: Mapping[str, Tensor] | None = None,
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer] | None = None,
    progress: bool = True,
) -> Parameters:
    """Train R replicates at once; the result equals R separate trainings.

    Parameters
    ----------
    model : nn.Module
        The architecture, without buffers.
    params : mapping of name to Tensor, shape (R, ...)
        Initial values, left unchanged.
    loss : callable
        ``loss(outputs, targets)`` of shapes (R, B, ...) returns shape (R,). It may hold one
        temperature or operator per replicate, as a tensor of shape (R, 1, 1).
    inputs : Tensor, shape (N, ...)
    targets : Tensor, shape (N, ...), or (K, N, ...) with ``condition``
    steps : int
    seeds : sequence of int, length R
        Decide the order of minibatches; a replicate's batches depend on its seed only.
    batch_size : int, optional
        Default: all rows in every step. Otherwise each epoch shuffles the rows anew and
        drops an incomplete last batch.
    rows : LongTensor, shape (R, n), optional
        The rows of the data that each replicate may see; default all N.
    condition : LongTensor, shape (R,), optional
        Which of the K sets of targets each replicate learns (a temperature, an operator).
    masks : mapping of name to Tensor, shape (R, ...), optional
        1 for a weight that is kept and 0 for one that is zero and stays so.
    optimizer : callable, optional
        Builds a torch optimiser from parameters; default SGD with step 0.1. It must treat
        every weight on its own, as SGD and Adam do; clipping by norm would mix replicates.
        A student that starts at its optimum has gradients of rounding size, which Adam
        divides by their own size and so turns into visible steps; SGD does not.
    progress : bool

    Returns
    -------
    dict of name to Tensor, shape (R, ...)

    Raises
    ------
    ValueError
        For sizes that do not fit, a mask of an unknown parameter, or a model with buffers.
    """
    _check_model(model)
    replicates = next(iter(params.values())).shape[0]
    rows = _checked_rows(rows, replicates, inputs, seeds, steps, batch_size)
    if condition is not None and condition.shape != (replicates,):
        raise ValueError(f"condition must have shape ({replicates},), got {tuple(condition.shape)}")
    masks = dict(masks or {})
    if unknown := masks.keys() - params.keys():
        raise ValueError(f"masks name unknown parameters: {sorted(unknown)}")
    weights = {
        name: (value * masks[name] if name in masks else value.clone()).requires_grad_()
        for name, value in params.items()
    }
    step_with = (optimizer or _plain_sgd)(list(weights.values()))
    batches = _minibatches(rows, batch_size, seeds)
    for _ in tqdm(range(steps), desc=f"{replicates} replicates", disable=not progress):
        index = next(batches)
        chosen = targets[index] if condition is None else targets[condition[:, None], index]
        losses = loss(forward(model, weights, inputs[index]), chosen)
        if losses.shape != (replicates,):
            raise ValueError(
                f"loss must return one value per replicate, shape ({replicates},), "
                f"got {tuple(losses.shape)}"
            )
        step_with.zero_grad()
        losses.sum().backward()
        for name, mask in masks.items():
            weights[name].grad.mul_(mask)
        step_with.step()
    return {name: value.detach() for name, value in weights.items()}


def sweep(
    run: Callable[..., Any],
    settings: Sequence[Mapping[str, Any]],
    *,
    folder: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> list[Any]:
    """Results of ``run(**setting)`` for every setting, in order.

    Parameters
    ----------
    run : callable
        A function of a module, so that other processes can import it.
    settings : sequence of mappings
    folder : path, optional
        Where finished results are kept (joblib's cache): a sweep that was stopped resumes, and
        only new settings are computed. It knows the settings and the text of ``run``, not the
        functions that ``run`` calls: delete the folder when they change.
    jobs : int
        Processes at once. Another backend, such as a dask or ray cluster, takes over inside
        ``joblib.parallel_config(backend=...)``.
    progress : bool
    """
    call = run if folder is None else Memory(folder, verbose=0).cache(run)
    shown = tqdm(settings, desc="sweep", disable=not progress)
    return Parallel(n_jobs=jobs)(delayed(call)(**setting) for setting in shown)


def _plain_sgd(params: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=0.1)


def _check_model(model: nn.Module) -> None:
    if buffers := [name for name, _ in model.named_buffers()]:
        raise ValueError(f"model must have no buffers (batch statistics), got {buffers}")


def _checked_rows(
    rows: Tensor | None,
    replicates: int,
    inputs: Tensor,
    seeds: Sequence[int],
    steps: int,
    batch_size: int | None,
) -> Tensor:
    if len(seeds) != replicates:
        raise ValueError(
            f"seeds must have one entry per replicate ({replicates}), got {len(seeds)}"
        )
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if rows is None:
        rows = torch.arange(len(inputs), device=inputs.device).expand(replicates, -1)
    if rows.ndim != 2 or len(rows) != replicates or not rows.shape[1]:
        raise ValueError(f"rows must have shape ({replicates}, n >= 1), got {tuple(rows.shape)}")
    if batch_size is not None and not 1 <= batch_size <= rows.shape[1]:
        raise ValueError(f"batch_size must lie in [1, {rows.shape[1]}], got {batch_size}")
    return rows


def _minibatches(rows: Tensor, batch_size: int | None, seeds: Sequence[int]) -> Iterator[Tensor]:
    """Yield the rows of each step, shape (R, B), without end."""
    if batch_size is None:
        while True:
            yield rows
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    count = rows.shape[1]
    while True:
        orders = torch.stack([torch.randperm(count, generator=g) for g in generators])
        shuffled = rows.gather(1, orders.to(rows.device))
        for start in range(0, count - batch_size + 1, batch_size):
            yield shuffled[:, start : start + batch_size]

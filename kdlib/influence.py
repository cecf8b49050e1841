"""Influence functions on a finite set of labels: what one more observation does to a functional.

A functional maps distributions of shape (..., V) to numbers of shape (...), each row on its
own. Chapter "Influence functions and evidential teachers".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kdlib.simplex import from_probs, look

__all__ = ["influence", "numerical_influence"]

Functional = Callable[[Tensor], Tensor]


def influence(functional: Functional, probs: Tensor) -> Tensor:
    """Influence function by autograd: the slope of moving mass from ``probs`` to a label.

    ``IF_y = d/de functional((1 - e) p + e delta_y)`` at e = 0. How the functional continues
    outside the simplex does not matter.

    Parameters
    ----------
    functional : callable
        Takes probabilities (..., V), returns (...); differentiable at ``probs``.
    probs : Tensor, shape (..., V)
        Rows that sum to 1.

    Returns
    -------
    Tensor, shape (..., V)
        Its mean under ``probs`` is 0, row by row. A row with an entry at which the functional
        has no finite slope is NaN: an operator in the log domain, at a probability of zero.

    Raises
    ------
    TypeError, ValueError
        As `kdlib.simplex.from_probs`.
    """
    from_probs(probs)
    slope = torch.func.grad(lambda p: functional(p).sum())(probs)
    return slope - (probs * slope).sum(-1, keepdim=True)


def numerical_influence(functional: Functional, probs: Tensor, step: float) -> Tensor:
    """Influence function by forward differences, from values of the functional only.

    ``(functional((1 - step) p + step delta_y) - functional(p)) / step``. Its mean under
    ``probs`` is not 0 but of the order of the step: subtract it before use.

    Parameters
    ----------
    functional : callable
        Takes probabilities (..., V), returns (...).
    probs : Tensor, shape (..., V)
        Rows that sum to 1.
    step : float in [-1, 1], not 0
        A negative step is a backward difference; every entry must then be at least
        ``-step / (1 - step)``, or the moved point leaves the simplex.

    Returns
    -------
    Tensor, shape (..., V); the moved points take V times the memory of ``probs``.

    Raises
    ------
    TypeError, ValueError
        As `kdlib.simplex.from_probs`, for a step outside its range, and for a backward step
        that leaves the simplex.
    """
    from_probs(probs)
    if not -1 <= step <= 1 or step == 0:
        raise ValueError(f"step must lie in [-1, 1] and not be 0, got {step}")
    corners = torch.eye(probs.shape[-1], dtype=probs.dtype, device=probs.device)
    moved = (1 - step) * probs.unsqueeze(-2) + step * corners
    look(moved, lambda values: _check_inside(values, step))
    return (functional(moved) - functional(probs).unsqueeze(-1)) / step


def _check_inside(moved: Tensor, step: float) -> None:
    least = float(moved.min())
    if least < 0:
        raise ValueError(f"step {step} leaves the simplex: a moved probability is {least:.3g}")

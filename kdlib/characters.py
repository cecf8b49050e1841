"""A pretrained character model with an exact softmax: its symbols, its network, its answers.

The model is the one that the package textgenrnn 2.0.0 ships (M. Woolf, MIT licence): 465 symbols,
embedding 100, two LSTMs of 128, an attention-weighted average over 40 positions. Its original
runs in Keras; here the same function is computed in torch from the same weights.
"""

import json
from collections.abc import Sequence
from functools import lru_cache

import h5py
import numpy as np
import torch
from torch import nn

from kdlib.data import package_file

__all__ = [
    "WINDOW",
    "CharacterModel",
    "contexts",
    "decode",
    "encode",
    "load_teacher",
    "next_log_probs",
    "vocabulary",
    "windows",
]

WINDOW = 40  # characters the model reads
_EPSILON = 1e-7  # Keras adds this to the denominator of the attention weights


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


class CharacterModel(nn.Module):
    """The network: embedding, two LSTMs, attention average of all three, a linear layer.

    No position is masked: the original's embedding sets no mask, so the padding, index 0, is an
    ordinary symbol that the LSTMs read and the attention weighs. Torch orders the gates of an
    LSTM like CuDNN (input, forget, cell, output) and also keeps two bias vectors.
    """

    def __init__(self, symbols: int = 465, width: int = 100, hidden: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.rnn_1 = nn.LSTM(width, hidden, batch_first=True)
        self.rnn_2 = nn.LSTM(hidden, hidden, batch_first=True)
        self.attention = nn.Linear(width + 2 * hidden, 1, bias=False)
        self.output = nn.Linear(width + 2 * hidden, symbols)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Logits of the next symbol, shape (N, V), for int64 indices of shape (N, length)."""
        embedded = self.embedding(indices)
        first, _ = self.rnn_1(embedded)
        second, _ = self.rnn_2(first)
        states = torch.cat([embedded, first, second], dim=-1)
        score = self.attention(states)
        weight = torch.exp(score - score.amax(dim=1, keepdim=True))
        weight = weight / (weight.sum(dim=1, keepdim=True) + _EPSILON)
        return self.output((states * weight).sum(dim=1))


def _lstm_weights(file: h5py.File, layer: str) -> dict[str, torch.Tensor]:
    """Weights of one LSTM under torch's names.

    The file keeps CuDNN's flat buffers: per gate a (hidden, inputs) matrix in row-major order,
    whatever the stored shape says, then the input and the recurrent bias of all four gates.
    """
    group = file[f"{layer}/{layer}"]
    kernel, recurrent = group["kernel:0"][()], group["recurrent_kernel:0"][()]
    bias = torch.from_numpy(group["bias:0"][()])
    inputs, hidden = kernel.shape[0], recurrent.shape[0]
    forward = [gate.reshape(hidden, inputs) for gate in np.split(kernel, 4, axis=1)]
    return {
        f"{layer}.weight_ih_l0": torch.from_numpy(np.concatenate(forward)),
        f"{layer}.weight_hh_l0": torch.from_numpy(np.concatenate(np.split(recurrent, 4, axis=1))),
        f"{layer}.bias_ih_l0": bias[: 4 * hidden],
        f"{layer}.bias_hh_l0": bias[4 * hidden :],
    }


def load_teacher(
    *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> CharacterModel:
    """Character model with its pretrained weights, frozen and in evaluation mode.

    Parameters
    ----------
    dtype : torch.dtype, optional
        Floating type of the weights; the default is torch's default type. The file holds float32.
    device : torch.device or str, optional

    Raises
    ------
    ModuleNotFoundError
        If textgenrnn is not installed.
    TypeError
        If `dtype` is not a floating type.
    """
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating type, got {dtype}")
    with h5py.File(package_file("textgenrnn", "textgenrnn/textgenrnn_weights.hdf5")) as file:
        state = {
            "embedding.weight": torch.from_numpy(file["embedding/embedding/embeddings:0"][()]),
            "attention.weight": torch.from_numpy(file["attention/attention/attention_W:0"][()]).T,
            "output.weight": torch.from_numpy(file["output/output/kernel:0"][()]).T,
            "output.bias": torch.from_numpy(file["output/output/bias:0"][()]),
            **_lstm_weights(file, "rnn_1"),
            **_lstm_weights(file, "rnn_2"),
        }
    with torch.device("meta"):  # no random initial weights, so the global generator stays put
        model = CharacterModel()
    model.load_state_dict(
        {name: value.to(device, dtype).contiguous() for name, value in state.items()}, assign=True
    )
    return model.requires_grad_(False).eval()


@torch.no_grad()
def next_log_probs(
    model: CharacterModel, rows: torch.Tensor, batch_size: int = 512
) -> torch.Tensor:
    """Log-probabilities of the next symbol, from log_softmax of the logits and never rounded to 0.

    Parameters
    ----------
    model : CharacterModel
        Its weights fix the type and the device of the result.
    rows : torch.Tensor
        Shape (N, length), int64 indices; moved to the model's device batch by batch.
    batch_size : int
        Windows per forward pass; the memory in use grows with it.

    Returns
    -------
    torch.Tensor
        Shape (N, V), without a gradient.

    Raises
    ------
    TypeError
        If `rows` is not an int64 tensor.
    ValueError
        If it is not two-dimensional, is empty, or `batch_size` is not positive.
    """
    if rows.dtype != torch.int64:
        raise TypeError(f"rows must be an int64 tensor, got {rows.dtype}")
    if rows.ndim != 2 or rows.numel() == 0:
        raise ValueError(f"rows must have shape (N, length), got {tuple(rows.shape)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be positive, got {batch_size}")
    device = model.output.weight.device
    parts = [model(part.to(device)).log_softmax(dim=-1) for part in rows.split(batch_size)]
    return torch.cat(parts)

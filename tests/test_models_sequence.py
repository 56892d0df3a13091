"""The torch families: what is written is what was fitted, the best epoch is kept, and time and chance are respected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss
from torch import nn

from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.base import LEVELS, Epoch, Fitted, Ranged, Task
from bellwether.models.graph import assemble, assemble_values
from bellwether.models.quantise import loss, quantised
from bellwether.models.rows import Classes
from bellwether.models.torch_family import SHARE
from bellwether.models.torch_graph import Writer, first_rows, integers, recurrent, some_rows
from bellwether.models.torch_heads import LEAST, Ranges
from bellwether.models.torch_network import LIMIT, Network
from bellwether.models.torch_training import _orders
from bellwether.models.training import Training, plain

CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS
NAMES = ("rnn", "gru", "lstm", "attention_lstm", "mlplob")
SMALL = {"layers": 1, "hidden": 16, "dropout": 0.0, "batch": 64, "learning_rate": 0.01, "weight_decay": 0.0}

every_family = pytest.mark.parametrize("name", NAMES)


def params(name: str, task: Task, **changes: Any) -> dict[str, Any]:
    return family(name).standard(task) | SMALL | changes


def windows(lookback: int, rows: int, seed: int = 0, width: int = 3) -> tuple[np.ndarray, np.random.Generator]:
    """Windows of white noise (rows, lookback * width), and the generator to go on with."""
    rng = np.random.default_rng(seed)
    single = rng.normal(size=(rows + lookback - 1, width)).astype(np.float32)
    return single[np.arange(rows)[:, None] + np.arange(lookback)].reshape(rows, -1), rng


def told(lookback: int, age: int, rows: int = 1200, seed: int = 0, noise: float = 0.3) -> Training:
    """Values that the first feature foretold ``age`` rows before."""
    x, rng = windows(12, rows, seed)
    y = x[:, 3 * (11 - age)] + noise * rng.normal(size=rows)
    return plain(x[:, 3 * (12 - lookback) :], y.astype(float), lookback=lookback)


def fitted(name: str, rows: Training, **changes: Any) -> tuple[Any, list[Epoch]]:
    walk, epochs = family(name).walk(rows, params(name, rows.task, **changes)), []
    while True:
        try:
            epochs.append(next(walk))
        except StopIteration as end:
            return end.value, epochs


def served(graph: bytes, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"features": x})


def explained(model: Fitted, rows: Training) -> float:
    return float(1 - np.mean((rows.y - model.predict(rows.x)) ** 2) / rows.y.var())


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gates_and_directions_are_in_the_order_of_onnx(kind, bidirectional):
    torch_layers = kind(3, 5, 2, bidirectional=bidirectional)
    with torch.no_grad():  # random biases as well, which are where gates are most easily mistaken for each other
        for k, weights in enumerate(torch_layers.parameters()):
            weights.copy_(0.5 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(k)))
    writer = Writer()
    x, rows = some_rows(writer, "features")
    time_first = writer.add("Transpose", writer.add("Reshape", x, integers(0, 4, 3)), perm=[1, 0, 2])
    states = writer.add("Transpose", recurrent(writer, time_first, torch_layers), perm=[1, 0, 2])
    size = 4 * (10 if bidirectional else 5)
    flat = first_rows(writer, writer.add("Reshape", states, integers(0, size)), rows)
    graph = assemble_values(writer.nodes, writer.constants, flat, 12, size)
    found = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    with torch.no_grad():
        expected = torch_layers(torch.from_numpy(found).reshape(6, 4, 3).transpose(0, 1))[0].transpose(0, 1)
    np.testing.assert_allclose(served(graph, found)[0], expected.reshape(6, -1).numpy(), atol=5e-6)
    assert served(graph, found[:0])[0].shape == (0, size)


@every_family
@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize(("lookback", "layers", "hidden"), [(4, 3, 16), (7, 2, 12), (1, 1, 8)])
def test_every_shape_of_every_family_is_written_as_it_is(name, task, lookback, layers, hidden):
    x, rng = windows(lookback, 80)
    y = rng.integers(0, 3, 80) if task is CLASSIFY else rng.normal(size=(80, 2))
    rows = plain(x, y, classes=3 if task is CLASSIFY else 0, lookback=lookback)
    model, _ = fitted(name, rows, layers=layers, hidden=hidden, epochs=1, dropout=0.1)
    found = served(model.graph(), x)
    np.testing.assert_allclose(found[0], model.predict(x), atol=1e-5)
    if task is REGRESS:
        np.testing.assert_allclose(found[1], model.quantiles(x), atol=1e-5)


def test_the_best_epoch_is_what_is_returned():
    x, rng = windows(4, 400)
    rows = plain(x, rng.integers(0, 3, 400), classes=3, lookback=4)
    model, epochs = fitted("gru", rows, epochs=8, patience=8, learning_rate=0.03, balanced=False)
    losses = [e.validation for e in epochs]
    assert len(losses) == 8
    assert min(losses) < losses[-1]  # it did get worse again
    late = rows.parted(SHARE)[1]
    given_to_the_truth = model.predict(late.x)[np.arange(len(late.y)), late.y]
    assert -np.log(given_to_the_truth).mean() == pytest.approx(min(losses), abs=1e-6)


@every_family
def test_a_fit_stops_early_and_slows_down_where_nothing_gets_better(name):
    x, rng = windows(4, 300)
    model, epochs = fitted(name, plain(x, rng.normal(size=300), lookback=4), epochs=40, patience=3, quantiles=False)
    losses, rates = [e.validation for e in epochs], [e.rate for e in epochs]
    assert len(epochs) == np.argmin(losses) + 1 + 3 < 40
    assert epochs[-1].done == len(epochs) / 40
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]
    assert not isinstance(model, Ranged)
    assert len(served(model.graph(), x)) == 1


@pytest.mark.parametrize("name", ["gru", "lstm", "attention_lstm", "mlplob"])
def test_what_was_told_five_rows_ago_is_found_in_a_window_and_only_there(name):
    rows, fresh = told(12, age=5), told(12, age=5, seed=1)
    model, _ = fitted(name, rows, layers=2 if name == "mlplob" else 1, epochs=25, patience=6)
    assert explained(model, fresh) > 0.4
    blind, _ = fitted(name, told(1, age=5), epochs=3)
    assert explained(blind, told(1, age=5, seed=1)) < 0.05


def test_the_oldest_row_comes_first():
    model, _ = fitted("lstm", told(12, age=0), epochs=6)
    x = told(12, age=0, seed=1).x
    moved = [np.abs(model.predict(x + _bump(column)) - model.predict(x)).mean() for column in (0, 33)]
    assert moved[1] > 10 * moved[0]


def _bump(column: int) -> np.ndarray:
    return np.eye(36, dtype=np.float32)[column]


def test_quantiles_cover_what_they_say_and_widen_with_the_noise():
    def market(seed: int) -> Training:
        x, rng = windows(2, 4000, seed, width=2)
        return plain(x, 0.01 * np.exp(0.7 * x[:, 2]) * rng.normal(size=4000), lookback=2)

    model, _ = fitted("rnn", market(0), epochs=12)
    fresh = market(1)
    ranges = model.quantiles(fresh.x)[:, 0]
    np.testing.assert_allclose((fresh.y <= ranges).mean(axis=0), LEVELS, atol=0.03)
    calm, wild = fresh.x[:, 2] < -1, fresh.x[:, 2] > 1
    for rows in (calm, wild):
        inside = (fresh.y[rows, 0] > ranges[rows, 0]) & (fresh.y[rows, 0] < ranges[rows, 2])
        assert inside.mean() == pytest.approx(0.9, abs=0.07)
    assert np.ptp(ranges[wild], axis=1).mean() > 3 * np.ptp(ranges[calm], axis=1).mean()


@settings(max_examples=25)
@given(seed=st.integers(0, 999), size=st.floats(0.01, 100.0))
def test_quantiles_never_cross_and_cost_the_pinball_loss(seed, size):
    rng = np.random.default_rng(seed)
    marks = np.sort(rng.normal(size=(2, 3)), axis=1)
    head = Ranges(4, np.zeros(2), np.ones(2), marks)
    untrained = head(torch.zeros(1, 4))[0, :, 1:].detach().numpy()
    apart = np.cumsum(np.maximum(np.diff(marks, axis=1), LEAST), axis=1)
    np.testing.assert_allclose(untrained, marks[:, :1] + np.hstack([np.zeros((2, 1)), apart]), atol=1e-5)
    with torch.no_grad():
        head.range.weight.copy_(torch.from_numpy(size * rng.normal(size=(6, 4))))
        found = head(torch.from_numpy(rng.normal(size=(20, 4)).astype(np.float32)))
        y = rng.normal(size=(20, 2)).astype(np.float32)
        cost = head.loss(found, torch.from_numpy(y)).mean().item()
    ranges = head.answer(found)["quantiles"].numpy()
    assert (np.diff(ranges, axis=-1) >= 0).all()
    pinball = sum(mean_pinball_loss(y, ranges[..., k], alpha=level) for k, level in enumerate(LEVELS))
    assert cost == pytest.approx(np.mean((found[..., 0].numpy() - y) ** 2) + pinball, rel=1e-4)


@pytest.mark.parametrize("name", ["lstm", "mlplob"])
def test_a_seed_repeats_bit_for_bit_whatever_else_draws_random_numbers(name):
    rows, graphs = told(4, age=1, rows=300), []
    for seed, elsewhere in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(elsewhere)
        graphs.append(fitted(name, replace(rows, seed=seed), epochs=2, dropout=0.3)[0].graph())
    assert graphs[0] == graphs[1]
    assert graphs[0] != graphs[2]


def test_threads_and_random_numbers_of_the_process_are_left_alone_between_epochs_too():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        state = torch.get_rng_state()
        rows = told(4, age=1, rows=200)
        walk = family("gru").walk(rows, params("gru", REGRESS, epochs=2, dropout=0.3))
        for _ in range(2):
            next(walk)
            assert torch.get_num_threads() == 2
            assert torch.equal(torch.get_rng_state(), state)
        model, _ = fitted("gru", rows, epochs=1)
        model.predict(rows.x)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(before)


@given(n=st.integers(1, 300), cap=st.integers(1, 400))
def test_epochs_go_round_all_rows_before_they_see_one_again(n, cap):
    orders, seen = _orders(n, cap), []
    while len(seen) < n:
        part = next(orders).tolist()
        assert 0 < len(part) <= cap
        seen += part
    assert sorted(seen) == list(range(n))


@every_family
def test_rows_count_by_their_weight(name):
    x, rng = windows(4, 600)
    up = rng.random(600) < 0.5
    y = (x[:, 9] > 0) ^ up  # half of the rows say one thing, half the opposite
    rows = plain(x, y.astype(np.int64), classes=2, lookback=4)
    for side in (False, True):
        weighted = replace(rows, weight=np.where(up == side, 1.99, 0.01))
        model, _ = fitted(name, weighted, epochs=12, layers=1, batch=32, balanced=False)
        agrees = (model.predict(x).argmax(axis=1) == 1) == ((x[:, 9] > 0) ^ side)
        assert agrees.mean() > 0.8


def test_balanced_rows_make_a_rare_class_count():
    x, rng = windows(2, 800)
    y = (x[:, 3] + rng.normal(size=800) > 2.0).astype(np.int64)
    rows = plain(x, y, classes=2, lookback=2)
    shares = [fitted("rnn", rows, epochs=4, balanced=b)[0].predict(x)[:, 1].mean() for b in (True, False)]
    assert y.mean() < 0.12
    assert shares[1] == pytest.approx(y.mean(), abs=0.05)
    assert shares[0] > 3 * y.mean()


def test_values_keep_their_unit():
    rows = told(4, age=1, rows=300)
    one, thousand = (fitted("lstm", replace(rows, y=unit * rows.y), epochs=2)[0] for unit in (1.0, 1024.0))
    np.testing.assert_array_equal(1024.0 * one.predict(rows.x), thousand.predict(rows.x))
    np.testing.assert_array_equal(1024.0 * one.quantiles(rows.x), thousand.quantiles(rows.x))


def test_a_stray_value_says_no_more_than_the_limit():
    rows = told(4, age=1, rows=200)
    model, _ = fitted("gru", rows, epochs=1)
    network: Network = model.network
    at_limit, far = rows.x[:1].copy(), rows.x[:1].copy()
    at_limit[0, -3] = network.mean[0] + 1.001 * LIMIT * network.scale[0]
    far[0, -3] = 1e30
    np.testing.assert_array_equal(model.predict(at_limit), model.predict(far))
    np.testing.assert_array_equal(*(served(model.graph(), row)[0] for row in (at_limit, far)))


def test_a_fit_that_diverges_says_so():
    with pytest.raises(ModelError, match=r"epoch 1 ends with loss .*: learning_rate is 1e\+38, try a lower one"):
        fitted("rnn", told(4, age=1, rows=200), learning_rate=1e38)


def test_eight_bits_make_an_lstm_smaller_and_hardly_change_its_answers():
    rows = told(12, age=0, rows=300)
    graph = fitted("lstm", rows, hidden=64, epochs=1)[0].graph()
    small = quantised(graph)
    assert small == quantised(graph)
    found = loss(graph, small, rows.x, repeats=40)
    assert found.size == len(small) / len(graph) < 0.5
    assert 0 < found.mean <= found.largest < 0.3 * found.spread
    one_by_one = [np.abs(served(small, row[None])[0] - served(graph, row[None])[0]).item() for row in rows.x[:3]]
    assert max(one_by_one) <= found.largest
    assert found.latency > 0
    assert found.microseconds > 0


def test_the_loss_of_the_same_graph_is_nothing():
    rows = told(4, age=0, rows=100)
    graph = fitted("gru", rows, epochs=1)[0].graph()
    found = loss(graph, graph, rows.x, repeats=400)
    assert (found.largest, found.mean, found.size) == (0.0, 0.0, 1.0)
    assert 0.3 < found.latency < 3.0


def test_a_graph_without_weights_is_refused():
    writer = Writer()
    doubled = writer.add("Softmax", writer.add("Mul", "features", np.float32([2.0])), axis=1)
    graph = assemble(writer.nodes, writer.constants, doubled, 3, Classes(total=3, present=np.arange(3)))
    with pytest.raises(ModelError, match="there is nothing to quantise"):
        quantised(graph)

"""Calibrators: probabilities that hold what they say, the same natively and as a graph, chosen without look-ahead."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper
from scipy.special import expit, logit, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from bellwether.calibration import calibrator, calibrator_names, restored
from bellwether.calibration.base import FLOOR, FittedCalibrator
from bellwether.calibration.graph import calibrated_graph
from bellwether.calibration.isotonic import CELL
from bellwether.errors import DataError, ModelError, UnknownName
from bellwether.models import family
from bellwether.models.base import Fitted, Task
from bellwether.models.graph import INPUT, OPSETS, OUTPUT, assemble, assemble_values
from bellwether.models.predictor import session
from bellwether.models.rows import Classes
from bellwether.models.training import plain

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

every_calibrator = pytest.mark.parametrize("name", calibrator_names())
changing = pytest.mark.parametrize("name", [name for name in calibrator_names() if name != "none"])


def drawn(rng: np.random.Generator, p: Floats) -> Ints:
    """Classes that come with these probabilities (n, classes)."""
    return (rng.random((len(p), 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)


def world(seed: int, rows: int, temperature: float, classes: int = 3) -> tuple[Floats, Ints, Floats]:
    """Stated probabilities, what came, and the true probabilities, which are those stated at this temperature."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=(rows, classes))
    true = softmax(logits / temperature, axis=1)
    return softmax(logits, axis=1), drawn(rng, true), true


def served(graph: bytes, x: NDArray[Any]) -> NDArray[np.float32]:
    return session(graph).run([OUTPUT], {INPUT: x.astype(np.float32)})[0]


def identity_graph(classes: int) -> bytes:
    """A model whose features are its probabilities."""
    node = helper.make_node("Identity", [INPUT], ["p"])
    return assemble([node], [], "p", classes, Classes(total=classes, present=np.arange(classes)))


@cache
def model(name: str, classes: int = 4) -> tuple[Fitted, Floats, Ints]:
    """A family fitted on 600 rows that do not have the last class, and 10,000 rows it has not seen."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(10_600, 4))
    y = np.digitize(x[:, 0] + rng.normal(size=len(x)), (-1.0, 0.5)).astype(np.int64)
    kind = family(name)
    fitted = kind.train(plain(x[:600], y[:600], classes=classes), kind.standard(Task.CLASSIFY))
    return fitted, x[600:].astype(np.float32).astype(np.float64), y[600:]


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Floats, Ints]:
    """Probabilities with zeros, ones, ties and absent classes, and any classes at all."""
    classes, rows = draw(st.integers(2, 4)), draw(st.integers(1, 30))
    parts = draw(st.lists(st.integers(0, 5), min_size=classes * rows, max_size=classes * rows))
    counts = np.array(parts, float).reshape(rows, classes)
    counts[counts.sum(axis=1) == 0, 0] = 1.0
    y = draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))
    return counts / counts.sum(axis=1, keepdims=True), np.array(y, np.int64)


# every calibrator ----------------------------------------------------------------------------------------------------


@every_calibrator
@given(given_rows=predictions(), seed=st.integers(0, 100))
@settings(max_examples=30)
def test_rows_sum_to_one_and_absent_classes_stay_absent(name, given_rows, seed):
    p, y = given_rows
    fitted, absent = calibrator(name).fit(p, y), ~p.any(axis=0)
    unseen = np.random.default_rng(seed).dirichlet(np.full(p.shape[1], 0.2), 50) * ~absent
    unseen = np.vstack([p, unseen / unseen.sum(axis=1, keepdims=True)])
    found = fitted.apply(unseen)
    assert np.isfinite(found).all()
    assert (found >= 0.0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    assert not found[:, absent].any()
    if name != "none":
        assert (found[:, ~absent] > 0.0).all()  # no class is ruled out, so no row can be left without any


@every_calibrator
@given(given_rows=predictions())
@settings(max_examples=20)
def test_a_state_survives_json(name, given_rows):
    fitted = calibrator(name).fit(*given_rows)
    again = restored(json.loads(json.dumps(fitted.state(), allow_nan=False)))
    np.testing.assert_array_equal(again.apply(given_rows[0]), fitted.apply(given_rows[0]))
    assert again.state() == fitted.state()


@every_calibrator
@pytest.mark.parametrize("kind", ["logistic", "random_forest", "lightgbm"])
def test_a_calibrated_model_is_one_graph_that_equals_native(name, kind):
    fitted, x, y = model(kind)
    p = fitted.predict(x)
    calibrated = calibrator(name).fit(p[:3000], y[:3000])
    graph = calibrated_graph(fitted.graph(), calibrated)
    found = served(graph, x)
    assert found.shape == (10_000, 4)
    np.testing.assert_allclose(found, calibrated.apply(p), rtol=0.0, atol=1e-5)
    assert not found[:, 3].any()
    assert graph == calibrated_graph(fitted.graph(), calibrator(name).fit(p[:3000], y[:3000]))


@every_calibrator
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_graph_and_native_agree_from_sure_to_doubtful(name, noise):
    """Of the steepest and the flattest of maps, at the ends of what can be said and where no class is probable."""
    rng = np.random.default_rng(6)
    p = rng.dirichlet(np.full(5, 0.05), 10_000)
    p[rng.random(p.shape) < 0.1] = 0.0
    p[p.sum(axis=1) == 0, 2] = 1.0
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    y = np.where(rng.random(len(p)) < noise, rng.integers(0, 5, len(p)), p.argmax(axis=1))
    fitted = calibrator(name).fit(p, y)
    graph = calibrated_graph(identity_graph(5), fitted)
    for unseen in (p, rng.dirichlet(np.full(5, 20.0), 10_000).astype(np.float32)):
        np.testing.assert_allclose(served(graph, unseen), fitted.apply(unseen), rtol=0.0, atol=1e-5)


@every_calibrator
@given(given_rows=predictions())
@settings(max_examples=10)
def test_graph_and_native_agree_on_any_few_rows(name, given_rows):
    p, y = given_rows
    fitted = calibrator(name).fit(p, y)
    found = served(calibrated_graph(identity_graph(p.shape[1]), fitted), p)
    np.testing.assert_allclose(found, fitted.apply(p.astype(np.float32)), rtol=0.0, atol=1e-5)


@every_calibrator
def test_a_calibrated_model_keeps_its_probabilities(name):
    p, y, true = world(seed=1, rows=20_000, temperature=1.0)
    found = calibrator(name).fit(p, y).apply(p)
    assert np.abs(found - true).mean() < 0.01


@changing
@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_a_model_that_is_too_sure_or_not_sure_enough_is_mended(name, temperature):
    p, y, _ = world(seed=2, rows=8000, temperature=temperature)
    unseen, came, true = world(seed=3, rows=8000, temperature=temperature)
    found = calibrator(name).fit(p, y).apply(unseen)
    best, before, after = (log_loss(came, given) for given in (true, unseen, found))
    assert after - best < 0.15 * (before - best)


@every_calibrator
def test_what_cannot_be_calibrated_is_refused(name):
    fit, half = calibrator(name).fit, np.full((3, 2), 0.5)
    y = np.array([0, 1, 1])
    for p, classes, message in [
        (half[:2], y, "one class and one weight a row"),
        (half[:0], y[:0], "at least one row"),
        (half * 0.9, y, "row 0 of the probabilities sums to 0.9"),
        (np.array([[0.5, 0.5], [1.2, -0.2], [0.5, 0.5]]), y, "row 1 .* sums to 1"),
        (half * np.nan, y, "row 0 of the probabilities sums to nan"),
        (half, np.array([0, 1, 2]), r"must be in 0 … 1; got 0 … 2"),
    ]:
        with pytest.raises(DataError, match=message):
            fit(p, classes)
    for weight in ([0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0]):
        with pytest.raises(DataError, match="weights must be finite and at least 0"):
            fit(half, y, np.array(weight))


@changing
def test_another_number_of_classes_is_refused(name):
    p, y, _ = world(seed=1, rows=50, temperature=1.0)
    with pytest.raises(ModelError, match=r"shape \(50, 2\) and the calibrator is of 3 classes"):
        calibrator(name).fit(p, y).apply(np.full((50, 2), 0.5))


@changing
def test_damaged_states_are_refused(name):
    p, y, _ = world(seed=1, rows=50, temperature=1.0)
    state = calibrator(name).fit(p, y).state()
    for key in state.keys() - {"calibrator"}:
        with pytest.raises(ModelError, match=f"the state of {name} is damaged"):
            restored({k: v for k, v in state.items() if k != key})
    with pytest.raises(ModelError, match="needs 'calibrator'"):
        restored({})
    with pytest.raises(UnknownName, match="no calibrator 'beta'"):
        restored({"calibrator": "beta"})


# each calibrator against an oracle -----------------------------------------------------------------------------------


def test_temperature_is_the_one_scikit_learn_finds():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(1500, 5))
    y = np.digitize(x[:, 0] + rng.normal(size=1500), (-0.7, 0.7))
    sure = FrozenEstimator(LogisticRegression(C=10.0).fit(x[:80], y[:80]))
    kept = sure.predict_proba(x).min(axis=1) > FLOOR  # scikit-learn has no floor
    x, y = x[kept], y[kept]
    oracle = CalibratedClassifierCV(sure, method="temperature").fit(x, y)
    p = sure.predict_proba(x)
    np.testing.assert_allclose(calibrator("temperature").fit(p, y).apply(p), oracle.predict_proba(x), atol=1e-6)


def test_temperature_has_the_least_log_loss_of_a_fine_grid():
    p, y, _ = world(seed=8, rows=800, temperature=2.2)
    grid, logs, rows = np.linspace(0.1, 10.0, 991), np.log(np.maximum(p, FLOOR)), np.arange(800)
    losses = [-np.log(softmax(logs / temperature, axis=1)[rows, y]).mean() for temperature in grid]
    found = calibrator("temperature").fit(p, y).state()["temperature"]
    assert found == pytest.approx(grid[np.argmin(losses)], abs=0.006)
    assert 2.0 < found < 2.4


def test_temperature_leaves_out_rows_of_a_class_without_probability():
    p, y, _ = world(seed=8, rows=400, temperature=2.0)
    wider, more = np.vstack([p, p[:50]]), np.append(y, np.full(50, 3))
    wider = np.column_stack([wider, np.zeros(450)])
    kept, all_rows = calibrator("temperature").fit(p, y), calibrator("temperature").fit(wider, more)
    assert all_rows.state()["temperature"] == pytest.approx(kept.state()["temperature"])


def test_sigmoid_is_a_logistic_regression_on_log_odds_with_platts_targets():
    p, y, _ = world(seed=9, rows=900, temperature=2.0)
    weight = np.random.default_rng(1).uniform(0.2, 3.0, 900)
    weight /= weight.mean()
    state = calibrator("sigmoid").fit(p, y, weight).state()
    for k in range(3):
        hit, odds = y == k, logit(np.clip(p[:, k], FLOOR, 1 - FLOOR))
        hits, others = weight[hit].sum(), weight[~hit].sum()
        target = np.where(hit, (hits + 1) / (hits + 2), 1 / (others + 2))
        both = np.repeat([1, 0], 900)  # a target between is a row of each class, weighted
        oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
            np.tile(odds, 2)[:, None], both, np.concatenate([weight * target, weight * (1 - target)])
        )
        assert state["slope"][k] == pytest.approx(oracle.coef_[0, 0], rel=1e-4)
        assert state["offset"][k] == pytest.approx(oracle.intercept_[0], abs=1e-4)


def test_sigmoid_of_two_classes_needs_no_renormalising():
    p, y, _ = world(seed=10, rows=600, temperature=2.0, classes=2)
    fitted = calibrator("sigmoid").fit(p, y)
    state = fitted.state()
    alone = expit(state["slope"][1] * logit(np.clip(p[:, 1], FLOOR, 1 - FLOOR)) + state["offset"][1])
    np.testing.assert_allclose(fitted.apply(p)[:, 1], alone, atol=1e-6)


def test_isotonic_knots_are_the_minimax_of_means():
    """The slow oracle: the fit at i is the max over a <= i of the min over b >= i of the mean of a … b."""
    p, y, _ = world(seed=11, rows=700, temperature=2.5)
    weight = np.random.default_rng(2).uniform(0.2, 3.0, 700)
    state = calibrator("isotonic").fit(p, y, weight).state()
    for k in range(3):
        x = np.round(p[:, k] / CELL) * CELL
        cells = np.unique(x)
        total = np.array([weight[x == cell].sum() for cell in cells])
        hits = np.array([(weight * (y == k))[x == cell].sum() for cell in cells])
        mean = [[hits[a : b + 1].sum() / total[a : b + 1].sum() if b >= a else np.nan for b in range(len(cells))]
                for a in range(len(cells))]  # fmt: skip
        slow = [max(min(mean[a][i:]) for a in range(i + 1)) for i in range(len(cells))]
        found = np.interp(cells, state["x"][k], state["y"][k])
        np.testing.assert_allclose(found, np.clip(slow, 1 / 702, 1 - 1 / 702), atol=1e-12)


def test_isotonic_never_falls_and_has_few_knots():
    p, y, _ = world(seed=12, rows=5000, temperature=0.5)
    state = calibrator("isotonic").fit(p, y).state()
    for x, values in zip(state["x"], state["y"], strict=True):
        assert 2 <= len(x) <= 1 / CELL + 1 <= 100
        assert np.diff(x).min() >= CELL
        assert np.diff(values).min() >= 0.0
        assert np.float64(np.float32(x)).tolist() == x


# graphs --------------------------------------------------------------------------------------------------------------


@every_calibrator
def test_the_calibrated_graph_keeps_names_shapes_and_operator_versions(name):
    fitted, x, y = model("logistic")
    graph = calibrated_graph(fitted.graph(), calibrator(name).fit(fitted.predict(x), y))
    found = onnx.load_from_string(graph)
    assert {opset.domain: opset.version for opset in found.opset_import} == OPSETS
    assert [i.name for i in found.graph.input] == [INPUT]
    assert [o.name for o in found.graph.output] == [OUTPUT]
    assert served(graph, x[:1]).shape == (1, 4)


def test_only_the_graph_of_an_uncalibrated_classifier_is_calibrated():
    fitted: FittedCalibrator = calibrator("none").fit(np.eye(2), np.array([0, 1]))
    once = calibrated_graph(identity_graph(2), fitted)
    with pytest.raises(ModelError, match="calibrated already"):
        calibrated_graph(once, fitted)
    values = assemble_values([helper.make_node("Identity", [INPUT], ["v"])], [], "v", 2, 2)
    with pytest.raises(ModelError, match=r"gives \['values'\] and calibration wants probabilities"):
        calibrated_graph(values, fitted)
    with pytest.raises(ModelError, match="not an ONNX graph"):
        calibrated_graph(b"no graph", fitted)

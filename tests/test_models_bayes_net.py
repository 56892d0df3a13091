"""A network with a Bayesian last layer: what its posterior is, and what it says about doubt."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import BayesianRidge, LogisticRegression

from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.base import Epoch, Ranged, Task
from bellwether.models.bayes_head import ClassHead, class_head, curvature, most_probable, value_head
from bellwether.models.bayes_net import PATIENCE, REPORTS
from bellwether.models.training import Training, plain

CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS


def market(task: Task, rows: int = 1500, seed: int = 0, signal: float = 0.3, bent: bool = False) -> Training:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    drive = (np.abs(x[:, 0]) - 0.8) / 0.6 if bent else x[:, 0]
    outcome = np.sqrt(signal) * drive + np.sqrt(1 - signal) * rng.normal(size=rows)
    if task is REGRESS:
        return plain(x, 0.01 * outcome + 0.5)
    return plain(x, np.digitize(outcome, [-0.43, 0.43]), classes=3)


def trained(rows: Training, **changes: object):
    return family("bayes_net").train(rows, family("bayes_net").standard(rows.task) | changes)


def three_classes(rows: int = 300, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    y = np.argmax(x @ rng.normal(size=(2, 3)) + rng.gumbel(size=(rows, 3)), axis=1)
    return x, y, rng.uniform(0.5, 1.5, rows)


def test_values_have_the_posterior_of_a_bayesian_ridge_regression():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(2.0, 1.0, size=(200, 4)), rng.uniform(0.5, 1.5, 200)
    y = np.column_stack([x @ [1, 2, 0, 0], x @ [0, 0, 0, 1]]) + rng.normal(size=(200, 2))
    head, new = value_head(x, y, weight), 10 * rng.normal(size=(50, 4))
    for step in range(2):
        mean, deviation = BayesianRidge().fit(x, y[:, step], sample_weight=weight).predict(new, return_std=True)
        np.testing.assert_allclose(head.mean(new)[:, step], mean)
        np.testing.assert_allclose(head.deviation(new)[:, step], deviation)
    ranges = head.quantiles(new)
    np.testing.assert_allclose(ranges[..., 1], head.mean(new))
    np.testing.assert_allclose((ranges[..., 2] - ranges[..., 0]) / head.deviation(new), 2 * 1.6448536, rtol=1e-7)


def test_the_curvature_is_the_second_derivative_of_the_log_loss():
    x, y, weight = three_classes()
    weights = np.random.default_rng(1).normal(size=(2, 3))

    def loss(flat: torch.Tensor) -> torch.Tensor:  # weights class by class
        scores = torch.log_softmax(torch.from_numpy(x) @ flat.reshape(3, 2).T, dim=1)
        return -(torch.from_numpy(weight) * scores[torch.arange(len(y)), torch.from_numpy(y)]).sum()

    expected = torch.autograd.functional.hessian(loss, torch.from_numpy(weights.T.ravel().copy())).numpy()
    np.testing.assert_allclose(curvature(x, softmax(x @ weights, axis=1), weight), expected, rtol=1e-9, atol=1e-9)


def test_the_mode_is_that_of_a_penalised_logistic_regression():
    x, y, weight = three_classes()
    mode, precision = most_probable(x, np.eye(3)[y], weight)
    prior = np.linalg.eigvalsh(precision)[0]  # all that the data say nothing of, such as a shift of all logits
    oracle = LogisticRegression(C=1 / prior, fit_intercept=False, tol=1e-10).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(mode.T, oracle.coef_, atol=1e-3)
    determined = mode.size - prior * np.trace(np.linalg.inv(precision))
    assert prior == pytest.approx(determined / np.sum(mode**2), rel=0.01)


def test_a_row_that_counts_twice_is_two_rows():
    x, y, _ = three_classes()
    counts = np.random.default_rng(2).integers(1, 4, len(y))
    weighted = class_head(x, y, counts.astype(float))
    repeated = class_head(np.repeat(x, counts, axis=0), np.repeat(y, counts), np.ones(counts.sum()))
    np.testing.assert_allclose(weighted.probabilities(x), repeated.probabilities(x), atol=1e-9)


def spread(head: ClassHead, rows: np.ndarray) -> np.ndarray:
    return ((rows @ head.factor) ** 2).reshape(len(rows), head.gap.shape[1], -1).sum(axis=2)


def test_two_classes_have_the_average_of_the_logistic_function_over_the_posterior():
    x, y, weight = three_classes(60)
    head, new = class_head(x, np.minimum(y, 1), weight), 5 * np.random.default_rng(1).normal(size=(100, 2))
    rows = np.column_stack([new, np.ones(100)])
    at, mass = np.polynomial.hermite_e.hermegauss(80)
    gaps = rows @ head.gap + np.sqrt(spread(head, rows)) * at
    expected = (1 / (1 + np.exp(-gaps))) @ mass / mass.sum()
    np.testing.assert_allclose(head.probabilities(new)[:, 0], expected, atol=0.02)


def test_more_classes_are_close_to_the_average_of_the_softmax_and_closer_than_without_doubt():
    x, y, weight = three_classes(40)
    mode, precision = most_probable(np.column_stack([x, np.ones(40)]), np.eye(3)[y], weight)
    head, new = class_head(x, y, weight), 4 * np.random.default_rng(1).normal(size=(60, 2))
    draws = np.random.default_rng(2).multivariate_normal(mode.T.ravel(), np.linalg.inv(precision), 4000)
    rows = np.column_stack([new, np.ones(60)])
    expected = softmax(np.einsum("nd,skd->nsk", rows, draws.reshape(4000, 3, 3)), axis=2).mean(axis=1)
    ours, without = head.probabilities(new), softmax(rows @ mode, axis=1)
    assert np.abs(ours - expected).max() < 0.06
    assert np.abs(ours - expected).mean() < 0.25 * np.abs(without - expected).mean()


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), size=st.sampled_from([0.1, 3.0, 1e4]))
def test_probabilities_add_up_and_without_doubt_are_the_softmax(seed, classes, size):
    rng = np.random.default_rng(seed)
    weights, features = rng.normal(size=(4, classes)), size * rng.normal(size=(20, 3))
    pairs = list(combinations(range(classes), 2))
    gap = np.column_stack([weights[:, c] - weights[:, d] for c, d in pairs])
    sure = ClassHead(classes=classes, gap=gap, factor=np.zeros((4, 4 * len(pairs))))
    unsure = replace(sure, factor=rng.normal(size=(4, 4 * len(pairs))))
    for head in (sure, unsure):
        found = head.probabilities(features)
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
    expected = softmax(np.column_stack([features, np.ones(20)]) @ weights, axis=1)
    np.testing.assert_allclose(sure.probabilities(features), expected, atol=1e-9)


def test_far_from_the_data_it_is_less_sure():
    x, y, weight = three_classes(60)
    rows = np.column_stack([1e3 * x, np.ones(60)])
    head = class_head(x, y, weight)
    without = replace(head, factor=np.zeros_like(head.factor))
    assert np.median(without.probabilities(1e3 * x).max(axis=1)) > 0.999
    assert np.median(head.probabilities(1e3 * x).max(axis=1)) < 0.97
    assert spread(head, rows).min() > 0
    values = value_head(x, x[:, :1] + np.sin(y)[:, None], weight)
    assert (values.deviation(100 * x) > 2 * values.deviation(x)).all()


def test_its_intervals_hold_what_they_say_on_fresh_rows():
    model, fresh = trained(market(REGRESS, 3000)), market(REGRESS, 4000, seed=1)
    assert isinstance(model, Ranged)
    low, middle, high = model.quantiles(fresh.x)[:, 0].T
    assert np.mean((fresh.y[:, 0] >= low) & (fresh.y[:, 0] <= high)) == pytest.approx(0.9, abs=0.025)
    np.testing.assert_allclose(middle, model.predict(fresh.x)[:, 0], rtol=1e-9)


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS], ids=lambda task: task.value)
def test_it_finds_what_no_linear_model_can(task):
    model, fresh = trained(market(task, 3000, signal=0.6, bent=True)), market(task, 3000, 1, 0.6, bent=True)
    answer = model.predict(fresh.x)
    if task is CLASSIFY:
        assert np.mean(answer.argmax(axis=1) == fresh.y) > 0.52
    else:
        assert np.corrcoef(answer[:, 0], fresh.y[:, 0])[0, 1] > 0.65  # at best √0.6


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS], ids=lambda task: task.value)
def test_a_fit_stops_when_the_last_rows_get_no_better(task):
    rows = market(task, 600, signal=0.0)
    params = family("bayes_net").standard(task) | {"weight_decay": 0.01, "passes": 4}
    epochs = list(family("bayes_net").walk(rows, params))
    assert all(isinstance(epoch, Epoch) for epoch in epochs)
    losses = [epoch.validation for epoch in epochs]
    assert len(losses) < REPORTS
    assert np.argmin(losses) == len(losses) - 1 - PATIENCE


def test_the_layers_it_keeps_are_those_of_the_best_report():
    rows = market(REGRESS, 600, signal=0.0)
    params = family("bayes_net").standard(REGRESS) | {"weight_decay": 0.01}
    losses = [epoch.validation for epoch in family("bayes_net").walk(rows, params)]
    stopped = replace_reports(rows, params, int(np.argmin(losses)) + 1)
    np.testing.assert_array_equal(trained(rows, **params).predict(rows.x), stopped.predict(rows.x))


def replace_reports(rows: Training, params: dict, reports: int):
    """The model of a fit that may report only so often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bellwether.models.bayes_net.REPORTS", reports)
        return trained(rows, **params)


def test_a_fit_leaves_torch_as_it_was_even_between_epochs():
    rows, threads = market(REGRESS, 400), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        before = torch.get_rng_state()
        for _ in family("bayes_net").walk(rows, family("bayes_net").standard(REGRESS)):
            assert torch.get_num_threads() == 2
            assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(threads)


def test_what_torch_draws_elsewhere_does_not_change_a_fit():
    rows, kind = market(REGRESS, 400), family("bayes_net")
    steps, last = kind.walk(rows, kind.standard(REGRESS)), None
    while last is None:
        try:
            next(steps)
            torch.rand(7)
        except StopIteration as end:
            last = end.value
    assert last.graph() == trained(rows).graph()
    assert last.graph() != trained(replace(rows, seed=1)).graph()


def test_values_on_another_scale_are_predicted_on_that_scale():
    rows = market(REGRESS, 600)
    model, other = trained(rows), trained(replace(rows, y=1e6 * rows.y - 5))
    np.testing.assert_allclose(other.quantiles(rows.x), 1e6 * model.quantiles(rows.x) - 5, rtol=1e-3)


def test_a_constant_column_and_constant_values_are_no_trouble():
    rows = market(REGRESS, 400)
    rows = replace(rows, x=np.column_stack([rows.x, np.full(400, 0.1)]), y=np.full((400, 1), 0.25))
    model = trained(rows)
    np.testing.assert_allclose(model.predict(rows.x), 0.25, atol=1e-6)
    assert np.isfinite(model.quantiles(rows.x)).all()


def test_no_rows_are_served_with_no_answers():
    for task, outputs in ((REGRESS, {"values": (0, 1), "quantiles": (0, 1, 3)}), (CLASSIFY, {"probabilities": (0, 3)})):
        graph = trained(market(task, 300)).graph()
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        found = session.run(list(outputs), {"features": np.zeros((0, 3), np.float32)})
        assert [a.shape for a in found] == list(outputs.values())


def test_too_few_rows_to_stop_on_are_refused():
    with pytest.raises(ModelError, match="1 timestamps are too few to stop on the last 15%"):
        trained(market(REGRESS, 1))

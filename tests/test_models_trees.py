"""What tree families share: how rounds are counted, what weights and scales do, and where answers come from."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from math import comb

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.utils.class_weight import compute_class_weight
from threadpoolctl import threadpool_info

from bellwether.errors import BadFeatures, ModelError
from bellwether.models import family
from bellwether.models.base import Fitted, Task
from bellwether.models.explained import Explained
from bellwether.models.training import Training, plain
from bellwether.models.trees.boosting import PATIENCE, TAIL, class_factors, counted
from bellwether.models.trees.ensemble import Tree, float32_below

CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS
FORESTS = ("random_forest", "extra_trees")
LARGE = 2.0**100
BOOSTED = ("gradient_boosting", "hist_gradient_boosting", "lightgbm", "xgboost")
NAMES = FORESTS + BOOSTED

every_family = pytest.mark.parametrize("name", NAMES)
every_boosted = pytest.mark.parametrize("name", BOOSTED)
every_task = pytest.mark.parametrize("task", list(Task), ids=lambda task: task.value)


def market(task: Task, *, rows: int = 800, seed: int = 0, classes: int = 3, noise: float = 0.5) -> Training:
    """Four columns, of which the third drives the outcome and the first bends it a little."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    outcome = x[:, 2] + 0.3 * np.sign(x[:, 0] * x[:, 2]) + noise * rng.normal(size=rows)
    cuts = np.quantile(outcome, np.arange(1, classes) / classes)
    return plain(x, np.digitize(outcome, cuts) if task is CLASSIFY else outcome, classes=classes * (task is CLASSIFY))


def settled(name: str, task: Task, **changes: object) -> dict[str, object]:
    return family(name).standard(task) | changes


@cache
def trained(name: str, task: Task, classes: int = 3) -> tuple[Fitted, Training]:
    rows = market(task, classes=classes)
    return family(name).train(rows, family(name).standard(task)), rows


@every_family
@every_task
def test_gain_is_shared_by_the_columns_and_the_one_that_drives_has_most(name, task):
    model, _ = trained(name, task)
    assert isinstance(model, Explained)
    gain = model.gain()
    assert gain.shape == (4,)
    assert gain.sum() == pytest.approx(1.0)
    assert gain.argmax() == 2
    assert (gain >= 0).all()


@every_family
@every_task
def test_nothing_to_split_gains_nothing_and_contributes_nothing(name, task):
    rows = market(task)
    model = family(name).train(replace(rows, x=np.zeros_like(rows.x)), family(name).standard(task))
    assert not model.gain().any()
    assert not model.contributions(rows.x[:3]).any()


@every_family
@pytest.mark.parametrize("classes", [2, 3])
def test_contributions_and_bias_are_the_probabilities_of_a_forest_and_the_log_odds_of_boosting(name, classes):
    model, rows = trained(name, CLASSIFY, classes)
    found = model.contributions(rows.x[:100])
    assert found.shape == (100, 4, classes)
    whole = model.bias() + found.sum(axis=1)
    whole = whole if name in FORESTS else softmax(whole, axis=1)
    np.testing.assert_allclose(whole, model.predict(rows.x[:100]), atol=2e-6)


@every_family
def test_contributions_and_bias_are_the_values(name):
    rows = market(REGRESS)
    rows = replace(rows, y=100 + 0.01 * rows.y)
    model = family(name).train(rows, family(name).standard(REGRESS))
    whole = model.bias() + model.contributions(rows.x[:100]).sum(axis=1)
    np.testing.assert_allclose(whole, model.predict(rows.x[:100]), rtol=0, atol=1e-8 + 1e-8 * 100)


@pytest.mark.parametrize("name", ["xgboost", "random_forest", "extra_trees"])
def test_contributions_are_told_apart_by_step(name):
    rows = market(REGRESS)
    other = np.random.default_rng(1).normal(size=len(rows.y))
    rows = replace(
        rows, x=np.column_stack([rows.x, other]), y=np.column_stack([rows.y, 1e6 * other]), names=tuple("abcde")
    )
    model = family(name).train(rows, family(name).standard(REGRESS))
    found = model.contributions(rows.x[:50])
    np.testing.assert_allclose(model.bias() + found.sum(axis=1), model.predict(rows.x[:50]), rtol=1e-5, atol=1e-5)
    assert np.abs(found[:, :, 0]).mean(axis=0).argmax() == 2
    assert np.abs(found[:, :, 1]).mean(axis=0).argmax() == 4


@every_family
def test_a_class_never_seen_has_no_contributions(name):
    rows = market(CLASSIFY)
    rows = replace(rows, y=2 * (rows.y > 1), classes=4)
    model = family(name).train(rows, family(name).standard(CLASSIFY))
    found = model.contributions(rows.x[:20])
    assert found.shape == (20, 4, 4)
    assert not found[:, :, [1, 3]].any()
    assert found[:, :, [0, 2]].any()
    assert model.bias()[[1, 3]].tolist() == [0.0, 0.0]


def test_contributions_refuse_what_a_prediction_refuses():
    model, _ = trained("random_forest", REGRESS)
    with pytest.raises(BadFeatures, match="feature 1 of row 0 is nan"):
        model.contributions(np.array([[0.0, np.nan, 0.0, 0.0]]))


@pytest.mark.parametrize("name", ["random_forest", "extra_trees", "gradient_boosting", "hist_gradient_boosting"])
def test_contributions_are_the_shapley_values_of_the_trees_by_enumeration(name):
    model, rows = trained(name, REGRESS)
    ensemble, size = model.machine.ensemble(), model.scale.scale
    for row in rows.x[:3].astype(np.float32):
        expected = sum((enumerated(tree, row) for tree in ensemble.trees), np.zeros(4))
        np.testing.assert_allclose(model.contributions(row[None].astype(float))[0, :, 0], expected * size, atol=1e-9)


def enumerated(tree: Tree, row: np.ndarray) -> np.ndarray:
    """Shapley's definition, over all subsets of the columns."""
    columns = range(len(row))
    worth = {s: given_columns(tree, row, s) for k in range(len(row) + 1) for s in combinations(columns, k)}
    found = np.zeros(len(row))
    for column in columns:
        for without in (s for s in worth if column not in s):
            added = worth[tuple(sorted((*without, column)))] - worth[without]
            found[column] += added / (len(row) * comb(len(row) - 1, len(without)))
    return found


def given_columns(tree: Tree, row: np.ndarray, known: tuple[int, ...], node: int = 0) -> float:
    """What a tree gives if only these columns are known: both branches, by their covers, where it reads another."""
    left, right = tree.left[node], tree.right[node]
    if left < 0:
        return float(tree.output[node, 0])
    if tree.feature[node] in known:
        return given_columns(tree, row, known, left if row[tree.feature[node]] <= tree.threshold[node] else right)
    below = [given_columns(tree, row, known, child) for child in (left, right)]
    return float(np.average(below, weights=tree.cover[[left, right]]))


@every_family
@every_task
def test_rows_that_count_more_are_followed(name, task):
    rows = market(task, classes=2, noise=0.1)
    turned = np.arange(len(rows.y)) % 2 == 1
    y = np.where(turned, 1 - rows.y, rows.y) if task is CLASSIFY else np.where(turned[:, None], -rows.y, rows.y)
    for followed in (True, False):
        weight = np.where(turned == followed, 1.8, 0.2)
        model = family(name).train(replace(rows, y=y, weight=weight), family(name).standard(task))
        answer = model.predict(rows.x)[:, -1]
        assert (np.corrcoef(answer, rows.x[:, 2])[0, 1] < 0) == followed


@every_family
@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_values_may_be_tiny_or_large(name, scale):
    model, rows = trained(name, REGRESS)
    other = family(name).train(replace(rows, y=scale * rows.y), family(name).standard(REGRESS))
    np.testing.assert_allclose(other.predict(rows.x), scale * model.predict(rows.x), rtol=0, atol=1e-4 * scale)


@every_family
def test_values_that_are_all_alike_are_answered_with_themselves(name):
    rows = market(REGRESS)
    model = family(name).train(replace(rows, y=np.full_like(rows.y, 7.0)), family(name).standard(REGRESS))
    np.testing.assert_allclose(model.predict(rows.x), 7.0)


@every_family
def test_balanced_rows_bring_a_rare_class_up(name):
    rows = market(CLASSIFY, classes=2, noise=3.0)
    rows = rows.at((rows.y == 0) | (np.arange(len(rows.y)) % 6 == 0))
    key, values = ("class_weight", ("balanced", None)) if name in FORESTS else ("balanced", (True, False))
    shares = [
        family(name).train(rows, settled(name, CLASSIFY, **{key: v})).predict(rows.x)[:, 1].mean() for v in values
    ]
    assert shares[0] == pytest.approx(0.5, abs=0.07)
    assert shares[1] == pytest.approx(rows.y.mean(), abs=0.03)


def test_class_factors_are_those_of_scikit_learn():
    rows = market(CLASSIFY)
    rows = rows.at((rows.y > 0) | (np.arange(len(rows.y)) % 4 == 0))
    expected = compute_class_weight("balanced", classes=np.arange(3), y=rows.y)
    np.testing.assert_allclose(class_factors(rows, True), expected)
    assert class_factors(rows, False).tolist() == [1.0, 1.0, 1.0]


@given(
    x=hnp.arrays(np.float32, 20, elements=st.floats(-LARGE, LARGE, width=32)),
    threshold=st.floats(-LARGE, LARGE),
)
def test_a_rounded_threshold_separates_the_same_float32_values(x, threshold):
    near = np.float32(threshold) + np.float32([-1, 0, 1]) * np.spacing(np.float32(threshold))
    rounded = float32_below(np.array([threshold]))[0]
    for values in (x, near):
        np.testing.assert_array_equal(values.astype(np.float64) <= threshold, values <= rounded)


def rounds_of(model: Fitted) -> int:
    """Rounds that a boosted model has."""
    ensemble = model.machine.ensemble()
    turns = {tree.target for tree in ensemble.trees}
    assert len(ensemble.trees) % len(turns) == 0
    return len(ensemble.trees) // len(turns)


def walked(losses: list[float], rounds: int) -> tuple[list[float], int, int]:
    """Reports, rounds kept, and rounds that were looked at."""
    seen = []
    watched = ((0.0, seen.append(loss) or loss) for loss in losses)
    walk, reports = counted(watched, {"rounds": rounds, "learning_rate": 0.1}), []
    while True:
        try:
            reports.append(next(walk).done)
        except StopIteration as end:
            return reports, end.value, len(seen)


def test_the_best_round_is_kept_and_patience_ends_the_counting():
    losses = [3.0, 2.0, 1.0, *[1.5] * 200]
    reports, kept, seen = walked(losses[:120], 120)
    assert (kept, seen) == (3, 3 + PATIENCE)
    assert len(reports) == (3 + PATIENCE) // 8


@given(losses=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=PATIENCE))
def test_the_round_kept_is_the_first_with_the_least_loss(losses):
    reports, kept, _ = walked(losses, len(losses))
    assert kept == int(np.argmin(losses)) + 1
    assert reports[-1] == 1.0
    assert len(reports) <= 15


@every_boosted
@every_task
def test_noise_is_given_up_early_and_a_signal_is_followed(name, task):
    params, rows = settled(name, task, rounds=60, learning_rate=0.1), market(task, rows=600, noise=0.2)
    nothing = replace(rows, y=np.random.default_rng(9).permutation(rows.y))
    found, lost = (rounds_of(family(name).train(each, params)) for each in (rows, nothing))
    assert lost < 15 < 20 < found


@every_boosted
@every_task
def test_epochs_end_at_the_losses_of_the_tail(name, task):
    rows, params = market(task), settled(name, task, rounds=30)
    epochs = list(family(name).walk(rows, params))
    assert 10 <= len(epochs) <= 15
    assert epochs[-1].validation < epochs[0].validation
    assert epochs[-1].loss < epochs[0].loss
    assert {epoch.rate for epoch in epochs} == {params["learning_rate"]}
    late = rows.ts >= rows.ts[-round(TAIL * len(rows.ts))]
    spoilt = np.where(late if task is CLASSIFY else late[:, None], rows.y[::-1], rows.y)
    other = list(family(name).walk(replace(rows, y=spoilt), params))
    assert other[0].loss == epochs[0].loss  # the rows fitted are the same
    assert other[0].validation != epochs[0].validation


@every_boosted
def test_a_class_that_is_new_in_the_tail_is_learnt_from_it(name):
    rows = market(CLASSIFY, classes=2)
    tail = np.arange(len(rows.y)) >= 690
    rows = replace(rows, classes=3, y=np.where(tail & (rows.x[:, 1] > 0), 2, rows.y))
    model = family(name).train(rows, settled(name, CLASSIFY, balanced=False))
    answer = model.predict(rows.x)
    assert answer[:, 2].min() > 0
    assert answer[rows.y == 2, 2].mean() > 1.1 * answer[rows.y != 2, 2].mean()


@every_boosted
def test_where_the_tail_can_judge_nothing_all_rounds_are_used(name):
    rows = market(CLASSIFY, classes=2)
    rows = replace(rows, y=(np.arange(len(rows.y)) >= 690).astype(np.int64))
    model = family(name).train(rows, settled(name, CLASSIFY, rounds=20))
    assert rounds_of(model) == 20


@every_family
@every_task
def test_a_handful_of_rows_is_fitted(name, task):
    for rows in (market(task, rows=count, classes=2) for count in (2, 3, 10)):
        assert np.isfinite(family(name).train(rows, family(name).standard(task)).predict(rows.x)).all()


@every_boosted
def test_too_few_rows_to_stop_on_are_refused(name):
    with pytest.raises(ModelError, match="timestamps are too few to stop on"):
        family(name).train(market(REGRESS).at(np.arange(1)), family(name).standard(REGRESS))


def standard(rows: Training) -> np.ndarray:
    return ((rows.y - rows.y.mean()) / rows.y.std())[:, 0]


def test_xgboost_is_the_librarys_own_fit_with_the_rounds_counted():
    model, rows = trained("xgboost", REGRESS)
    own = {k: v for k, v in family("xgboost").standard(REGRESS).items() if k != "rounds"}
    matrix = xgboost.DMatrix(rows.x.astype(np.float32), standard(rows), nthread=1)
    settings = own | {"base_score": 0.0, "tree_method": "hist", "nthread": 1, "seed": 0}
    expected = xgboost.train(settings, matrix, num_boost_round=rounds_of(model)).predict(matrix)
    np.testing.assert_allclose(
        model.predict(rows.x)[:, 0], rows.y.mean() + rows.y.std() * expected, rtol=1e-5, atol=1e-6
    )


def test_lightgbm_is_the_librarys_own_fit_with_the_rounds_counted():
    model, rows = trained("lightgbm", CLASSIFY, 2)
    own = {k: v for k, v in family("lightgbm").standard(CLASSIFY).items() if k not in ("rounds", "balanced")}
    settings = own | {
        "objective": "binary", "num_threads": 1, "deterministic": True, "force_row_wise": True, "bagging_freq": 1,
        "verbosity": -1, "seed": 0,
    }  # fmt: skip
    data = lightgbm.Dataset(rows.x.astype(np.float32), rows.y, weight=np.ones(len(rows.y)), params=settings)
    expected = lightgbm.train(settings, data, num_boost_round=rounds_of(model)).predict(rows.x.astype(np.float32))
    np.testing.assert_allclose(model.predict(rows.x)[:, 1], expected, atol=1e-9)


def test_gradient_boosting_is_the_librarys_own_fit_with_the_rounds_counted():
    model, rows = trained("gradient_boosting", REGRESS)
    own = {k: v for k, v in family("gradient_boosting").standard(REGRESS).items() if k != "rounds"}
    expected = GradientBoostingRegressor(**own, n_estimators=rounds_of(model), random_state=0)
    expected.fit(rows.x.astype(np.float32), standard(rows), np.ones(len(rows.y)))
    answer = rows.y.mean() + rows.y.std() * expected.predict(rows.x.astype(np.float32))
    np.testing.assert_allclose(model.predict(rows.x)[:, 0], answer)


@every_task
@pytest.mark.parametrize("classes", [2, 3])
def test_bins_of_few_values_are_those_of_scikit_learn(task, classes):
    rows = market(task, classes=classes)
    rows = replace(rows, x=rows.x.round(1))
    params = settled("hist_gradient_boosting", task, rounds=20)
    model = family("hist_gradient_boosting").train(rows, params)
    own = {k: v for k, v in params.items() if k not in ("rounds", "balanced")}
    kind = HistGradientBoostingClassifier if task is CLASSIFY else HistGradientBoostingRegressor
    expected = kind(**own, max_iter=rounds_of(model), early_stopping=False, random_state=0)
    y = rows.y if task is CLASSIFY else standard(rows)
    weight = class_factors(rows, True)[rows.y] if task is CLASSIFY else np.ones(len(rows.y))
    expected.fit(rows.x.astype(np.float32), y, weight)
    if task is CLASSIFY:
        np.testing.assert_allclose(model.predict(rows.x), expected.predict_proba(rows.x.astype(np.float32)), atol=1e-6)
    else:
        answer = rows.y.mean() + rows.y.std() * expected.predict(rows.x.astype(np.float32))
        np.testing.assert_allclose(model.predict(rows.x)[:, 0], answer, atol=1e-6)


def test_a_forest_is_that_of_scikit_learn_on_standardised_values():
    model, rows = trained("extra_trees", REGRESS)
    expected = ExtraTreesRegressor(**family("extra_trees").standard(REGRESS), random_state=0)
    expected.fit(rows.x.astype(np.float32), standard(rows))
    answer = rows.y.mean() + rows.y.std() * expected.predict(rows.x.astype(np.float32))
    np.testing.assert_allclose(model.predict(rows.x)[:, 0], answer)


def test_hubers_loss_is_not_led_by_a_few_wild_values():
    rows, clean = market(REGRESS, noise=0.1), market(REGRESS, seed=1, noise=0.0)
    wild = replace(rows, y=np.where(np.arange(len(rows.y))[:, None] % 40 == 0, 60.0, rows.y))
    errors = {}
    for loss in ("squared", "huber"):
        model = family("lightgbm").train(wild, settled("lightgbm", REGRESS, loss=loss))
        errors[loss] = np.mean((model.predict(clean.x) - clean.y) ** 2)
    assert errors["huber"] < 0.5 * errors["squared"]


def test_the_number_of_threads_is_given_back():
    before = threadpool_info()
    walk = family("hist_gradient_boosting").walk(market(REGRESS), settled("hist_gradient_boosting", REGRESS))
    next(walk)
    assert threadpool_info() == before

"""Scores of probabilities agree with scikit-learn or a slow definition; direction is told apart from size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from bellwether.actions import SCORES
from bellwether.errors import ConfigError
from bellwether.validation.probability_metrics import (
    auc,
    brier,
    calibration_error,
    calibration_sums,
    class_scores,
    directional,
    directional_sums,
    expected_score,
    log_loss,
)

seeds = st.integers(0, 10_000)


def rows(seed: int, classes: int = 4, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Classes that came, and probabilities on a grid, so that there are ties and zeros."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    counts = rng.multinomial(10, np.full(classes, 1.0 / classes), n)
    return y, counts / 10.0


@settings(max_examples=40)
@given(seeds, st.sampled_from([2, 3, 5]))
def test_scores_of_probabilities_equal_scikit_learn(seed, classes):
    y, p = rows(seed, classes)
    labels = list(range(classes))
    assert log_loss(y, p) == pytest.approx(sklearn_log_loss(y, p, labels=labels), rel=1e-9)
    scores = [roc_auc_score(y == c, p[:, c]) for c in labels]
    assert auc(y, p) == pytest.approx(np.mean(scores))
    expected = brier_score_loss(y, p, labels=labels, scale_by_half=False)
    assert brier(y, p) == pytest.approx(expected)


def test_the_area_of_several_classes_equals_scikit_learn_s_one_against_the_rest():
    y, p = rows(1, 4)
    assert auc(y, p) == pytest.approx(roc_auc_score(y, p, multi_class="ovr", average="macro"))


def test_the_area_leaves_out_classes_that_never_came():
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    assert auc(np.array([0, 1, 0]), p) == 1.0
    assert np.isnan(auc(np.array([1, 1, 1]), p))


@given(seeds)
def test_bounds_of_probability_scores(seed):
    y, p = rows(seed)
    assert log_loss(y, p) >= 0.0
    assert 0.0 <= brier(y, p) <= 2.0
    assert 0.0 <= calibration_error(y, p) <= 1.0
    assert 0.0 <= auc(y, p) <= 1.0
    certain = np.eye(4)[y]
    assert (log_loss(y, certain), brier(y, certain), calibration_error(y, certain), auc(y, certain)) == (0, 0, 0, 1)


@given(seeds)
def test_calibration_error_equals_its_definition_bin_by_bin(seed):
    y, p = rows(seed)
    top, hit, total = p.max(axis=1), p.argmax(axis=1) == y, 0.0
    for k in range(10):
        inside = (top > k / 10 + 1e-12) & (top <= (k + 1) / 10 + 1e-12)
        if inside.any():
            total += inside.mean() * abs(top[inside].mean() - hit[inside].mean())
    assert calibration_error(y, p) == pytest.approx(total)
    ts = np.arange(len(y)) % 7
    assert calibration_sums(ts, y, p).value == pytest.approx(total)


def test_calibrated_probabilities_have_little_calibration_error_and_overconfident_ones_much():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 20_000)
    y = (rng.random((20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    sharp = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert calibration_error(y, p) < 0.02
    assert calibration_error(y, sharp) > 0.15


def test_scores_of_classes_count_from_the_middle():
    assert class_scores(5).tolist() == list(SCORES)
    assert class_scores(3).tolist() == [-1.0, 0.0, 1.0]
    assert class_scores(2).tolist() == [-1.0, 1.0]
    assert class_scores(4).tolist() == [-3.0, -1.0, 1.0, 3.0]
    with pytest.raises(ConfigError, match="1 classes have no direction"):
        class_scores(1)


@given(seeds)
def test_direction_is_balanced_accuracy_of_the_sign_less_chance(seed):
    rng = np.random.default_rng(seed)
    true = np.r_[1.0, -1.0, rng.normal(size=40)]
    expected = rng.normal(size=42)
    oracle = balanced_accuracy_score(true > 0, expected > 0, adjusted=True)
    assert directional(expected, true) == pytest.approx(oracle)
    assert directional(-expected, true) == pytest.approx(-oracle)
    assert directional_sums(np.arange(42) % 5, expected, true).value == pytest.approx(oracle)
    assert directional(7.0 * expected, true) == pytest.approx(oracle)  # size does not count


def test_knowing_the_size_of_moves_is_no_direction():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 5, 4000)
    far = np.abs(y - 2)
    sizes = np.array([[0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.35, 0.1, 0.35, 0.1], [0.35, 0.1, 0.1, 0.1, 0.35]])
    assert abs(directional(expected_score(sizes[far]), class_scores(5)[y])) < 1e-12
    knows = np.where((y > 2)[:, None], [0.0, 0.0, 0.4, 0.3, 0.3], [0.3, 0.3, 0.4, 0.0, 0.0])
    assert directional(expected_score(knows), class_scores(5)[y]) == 1.0


def test_always_saying_the_same_is_no_direction_however_often_it_is_right():
    true = np.array([1.0, 1.0, 1.0, 1.0, -1.0])
    assert directional(np.ones(5), true) == 0.0
    assert directional(np.zeros(5), true) == 0.0
    assert np.isnan(directional(np.ones(4), true[:4]))

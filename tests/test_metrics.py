"""Scores agree with scikit-learn; what is undefined is refused, never a quiet number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

from bellwether.errors import DataError
from bellwether.validation.metrics import (
    accuracy,
    accuracy_of,
    confusion,
    confusion_sums,
    f1_of,
    grouped_confusion,
    macro_f1,
    precision_of,
    recall_of,
    weighted_f1_of,
)

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(pairs)
def test_classification_scores_equal_scikit_learn(rows):
    y, predicted = np.array(rows, np.int64).T
    labels = list(range(5))
    expected = f1_score(y, predicted, labels=labels, average="macro", zero_division=0)
    assert macro_f1(y, predicted, 5) == pytest.approx(expected, abs=1e-12)
    assert accuracy(y, predicted) == pytest.approx(accuracy_score(y, predicted))
    np.testing.assert_array_equal(confusion(y, predicted, 5), confusion_matrix(y, predicted, labels=labels))


@settings(max_examples=50)
@given(pairs)
def test_scores_of_counts_equal_scikit_learn(rows):
    y, predicted = np.array(rows, np.int64).T
    counts, settings = confusion(y, predicted, 5), {"labels": list(range(5)), "zero_division": 0}
    macro = {"average": "macro"} | settings
    assert accuracy_of(counts) == pytest.approx(accuracy_score(y, predicted))
    assert precision_of(counts) == pytest.approx(precision_score(y, predicted, **macro))
    assert recall_of(counts) == pytest.approx(recall_score(y, predicted, **macro))
    assert weighted_f1_of(counts) == pytest.approx(f1_score(y, predicted, average="weighted", **settings))


@given(pairs, st.integers(1, 7))
def test_counts_of_timestamps_add_up_to_the_whole(rows, n_times):
    y, predicted = np.array(rows, np.int64).T
    ts = np.arange(len(y)) % n_times * 10
    groups = grouped_confusion(ts, y, predicted, 5)
    assert len(groups) == len(np.unique(ts))
    np.testing.assert_array_equal(groups.sum(axis=0), confusion(y, predicted, 5))
    np.testing.assert_array_equal(groups[0], confusion(y[ts == 0], predicted[ts == 0], 5))
    assert confusion_sums(ts, y, predicted, 5).value == pytest.approx(macro_f1(y, predicted, 5))


@pytest.mark.parametrize("figure", [accuracy_of, precision_of, recall_of, f1_of, weighted_f1_of])
def test_scores_of_many_tables_at_once(figure):
    tables = np.random.default_rng(0).integers(0, 9, (4, 3, 5, 5))
    one_by_one = [[float(figure(t)) for t in row] for row in tables]
    np.testing.assert_allclose(figure(tables), one_by_one)


def test_a_table_without_rows_has_no_accuracy():
    nothing = np.zeros((1, 3, 3))
    assert np.isnan(accuracy_of(nothing)).all()
    assert np.isnan(weighted_f1_of(nothing)).all()


def test_what_cannot_be_scored_is_refused():
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="no rows"):
        macro_f1(none, none, 5)
    with pytest.raises(DataError, match="prediction 0 … 5 lies outside the 5 classes"):
        macro_f1(np.array([0, 1]), np.array([0, 5]), 5)
    with pytest.raises(DataError, match="2 labels, 1 predictions"):
        confusion(np.array([0, 1]), np.array([0]), 5)
    with pytest.raises(DataError, match="at least one"):
        accuracy(none, none)

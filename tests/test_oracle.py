"""The oracle: it says what it knows, and nobody who knows no more than it scores better."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bellwether.config.sections import Session, Target
from bellwether.errors import DataError
from bellwether.validation.metrics import macro_f1
from data.sources.oracle import best_policy, decide, oracle_macro_f1, oracle_probabilities
from data.sources.simulator import HOUR, SimulatorOptions, simulate
from data.targets.action import action_classes, action_edges


@cache
def labelled(strength: float, stylised: bool = True) -> tuple[np.ndarray, ...]:
    """mean, sd, outcome and edges of all components, pooled."""
    made = simulate(SimulatorOptions(strength=strength, stylised=stylised, sessions=500), Session(), HOUR)
    close = made.bars["close"].to_numpy().reshape(11, -1)[:10]
    outcome = (close[:, 1:] / close[:, :-1] - 1.0).ravel()
    mean, sd = (made.truth[name].to_numpy().reshape(11, -1)[:10, :-1].ravel() for name in ("mean", "sd"))
    return mean, sd, outcome, action_edges(outcome, Target())


@pytest.mark.parametrize(("strength", "stylised"), [(0.15, True), (0.4, False)])
def test_the_oracle_is_calibrated(strength: float, stylised: bool) -> None:
    mean, sd, outcome, edges = labelled(strength, stylised)
    p, y = oracle_probabilities(mean, sd, edges), action_classes(outcome, edges)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    for c in range(5):
        tenth = np.digitize(p[:, c], np.quantile(p[:, c], np.arange(0.1, 1.0, 0.1)))
        for group in range(10):
            rows = tenth == group
            said, seen = p[rows, c].mean(), (y[rows] == c).mean()
            # components share shocks, so rows count for less than their number
            assert seen == pytest.approx(said, abs=4.0 * np.sqrt(3.0 * said * (1 - said) / rows.sum()))


def test_the_oracle_agrees_with_drawing_many_returns() -> None:
    mean, sd, edges = np.array([0.004, -0.01]), np.array([0.01, 0.02]), np.array([-0.02, -0.005, 0.005, 0.02])
    drawn = np.expm1(np.random.default_rng(0).normal(mean, sd, (200_000, 2)))
    counts = [np.bincount(action_classes(column, edges), minlength=5) / len(drawn) for column in drawn.T]
    np.testing.assert_allclose(oracle_probabilities(mean, sd, edges), counts, atol=0.005)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_policy_is_the_best_of_all_on_a_grid(seed: int) -> None:
    up = np.random.default_rng(seed).uniform(0.02, 0.6, 3)
    p = np.column_stack([1.0 - up, up])
    axis = np.linspace(0.0, 1.0, 21)
    policies = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    choice = np.stack([1.0 - policies, policies], axis=2)
    best = expected_macro_f1(p, choice).max()
    got = best_policy(p)
    np.testing.assert_allclose(got.sum(axis=1), 1.0)
    assert expected_macro_f1(p, got[None])[0] >= best - 1e-3


def expected_macro_f1(p: np.ndarray, choice: np.ndarray) -> np.ndarray:
    hits, chosen = (choice * p).mean(axis=1), choice.mean(axis=1)
    return (2.0 * hits / (p.mean(axis=0) + chosen)).mean(axis=1)


def test_the_best_score_rises_with_strength_and_no_simple_rule_beats_it() -> None:
    scores = []
    for strength in (0.0, 0.05, 0.15, 0.4):
        mean, sd, outcome, edges = labelled(strength)
        p, y = oracle_probabilities(mean, sd, edges), action_classes(outcome, edges)
        scores.append(oracle_macro_f1(mean, sd, outcome, edges))
        assert scores[-1] > max(macro_f1(y, decide(p, alpha), 5) for alpha in (0.0, 0.25, 0.5, 0.75, 1.0))
    assert scores == sorted(scores)
    assert 0.25 < scores[0] < 0.3  # volatility alone
    assert 0.4 < scores[-1] < 0.5


def test_the_plain_choice_is_the_most_accurate() -> None:
    mean, sd, outcome, edges = labelled(0.15)
    p, y = oracle_probabilities(mean, sd, edges), action_classes(outcome, edges)
    found = [float((decide(p, alpha) == y).mean()) for alpha in (0.0, 0.25, 0.5, 1.0)]
    assert found == sorted(found, reverse=True)


def test_on_the_null_market_the_best_score_is_that_of_drawing_by_the_class_shares() -> None:
    assert oracle_macro_f1(*labelled(0.0, False)) == pytest.approx(0.2, abs=0.002)


def test_the_oracle_refuses_what_is_no_distribution() -> None:
    one = np.ones(1)
    with pytest.raises(DataError, match="edges"):
        oracle_probabilities(one, one, np.array([0.1, 0.0]))
    with pytest.raises(DataError, match="edges"):
        oracle_probabilities(one, one, np.array([-1.5, 0.0]))
    with pytest.raises(DataError, match="sd must be positive"):
        oracle_probabilities(one, 0.0 * one, np.array([0.0]))

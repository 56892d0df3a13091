"""The gate: nothing passes where there is nothing to find, and what is plainly there passes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from bellwether.config.recipe import Gate, Validation
from bellwether.errors import ConfigError
from bellwether.validation.gate import Candidate, Verdict, judge
from bellwether.validation.metrics import macro_f1
from bellwether.validation.walk_forward import split

Ints = NDArray[np.int64]
PLAN = Validation(folds=4)
GATE = Gate(confidence=0.99)


def nearest_centre(x, y, new):
    """A small honest classifier: the class whose mean is nearest."""
    centres = np.stack([x[y == c].mean(axis=0) if (y == c).any() else np.full(x.shape[1], 1e9) for c in range(5)])
    return np.argmin(((new[:, None, :] - centres) ** 2).sum(axis=2), axis=1)


def majority(x, y, new):
    return np.full(len(new), np.bincount(y, minlength=5).argmax())


def stratified(x, y, new):
    return np.random.default_rng(0).choice(y, len(new))


def verdict_on(signal: float, seed: int, families: int = 5) -> Verdict:
    """A walk over a panel of 5 components that share a common shock; ``signal`` is the share the features explain."""
    rng = np.random.default_rng(seed)
    ts = np.repeat(np.arange(300), 5)
    x = rng.normal(size=(len(ts), 4))
    shock = np.repeat(rng.normal(size=300), 5)
    noise = 0.7 * shock + 0.7 * rng.normal(size=len(ts))
    y = np.digitize(np.sqrt(signal) * x[:, 0] + np.sqrt(1 - signal) * noise, [-0.8, -0.3, 0.3, 0.8])
    cut = split(ts, ts + 1, PLAN)

    def candidate(rule) -> Candidate:
        folds = [macro_f1(y[f.test], rule(x[f.train], y[f.train], x[f.test]), 5) for f in cut.folds]
        predicted = rule(x[cut.selection], y[cut.selection], x[cut.holdout])
        return Candidate(family=rule.__name__, predicted=predicted, folds=tuple(folds))

    hold = cut.holdout
    return judge(
        candidate(nearest_centre),
        [candidate(majority), candidate(stratified)],
        ts=ts[hold],
        y=y[hold],
        n_classes=5,
        gate=GATE,
        families=families,
    )


def test_nothing_passes_on_null_markets():
    assert not [seed for seed in range(20) if verdict_on(signal=0.0, seed=seed).passed]


def test_a_plain_signal_passes():
    verdict = verdict_on(signal=0.5, seed=1)
    assert verdict.passed
    assert verdict.low > 0.05
    assert verdict.reason.startswith("nearest_centre beats every baseline")


def judged(champion_folds, rival_folds, hits: float = 0.9, gate: Gate = GATE, **more) -> Verdict:
    """A champion right with chance ``hits`` on the holdout against one that guesses, with given fold scores."""
    rng = np.random.default_rng(0)
    ts, y = np.repeat(np.arange(150), 4), rng.integers(0, 5, 600)
    good = np.where(rng.random(600) < hits, y, rng.integers(0, 5, 600))
    rivals = [Candidate(family="guess", predicted=rng.integers(0, 5, 600), folds=rival_folds)]
    champion = Candidate(family="ours", predicted=good, folds=champion_folds)
    return judge(champion, rivals, ts=ts, y=y, n_classes=5, gate=gate, **({"families": 5} | more))


def test_a_lucky_holdout_is_not_enough():
    verdict = judged(champion_folds=(0.5, 0.1, 0.2, 0.1), rival_folds=(0.2, 0.2, 0.2, 0.2))
    assert verdict.low > 0.0
    assert not verdict.passed
    assert "in the folds" in verdict.reason


def test_good_folds_do_not_excuse_a_poor_holdout():
    verdict = judged(champion_folds=(0.5, 0.6, 0.5, 0.6), rival_folds=(0.2, 0.2, 0.2, 0.2), hits=0.02)
    assert not verdict.passed
    assert "holdout lift over guess may be as low as" in verdict.reason


def test_more_families_tried_need_a_clearer_win():
    folds = {"champion_folds": (0.5, 0.6, 0.5), "rival_folds": (0.2, 0.2, 0.2)}
    one, ten = judged(**folds, families=1), judged(**folds, families=10)
    assert (one.confidence, ten.confidence) == (pytest.approx(0.99), pytest.approx(0.999))
    assert ten.low < one.low


def test_a_lift_below_the_least_one_asked_for_does_not_pass():
    folds = {"champion_folds": (0.5, 0.6, 0.5), "rival_folds": (0.2, 0.2, 0.2)}
    assert judged(**folds).passed
    assert not judged(**folds, gate=Gate(min_lift=0.95)).passed


def test_every_baseline_must_be_beaten_and_the_hardest_is_named():
    rng = np.random.default_rng(0)
    ts, y = np.repeat(np.arange(150), 4), rng.integers(0, 5, 600)

    def right(share: float, name: str, fold: float) -> Candidate:
        predicted = np.where(rng.random(600) < share, y, rng.integers(0, 5, 600))
        return Candidate(family=name, predicted=predicted, folds=(fold, fold + 0.01))

    rivals = [right(0.0, "weak", 0.2), right(0.6, "strong", 0.3)]
    verdict = judge(right(0.6, "ours", 0.5), rivals, ts=ts, y=y, n_classes=5, gate=GATE, families=1)
    assert not verdict.passed
    assert verdict.baseline_family == "strong"
    assert [c.family for c in verdict.against] == ["weak", "strong"]


def test_a_verdict_survives_json():
    verdict = verdict_on(signal=0.5, seed=2)
    assert Verdict.model_validate(json.loads(verdict.model_dump_json())) == verdict


def test_without_a_baseline_there_is_no_verdict():
    ours = Candidate(family="ours", predicted=np.zeros(4, np.int64), folds=(0.5, 0.5))
    rows = {"ts": np.arange(4), "y": np.zeros(4, np.int64), "n_classes": 5, "gate": GATE, "families": 1}
    with pytest.raises(ConfigError, match="no baseline"):
        judge(ours, [], **rows)
    with pytest.raises(ConfigError, match="rival has 1 folds and ours 2"):
        judge(ours, [Candidate(family="rival", predicted=ours.predicted, folds=(0.5,))], **rows)

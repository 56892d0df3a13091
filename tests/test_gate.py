"""The gate: nothing passes where there is nothing to find, and what is plainly there passes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from bellwether.config.sections import Gate, Validation
from bellwether.errors import ConfigError, DataError
from bellwether.validation.bootstrap import resampled_figures
from bellwether.validation.gate import Candidate, judge
from bellwether.validation.metrics import confusion_sums, macro_f1
from bellwether.validation.scores import SCORES, Evaluation
from bellwether.validation.verdict import Verdict
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
    assert verdict.metric == "macro_f1"
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


def test_bounds_far_out_are_made_of_enough_resamples():
    folds = {"champion_folds": (0.5, 0.6, 0.5), "rival_folds": (0.2, 0.2, 0.2)}
    assert judged(**folds, families=5).draws == 10_000
    many = judged(**folds, families=40)
    assert many.draws * (1.0 - many.confidence) == pytest.approx(20, abs=0.01)


def test_a_holdout_of_few_blocks_is_refused_whatever_it_shows():
    """One block of the whole holdout resamples to itself: its bounds would be the lift, and anything would pass."""
    folds = {"champion_folds": (0.5, 0.6, 0.5), "rival_folds": (0.2, 0.2, 0.2)}
    assert judged(**folds, horizon=8).passed  # ten blocks of 15
    for horizon in (9, 75, 150, 1000):
        verdict = judged(**folds, horizon=horizon)
        assert not verdict.passed
        assert "a bound needs 10" in verdict.reason
        assert verdict.low < verdict.lift < verdict.high
        assert Verdict.model_validate(json.loads(verdict.model_dump_json())) == verdict


def test_a_holdout_of_one_timestamp_has_no_verdict():
    ours = Candidate(family="ours", predicted=np.array([0, 1]), folds=(0.5, 0.6))
    with pytest.raises(DataError, match="single timestamp"):
        judge(ours, [ours], ts=np.zeros(2, int), y=np.array([0, 1]), n_classes=2, gate=GATE, families=1)


def test_combinatorial_folds_count_for_what_they_are_worth():
    groups = (0.5, 0.3, 0.25, 0.0)  # 0.26 on average, give or take 0.1: no more than the rival's 0.2
    pairs = tuple((one + other) / 2 for one, other in combinations(groups, 2))
    walked = judged(champion_folds=pairs, rival_folds=(0.2,) * 6)
    plan = Validation(kind="combinatorial", groups=4, test_groups=2)
    combined = judged(champion_folds=pairs, rival_folds=(0.2,) * 6, plan=plan)
    assert walked.passed
    assert not combined.passed
    assert "in the folds" in combined.reason


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


def test_the_hardest_to_beat_is_the_one_with_the_lowest_bound_not_the_least_lift():
    y = np.random.default_rng(0).normal(size=400)
    ours, astray = 0.5 * y, 0.5 * y
    astray[[7, 300]] += 8.0  # much worse than ours on average, and no worse in resamples without these two
    said = {"near": 0.45 * y, "astray": astray}
    rivals = [Candidate(family=name, predicted=values, folds=(0.1, 0.2)) for name, values in said.items()]
    champion = Candidate(family="ours", predicted=ours, folds=(0.3, 0.4))
    verdict = judge(champion, rivals, ts=np.arange(400), y=y, n_classes=0, gate=GATE, families=1)
    near, far = verdict.against
    assert near.lift < far.lift
    assert verdict.baseline_family == "astray"
    assert verdict.low == far.low < near.low


def test_a_bound_is_one_sided_at_the_confidence_that_is_told():
    folds = {"champion_folds": (0.5, 0.6, 0.5), "rival_folds": (0.2, 0.2, 0.2)}
    verdict = judged(**folds, families=5)
    rng = np.random.default_rng(0)  # the rows of `judged`
    ts, y = np.repeat(np.arange(150), 4), rng.integers(0, 5, 600)
    good = np.where(rng.random(600) < 0.9, y, rng.integers(0, 5, 600))
    ours, guess = (confusion_sums(ts, y, said, 5) for said in (good, rng.integers(0, 5, 600)))
    both = np.hstack([ours.each, guess.each])
    lifts = resampled_figures(
        lambda s: ours.figure(s[:, :25]) - guess.figure(s[:, 25:]), both, block=6, draws=10_000, seed=0
    )
    assert verdict.confidence == pytest.approx(0.998)
    assert np.mean(lifts < verdict.low) == pytest.approx(0.002, abs=1e-4)
    assert np.mean(lifts > verdict.high) == pytest.approx(0.002, abs=1e-4)


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


def changes_judged(share: float, rival_share: float = 0.0, steps: int = 1, scale: float = 1.0, **more) -> Verdict:
    """A champion that knows a share of each change on the holdout, beside noise, against persistence and a rival."""
    rng = np.random.default_rng(0)
    ts = np.repeat(np.arange(150), 4)
    y = scale * rng.normal(size=(600, steps))

    def candidate(name: str, known: float, fold: float) -> Candidate:
        said = known * (y + 0.5 * scale * rng.normal(size=y.shape))
        return Candidate(family=name, predicted=said, folds=(fold, fold + 0.01, fold + 0.02))

    rivals = [candidate("persistence", 0.0, 0.0), candidate("linear", rival_share, 0.1)]
    settings = {"ts": ts, "y": y, "n_classes": 0, "gate": GATE, "families": 5} | more
    return judge(candidate("ours", share, 0.3), rivals, **settings)


def test_values_are_judged_by_skill():
    verdict = changes_judged(0.8, rival_share=0.1)
    assert verdict.passed
    assert verdict.metric == "skill"
    assert verdict.baseline_family == "linear"
    assert 0.0 < verdict.low < verdict.lift < verdict.high
    assert verdict.lift == pytest.approx(verdict.champion - verdict.baseline)
    assert verdict.champion == pytest.approx(1.0 - 0.2**2 - 0.4**2, abs=0.03)
    assert [c.score for c in verdict.against if c.family == "persistence"] == [0.0]
    assert "its holdout skill is" in verdict.reason


def test_a_lift_in_skill_is_the_difference_in_squared_error_in_units_of_persistence():
    rng = np.random.default_rng(0)
    y, ours, theirs = rng.normal(size=(3, 200))
    champion, rival = (
        Candidate(family=name, predicted=said, folds=(0.1, 0.2)) for name, said in (("ours", ours), ("theirs", theirs))
    )
    verdict = judge(champion, [rival], ts=np.arange(200), y=y, n_classes=0, gate=GATE, families=1)
    expected = (np.mean((theirs - y) ** 2) - np.mean((ours - y) ** 2)) / np.mean(y**2)
    assert verdict.lift == pytest.approx(expected)
    kind = SCORES["skill"]
    rows = Evaluation(ts=np.arange(200), who=np.zeros(200, int), y=y, values=ours)
    assert verdict.champion == pytest.approx(kind.of(rows))


def test_values_that_nothing_foretells_do_not_pass():
    for share in (0.0, -0.2):
        verdict = changes_judged(share)
        assert not verdict.passed
        assert verdict.low <= 0.0


def test_no_noise_passes_as_skill():
    passed = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        y, said = rng.normal(size=(2, 400))
        ours = Candidate(family="ours", predicted=0.05 * said, folds=(0.3, 0.31))
        still = Candidate(family="persistence", predicted=np.zeros(400), folds=(0.0, 0.0))
        verdict = judge(
            ours, [still], ts=np.repeat(np.arange(100), 4), y=y, n_classes=0, gate=Gate(confidence=0.95), families=1
        )
        passed += verdict.passed
    assert passed <= 3


def test_skill_does_not_depend_on_units():
    small, large = changes_judged(0.5, scale=1e-6), changes_judged(0.5, scale=1e6)
    assert (small.lift, small.low, small.high) == pytest.approx((large.lift, large.low, large.high), rel=1e-6)


def test_several_steps_are_judged_by_their_mean():
    verdict = changes_judged(0.8, steps=3)
    assert verdict.passed
    assert verdict.champion == pytest.approx(0.8, abs=0.03)


def test_a_lucky_holdout_is_not_enough_for_values_either():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    ours = Candidate(family="ours", predicted=0.9 * y, folds=(0.5, -0.5, 0.0))
    still = Candidate(family="persistence", predicted=np.zeros(200), folds=(0.0, 0.0, 0.0))
    verdict = judge(ours, [still], ts=np.arange(200), y=y, n_classes=0, gate=GATE, families=1)
    assert not verdict.passed
    assert "in the folds" in verdict.reason


def test_values_without_any_change_have_no_verdict():
    ours = Candidate(family="ours", predicted=np.ones(9), folds=(0.5, 0.6))
    still = Candidate(family="persistence", predicted=np.zeros(9), folds=(0.0, 0.0))
    rows = {"ts": np.arange(9), "n_classes": 0, "gate": GATE, "families": 1}
    with pytest.raises(DataError, match="nothing changes in the holdout"):
        judge(ours, [still], y=np.zeros(9), **rows)
    with pytest.raises(DataError, match=r"values have shape \(8,\) and predictions \(9,\)"):
        judge(ours, [still], y=np.ones(8), **rows | {"ts": np.arange(8)})
    with pytest.raises(DataError, match="persistence has a fold without a skill"):
        judge(ours, [replace(still, folds=(0.0, np.nan))], y=np.ones(9), **rows)


def sized(direction: float, *, demand: bool, given: bool = True) -> Verdict:
    """A champion that knows how large each move is, and its direction in a share ``direction`` of rows."""
    rng = np.random.default_rng(0)
    ts, y = np.repeat(np.arange(200), 4), rng.integers(0, 5, 800)
    mirrored = np.where(rng.random(800) < 0.5 + direction / 2, y, 4 - y)  # by chance the other sign
    p = 0.8 * np.eye(5)[mirrored] + 0.04
    ours = Candidate(family="ours", predicted=mirrored, folds=(0.5, 0.51), probabilities=p if given else None)
    guess = Candidate(family="guess", predicted=rng.integers(0, 5, 800), folds=(0.2, 0.21))
    return judge(ours, [guess], ts=ts, y=y, n_classes=5, gate=Gate(confidence=0.95), families=2, directional=demand)


def test_a_model_of_size_alone_passes_unless_direction_is_demanded():
    free, demanding = sized(0.0, demand=False), sized(0.0, demand=True)
    assert free.passed
    assert free.directional.low < 0.0 < free.directional.high
    assert not demanding.passed
    assert "directional score" in demanding.reason
    assert (demanding.lift, demanding.low, demanding.directional) == (free.lift, free.low, free.directional)


def test_a_model_of_direction_passes_where_it_is_demanded():
    verdict = sized(0.5, demand=True)
    assert verdict.passed
    assert verdict.directional.value == pytest.approx(0.5, abs=0.1)
    assert verdict.directional.low > 0.0


def test_direction_is_read_from_probabilities():
    assert sized(0.5, demand=False, given=False).directional is None
    with pytest.raises(ConfigError, match="no probabilities"):
        sized(0.5, demand=True, given=False)


def test_a_holdout_that_only_rises_shows_no_direction():
    y = np.abs(np.random.default_rng(0).normal(size=200))
    ours = Candidate(family="ours", predicted=0.9 * y, folds=(0.5, 0.51))
    still = Candidate(family="persistence", predicted=0.0 * y, folds=(0.0, 0.0))
    rows = {"ts": np.arange(200), "y": y, "n_classes": 0, "gate": GATE, "families": 1}
    assert judge(ours, [still], **rows).passed
    verdict = judge(ours, [still], **rows, directional=True)
    assert not verdict.passed
    assert verdict.directional is None
    assert "no rises or no falls" in verdict.reason


def test_a_verdict_on_values_survives_json():
    verdict = changes_judged(0.5)
    assert Verdict.model_validate(json.loads(verdict.model_dump_json())) == verdict

"""Values all the way: levels and returns, one step and several, every kind of folds, from the panel to the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from bellwether.calibration.conformal import Conformal
from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Serving, Target, Universe, Validation
from bellwether.errors import ConfigError, TaskRefused
from bellwether.models.predictor import Predictor
from bellwether.validation.combinatorial import on_paths
from bellwether.validation.folds import fold_stderr
from bellwether.validation.uniqueness import uniqueness_weights
from bellwether.validation.verdict import Comparison
from bellwether.validation.walk_forward import split
from data.panel import Panel
from data.targets import target_kind
from tune.champion import Champion, crown
from tune.leaderboard import leaderboard, mean_interval
from tune.out_of_fold import out_of_fold
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.sweep import run_baseline, sweep
from tune.trial import TrialResult

HOUR = 3_600_000_000_000
SYMBOLS = ("A", "B", "C")
COMBINED = Validation(kind="combinatorial")


def walk(times: int, reverting: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A price that may stand off its value, and by how much: (times,), (times,). The value walks at random."""
    rng = np.random.default_rng(seed)
    off = reverting * rng.normal(size=times)
    return 100.0 + 0.1 * (np.cumsum(rng.normal(size=times)) + off), off


def panel(
    kind: str = "mid_price",
    *,
    reverting: float = 1.0,
    steps: int = 1,
    times: int = 400,
    seed: int = 0,
    hidden: bool = False,
) -> Panel:
    """Prices of three symbols; the first feature says how far each is off its value, the others say nothing.

    ``hidden`` says it by the first two together, as none of them does alone: the sign of their product.
    """
    target = Target(kind=kind, options={"steps": steps} if steps > 1 else {})
    ts, parts = np.arange(1, times + 1) * HOUR, []
    for k in range(len(SYMBOLS)):
        price, off = walk(times, reverting, seed * 10 + k)
        outcome, t1 = target_kind(kind).outcome(ts, price, recipe().session, target)
        x = np.column_stack([off, np.random.default_rng(99 + k).normal(size=(times, 2))])
        if hidden:
            x[:, 0] *= np.sign(x[:, 1])
        parts.append((ts, np.full(times, k), x, outcome.reshape(times, -1), price, t1))
    ts, who, x, outcome, value, t1 = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((who, ts))
    order = order[np.isfinite(outcome[order]).all(axis=1)]
    return Panel(
        x=x[order],
        outcome=outcome[order] if steps > 1 else outcome[order, 0],
        value=value[order],
        ts=ts[order],
        t1=t1[order],
        who=who[order],
        symbols=SYMBOLS,
        features=("off", "b", "c"),
        definition="test",
        warmup=0,
    )


def recipe(
    kind: str = "mid_price",
    *,
    steps: int = 1,
    families: tuple[str, ...] = ("ridge", "linear"),
    validation: Validation | None = None,
    **search: object,
) -> Recipe:
    return Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=SYMBOLS),
        target=Target(kind=kind, options={"steps": steps} if steps > 1 else {}),
        families=families,
        search=Search(**{"trials": 4, "concurrent": 2} | search),
        validation=validation or Validation(folds=3, embargo=2),
        serving=Serving(app=None),
    )


def swept(wanted: Recipe, on: Panel) -> list[TrialResult]:
    """A small sweep in this process: each family with its defaults, and the baselines."""
    posed, trials = pose(wanted, on), []
    for name in posed.searched:
        params = posed.families[name].standard(posed.task)
        scores = tuple(score_fold(posed, name, params, fold) for fold in range(len(posed.folds)))
        trials.append(TrialResult(family=name, params=params, baseline=False, folds=scores, id=name))
    return trials + [run_baseline(posed, name) for name in posed.baselines]


def crowned(wanted: Recipe, on: Panel) -> Champion:
    return crown(wanted, on, swept(wanted, on))


# --- the problem ----------------------------------------------------------------------------------------------------


def test_a_level_is_learnt_as_its_change_and_a_return_as_it_is():
    on = panel()
    level, change = pose(recipe(), on), pose(recipe("future_return"), panel("future_return"))
    np.testing.assert_allclose(level.exam.labels[:, 0], on.outcome - on.value)
    np.testing.assert_allclose(change.exam.labels[:, 0], panel("future_return").outcome)
    assert (level.level, change.level) == (True, False)
    assert (level.classes, level.steps, level.metric) == (0, 1, "skill")


@pytest.mark.parametrize("kind", ["mid_price", "future_return"])
def test_saying_that_nothing_changes_has_no_skill_at_all(kind):
    """Not nearly none: what everything is measured against is this very model."""
    persistence = run_baseline(pose(recipe(kind), panel(kind)), "persistence")
    assert persistence.scores("skill") == (0.0, 0.0, 0.0)


def test_every_baseline_that_predicts_values_is_run():
    assert set(pose(recipe(), panel()).baselines) == {"persistence", "last_return", "ewma", "ridge_window"}
    assert set(pose(recipe(steps=2), panel(steps=2)).baselines) == {"persistence", "ridge_window"}


def test_errors_of_a_level_are_a_share_of_the_price_that_came():
    on, fold = panel(), pose(recipe(), panel()).folds[0]
    score = score_fold(pose(recipe(), on), "persistence", {}, 0)
    moved = np.abs(on.outcome - on.value)[fold.test]
    assert score.metrics["mae"] == pytest.approx(moved.mean())
    assert score.metrics["mape"] == pytest.approx((moved / on.outcome[fold.test]).mean())


def test_a_family_of_one_step_is_refused_for_two_with_the_reason():
    with pytest.raises(TaskRefused, match="lightgbm predicts one step and the target has 2"):
        pose(recipe(steps=2, families=("ridge", "lightgbm")), panel(steps=2))


def test_a_family_of_classes_and_thresholds_of_classes_are_refused():
    with pytest.raises(TaskRefused, match="logistic cannot regress"):
        pose(recipe(families=("logistic",)), panel())
    signal = recipe().model_copy(update={"serving": Serving(app=None, thresholds="calibrated")})
    with pytest.raises(ConfigError, match="mid_price has no classes to make a signal of"):
        pose(signal, panel())


# --- the champion ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted() -> tuple[Panel, Champion]:
    on = panel(times=600)
    return on, crowned(recipe(), on)


def against(champion: Champion, family: str) -> Comparison:
    return next(c for c in champion.verdict.against if c.family == family)


def test_planted_mean_reversion_beats_saying_that_nothing_changes(planted):
    _, champion = planted
    found = against(champion, "persistence")
    assert champion.verdict.metric == "skill"
    assert found.low > 0.1
    assert found.lift == pytest.approx(champion.verdict.champion)  # persistence's own is 0
    assert found.lift == pytest.approx(1.0 / 3.0, abs=0.1)  # of three parts of the variance, one is known


def test_what_no_baseline_can_see_passes_the_gate():
    wanted = recipe(families=("lightgbm",))
    assert crowned(wanted, panel(times=600, hidden=True)).verdict.passed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["mid_price", "future_return"])
def test_on_a_random_walk_nothing_passes(kind, seed):
    """The price never stands off its value: what the feature says of it is noise."""
    on = panel(kind, reverting=0.0, seed=seed)
    noise = replace(on, x=np.random.default_rng(seed).normal(size=on.x.shape))
    assert not crowned(recipe(kind), noise).verdict.passed


def test_the_contract_says_what_the_values_are(planted):
    _, champion = planted
    contract = champion.artefact.contract
    assert (contract.level, contract.steps, contract.classes, contract.edges) == (True, 1, (), ())
    assert (contract.reads, contract.lookback, contract.calibration) == ("features", 1, {})
    assert {"skill", "rmse", "mae", "mape", "directional"} <= set(contract.metrics["holdout"]["scores"])
    assert "macro_f1" not in contract.metrics["means"]
    assert contract.baselines["persistence"]["holdout"]["scores"]["skill"]["value"] == 0.0


def test_the_graph_is_the_model_the_holdout_figures_describe(planted):
    on, champion = planted
    held = split(on.ts, on.t1, recipe().validation).holdout
    said = Predictor(champion.artefact).predict(on.x[held])[:, 0]
    error = np.sqrt(np.mean((on.value[held] + said - on.outcome[held]) ** 2))
    assert error == pytest.approx(champion.artefact.contract.metrics["holdout"]["scores"]["rmse"]["value"], rel=1e-4)


def test_intervals_hold_what_they_promise_on_rows_nobody_chose_by(planted):
    _, champion = planted
    (interval,) = champion.artefact.contract.conformal["steps"]
    assert interval["promised"] == pytest.approx(0.9)
    assert interval["measured"]["value"] == pytest.approx(0.9, abs=0.05)
    assert interval["measured"]["low"] < 0.9 < interval["measured"]["high"]
    noise = 0.1 * np.sqrt(2.0)  # what is left once the feature is known: of the value's step, and the next deviation
    assert interval["width"] == pytest.approx(2 * 1.645 * noise, rel=0.15)
    state = Conformal.restore(interval)
    low, high = state.interval(np.zeros(1), np.zeros(1))
    assert float(high[0] - low[0]) == pytest.approx(interval["width"], rel=0.2)


def test_another_promise_makes_other_intervals():
    on = panel(times=600)
    wanted = recipe().model_copy(update={"interval_coverage": 0.5})
    (interval,) = crowned(wanted, on).artefact.contract.conformal["steps"]
    assert interval["measured"]["value"] == pytest.approx(0.5, abs=0.1)
    assert interval["width"] == pytest.approx(2 * 0.674 * 0.1 * np.sqrt(2.0), rel=0.2)


def test_the_holdout_changes_neither_the_model_nor_the_intervals_it_starts_with(planted):
    on, champion = planted
    held = split(on.ts, on.t1, recipe().validation).holdout
    outcome, x = on.outcome.copy(), on.x.copy()
    outcome[held] += 5.0
    x[held] += 3.0
    other = crowned(recipe(), replace(on, outcome=outcome, x=x)).artefact
    assert other.contract.params == champion.artefact.contract.params
    answers = [Predictor(artefact).predict(on.x[:50]) for artefact in (other, champion.artefact)]
    np.testing.assert_array_equal(*answers)
    first = [c.conformal["steps"][0]["gamma"] for c in (other.contract, champion.artefact.contract)]
    assert first[0] == first[1]  # in parts of the out-of-fold errors, which are all it is made of


def test_several_steps_are_predicted_and_promised_each_for_itself():
    on = panel(steps=2, times=600)
    champion = crowned(recipe(steps=2), on)
    contract, held = champion.artefact.contract, split(on.ts, on.t1, recipe().validation).holdout
    assert (contract.steps, len(contract.conformal["steps"])) == (2, 2)
    said = Predictor(champion.artefact).predict(on.x[held])
    assert said.shape == (len(held), 2)
    errors = on.value[held, None] + said - on.outcome[held]
    skills = 1.0 - (errors**2).sum(axis=0) / ((on.outcome[held] - on.value[held, None]) ** 2).sum(axis=0)
    assert champion.verdict.champion == pytest.approx(skills.mean(), rel=1e-4)
    near, far = (step["width"] for step in contract.conformal["steps"])
    assert far > 1.1 * near  # the value has walked one step more
    for step in contract.conformal["steps"]:
        assert step["measured"]["value"] == pytest.approx(0.9, abs=0.06)


# --- combinatorial folds --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def combined() -> tuple[Panel, Problem]:
    on = panel()
    return on, pose(recipe(validation=COMBINED), on)


def test_every_pair_of_six_groups_is_a_fold(combined):
    _, posed = combined
    assert len(posed.folds) == 15


def test_out_of_fold_answers_are_means_over_the_paths(combined):
    on, posed = combined
    found = out_of_fold(posed, "linear", {})
    cut = split(on.ts, on.t1, COMBINED)
    np.testing.assert_array_equal(found.rows, cut.selection)
    kind = posed.families["linear"]
    fitted = [kind.train(posed.training(fold, "linear", {}), {}) for fold in posed.folds]
    said = [model.predict(on.x[fold.test]) for model, fold in zip(fitted, posed.folds, strict=True)]
    paths = on_paths(on.ts, cut, COMBINED, said)
    assert len(paths) == 5
    np.testing.assert_allclose(found.answer, paths.mean(axis=0))
    np.testing.assert_allclose(found.y, posed.exam.labels[found.rows])
    np.testing.assert_allclose(found.bands, np.repeat(found.answer[:, :, None], 2, axis=2))


def test_a_champion_of_combinatorial_folds_is_crowned():
    wanted, on = recipe(validation=COMBINED), panel(times=600)
    champion = crowned(wanted, on)
    assert against(champion, "persistence").low > 0.1
    assert len(champion.artefact.contract.metrics["folds"]) == 15
    (interval,) = champion.artefact.contract.conformal["steps"]
    assert interval["measured"]["value"] == pytest.approx(0.9, abs=0.05)


def test_scores_of_overlapping_folds_count_as_those_of_the_stretches_they_test(combined):
    """Six stretches have scores of their own; each fold has the mean of two. Their mean is worth six, not fifteen."""
    own = np.random.default_rng(3).normal(0.1, 0.05, 6)
    folds = [(own[a] + own[b]) / 2 for a in range(6) for b in range(a + 1, 6)]
    assert fold_stderr(folds, COMBINED) == pytest.approx(own.std(ddof=1) / np.sqrt(6))
    assert fold_stderr(folds, COMBINED) > 2.0 * np.std(folds, ddof=1) / np.sqrt(15)
    low, high = mean_interval(folds, COMBINED)[1:]
    assert high - low == pytest.approx(2.0 * stats.t.ppf(0.975, 5) * fold_stderr(folds, COMBINED))


def test_the_gate_weighs_combinatorial_folds_by_their_stretches():
    wanted, on = recipe(validation=COMBINED), panel()
    trials = swept(wanted, on)
    champion = crown(wanted, on, trials)
    scores = {t.family: np.array(t.scores("skill")) for t in trials}
    found = against(champion, "persistence")
    gaps = scores[champion.verdict.champion_family] - scores["persistence"]
    assert found.folds_stderr == pytest.approx(fold_stderr(gaps, COMBINED))
    assert found.folds_lift == pytest.approx(gaps.mean())


# --- weights --------------------------------------------------------------------------------------------------------


def gappy() -> Panel:
    """Two steps ahead, and rows missing here and there: outcomes overlap more in some places than in others."""
    on = panel(steps=2)
    kept = np.random.default_rng(5).random(len(on.ts)) < 0.6
    cut = {name: getattr(on, name)[kept] for name in ("x", "value", "ts", "t1", "who")}
    return replace(on, outcome=on.outcome[kept, 1], **cut)


def test_weights_by_uniqueness_reach_every_fit():
    on, wanted = gappy(), recipe(weights="uniqueness")
    posed, equal = pose(wanted, on), pose(recipe(), on)
    for fold, plain in zip((*posed.folds, posed.exam), (*equal.folds, equal.exam), strict=True):
        rows = fold.train
        weight = uniqueness_weights(on.ts[rows], on.t1[rows], on.who[rows])
        assert weight.std() > 0.1
        np.testing.assert_array_equal(fold.weight, weight)
        np.testing.assert_array_equal(posed.training(fold, "linear", {}).weight, weight)
        assert (plain.weight == 1.0).all()
    found = out_of_fold(posed, "linear", {})
    fold = posed.folds[0]
    oracle = LinearRegression().fit(on.x[fold.train], fold.labels[fold.train], sample_weight=fold.weight)
    here = np.isin(found.rows, fold.test)
    np.testing.assert_allclose(found.answer[here], oracle.predict(on.x[fold.test]), rtol=1e-4, atol=1e-6)
    assert not np.allclose(found.answer, out_of_fold(equal, "linear", {}).answer, rtol=1e-4)


# --- on Ray ---------------------------------------------------------------------------------------------------------


@pytest.mark.ray
def test_a_sweep_for_the_least_error_puts_the_least_error_first(ray_cluster, tmp_path):
    wanted, on = recipe(metric="mse", trials=3), panel()
    trials = sweep(wanted, on, storage=str(tmp_path), run_id="one")
    assert all(t.error is None for t in trials)
    rows = leaderboard(trials, "mse")
    assert [row.score for row in rows] == sorted(row.score for row in rows)
    assert not rows[0].baseline
    champion = crown(wanted, on, trials)
    assert champion.artefact.contract.metrics["metric"] == "mse"
    assert champion.verdict.metric == "skill"  # the gate's own, whatever the sweep went by

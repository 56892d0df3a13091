"""The champion: fitted on what selection may see, judged on what it may not, and written down in full."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from optuna import create_study
from optuna.samplers import RandomSampler

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Serving, Universe, Validation
from bellwether.drift import restored
from bellwether.drift.psi import FittedPsi
from bellwether.errors import ConfigError, ModelError
from bellwether.models.predictor import Predictor
from bellwether.models.training import Task
from bellwether.validation.verdict import Verdict
from bellwether.validation.walk_forward import split
from data.panel import Panel
from data.records import TIME
from data.weights.table import WeightTable
from tune.calibrate import best_threshold, index_moves
from tune.champion import crown
from tune.drift import drift
from tune.problem import pose
from tune.score import labels, score_fold
from tune.space import Space
from tune.sweep import run_baseline
from tune.trial import TrialResult

HOUR = 3_600_000_000_000
SYMBOLS = ("A", "B", "C")


def panel(signal: float = 0.5, times: int = 240, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    ts = np.repeat(np.arange(1, times + 1) * HOUR, len(SYMBOLS))
    x = rng.normal(size=(len(ts), 4))
    return Panel(
        x=x,
        outcome=0.01 * (np.sqrt(signal) * x[:, 0] + np.sqrt(1 - signal) * rng.normal(size=len(ts))),
        value=np.ones(len(ts)),
        ts=ts,
        t1=ts + HOUR,
        who=np.tile(np.arange(len(SYMBOLS)), times),
        symbols=SYMBOLS,
        features=("a", "b", "c", "d"),
        definition="test",
        warmup=20,
    )


def recipe(thresholds: str = "fixed") -> Recipe:
    return Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=SYMBOLS, index="X", weights=Part(kind="plain")),
        families=("logistic", "extra_trees"),
        search=Search(trials=4),
        validation=Validation(folds=3),
        serving=Serving(thresholds=thresholds),
    )


def swept(on: Panel) -> list[TrialResult]:
    """A small sweep in this process: two draws of logistic, and the baselines."""
    posed, trials = pose(recipe(), on), []
    for seed in (0, 1):
        params = Space(("logistic",), Task.CLASSIFY)(create_study(sampler=RandomSampler(seed=seed)).ask())["params"]
        scores = tuple(score_fold(posed, "logistic", params, fold) for fold in range(3))
        trials.append(TrialResult(family="logistic", params=params, baseline=False, folds=scores, id=str(seed)))
    return trials + [run_baseline(posed, name) for name in posed.baselines]


def weights() -> WeightTable:
    """Equal thirds from the start; all on A from hour 100."""
    dates = [1, 1, 1, 100 * HOUR, 100 * HOUR, 100 * HOUR]
    columns = {
        "effective": pa.array(dates, TIME),
        "symbol": [*SYMBOLS, *SYMBOLS],
        "weight": [1 / 3] * 3 + [1.0, 0.0, 0.0],
    }
    return WeightTable.from_arrow(pa.table(columns))


def index(on: Panel) -> tuple[np.ndarray, np.ndarray]:
    """An index that moves by the mean outcome of its components."""
    ts = np.append(np.unique(on.ts), on.t1.max())
    moves = on.outcome.reshape(-1, len(SYMBOLS)).mean(axis=1)
    return ts, 100.0 * np.cumprod(np.append(1.0, 1.0 + moves))


@pytest.fixture(scope="module")
def planted():
    on = panel()
    return on, crown(recipe(), on, swept(on))


def test_the_best_family_passes_on_a_planted_market(planted):
    _, champion = planted
    contract = champion.artefact.contract
    assert champion.verdict.passed
    assert contract.family == "logistic"
    assert Verdict.model_validate(contract.verdict) == champion.verdict
    ours, theirs = (m["holdout"]["scores"]["macro_f1"] for m in (contract.metrics, contract.baselines["stratified"]))
    assert ours["low"] > theirs["high"]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_passes_on_a_null_market(seed):
    on = panel(signal=0.0, seed=seed)
    assert not crown(recipe(), on, swept(on)).verdict.passed


def test_the_contract_states_the_rows_it_was_fitted_on(planted):
    on, champion = planted
    contract, cut = champion.artefact.contract, split(on.ts, on.t1, recipe().validation)
    inner, outer = np.quantile(np.abs(on.outcome[cut.selection]), [0.4, 0.8])
    assert contract.edges == pytest.approx((-outer, -inner, inner, outer))
    assert contract.train_rows == len(cut.selection)
    assert contract.train_end == datetime.fromtimestamp(on.ts[cut.selection].max() / 1e9, tz=UTC)
    assert contract.train_end < datetime.fromisoformat(contract.metrics["holdout"]["start"])
    assert contract.sha256 == hashlib.sha256(champion.artefact.content).hexdigest()
    assert (contract.buy, contract.sell) == (0.5, -0.5)
    assert {"python", "numpy", "scikit-learn", "lightgbm", "xgboost", "onnx", "ray"} <= set(contract.versions)
    assert json.loads(contract.model_dump_json())["metrics"]["score"] == contract.metrics["score"]


def test_the_graph_is_the_model_the_holdout_figures_describe(planted):
    on, champion = planted
    held = split(on.ts, on.t1, recipe().validation).holdout
    predicted = Predictor(champion.artefact).predict(on.x[held]).argmax(axis=1)
    edges = np.array(champion.artefact.contract.edges)
    right = np.mean(predicted == np.digitize(on.outcome[held], edges))
    assert right == pytest.approx(
        champion.artefact.contract.metrics["holdout"]["scores"]["accuracy"]["value"], abs=2 / len(held)
    )


def test_the_holdout_changes_neither_the_model_nor_the_edges(planted):
    on, champion = planted
    held = split(on.ts, on.t1, recipe().validation).holdout
    outcome, x = on.outcome.copy(), on.x.copy()
    outcome[held] *= -7.0
    x[held] += 3.0
    other = crown(recipe(), replace(on, outcome=outcome, x=x), swept(on)).artefact
    assert other.contract.edges == champion.artefact.contract.edges
    answers = [Predictor(artefact).predict(on.x[:50]) for artefact in (other, champion.artefact)]
    np.testing.assert_array_equal(*answers)


def test_folds_and_holdout_of_every_baseline_are_in_the_contract(planted):
    _, champion = planted
    for figures in (champion.artefact.contract.metrics, *champion.artefact.contract.baselines.values()):
        assert len(figures["folds"]) == 3
        assert figures["score"] == pytest.approx(np.mean(figures["folds"]))
        for found in figures["holdout"]["scores"].values():
            assert found["low"] <= found["value"] <= found["high"]
    assert set(champion.artefact.contract.baselines) == {"majority", "stratified", "persistence"}


def test_without_a_finished_trial_there_is_no_champion():
    on = panel()
    trials = [replace(t, error=None if t.baseline else "ValueError: depth") for t in swept(on)]
    with pytest.raises(ModelError, match=r"no trial finished \(ValueError: depth\)"):
        crown(recipe(), on, trials)
    with pytest.raises(ConfigError, match="no baseline"):
        crown(recipe(), on, [t for t in swept(on) if not t.baseline])


@pytest.mark.parametrize("why", [{"stopped": "it did worse than others"}, {"error": "ValueError: depth"}])
def test_a_trial_that_was_ended_early_or_failed_never_wins(why):
    """Not even with the best score of all: that is of fewer folds than the others walked through."""
    on = panel()
    best, *others = swept(on)
    perfect = replace(best.folds[0], metrics=best.folds[0].metrics | {"macro_f1": 1.0})
    ended = replace(best, params=best.params | {"C": 123.0}, folds=(perfect,), **why)
    assert crown(recipe(), on, [ended, *others]).artefact.contract.params == others[0].params


# --- drift -------------------------------------------------------------------------------------------------------


def test_the_contract_knows_what_the_rows_it_was_fitted_on_look_like():
    on = panel()
    fitted, later = drift_of(on, 5), on.x[-15:]
    cut = split(on.ts, on.t1, recipe().validation).selection
    assert isinstance(fitted, FittedPsi)
    assert (fitted.names, fitted.bars, fitted.level) == (on.features, 5, 0.05)
    assert fitted.counts.sum(axis=1).tolist() == [len(cut)] * 4
    assert fitted.tally(on.x[cut]).tolist() == fitted.counts.tolist()
    assert not fitted.judge(fitted.tally(later)).moved
    assert fitted.judge(fitted.tally(later + 3.0)).moved


def test_the_reference_of_drift_is_blind_to_the_holdout():
    on = panel()
    held, x = split(on.ts, on.t1, recipe().validation).holdout, on.x.copy()
    x[held] += 3.0
    assert drift_of(replace(on, x=x), 5).state() == drift_of(on, 5).state()


def test_where_there_is_no_reference_of_drift_the_contract_says_why():
    on = panel()
    assert drift_of(on, 50) == "the training rows make 3 windows of 50 bars, and 19 say what is usual"
    assert drift_of(on, 5, "persistence") == "persistence reads labels, and drift is measured of features"
    ending = recipe().target.model_copy(update={"overnight": "drop"})
    made = recipe().model_copy(update={"target": ending, "serving": Serving(drift_bars=5)})
    assert "training rows lack the end of each session" in restored(drift(made, on, pose(recipe(), on), "logistic"))
    elsewhere = recipe().model_copy(update={"serving": Serving(app=None)})
    assert drift(elsewhere, on, pose(recipe(), on), "logistic") == {}


def drift_of(on: Panel, bars: int, family: str = "logistic"):
    """What a contract says, after JSON."""
    made = recipe().model_copy(update={"serving": Serving(drift_bars=bars)})
    return restored(json.loads(json.dumps(drift(made, on, pose(made, on), family))))


def test_a_champions_contract_has_it(planted):
    _, champion = planted
    assert champion.artefact.contract.drift == {
        "reason": "the training rows make 3 windows of 50 bars, and 19 say what is usual"
    }


# --- thresholds ----------------------------------------------------------------------------------------------------


def test_the_threshold_is_the_best_of_its_grid():
    rng = np.random.default_rng(1)
    wss = np.round(rng.normal(size=300), 1)
    following = 0.01 * rng.normal(size=300) + 0.01 * np.where(np.abs(wss) > 1.2, np.sign(wss), -np.sign(wss))

    def captured(theta: float) -> float:
        return float(
            np.mean([f if w >= theta else -f if w <= -theta else 0.0 for w, f in zip(wss, following, strict=True)])
        )

    found = best_threshold(wss, following)
    assert found.captured == pytest.approx(captured(found.threshold))
    tried = np.quantile(np.abs(wss[wss != 0]), np.linspace(0, 0.95, 20), method="inverted_cdf")
    assert found.captured == pytest.approx(max(map(captured, tried)))
    assert found.threshold == pytest.approx(1.3)


def test_where_every_threshold_loses_there_is_none():
    wss = np.linspace(-2.0, 2.0, 50)
    assert best_threshold(wss, -0.01 * wss) is None


def test_the_index_moves_over_the_horizon_after_and_over_the_bar_before():
    ts, close = np.array([10, 20, 30]), np.array([100.0, 110.0, 99.0])
    after, before = index_moves(recipe(), np.array([5, 10, 20, 25, 30, 35]), ts, close)
    np.testing.assert_allclose(after, [np.nan, 0.1, -0.1, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(before, [np.nan, np.nan, 0.1, np.nan, -0.1, np.nan])


def test_calibrated_thresholds_are_symmetric_and_blind_to_the_holdout():
    on, calibrated = panel(), recipe("calibrated")
    trials, (ts, close) = swept(on), index(on)
    contract = crown(calibrated, on, trials, weights=weights(), index=(ts, close)).artefact.contract
    assert contract.buy == -contract.sell == contract.metrics["thresholds"]["threshold"] > 0.0
    assert contract.metrics["thresholds"]["captured"] > 0.0
    cut = split(on.ts, on.t1, calibrated.validation)
    tested = np.concatenate([f.test for f in cut.folds])
    assert contract.metrics["thresholds"]["timestamps"] == len(np.unique(on.ts[tested]))

    after = ts > on.t1[cut.selection].max()
    shocked = np.where(after, 1.0, close)
    again = crown(calibrated, on, trials, weights=weights(), index=(ts, shocked)).artefact.contract
    assert again.metrics["thresholds"] == contract.metrics["thresholds"]


def test_calibration_says_what_it_lacks():
    on, calibrated = panel(), recipe("calibrated")
    trials = swept(on)
    with pytest.raises(ConfigError, match="needs weights and the index's bars"):
        crown(calibrated, on, trials, weights=weights())
    elsewhere = (index(on)[0] + 1, index(on)[1])
    with pytest.raises(ModelError, match="no signal to calibrate thresholds on"):
        crown(calibrated, on, trials, weights=weights(), index=elsewhere)


def test_labels_are_the_most_probable_class_unless_the_model_draws():
    on = panel()
    posed = pose(recipe(), on)
    fold = posed.folds[0]
    fitted = posed.families["majority"].train(posed.training(fold, "majority", {}), {})
    most = np.bincount(fold.labels[fold.train]).argmax()
    np.testing.assert_array_equal(labels(fitted, on.x[:9], fitted.predict(on.x[:9]), 0), np.full(9, most))

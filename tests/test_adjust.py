"""Last touches to a champion: probabilities that hold what they say, at no cost to its choices, and intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from onnx import helper
from scipy.special import softmax

from bellwether.calibration import calibrator, restored
from bellwether.calibration.choose import choose
from bellwether.calibration.conformal import Conformal
from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Serving, Target, Universe, Validation
from bellwether.errors import DataError
from bellwether.models.graph import INPUT, assemble
from bellwether.models.predictor import Predictor
from bellwether.models.rows import Classes
from bellwether.validation.metrics import macro_f1
from bellwether.validation.walk_forward import split
from data.panel import Panel
from tune.adjust import KEEPS_THE_CHOICE, SLACK, Calibrated, adjusted
from tune.champion import crown
from tune.out_of_fold import OutOfFold, out_of_fold
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.sweep import run_baseline
from tune.trial import TrialResult

HOUR = 3_600_000_000_000
PRIOR = np.array([0.1, 0.2, 0.4, 0.2, 0.1])


def panel(times: int = 1200, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    ts = np.arange(1, times + 1) * HOUR
    x = rng.normal(size=(times, 3))
    return Panel(
        x=x,
        outcome=0.01 * (0.7 * x[:, 0] + 0.7 * rng.normal(size=times)),
        value=np.ones(times),
        ts=ts,
        t1=ts + HOUR,
        who=np.zeros(times, np.int64),
        symbols=("A",),
        features=("a", "b", "c"),
        definition="test",
        warmup=0,
    )


def recipe(calibration: str = "auto", kind: str = "action_5", coverage: float = 0.9) -> Recipe:
    return Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=("A",)),
        target=Target(kind=kind),
        families=("logistic",) if kind == "action_5" else ("linear",),
        search=Search(trials=1),
        validation=Validation(folds=3),
        calibration=calibration,
        interval_coverage=coverage,
        serving=Serving(app=None),
    )


@dataclass(frozen=True)
class Says:
    """A model whose rows are its probabilities."""

    classes: int = 5

    def predict(self, x):
        return np.asarray(x, np.float64)

    def graph(self) -> bytes:
        node = helper.make_node("Identity", [INPUT], ["p"])
        return assemble([node], [], "p", self.classes, Classes(total=self.classes, present=np.arange(self.classes)))


def drawn(rng: np.random.Generator, p: np.ndarray) -> np.ndarray:
    return (rng.random((len(p), 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)


def even_handed(problem: Problem, seed: int, strength: float = 1.0) -> OutOfFold:
    """What a model says that weighs classes alike: the true probabilities, less how often each class comes."""
    rng, n = np.random.default_rng(seed), len(problem.inputs.ts)
    evidence = strength * rng.normal(size=(n, 5))
    true = softmax(evidence + np.log(PRIOR), axis=1)
    return OutOfFold(
        family="logistic",
        params={},
        rows=np.arange(n),
        y=drawn(rng, true),
        answer=softmax(evidence, axis=1),
        bands=np.zeros((n, 0, 2)),
    )


@pytest.fixture(scope="module")
def posed() -> Problem:
    return pose(recipe(), panel())


def f1(y: np.ndarray, p: np.ndarray) -> float:
    return macro_f1(y, p.argmax(axis=1), p.shape[1])


# --- probabilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_auto_never_costs_more_of_macro_f1_than_its_slack(posed, seed):
    """In this world the calibrator with the least loss gives rare classes their frequency back, and chooses none."""
    found, known = even_handed(posed, seed, strength=0.4), posed.inputs
    freely = choose(found.answer, found.y, ts=known.ts, t1=known.t1)
    assert f1(found.y, freely.fitted.apply(found.answer)) < f1(found.y, found.answer) - 5 * SLACK
    model, adjustment = adjusted(recipe(), posed, found, Says())
    assert adjustment.calibration["calibrator"] in KEEPS_THE_CHOICE
    assert f1(found.y, model.predict(found.answer)) >= f1(found.y, found.answer) - SLACK


def test_auto_takes_the_calibrator_with_the_least_loss_where_choices_stand_it(posed):
    found = even_handed(posed, 0)
    true = softmax(np.log(found.answer) + np.log(PRIOR), axis=1)
    stretched = true**3 / (true**3).sum(axis=1, keepdims=True)  # the right choice, and far too sure of it
    model, adjustment = adjusted(recipe(), posed, replace(found, answer=stretched), Says())
    report = adjustment.calibration
    losses = {name: scores["log_loss"] for name, scores in report["scores"].items()}
    assert losses[report["calibrator"]] < losses["none"] - 0.1
    assert f1(found.y, model.predict(stretched)) >= f1(found.y, stretched) - SLACK


@pytest.mark.parametrize("name", ["temperature", "sigmoid", "isotonic"])
def test_a_calibrator_that_is_named_is_the_one_that_is_used(posed, name):
    """Even where it is not better than none: probabilities are right as they are."""
    found = even_handed(posed, 1)
    right = replace(found, answer=softmax(np.log(found.answer) + np.log(PRIOR), axis=1))
    model, adjustment = adjusted(recipe(name), posed, right, Says())
    assert adjustment.calibration["calibrator"] == name
    assert isinstance(model, Calibrated)
    oracle = calibrator(name).fit(right.answer, right.y).apply(right.answer)
    np.testing.assert_array_equal(model.predict(right.answer), oracle)


def test_nothing_is_done_where_nothing_is_asked_for_or_answers_are_draws(posed):
    found, model = even_handed(posed, 2), Says()
    assert adjusted(recipe("none"), posed, found, model)[0] is model
    fold = posed.folds[0]
    draws = posed.families["stratified"].train(posed.training(fold, "stratified", {}), {})
    same, adjustment = adjusted(recipe(), posed, found, draws)
    assert same is draws
    assert adjustment.calibration == {}


def test_too_few_rows_to_choose_on_are_refused_with_a_way_out(posed):
    found = even_handed(posed, 3)
    few = replace(found, rows=found.rows[:1], y=found.y[:1], answer=found.answer[:1])
    with pytest.raises(DataError, match=r"too few to compare on .* ingest more"):
        adjusted(recipe(), posed, few, Says())


def trials(wanted: Recipe, on: Panel) -> list[TrialResult]:
    posed = pose(wanted, on)
    (name,) = posed.searched
    params = posed.families[name].standard(posed.task)
    folds = tuple(score_fold(posed, name, params, fold) for fold in range(len(posed.folds)))
    own = TrialResult(family=name, params=params, baseline=False, folds=folds, id="0")
    return [own, *(run_baseline(posed, name) for name in posed.baselines)]


@pytest.mark.parametrize("name", ["auto", "temperature", "isotonic"])
def test_the_served_graph_is_the_calibrated_model(name):
    wanted, on = recipe(name), panel(600)
    champion = crown(wanted, on, trials(wanted, on))
    posed, contract = pose(wanted, on), champion.artefact.contract
    native = posed.families["logistic"].train(posed.training(posed.exam, "logistic", contract.params), contract.params)
    x = np.random.default_rng(1).normal(size=(10_000, 3)).astype(np.float32).astype(np.float64)
    expected = restored(contract.calibration).apply(native.predict(x))
    np.testing.assert_allclose(Predictor(champion.artefact).predict(x), expected, atol=1e-5)
    if name != "auto":
        assert np.abs(expected - native.predict(x)).max() > 1e-3  # it does something


def test_figures_on_the_holdout_are_those_of_the_calibrated_model():
    wanted, on = recipe("isotonic"), panel(600)
    artefact = crown(wanted, on, trials(wanted, on)).artefact
    held = split(on.ts, on.t1, wanted.validation).holdout
    y = np.digitize(on.outcome[held], artefact.contract.edges)
    p = Predictor(artefact).predict(on.x[held])[np.arange(len(held)), y]
    told = artefact.contract.metrics["holdout"]["scores"]["log_loss"]["value"]
    assert -np.log(p).mean() == pytest.approx(told, rel=1e-4)


def test_the_holdout_has_no_say_in_the_calibrator():
    wanted, on = recipe(), panel(600)
    held = split(on.ts, on.t1, wanted.validation).holdout
    outcome, x = on.outcome.copy(), on.x.copy()
    outcome[held] *= -9.0
    x[held] += 2.0
    one, other = (
        crown(wanted, rows, trials(wanted, on)).artefact.contract for rows in (on, replace(on, outcome=outcome, x=x))
    )
    assert one.calibration == other.calibration
    assert one.metrics["holdout"] != other.metrics["holdout"]


# --- intervals ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wide:
    """A model of values that says 0, within ``reach`` of it."""

    reach: float

    def predict(self, x):
        return np.zeros((len(x), 1))

    def graph(self) -> bytes:
        return b""

    def quantiles(self, x):
        return np.tile([[-self.reach, 0.0, self.reach]], (len(x), 1, 1))


def noise() -> tuple[Recipe, Panel, Problem]:
    """Returns that are standard normal."""
    on = replace(panel(2000), outcome=np.random.default_rng(4).normal(size=2000))
    wanted = recipe(kind="future_return")
    return wanted, on, pose(wanted, on)


@pytest.mark.parametrize("reach", [0.2, 5.0])
def test_bands_that_are_too_narrow_are_widened_and_too_wide_ones_are_drawn_in(reach):
    wanted, _, posed = noise()
    found = out_of_fold(posed, "persistence", {})
    banded = replace(found, bands=np.tile([[-reach, reach]], (len(found.rows), 1, 1)))
    same, adjustment = adjusted(wanted, posed, banded, model := Wide(reach))
    assert same is model
    (interval,) = adjustment.conformal["steps"]
    assert np.sign(Conformal.restore(interval).radius) == (1 if reach < 1.0 else -1)
    assert interval["width"] == pytest.approx(2 * 1.645, rel=0.12)
    assert interval["measured"]["value"] == pytest.approx(0.9, abs=0.04)


def test_intervals_start_from_errors_out_of_fold_alone():
    """A model that was fitted to the rows knows them too well; those it was not fitted to say how far off it is."""
    wanted, _, posed = noise()
    found = out_of_fold(posed, "persistence", {})
    twice = replace(found, y=2.0 * found.y)
    one, two = (adjusted(wanted, posed, of, Wide(0.0))[1].conformal["steps"][0] for of in (found, twice))
    assert two["gamma"] == pytest.approx(2.0 * one["gamma"])

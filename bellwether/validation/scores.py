"""The table of scores: every figure that predictions are judged by, what it takes, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ConfigError, UnknownName
from bellwether.models.training import Task
from bellwether.validation import correlation, metrics, probability_metrics, regression_metrics
from bellwether.validation.bootstrap import (
    Interval,
    Sums,
    block_length,
    mean_of_statistics,
    row_bootstrap,
)
from bellwether.validation.evaluation import Evaluation

__all__ = ["SCORES", "Evaluation", "ScoreKind", "intervals", "score_all", "score_kind"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Counted = Callable[[NDArray[np.number]], Floats]

CLASSIFY, REGRESS = frozenset({Task.CLASSIFY}), frozenset({Task.REGRESS})
BOTH = CLASSIFY | REGRESS

ROW_DRAWS = 200
"""Most resamples of a score that is no function of sums: each computes it anew (see `row_bootstrap`)."""


@dataclass(frozen=True, kw_only=True)
class ScoreKind:
    """An entry of the table.

    Parameters
    ----------
    name : str
    tasks : frozenset of Task
        What it is defined for.
    greater_is_better : bool
    description : str
        One line for people.
    one : callable
        The score of an `Evaluation` of one step; NaN where it is not defined.
    sums : callable
        The same as a function of sums over timestamps, for the bootstrap; None where it is no such function.
    """

    name: str
    tasks: frozenset[Task]
    greater_is_better: bool
    description: str
    one: Callable[[Evaluation], float]
    sums: Callable[[Evaluation], Sums | None]

    def of(self, evaluation: Evaluation) -> float:
        """The score: of several steps, their mean. NaN where it is not defined, at any step."""
        return float(np.mean(self.per_step(evaluation)))

    def per_step(self, evaluation: Evaluation) -> tuple[float, ...]:
        """The score of each step; of classes, one.

        Raises
        ------
        ConfigError
            It is not defined for the task.
        """
        if evaluation.task not in self.tasks:
            raise ConfigError(f"{self.name} is not defined for a target to {evaluation.task.value}: choose another")
        return tuple(self.one(evaluation.step(k)) for k in range(evaluation.steps))

    def sums_of(self, evaluation: Evaluation) -> Sums | None:
        """`of` as a function of sums over timestamps; None where it is no such function, or is not defined."""
        if np.isnan(self.of(evaluation)):
            return None
        parts = [self.sums(evaluation.step(k)) for k in range(evaluation.steps)]
        known = [part for part in parts if part is not None]
        return mean_of_statistics(known) if len(known) == len(parts) else None


def _counted(name: str, figure: Counted, description: str) -> ScoreKind:
    """A score of confusion counts."""

    def one(e: Evaluation) -> float:
        return float(figure(metrics.confusion(e.y, e.predicted, e.classes)))

    return ScoreKind(
        name=name,
        tasks=CLASSIFY,
        greater_is_better=True,
        description=description,
        one=one,
        sums=lambda e: metrics.confusion_sums(e.ts, e.y, e.predicted, e.classes, figure),
    )


def _probable(
    name: str, one: Callable[[Ints, Floats], float], losses: Callable[[Ints, Floats], Floats], description: str
) -> ScoreKind:
    """A mean loss of probabilities."""
    return ScoreKind(
        name=name,
        tasks=CLASSIFY,
        greater_is_better=False,
        description=description,
        one=lambda e: one(e.y, e.probabilities),
        sums=lambda e: regression_metrics.mean_sums(e.ts, losses(e.y, e.probabilities)),
    )


def _valued(
    name: str,
    one: Callable[[Floats, Floats], float],
    sums: Callable[[Ints, Floats, Floats], Sums],
    description: str,
    greater_is_better: bool = False,
) -> ScoreKind:
    """A score of one column of values."""
    return ScoreKind(
        name=name,
        tasks=REGRESS,
        greater_is_better=greater_is_better,
        description=description,
        one=lambda e: one(e.y[:, 0], e.values[:, 0]),
        sums=lambda e: sums(e.ts, e.y[:, 0], e.values[:, 0]),
    )


def _signal(e: Evaluation) -> tuple[Floats, Floats] | None:
    """What is expected and what came: the mean class score and the outcome, or the values; None without outcomes."""
    if e.task is Task.REGRESS:
        return e.values[:, 0], e.y[:, 0]
    return None if e.outcome is None else (probability_metrics.expected_score(e.probabilities), e.outcome)


def _direction(e: Evaluation) -> tuple[Floats, Floats]:
    """What is expected and what came, as a direction: class scores, or the values."""
    if e.task is Task.REGRESS:
        return e.values[:, 0], e.y[:, 0]
    scores = probability_metrics.class_scores(e.classes)
    return probability_metrics.expected_score(e.probabilities), scores[e.y]


def _squared_sums(ts: Ints, y: Floats, predicted: Floats) -> Sums:
    return regression_metrics.mean_sums(ts, (predicted - y) ** 2)


def _absolute_sums(ts: Ints, y: Floats, predicted: Floats) -> Sums:
    return regression_metrics.mean_sums(ts, np.abs(predicted - y))


def _level(e: Evaluation) -> Floats | None:
    return None if e.level is None else e.level[:, 0]


def _mape(e: Evaluation) -> float:
    return regression_metrics.mape(e.y[:, 0], e.values[:, 0], _level(e))


def _mape_sums(e: Evaluation) -> Sums | None:
    shares = regression_metrics.percentage_errors(e.y[:, 0], e.values[:, 0], _level(e))
    return None if shares is None else regression_metrics.mean_sums(e.ts, shares)


def _related(
    name: str,
    one: Callable[[Ints, Ints, Floats, Floats], float],
    sums: Callable[[Ints, Ints, Floats, Floats], Sums | None],
    description: str,
) -> ScoreKind:
    """A correlation of what is expected with what came."""

    def score(e: Evaluation) -> float:
        pair = _signal(e)
        return float("nan") if pair is None else one(e.ts, e.who, *pair)

    def by_time(e: Evaluation) -> Sums | None:
        pair = _signal(e)
        return None if pair is None else sums(e.ts, e.who, *pair)

    return ScoreKind(name=name, tasks=BOTH, greater_is_better=True, description=description, one=score, sums=by_time)


_KINDS = (
    _counted("accuracy", metrics.accuracy_of, "share of rows whose class is predicted"),
    _counted("precision", metrics.precision_of, "share of the predictions of a class that are right, mean of classes"),
    _counted("recall", metrics.recall_of, "share of the rows of a class that are predicted, mean of classes"),
    _counted("macro_f1", metrics.f1_of, "harmonic mean of precision and recall, mean of classes"),
    _counted("weighted_f1", metrics.weighted_f1_of, "the same, mean of rows"),
    ScoreKind(
        name="auc",
        tasks=CLASSIFY,
        greater_is_better=True,
        description="area under the ROC curve, one class against the rest, mean of the classes that are there",
        one=lambda e: probability_metrics.auc(e.y, e.probabilities),
        sums=lambda e: None,
    ),
    _probable(
        "log_loss",
        probability_metrics.log_loss,
        probability_metrics.log_losses,
        "minus the logarithm of the probability of the class that came",
    ),
    _probable(
        "brier",
        probability_metrics.brier,
        probability_metrics.brier_losses,
        "squared distance of the probabilities from the class that came, 0 to 2",
    ),
    ScoreKind(
        name="calibration_error",
        tasks=CLASSIFY,
        greater_is_better=False,
        description="gap between the probability of the likeliest class and the share of hits, over ten bins",
        one=lambda e: probability_metrics.calibration_error(e.y, e.probabilities),
        sums=lambda e: probability_metrics.calibration_sums(e.ts, e.y, e.probabilities),
    ),
    ScoreKind(
        name="directional",
        tasks=BOTH,
        greater_is_better=True,
        description="shares of rises and of falls whose sign is expected, less 1: direction, not size",
        one=lambda e: probability_metrics.directional(*_direction(e)),
        sums=lambda e: probability_metrics.directional_sums(e.ts, *_direction(e)),
    ),
    _valued("mse", regression_metrics.mse, _squared_sums, "mean squared error"),
    _valued("rmse", regression_metrics.rmse, regression_metrics.rmse_sums, "root of the mean squared error"),
    _valued("mae", regression_metrics.mae, _absolute_sums, "mean absolute error"),
    ScoreKind(
        name="mape",
        tasks=REGRESS,
        greater_is_better=False,
        description="mean absolute error as a share of the level that came",
        one=_mape,
        sums=_mape_sums,
    ),
    _valued(
        "r2",
        regression_metrics.r2,
        regression_metrics.r2_sums,
        "variance explained, against the mean of these rows",
        True,
    ),
    _valued(
        "skill",
        regression_metrics.skill,
        regression_metrics.skill_sums,
        "1 - MSE / MSE of predicting no change",
        greater_is_better=True,
    ),
    _related(
        "ic",
        lambda ts, who, expected, outcome: correlation.ic(expected, outcome),
        lambda ts, who, expected, outcome: correlation.ic_sums(ts, expected, outcome),
        "correlation of what is expected with what came, over all rows",
    ),
    _related(
        "rank_ic",
        correlation.rank_ic,
        correlation.rank_ic_sums,
        "rank correlation across symbols, mean of timestamps; over all rows where symbols are too few",
    ),
    _related(
        "icir",
        correlation.icir,
        correlation.icir_sums,
        "mean of the rank correlations over their standard deviation, from timestamp to timestamp",
    ),
)

SCORES: Mapping[str, ScoreKind] = {kind.name: kind for kind in _KINDS}
"""Every score, by name."""


def score_kind(name: str) -> ScoreKind:
    """Return the score called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> score_kind("skill").greater_is_better
    True
    """
    if name not in SCORES:
        raise UnknownName("score", name, SCORES)
    return SCORES[name]


def score_all(task: Task, evaluation: Evaluation) -> dict[str, float]:
    """Every score of a task, in the table's order; NaN where one is not defined.

    Raises
    ------
    ConfigError
        The evaluation is one of the other task.

    Examples
    --------
    >>> ts, change = np.arange(4), np.array([1.0, -1.0, 2.0, -2.0])
    >>> found = score_all(Task.REGRESS, Evaluation(ts=ts, who=0 * ts, y=change, values=change / 2))
    >>> found["skill"], found["mae"], found["directional"], found["mape"]
    (0.75, 0.75, 1.0, nan)
    """
    return {name: kind.of(evaluation) for name, kind in SCORES.items() if task in kind.tasks}


def intervals(
    task: Task,
    evaluation: Evaluation,
    *,
    names: Iterable[str] | None = None,
    confidence: float = 0.95,
    horizon: int = 1,
    seed: int = 0,
    draws: int = 2000,
) -> dict[str, Interval]:
    """Scores with their circular block bootstrap intervals over timestamps.

    Parameters
    ----------
    names : iterable of str, optional
        Which scores; all of the task if left out.
    horizon : int
        Timestamps an outcome spans; blocks are at least as long.
    draws : int
        Resamples. A score that is no function of sums takes at most `ROW_DRAWS`; its `Interval` says how many.

    Returns
    -------
    dict of str to Interval
        All NaN where the score is not defined.

    Raises
    ------
    UnknownName, ConfigError
        A score is not in the table, or not defined for the task.
    """
    chosen = [score_kind(name) for name in names] if names is not None else list(SCORES.values())
    if names is None:
        chosen = [kind for kind in chosen if task in kind.tasks]
    block = block_length(len(np.unique(evaluation.ts)), horizon)
    return {
        kind.name: _interval(kind, evaluation, draws, confidence=confidence, block=block, seed=seed) for kind in chosen
    }


def _interval(
    kind: ScoreKind, evaluation: Evaluation, draws: int, *, confidence: float, block: int, seed: int
) -> Interval:
    if np.isnan(value := kind.of(evaluation)):
        return Interval(value=value, low=value, high=value, confidence=confidence, block=block, draws=0)
    if sums := kind.sums_of(evaluation):
        return sums.interval(confidence=confidence, block=block, draws=draws, seed=seed)
    return row_bootstrap(
        lambda rows, times: kind.of(evaluation.at(rows, ts=times)),
        evaluation.ts,
        confidence=confidence,
        block=block,
        draws=min(draws, ROW_DRAWS),
        seed=seed,
    )

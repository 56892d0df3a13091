"""Champion against baseline on the same rows: lifts with their intervals, and tests that allow for many families.

Sources: Politis and Romano (1992), as in `bellwether.validation.bootstrap`; Holm, "A simple sequentially rejective
multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ConfigError, DataError
from bellwether.validation.bootstrap import (
    Interval,
    Sums,
    block_length,
    percentile_interval,
    resampled_figures,
)
from bellwether.validation.diebold_mariano import DieboldMariano, diebold_mariano, enough
from bellwether.validation.evaluation import Evaluation
from bellwether.validation.regression_metrics import mean_of
from bellwether.validation.scores import SCORES, score_kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A model against a baseline by one score.

    ``lift`` is how much better the model is, so greater is better for every score. ``p_value`` is one-sided against a
    lift of 0 or less; ``bonferroni`` and ``holm`` allow for the families tried. ``diebold_mariano`` is there for scores
    that are means of losses.
    """

    family: str
    score: str
    ours: float
    theirs: float
    lift: Interval
    p_value: float
    bonferroni: float
    holm: float
    diebold_mariano: DieboldMariano | None


def compare(
    models: Mapping[str, Evaluation],
    baseline: Evaluation,
    *,
    score: str,
    families: int | None = None,
    confidence: float = 0.95,
    horizon: int = 1,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[Paired, ...]:
    """Each model against one baseline by one score.

    Parameters
    ----------
    models : mapping of str to Evaluation
        By family, on the very rows of the baseline, in the same order.
    score : str
        Any score that is a function of sums over timestamps; not ``auc``, nor a rank correlation of pooled rows.
    families : int, optional
        Families tried, if more than are given here: the p-values of the others count as 1.
    horizon : int
        Timestamps an outcome spans (`outcome_span`); blocks are at least as long, Diebold–Mariano counts on as many.

    Raises
    ------
    ConfigError
        The score is no function of sums, or fewer families were tried than are given.
    DataError
        The rows are not the same, or the score is not defined on them.

    Examples
    --------
    >>> rng, ts = np.random.default_rng(0), np.arange(300)
    >>> y = rng.normal(size=300)
    >>> said = {"good": 0.5 * y, "none": 0.0 * y, "noise": rng.normal(size=300)}
    >>> rows = {name: Evaluation(ts=ts, who=0 * ts, y=y, values=values) for name, values in said.items()}
    >>> good, noise = compare({k: rows[k] for k in ("good", "noise")}, rows["none"], score="skill")
    >>> good.lift.low > 0.5, good.holm < 0.001, noise.holm
    (True, True, 1.0)
    """
    theirs = _sums(score, baseline)
    bounds = {"confidence": confidence, "block": block_length(len(theirs.each), horizon), "draws": draws, "seed": seed}
    found = [_lift(score, evaluation, baseline, theirs, bounds) for evaluation in models.values()]
    p = np.array([value for _, value in found])
    corrected = zip(models, found, bonferroni(p, families), holm(p, families), strict=True)
    return tuple(
        Paired(
            family=family,
            score=score,
            ours=SCORES[score].of(models[family]),
            theirs=theirs.value,
            lift=lift,
            p_value=p_value,
            bonferroni=float(by_bonferroni),
            holm=float(by_holm),
            diebold_mariano=_diebold_mariano(score, models[family], baseline, horizon),
        )
        for family, (lift, p_value), by_bonferroni, by_holm in corrected
    )


def _lift(
    score: str, ours: Evaluation, baseline: Evaluation, theirs: Sums, bounds: Mapping[str, Any]
) -> tuple[Interval, float]:
    """Lift over a baseline with these sums, and its p-value; greater is better whatever the score."""
    _check_rows(ours, baseline)
    sign = 1.0 if SCORES[score].greater_is_better else -1.0
    return paired_bootstrap(_sums(score, ours), theirs, sign=sign, **bounds)


def paired_bootstrap(
    ours: Sums, theirs: Sums, *, sign: float = 1.0, confidence: float, block: int, draws: int, seed: int
) -> tuple[Interval, float]:
    """Interval of ``sign`` x (ours - theirs), and the one-sided p-value of no lift.

    Both are resampled at the same timestamps, so what moves both cancels. The p-value is the share of resamples without
    a lift, or without a figure, one added to both counts: it is about ``1 - c`` or less where the lower end at
    one-sided level ``c`` is above 0, and never below ``1 / (draws + 1)``.
    """
    width = ours.each.shape[1]

    def lift(sums: Floats) -> Floats:
        return np.asarray(sign * (ours.figure(sums[:, :width]) - theirs.figure(sums[:, width:])), np.float64)

    both = Sums(each=np.hstack([ours.each, theirs.each]), figure=lift)
    figures = resampled_figures(both.figure, both.each, block=block, draws=draws, seed=seed)
    p_value = (1.0 + np.count_nonzero(~(figures > 0.0))) / (1.0 + draws)
    return percentile_interval(both.value, figures, confidence=confidence, block=block), float(p_value)


def bonferroni(p_values: Floats | Sequence[float], families: int | None = None) -> Floats:
    """P-values (k,) times the number of families tried, at most 1.

    >>> bonferroni([0.01, 0.4], families=5).tolist()
    [0.05, 1.0]
    """
    p = np.asarray(p_values, np.float64)
    return np.minimum(p * _tried(len(p), families), 1.0)


def holm(p_values: Floats | Sequence[float], families: int | None = None) -> Floats:
    """P-values (k,) by Holm's step-down: the smallest times all families, the next times one fewer; in the given order.

    Families that were tried and are not given count as if they had p-values of 1.

    >>> holm([0.04, 0.01, 0.03]).tolist()
    [0.06, 0.03, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * (_tried(len(p), families) - np.arange(len(p)))), 1.0)
    return out


def _tried(given: int, families: int | None) -> int:
    if families is not None and families < given:
        raise ConfigError(f"families is {families} and there are {given} p-values: count every family tried")
    return given if families is None else families


def _sums(score: str, evaluation: Evaluation) -> Sums:
    kind = score_kind(score)
    if np.isnan(kind.of(evaluation)):
        raise DataError(f"{score} is not defined on these rows: compare by another score, or on more rows")
    if (sums := kind.sums_of(evaluation)) is None:
        raise ConfigError(f"{score} is no function of sums over timestamps here: compare by another score")
    return sums


def _diebold_mariano(score: str, ours: Evaluation, theirs: Evaluation, horizon: int) -> DieboldMariano | None:
    """Of scores that are means of losses; None for others, and where there are too few timestamps."""
    mine, rival = losses_by_time(score, ours), losses_by_time(score, theirs)
    if mine is None or rival is None or not enough(len(mine), horizon):
        return None
    return diebold_mariano(mine, rival, horizon=horizon)


def losses_by_time(score: str, evaluation: Evaluation) -> Floats | None:
    """Mean loss at each timestamp (timestamps,), mean of steps; None for a score that is no mean of losses.

    >>> rows = Evaluation(ts=np.array([0, 0, 1]), who=np.zeros(3), y=np.array([1.0, 3.0, 2.0]), values=np.zeros(3))
    >>> losses_by_time("mse", rows).tolist()
    [5.0, 4.0]
    """
    kind = score_kind(score)
    parts = [kind.sums(evaluation.step(k)) for k in range(evaluation.steps)]
    means = [mean_of(part.each) for part in parts if part is not None and part.figure is mean_of]
    return np.asarray(np.mean(means, axis=0), np.float64) if len(means) == len(parts) else None


def _check_rows(ours: Evaluation, theirs: Evaluation) -> None:
    same = all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in ("ts", "who", "y"))
    if not same:
        raise DataError("the models were evaluated on different rows: give the same rows in the same order")

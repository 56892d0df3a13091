"""Which calibrator, if any: fitted on earlier predictions, compared on later ones.

A calibrator that is judged on the rows it was fitted on wins by having more parameters. Here each is fitted on the
earlier out-of-fold predictions, and judged on later ones whose rows begin after the earlier outcomes are known; the
best is fitted again on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.calibration import calibrator, calibrator_names
from bellwether.calibration.base import FittedCalibrator, Flags, Floats, Ints, Sample, sample
from bellwether.errors import ConfigError, DataError
from bellwether.validation.probability_metrics import BINS, bin_of, brier_losses, log_losses

TIE = 1e-6
"""A log loss that is lower by no more than this, in nats, is not lower."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good probabilities are; lower is better in all.

    Parameters
    ----------
    log_loss : float
        Mean of minus the logarithm of the true class's probability, in nats; zero counts as the float64 epsilon.
    brier : float
        Mean squared distance from the class that came, summed over classes, 0 … 2.
    calibration_error : float
        As `bellwether.validation.probability_metrics.calibration_error`, weighted; 0 … 1.
    """

    log_loss: float
    brier: float
    calibration_error: float


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The calibrator to use, and what it was chosen on.

    Parameters
    ----------
    name : str
    fitted : FittedCalibrator
        Fitted on all rows.
    scores : mapping of str to Scores
        Of each calibrator on the later rows; those of ``none`` are the scores before calibration.
    fitted_rows, compared_rows : int
        How many rows the candidates were fitted on and compared on; the rest is between the two.
    """

    name: str
    fitted: FittedCalibrator
    scores: Mapping[str, Scores]
    fitted_rows: int
    compared_rows: int

    def report(self) -> dict[str, Any]:
        """The fitted calibrator's state and the figures it was chosen on, as JSON can say them."""
        return {
            **self.fitted.state(),
            "scores": {name: asdict(scores) for name, scores in self.scores.items()},
            "fitted_rows": self.fitted_rows,
            "compared_rows": self.compared_rows,
        }


def choose(
    p: NDArray[np.floating],
    y: Ints,
    *,
    ts: Ints,
    t1: Ints,
    weight: Floats | None = None,
    share: float = 0.5,
    names: tuple[str, ...] = (),
) -> Choice:
    """Choose a calibrator by its log loss on later rows.

    Parameters
    ----------
    p : float array of shape (n, classes)
        Of models not fitted on these rows, such as a walk-forward's test blocks; finite, rows sum to one; in any order.
    y : int64 array of shape (n,)
        Class positions.
    ts, t1 : int64 arrays of shape (n,)
        When a row is known, and when its outcome is. Timestamps do not part: a panel's rows of one time stay together.
    weight : float64 array of shape (n,), optional
        How much a row counts in fits and scores.
    share : float
        Of the timestamps, the last ones, to compare on.
    names : tuple of str, optional
        Calibrators to compare, besides ``none``; all of the table if left out.

    Raises
    ------
    UnknownName
        The table lacks a name.
    ConfigError
        ``share`` is not between 0 and 1.
    DataError
        The rows are not as `bellwether.calibration.base.sample` wants them, or too few to have an earlier part.

    Examples
    --------
    A model that is too sure of itself:

    >>> rng, ts = np.random.default_rng(0), np.arange(2000)
    >>> y = rng.integers(0, 2, 2000)
    >>> right = rng.random(2000) < 0.7
    >>> p = np.where((y == 1) == right, 0.99, 0.01)
    >>> found = choose(np.column_stack([1 - p, p]), y, ts=ts, t1=ts + 1)
    >>> found.name != "none", round(found.scores["none"].log_loss, 1), round(found.scores[found.name].log_loss, 1)
    (True, 1.4, 0.6)
    """
    rows = sample(p, y, weight)
    early, late = _parted(ts, t1, len(y), share)
    compared = dict.fromkeys(("none", *(names or calibrator_names())))
    scores = {name: _compared(name, rows, early, late) for name in compared}
    best = _best(scores)
    return Choice(
        name=best,
        fitted=calibrator(best).fit(rows.p, y, rows.weight),
        scores=scores,
        fitted_rows=int(early.sum()),
        compared_rows=int(late.sum()),
    )


def scores_of(p: Floats, y: Ints, weight: Floats) -> Scores:
    """Weighted scores of probabilities (n, classes) against what came (n,).

    >>> scores_of(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]), np.ones(2)).calibration_error
    0.4
    """
    own = weight / weight.sum()
    gap = p.max(axis=1) - (p.argmax(axis=1) == y)
    return Scores(
        log_loss=float(own @ log_losses(y, p)),
        brier=float(own @ brier_losses(y, p)),
        calibration_error=float(np.abs(np.bincount(bin_of(p), own * gap, minlength=BINS)).sum()),
    )


def _compared(name: str, rows: Sample, early: Flags, late: Flags) -> Scores:
    """Scores on the later rows of a calibrator fitted on the earlier ones."""
    fitted = calibrator(name).fit(rows.p[early], rows.y[early], rows.weight[early])
    return scores_of(fitted.apply(rows.p[late]), rows.y[late], rows.weight[late])


def _best(scores: Mapping[str, Scores]) -> str:
    """The calibrator of the lowest log loss; ``none``, unless it is lower than without."""
    best = min(scores, key=lambda name: scores[name].log_loss)
    return best if scores[best].log_loss < scores["none"].log_loss - TIE else "none"


def _parted(ts: Ints, t1: Ints, n: int, share: float) -> tuple[Flags, Flags]:
    """Rows whose outcome is known by the time the last ``share`` of timestamps begins, and the rows of those."""
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share is {share}: it must lie between 0 and 1")
    if not len(ts) == len(t1) == n:
        raise DataError(f"{n} rows have {len(ts)} timestamps and {len(t1)} times of outcomes: give one of each a row")
    times = np.unique(ts)
    start = times[len(times) - max(1, round(share * len(times)))]
    early, late = (ts < start) & (t1 <= start), ts >= start
    if not early.any():
        raise DataError(f"{len(times)} timestamps are too few to compare on the last {share:.0%}: ingest more")
    return early, late

"""Intervals that hold what they promise: how far off predictions were, turned into how far off the next may be.

A score says how far an outcome lies outside a band, which is a prediction (low = high) or a model's own two quantiles;
negative inside it. An interval is the band, wider by a radius on both sides, and misses when the score exceeds it.

- ``split``: the radius is a fixed quantile of past scores. Holds for rows that are exchangeable with those.
- ``adaptive``: the quantile's level moves after every outcome, down after a miss. Holds in the long run for any
  sequence at all, and is infinitely wide, or empty, where only that holds it.
- ``tracking``: the radius itself moves. Holds in the long run for scores that are bounded; always finite.

The last two change with outcomes, each once it is known. A state is frozen and is plain data.

Sources: Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World* (2005), and Lei et al.,
"Distribution-free predictive inference for regression", JASA 113 (2018), for ``split``; Romano, Patterson and Candès,
"Conformalized quantile regression", NeurIPS (2019), for bands; Gibbs and Candès, "Adaptive conformal inference under
distribution shift", NeurIPS (2021), for ``adaptive``; Angelopoulos, Candès and Tibshirani, "Conformal PID control for
time series prediction", NeurIPS (2023), section 2.1, for ``tracking``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ConfigError, DataError, ModelError

Floats = NDArray[np.float64]
Kind = Literal["split", "adaptive", "tracking"]

GAMMA = {"split": 0.0, "adaptive": 0.005, "tracking": 0.05}
"""Step sizes if none is given, that of ``adaptive`` by Gibbs and Candès. At alpha 0.1 a miss takes 0.0045 off the
level; or adds 4.5 % of what it was at first to the radius."""


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """What an interval is made of, and changes with.

    Parameters
    ----------
    kind : str
    alpha : float
        Share of outcomes that may be missed.
    level : float
        ``adaptive``: the share that the quantile leaves out now, instead of ``alpha``. Beyond 0 … 1 at times.
    radius : float
        How much wider than the band intervals are now; negative where bands are too wide. Plus or minus infinity:
        everything, or nothing.
    gamma : float
        ``adaptive``: what a step changes of the level. ``tracking``: of the radius, in its units.
    scores : tuple of float
        ``adaptive``: the newest scores, oldest first; as many as at the start. Empty otherwise.
    """

    kind: Kind
    alpha: float
    level: float
    radius: float
    gamma: float
    scores: tuple[float, ...]

    def interval(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Bands (n,), (n,) → lower and upper ends of intervals (n,), (n,); those of an empty one are the band's middle.

        >>> state = calibrated(np.arange(1.0, 10.0), alpha=0.2)
        >>> low, high = state.interval(np.array([100.0]), np.array([101.0]))
        >>> float(low[0]), float(high[0])
        (92.0, 109.0)
        """
        below, above = np.asarray(low - self.radius, np.float64), np.asarray(high + self.radius, np.float64)
        middle, empty = 0.5 * (low + high), below > above
        return np.where(empty, middle, below), np.where(empty, middle, above)

    def after(self, score: float, radius: float) -> Conformal:
        """The state once an outcome is known.

        Parameters
        ----------
        score : float
            How far the outcome lay outside its band (`band_scores`).
        radius : float
            That of the interval that was given for it, which may be an older one than this state's.

        >>> state = calibrated(np.arange(1.0, 10.0), alpha=0.2, kind="tracking", gamma=0.05)
        >>> state.radius, round(state.after(12.0, radius=8.0).radius, 2), round(state.after(1.0, radius=8.0).radius, 2)
        (8.0, 8.32, 7.92)
        """
        step = self.gamma * (self.alpha - float(score > radius))
        if self.kind == "adaptive":
            level, scores = self.level + step, (*self.scores[1:], float(score))
            return replace(self, level=level, scores=scores, radius=finite_sample_quantile(np.array(scores), level))
        return replace(self, radius=self.radius - step) if self.kind == "tracking" else self

    def state(self) -> dict[str, Any]:
        """The state as JSON can say it. A radius that follows from scores may be infinite, and is left out."""
        plain = asdict(self) | {"scores": list(self.scores)}
        return {name: value for name, value in plain.items() if name != "radius" or self.kind != "adaptive"}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Conformal:
        """Read what `state` wrote.

        Raises
        ------
        ModelError
            It is damaged.
        """
        try:
            scores = tuple(float(score) for score in state["scores"])
            numbers = {name: float(state[name]) for name in ("alpha", "level", "gamma")}
            if state["kind"] not in get_args(Kind):
                raise ValueError(f"kind {state['kind']!r}")
            of_scores = state["kind"] == "adaptive"
            radius = finite_sample_quantile(np.array(scores), numbers["level"]) if of_scores else float(state["radius"])
            return cls(kind=state["kind"], scores=scores, radius=radius, **numbers)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the state of the intervals is damaged ({error!r}): calibrate them again") from error


def band_scores(y: Floats, low: Floats, high: Floats) -> Floats:
    """How far each outcome (n,) lies outside its band, negative inside; the absolute error where low = high.

    >>> band_scores(np.array([1.0, 5.0]), np.array([0.0, 2.0]), np.array([3.0, 4.0])).tolist()
    [-1.0, 1.0]
    """
    return np.asarray(np.maximum(low - y, y - high), np.float64)


def calibrated(
    scores: Floats, *, alpha: float = 0.1, kind: Kind = "split", gamma: float | None = None, window: int = 500
) -> Conformal:
    """The state to begin with.

    Parameters
    ----------
    scores : float64 array of shape (n,)
        `band_scores` of rows the model was not fitted on, in the order in which their outcomes became known; finite.
        Of one symbol, or of several that are to share their intervals, and of one step ahead.
    alpha : float
        Share of outcomes that may be missed: 0.1 makes intervals of 90 %.
    kind : str
        ``split``, ``adaptive`` or ``tracking``.
    gamma : float, optional
        Step size, in parts of one of the level for ``adaptive``, and in parts of the 1 - alpha quantile of the absolute
        scores for ``tracking``; `GAMMA` if left out. Larger follows changes faster and makes widths restless.
    window : int
        Newest scores that ``adaptive`` takes its quantile of.

    Raises
    ------
    ConfigError
        ``alpha``, ``kind``, ``gamma`` or ``window`` is out of bounds.
    DataError
        A score is not finite, or there are fewer than alpha needs for a finite interval.
    """
    _check(scores, alpha, kind, gamma, window)
    step = GAMMA[kind] if gamma is None else gamma
    kept = scores[-window:] if kind == "adaptive" else scores
    radius = finite_sample_quantile(kept, alpha)
    if not np.isfinite(radius):
        raise DataError(f"{len(kept)} scores are too few for alpha {alpha}: give at least {_least(alpha)}")
    if kind == "tracking":
        step *= finite_sample_quantile(np.abs(scores), alpha)
    own = tuple(kept.tolist()) if kind == "adaptive" else ()
    return Conformal(kind=kind, alpha=alpha, level=alpha, radius=radius, gamma=step, scores=own)


def finite_sample_quantile(scores: Floats, alpha: float) -> float:
    """The ⌈(n + 1)(1 - alpha)⌉-th smallest of n scores; minus infinity below the first, infinity above the last.

    One more exchangeable score is no greater than it with probability at least 1 - alpha.

    >>> [finite_sample_quantile(np.arange(1.0, 10.0), alpha) for alpha in (0.5, 0.1, 0.05, 1.0)]
    [5.0, 9.0, inf, -inf]
    """
    n = len(scores)
    rank = int(np.ceil((n + 1) * (1.0 - alpha) - 1e-9))  # 1 - alpha is not exact: 0.9 * 10 must be the ninth
    if rank < 1:
        return -np.inf
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= n else np.inf


def _least(alpha: float) -> int:
    """Scores without which an interval is infinite."""
    return int(np.ceil(1.0 / alpha - 1e-9)) - 1


def _check(scores: Floats, alpha: float, kind: str, gamma: float | None, window: int) -> None:
    if kind not in get_args(Kind):
        raise ConfigError(f"kind is {kind!r}: it must be one of {', '.join(get_args(Kind))}")
    if not 0.0 < alpha < 1.0:
        raise ConfigError(f"alpha is {alpha}: it must lie between 0 and 1")
    if gamma is not None and not gamma >= 0.0:
        raise ConfigError(f"gamma is {gamma}: it must be at least 0")
    if window < 1:
        raise ConfigError(f"window is {window}: it must be at least 1")
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise DataError(f"scores have shape {scores.shape}: give finite ones, one a row")

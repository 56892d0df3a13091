"""What the promotion gate says of a champion."""

from __future__ import annotations

from bellwether.config.frozen import Frozen


class Bounded(Frozen):
    """A figure on the holdout and its bounds, each one-sided at the verdict's ``confidence``."""

    value: float
    low: float
    high: float


class Comparison(Frozen):
    """The champion against one baseline: the holdout lift with its interval, and the lift over the selection folds.

    ``score`` is the baseline's, on the holdout; all in units of the verdict's ``metric``.
    """

    family: str
    score: float
    lift: float
    low: float
    high: float
    folds_lift: float
    folds_stderr: float


class Verdict(Frozen):
    """What the gate decided and every figure it decided on, in units of ``metric``; ``lift`` is champion − baseline.

    ``low`` and ``high`` bound the holdout lift over ``baseline_family``, the baseline that is hardest to beat;
    ``confidence`` is the one-sided level after the correction for the number of families tried. ``directional`` is
    about direction alone (`bellwether.validation.probability_metrics.directional`); None where it is not defined.
    """

    passed: bool
    lift: float
    low: float
    high: float
    confidence: float
    min_lift: float
    champion: float
    champion_family: str
    baseline: float
    baseline_family: str
    families: int
    block: int
    draws: int
    against: tuple[Comparison, ...]
    reason: str
    metric: str = "macro_f1"
    directional: Bounded | None = None

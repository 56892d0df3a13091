"""The promotion gate: does a champion beat every baseline, beyond what luck explains?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Frozen, Gate
from bellwether.errors import ConfigError
from bellwether.validation.bootstrap import Interval, block_bootstrap, block_length
from bellwether.validation.metrics import f1_of, grouped_confusion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 10_000
"""Resamples: enough for the far tail that many families ask for."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model as the gate sees it.

    Parameters
    ----------
    family : str
        Its family.
    predicted : int64 array of shape (n,)
        Class positions on the holdout rows.
    folds : tuple of float
        Macro-F1 of each selection fold.
    """

    family: str
    predicted: Ints
    folds: tuple[float, ...]


class Comparison(Frozen):
    """The champion against one baseline: the holdout lift with its interval, and the lift over the selection folds."""

    family: str
    macro_f1: float
    lift: float
    low: float
    high: float
    folds_lift: float
    folds_stderr: float


class Verdict(Frozen):
    """What the gate decided and every figure it decided on. Macro-F1 throughout; ``lift`` is champion − baseline.

    ``low`` and ``high`` bound the holdout lift over ``baseline_family``, the baseline that is hardest to beat;
    ``confidence`` is the one-sided level after the correction for the number of families tried.
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


def judge(
    champion: Candidate,
    baselines: Sequence[Candidate],
    *,
    ts: Ints,
    y: Ints,
    n_classes: int,
    gate: Gate,
    families: int,
    horizon: int = 1,
    seed: int = 0,
) -> Verdict:
    """Compare a champion with each baseline on rows that selection never saw.

    It passes when, against every baseline,

    1. the lower bound of the holdout macro-F1 difference (paired circular block bootstrap over timestamps) lies
       above ``gate.min_lift``, one-sided at ``gate.confidence`` with Bonferroni's correction for the families the
       champion was picked from; and
    2. the mean difference over the selection folds is larger than its own standard error.

    Parameters
    ----------
    champion, baselines : Candidate
        With predictions on the same holdout rows.
    ts, y : int64 arrays of shape (n,)
        Timestamps and true classes of the holdout rows.
    n_classes : int
        Number of classes.
    gate : Gate
        Confidence and least lift.
    families : int
        Families tried, baselines not counted.
    horizon : int
        Timestamps an outcome spans; blocks are at least as long.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ConfigError
        There is no baseline, or the number of folds differs.
    """
    _check(champion, baselines)
    level = 1.0 - (1.0 - gate.confidence) / max(1, families)
    block = block_length(len(np.unique(ts)), horizon)
    ours = grouped_confusion(ts, y, champion.predicted, n_classes)
    against = []
    for rival in baselines:
        theirs = grouped_confusion(ts, y, rival.predicted, n_classes)
        found = _difference(ours, theirs, confidence=2.0 * level - 1.0, block=block, seed=seed)
        against.append(_comparison(rival, champion, float(f1_of(theirs.sum(axis=0))), found))
    hardest = min(against, key=lambda c: c.low)
    failed = [why for c in against if (why := _why_not(c, gate.min_lift))]
    return Verdict(
        passed=not failed,
        lift=hardest.lift,
        low=hardest.low,
        high=hardest.high,
        confidence=level,
        min_lift=gate.min_lift,
        champion=float(f1_of(ours.sum(axis=0))),
        champion_family=champion.family,
        baseline=hardest.macro_f1,
        baseline_family=hardest.family,
        families=families,
        block=block,
        draws=DRAWS,
        against=tuple(against),
        reason=_reason(champion.family, hardest, level, failed),
    )


def _difference(ours: Ints, theirs: Ints, *, confidence: float, block: int, seed: int) -> Interval:
    n_times, n_classes, _ = ours.shape
    shape = (-1, 2, n_classes, n_classes)

    def lift(sums: Floats) -> Floats:
        both = f1_of(sums.reshape(shape))
        return np.asarray(both[:, 0] - both[:, 1], np.float64)

    sums = np.stack([ours, theirs], axis=1).reshape(n_times, -1).astype(np.float64)
    return block_bootstrap(lift, sums, confidence=confidence, block=block, draws=DRAWS, seed=seed)


def _comparison(rival: Candidate, champion: Candidate, macro_f1: float, found: Interval) -> Comparison:
    gaps = np.subtract(champion.folds, rival.folds)
    return Comparison(
        family=rival.family,
        macro_f1=macro_f1,
        lift=found.value,
        low=found.low,
        high=found.high,
        folds_lift=float(gaps.mean()),
        folds_stderr=float(gaps.std(ddof=1) / np.sqrt(len(gaps))),
    )


def _why_not(c: Comparison, min_lift: float) -> str | None:
    if c.low <= min_lift:
        return f"the holdout lift over {c.family} may be as low as {c.low:+.4f}, which is not above {min_lift}"
    if c.folds_lift <= c.folds_stderr:
        return f"its mean lift over {c.family} in the folds, {c.folds_lift:+.4f}, is within {c.folds_stderr:.4f} of 0"
    return None


def _reason(family: str, hardest: Comparison, level: float, failed: Sequence[str]) -> str:
    if failed:
        return f"{family} is not promoted: {failed[0]} (one-sided confidence {level:.2%})."
    return (
        f"{family} beats every baseline: its holdout macro-F1 is {hardest.lift:+.4f} above {hardest.family}'s, "
        f"at least {hardest.low:+.4f} at one-sided confidence {level:.2%}."
    )


def _check(champion: Candidate, baselines: Sequence[Candidate]) -> None:
    if not baselines:
        raise ConfigError("there is no baseline to compare with: run the baselines with the sweep")
    for rival in baselines:
        if len(rival.folds) != len(champion.folds) or len(champion.folds) < 2:
            raise ConfigError(
                f"{rival.family} has {len(rival.folds)} folds and {champion.family} {len(champion.folds)}: "
                "score both on the same two folds or more"
            )

"""The promotion gate: does a champion beat every baseline, beyond what luck explains?

Classes are judged by macro-F1, values by skill: 1 - MSE / MSE of "no change". A lift in skill is the difference of the
two models' MSE, in units of that of persistence.

A champion passes when, against every baseline,

1. the lower bound of the holdout difference in macro-F1, or in skill (paired circular block bootstrap over
   timestamps), lies above ``gate.min_lift``, one-sided at ``gate.confidence`` with Bonferroni's correction for the
   families the champion was picked from; and
2. the mean difference over the selection folds is larger than its own standard error;

when the holdout is long enough for such a bound (`FEWEST` blocks); and, if ``directional``, when it tells rises
from falls: the lower bound of that score, at the same level, is above 0. A model that foresees only how large moves
are passes the first two.

What is corrected for, and what is not. The champion is the one model of the sweep that the holdout judges, so
neither families nor configurations were picked there and 1 needs no correction for them; that for families is a
margin, which bounds of few blocks need: they are too tight. The folds did pick it, out of every configuration of
every family, and 2 does not allow for that: it only stops a champion that shines in one fold. Each further version
that is judged on the same holdout is a further try, and nothing here counts them. All baselines must be beaten, so
their number asks for no correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.config.sections import Gate, Validation
from bellwether.errors import ConfigError, DataError
from bellwether.validation.bootstrap import Sums, block_length, mean_of_statistics
from bellwether.validation.folds import fold_stderr
from bellwether.validation.metrics import confusion_sums
from bellwether.validation.paired import paired_bootstrap
from bellwether.validation.probability_metrics import class_scores, directional_sums, expected_score
from bellwether.validation.regression_metrics import skill_sums
from bellwether.validation.verdict import Bounded, Comparison, Verdict

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 10_000
"""Resamples, at least."""

BEYOND = 20
"""Resamples that should lie beyond a bound: many families put it so far out that it takes more than `DRAWS`."""

FEWEST = 10
"""Blocks that a bound must be made of. Of fewer it is far too tight (`bellwether.validation.bootstrap`)."""

WALK = Validation()
"""Folds that test different rows."""

SHOWN = {"macro_f1": "macro-F1", "skill": "skill"}
"""The gate's metrics, as its reasons name them."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model as the gate sees it.

    Parameters
    ----------
    family : str
        Its family.
    predicted : int64 array of shape (n,), or float64 array of shape (n,) or (n, steps)
        Class positions on the holdout rows; or values, which are changes.
    folds : tuple of float
        Macro-F1 of each selection fold; or skill.
    probabilities : float64 array of shape (n, classes), optional
        On the holdout rows: what the champion's direction is read from. Values need none.
    """

    family: str
    predicted: NDArray[Any]
    folds: tuple[float, ...]
    probabilities: Floats | None = None


def judge(
    champion: Candidate,
    baselines: Sequence[Candidate],
    *,
    ts: Ints,
    y: NDArray[Any],
    n_classes: int,
    gate: Gate,
    families: int,
    horizon: int = 1,
    plan: Validation = WALK,
    seed: int = 0,
    directional: bool = False,
) -> Verdict:
    """Compare a champion with each baseline on rows that selection never saw; the top of this file says what passes.

    Parameters
    ----------
    champion, baselines : Candidate
        With predictions on the same holdout rows.
    ts : int64 array of shape (n,)
        Timestamps of the holdout rows.
    y : int64 array of shape (n,), or float64 array of shape (n,) or (n, steps)
        True class positions; or values, which are changes. The skill of several steps is the mean of theirs.
    n_classes : int
        Number of classes; 0 for values.
    gate : Gate
        Confidence and least lift; whether direction is demanded is for the caller to say.
    families : int
        Families tried, baselines not counted.
    horizon : int
        Timestamps an outcome spans (`bellwether.validation.bootstrap.outcome_span`); blocks are at least as long.
    plan : Validation
        What made the folds: combinatorial ones say less than their number (`fold_stderr`).
    seed : int
        Of the bootstrap.
    directional : bool
        Whether the champion must know the direction, too.

    Raises
    ------
    ConfigError
        There is no baseline, the number of folds differs, or direction is demanded of classes without probabilities.
    DataError
        A fold has no finite score, the holdout is one timestamp, or nothing changes in it: skill is not defined then.
    """
    metric = "macro_f1" if n_classes else "skill"
    _check(champion, baselines, metric, ts)
    if directional:
        _check_direction(champion, n_classes)
    times, level = len(np.unique(ts)), 1.0 - (1.0 - gate.confidence) / max(1, families)
    needed = block_length(times, horizon)
    settings = _settings(times, needed, level, seed)
    found = _measured(champion, baselines, ts, y, n_classes, settings, plan)
    hardest, unbeaten = _ranked(found.against, gate.min_lift)
    failed = _too_short(times, needed) + unbeaten + (_no_direction(found.directional) if directional else [])
    return _verdict(champion.family, metric, found, hardest, settings, gate, families, failed)


def _verdict(
    family: str,
    metric: str,
    found: _Measured,
    hardest: Comparison,
    settings: _Settings,
    gate: Gate,
    families: int,
    failed: Sequence[str],
) -> Verdict:
    """What was found, and what it failed by, written down."""
    return Verdict(
        passed=not failed,
        lift=hardest.lift,
        low=hardest.low,
        high=hardest.high,
        confidence=settings.level,
        min_lift=gate.min_lift,
        champion=found.champion,
        champion_family=family,
        baseline=hardest.score,
        baseline_family=hardest.family,
        families=families,
        block=settings.block,
        draws=settings.draws,
        against=found.against,
        reason=_reason(family, metric, hardest, settings.level, failed),
        metric=metric,
        directional=found.directional,
    )


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """Of the bounds: one-sided at ``level``, by a bootstrap of these."""

    level: float
    block: int
    draws: int
    seed: int

    @property
    def bootstrap(self) -> dict[str, Any]:
        """The same as the bootstrap wants it, whose confidence is two-sided."""
        return {"confidence": 2.0 * self.level - 1.0, "block": self.block, "draws": self.draws, "seed": self.seed}


def _settings(times: int, needed: int, level: float, seed: int) -> _Settings:
    """Bounds at a one-sided ``level``, of blocks as long as ``needed`` where the holdout has two such."""
    block = min(needed, max(1, times // 2))  # two at least, or there would be no bounds to show for what is refused
    draws = max(DRAWS, math.ceil(BEYOND / (1.0 - level)))
    return _Settings(level=level, block=block, draws=draws, seed=seed)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Every figure of the holdout: the champion's score, how it compares with each baseline, and its direction."""

    champion: float
    against: tuple[Comparison, ...]
    directional: Bounded | None


def _measured(
    champion: Candidate,
    baselines: Sequence[Candidate],
    ts: Ints,
    y: NDArray[Any],
    n_classes: int,
    settings: _Settings,
    plan: Validation,
) -> _Measured:
    ours = _sums(champion, ts, y, n_classes)
    against = tuple(
        _comparison(champion, ours, rival, _sums(rival, ts, y, n_classes), settings, plan) for rival in baselines
    )
    return _Measured(champion=ours.value, against=against, directional=_direction(champion, ts, y, n_classes, settings))


def _sums(candidate: Candidate, ts: Ints, y: NDArray[Any], n_classes: int) -> Sums:
    """The gate's metric on the holdout, as a function of sums over timestamps."""
    if n_classes:
        return confusion_sums(ts, y, candidate.predicted, n_classes)
    sums = mean_of_statistics([skill_sums(ts, *pair) for pair in _steps(y, candidate.predicted)])
    if not np.isfinite(sums.value):
        raise DataError("nothing changes in the holdout, so skill is not defined there: hold more rows out")
    return sums


def _steps(y: NDArray[Any], predicted: NDArray[Any]) -> list[tuple[Floats, Floats]]:
    """Values that came and that were predicted, one pair of (n,) arrays a step."""
    if y.size != predicted.size or len(y) != len(predicted):
        raise DataError(f"values have shape {y.shape} and predictions {predicted.shape}: give as many of each")
    return list(zip(y.reshape(len(y), -1).T, predicted.reshape(len(y), -1).T, strict=True))


def _comparison(
    champion: Candidate, ours: Sums, rival: Candidate, theirs: Sums, settings: _Settings, plan: Validation
) -> Comparison:
    found, _ = paired_bootstrap(ours, theirs, **settings.bootstrap)
    gaps = np.subtract(champion.folds, rival.folds)
    return Comparison(
        family=rival.family,
        score=theirs.value,
        lift=found.value,
        low=found.low,
        high=found.high,
        folds_lift=float(gaps.mean()),
        folds_stderr=fold_stderr(gaps.tolist(), plan),
    )


def _direction(champion: Candidate, ts: Ints, y: NDArray[Any], n_classes: int, settings: _Settings) -> Bounded | None:
    """How well the champion tells rises from falls; None where there are not both, or no probabilities."""
    if not n_classes:
        pairs = _steps(y, champion.predicted)
    elif champion.probabilities is not None:
        pairs = [(class_scores(n_classes)[y], expected_score(champion.probabilities))]
    else:
        return None
    sums = mean_of_statistics([directional_sums(ts, expected, true) for true, expected in pairs])
    if np.isnan(sums.value):
        return None
    found = sums.interval(**settings.bootstrap)
    return Bounded(value=found.value, low=found.low, high=found.high)


def _too_short(times: int, block: int) -> list[str]:
    if times >= FEWEST * block:
        return []
    blocks = f"{times / block:.1f} blocks of {block}, and a bound needs {FEWEST}"
    return [f"the {times} timestamps of the holdout are {blocks}: ingest a longer history, or hold more of it out"]


def _ranked(against: Sequence[Comparison], min_lift: float) -> tuple[Comparison, list[str]]:
    """The baseline that is hardest to beat, one that is not beaten before all that are; and why each is not beaten."""
    closest = sorted(against, key=lambda c: c.low)
    unbeaten = [(c, why) for c in closest if (why := _why_not(c, min_lift))]
    return unbeaten[0][0] if unbeaten else closest[0], [why for _, why in unbeaten]


def _why_not(c: Comparison, min_lift: float) -> str | None:
    if not c.low > min_lift:
        return f"the holdout lift over {c.family} may be as low as {c.low:+.4f}, which is not above {min_lift}"
    if not c.folds_lift > c.folds_stderr:
        return f"its mean lift over {c.family} in the folds, {c.folds_lift:+.4f}, is within {c.folds_stderr:.4f} of 0"
    return None


def _no_direction(found: Bounded | None) -> list[str]:
    if found is None:
        return ["the holdout has no rises or no falls, so it shows no direction"]
    if not found.low > 0.0:
        return [f"its directional score, {found.value:+.4f}, may be as low as {found.low:+.4f}: it may know only size"]
    return []


def _reason(family: str, metric: str, hardest: Comparison, level: float, failed: Sequence[str]) -> str:
    if failed:
        return f"{family} is not promoted: {failed[0]} (one-sided confidence {level:.2%})."
    return (
        f"{family} beats every baseline: its holdout {SHOWN[metric]} is {hardest.lift:+.4f} above {hardest.family}'s, "
        f"at least {hardest.low:+.4f} at one-sided confidence {level:.2%}."
    )


def _check_direction(champion: Candidate, n_classes: int) -> None:
    if n_classes and champion.probabilities is None:
        raise ConfigError(f"{champion.family} has no probabilities to read a direction from: give them")


def _check(champion: Candidate, baselines: Sequence[Candidate], metric: str, ts: Ints) -> None:
    if not baselines:
        raise ConfigError("there is no baseline to compare with: run the baselines with the sweep")
    for rival in baselines:
        if len(rival.folds) != len(champion.folds) or len(champion.folds) < 2:
            raise ConfigError(
                f"{rival.family} has {len(rival.folds)} folds and {champion.family} {len(champion.folds)}: "
                "score both on the same two folds or more"
            )
    if len(np.unique(ts)) < 2:
        raise DataError("the holdout is a single timestamp: hold more rows out, or ingest a longer history")
    for candidate in (champion, *baselines):
        if not np.isfinite(candidate.folds).all():
            raise DataError(f"{candidate.family} has a fold without a {metric}: use fewer folds, or more rows")

"""The index signal: what the components' predictions say together, and how much of the index said it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, isfinite, isinf, isnan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bellwether.actions import ACTIONS, SCORES
from bellwether.errors import SignalError
from bellwether.signal_policy import Call, SignalPolicy
from bellwether.trading_time import SECOND, iso

Floats = NDArray[np.float64]
Status = Literal["fresh", "stale", "missing", "late"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a component's newest closed bar predicts.

    ``ts_event`` is that bar's close, UTC nanoseconds; ``probabilities`` are in the order of `ACTIONS`.
    """

    symbol: str
    ts_event: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """Why a component has no prediction."""

    status: Literal["missing", "late"]
    reason: str


UNANSWERED = Absence(status="missing", reason="no answer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """One component in a signal.

    Parameters
    ----------
    action, score, probabilities, ts_event, age_seconds
        None where there is no prediction. The action is the likeliest, the first of equals. Age is trading time.
    weight : float or None
        As published, in force at the signal's bar; None if there is none.
    share : float
        The weight relative to all that count; 0 for a component that does not.
    contribution : float
        ``share * score``; 0 for a component that does not count.
    status : str
        ``fresh``; ``stale``: its newest bar is too old; ``missing``: it has no prediction; ``late``: the answer did
        not come in time. Only fresh components with a weight count.
    reason : str or None
        Why the component does not count.
    """

    symbol: str
    action: str | None = None
    score: int | None = None
    probabilities: tuple[float, ...] | None = None
    weight: float | None = None
    share: float = 0.0
    contribution: float = 0.0
    ts_event: int | None = None
    age_seconds: float | None = None
    status: Status
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """An index signal and everything it was made of.

    Parameters
    ----------
    as_of : int or None
        What ages are measured against, UTC nanoseconds: the wall clock, or the newest bar.
    ts_event : int or None
        Close of the newest bar that any component answered from; None if none did.
    wss : float
        Weighted sum of scores, exactly ``math.fsum`` of the contributions; 0 where nothing counts.
    wss_probability : float
        The same with each score replaced by its expectation under the component's probabilities.
    coverage : float
        Weight that counts over all known weight of the universe, 0 to 1.
    reason : str or None
        Why the signal is HOLD whatever the sum says; None where the thresholds alone decide.
    """

    universe: str
    as_of: int | None
    ts_event: int | None
    signal: Call
    wss: float
    wss_probability: float
    coverage: float
    reason: str | None
    policy: SignalPolicy
    components: tuple[Component, ...]


def compose(
    universe: str,
    symbols: Sequence[str],
    weights: Floats,
    answers: Mapping[str, Prediction | Absence],
    policy: SignalPolicy,
    now: int | None = None,
) -> Signal:
    """Make the index signal of what the components answered.

    WSS = Σ wᵢ·sᵢ over the components that are fresh and have a weight, the weights being renormalised over them.

    Parameters
    ----------
    symbols : sequence of str
        The universe, in the order that the answer lists it.
    weights : float64 array of shape (len(symbols),)
        Fractions in force at the newest bar; NaN for a symbol without weight.
    answers : mapping of symbol to Prediction or Absence
        A symbol that is left out is missing.
    now : int, optional
        Wall clock, UTC nanoseconds. Left out, ages are measured against the newest bar.

    Raises
    ------
    SignalError
        A weight is negative or infinite, or probabilities are not one finite number for each action.

    Examples
    --------
    >>> policy = SignalPolicy(buy=0.5, sell=-0.5, coverage_floor=0.6, max_age_bars=1, interval_ns=3600 * SECOND)
    >>> up = Prediction(symbol="A", ts_event=SECOND, probabilities=(0.0, 0.0, 0.1, 0.7, 0.2))
    >>> signal = compose("u", ["A", "B"], np.array([0.75, 0.25]), {"A": up}, policy)
    >>> signal.signal, signal.wss, round(signal.wss_probability, 3), signal.coverage, signal.components[1].status
    ('BUY', 1.0, 1.1, 0.75, 'missing')
    """
    given = [answers.get(symbol, UNANSWERED) for symbol in symbols]
    newest = newest_bar(given, now)
    as_of = newest if now is None else now
    judge = _Judge(policy=policy, as_of=as_of, newest=newest)
    judged = [judge(*each) for each in zip(symbols, given, _known(symbols, weights), strict=True)]
    total = fsum(c.weight for c in judged if c.weight is not None and c.status == "fresh")
    everything = fsum(c.weight for c in judged if c.weight is not None)
    components = tuple(_shared(c, total) for c in judged)
    coverage = total / everything if everything > 0.0 else 0.0
    wss = fsum(c.contribution for c in components)
    reason = _reason(components, coverage, newest, policy)
    return Signal(
        universe=universe,
        as_of=as_of,
        ts_event=newest,
        signal="HOLD" if reason else policy.call(wss),
        wss=wss,
        wss_probability=fsum(c.share * _expected(c.probabilities) for c in components if c.probabilities is not None),
        coverage=coverage,
        reason=reason,
        policy=policy,
        components=components,
    )


def newest_bar(answers: Iterable[Prediction | Absence], now: int | None = None) -> int | None:
    """Close of the newest bar that a component predicts from and that has closed by ``now``; None if there is none."""
    times = (a.ts_event for a in answers if isinstance(a, Prediction))
    return max((ts for ts in times if now is None or ts <= now), default=None)


def _known(symbols: Sequence[str], weights: Floats) -> list[float | None]:
    if len(weights) != len(symbols):
        raise SignalError(f"{len(weights)} weights for {len(symbols)} symbols: give one each, NaN where there is none")
    values: list[float] = weights.tolist()
    for symbol, weight in zip(symbols, values, strict=True):
        if weight < 0.0 or isinf(weight):
            raise SignalError(f"the weight of {symbol} is {weight}: weights are fractions from 0, or NaN for none")
    return [None if isnan(weight) else weight for weight in values]


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Says which components are fresh. Components of one exchange share their bar, so ages are kept."""

    policy: SignalPolicy
    as_of: int | None
    newest: int | None
    ages: dict[int, int] = field(default_factory=dict)

    def __call__(self, symbol: str, answer: Prediction | Absence, weight: float | None) -> Component:
        if isinstance(answer, Absence):
            return Component(symbol=symbol, weight=weight, status=answer.status, reason=answer.reason)
        now = self.as_of if self.as_of is not None else answer.ts_event
        if answer.ts_event > now:
            why = f"its newest bar closes at {iso(answer.ts_event)}, after {iso(now)}: it is not closed yet"
            return Component(symbol=symbol, weight=weight, status="missing", reason=why)
        age = self._age(answer.ts_event, now)
        status, reason = self._status(answer, age, weight)
        score = _score(answer)
        return Component(
            symbol=symbol,
            action=ACTIONS[score],
            score=SCORES[score],
            probabilities=answer.probabilities,
            weight=weight,
            ts_event=answer.ts_event,
            age_seconds=age / SECOND,
            status=status,
            reason=reason,
        )

    def _age(self, ts: int, now: int) -> int:
        if ts not in self.ages:
            self.ages[ts] = self.policy.age(ts, now)
        return self.ages[ts]

    def _status(self, answer: Prediction, age: int, weight: float | None) -> tuple[Status, str | None]:
        if self.policy.is_stale(age):
            bars, most = age / self.policy.bar, self.policy.max_age_bars
            return "stale", f"its newest bar, {iso(answer.ts_event)}, is {bars:.3g} bars old; at most {most}"
        if weight is None:
            return "fresh", f"no weight is in force at {iso(self.newest or answer.ts_event)}"
        return "fresh", None


def _score(answer: Prediction) -> int:
    """Position of the likeliest action, the first of equals."""
    p = answer.probabilities
    if len(p) != len(ACTIONS) or not all(map(isfinite, p)):
        raise SignalError(f"the probabilities of {answer.symbol} are {p}: one finite number for each of {ACTIONS}")
    return p.index(max(p))


def _expected(probabilities: tuple[float, ...]) -> float:
    return fsum(p * score for p, score in zip(probabilities, SCORES, strict=True))


def _shared(c: Component, total: float) -> Component:
    """The component with its share of what counts, if it counts."""
    if c.status != "fresh" or c.weight is None or c.score is None or total == 0.0:
        return c
    share = c.weight / total
    return replace(c, share=share, contribution=share * c.score + 0.0)  # + 0.0: no negative zero


def _reason(components: Sequence[Component], coverage: float, newest: int | None, policy: SignalPolicy) -> str | None:
    """Why to hold whatever the sum says."""
    out = ", ".join(
        f"{c.symbol} {c.status if c.status != 'fresh' else 'without weight'}" for c in components if not _counts(c)
    )
    if coverage == 0.0:
        return f"no component with a weight has a fresh prediction: {out}" if out else "all weights are zero"
    if coverage < policy.coverage_floor:
        return f"coverage {coverage:.3f} is below the floor of {policy.coverage_floor}: {out}"
    if newest is not None and policy.is_before_night(newest):
        return f"what follows {iso(newest)} lies across the night, which the recipe leaves out (overnight: drop)"
    return None


def _counts(c: Component) -> bool:
    return c.status == "fresh" and c.weight is not None

"""From results to JSON. Floats are written so that reading them gives the same bits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bellwether.actions import ACTIONS, SCORES
from bellwether.expected_return import ExpectedReturn
from bellwether.signal import Component, Signal
from bellwether.signal_policy import SignalPolicy
from bellwether.trading_time import iso

Json = dict[str, Any]


def signal_json(signal: Signal, model: Json, expected: ExpectedReturn | str, horizon: int) -> Json:
    """The body of GET /signal/index; ``expected`` is why nothing is, where it is a text."""
    return {
        "universe": signal.universe,
        "as_of": _time(signal.as_of),
        "bar_time": _time(signal.ts_event),
        "signal": signal.signal,
        "wss": signal.wss,
        "wss_probability": signal.wss_probability,
        "coverage": signal.coverage,
        "reason": signal.reason,
        "thresholds": thresholds_json(signal.policy),
        "model": model,
        "components": [component_json(c) for c in signal.components],
        "expected_return": None if isinstance(expected, str) else asdict(expected) | {"horizon_bars": horizon},
        "expected_return_reason": expected if isinstance(expected, str) else None,
    }


def thresholds_json(policy: SignalPolicy) -> Json:
    """What the sum is held against."""
    return {
        "buy": policy.buy,
        "sell": policy.sell,
        "coverage_floor": policy.coverage_floor,
        "max_age_bars": policy.max_age_bars,
    }


def component_json(c: Component) -> Json:
    """One line of a signal's components."""
    return {
        "symbol": c.symbol,
        "status": c.status,
        "reason": c.reason,
        "action": c.action,
        "score": c.score,
        "probabilities": None if c.probabilities is None else by_class(c.probabilities),
        "weight": c.weight,
        "share": c.share,
        "contribution": c.contribution,
        "ts_event": _time(c.ts_event),
        "age_seconds": c.age_seconds,
    }


def prediction_json(
    symbol: str, ts: int, probabilities: tuple[float, ...], features: dict[str, float], notes: list[str], model: Json
) -> Json:
    """The body of GET /predict/component and of POST /predict."""
    likeliest = probabilities.index(max(probabilities))
    return {
        "symbol": symbol,
        "ts_event": iso(ts),
        "action": ACTIONS[likeliest],
        "score": SCORES[likeliest],
        "probabilities": by_class(probabilities),
        "features": features,
        "model": model,
        "notes": notes,
    }


def by_class(probabilities: tuple[float, ...]) -> dict[str, float]:
    """Probabilities by class name, in the contract's order.

    >>> by_class((0.1, 0.2, 0.3, 0.3, 0.1))["strong_buy"]
    0.1
    """
    return dict(zip(ACTIONS, probabilities, strict=True))


def _time(ts: int | None) -> str | None:
    return None if ts is None else iso(ts)

"""From rows of rates to answers, all rows in one run of the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.features.rates import POSTED
from data.targets.sell_rate import LEVELS
from serve_apps.factor.rates import unusual
from serve_apps.models.gate import gate_notes
from serve_apps.models.intervals import Ends, Intervals
from serve_apps.models.served import Champion, Json

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Row = tuple[float, float, float]

HIGH = LEVELS.index("high")


def run(champion: Champion, rows: Sequence[Row]) -> Floats:
    """What the model says of each row: probabilities (n, 2), or changes of the sell rate (n, 1).

    A row alone and the same row among others may differ in the last bits of a float32.
    """
    return champion.predictor.predict(np.array(rows)).astype(np.float64)


def finite(output: Floats) -> Bools:
    """Which rows (n,) the model gives numbers of, of what `run` returned."""
    return np.asarray(np.isfinite(output).all(axis=1), np.bool_)


def regressions(
    champion: Champion, intervals: Intervals, rows: Sequence[Row], changes: Floats, unit: str
) -> list[Json]:
    """The answer to each row. The sell rate it leaves unsaid is one minus the buy rate (see `data.features.rates`).

    Parameters
    ----------
    intervals : Intervals
        Those of the champion.
    changes : float64 array of shape (n, 1)
        What `run` returned.
    unit : str
        An interval in words.
    """
    said = changes.tolist()
    return [
        _regression(champion, row, change, _interval(champion, intervals, row, ends), unit)
        for row, (change,), (ends,) in zip(rows, said, intervals.of(np.array(rows), said), strict=True)
    ]


def classifications(champion: Champion, rows: Sequence[Row], probabilities: Floats, unit: str) -> list[Json]:
    """The answer to each row, of probabilities (n, 2) that `run` returned."""
    return [_classification(champion, row, p, unit) for row, p in zip(rows, probabilities.tolist(), strict=True)]


def unit_of(interval: str) -> str:
    """An interval in words.

    >>> unit_of("1d"), unit_of("1min"), unit_of("5min")
    ('day', 'minute', 'interval of 5min')
    """
    return {"1s": "second", "1min": "minute", "1h": "hour", "1d": "day"}.get(interval, f"interval of {interval}")


def _regression(champion: Champion, row: Row, change: float, interval: Json | None, unit: str) -> Json:
    now = 1.0 - row[0]
    then = min(max(now + change, 0.0), 1.0)
    moved = f"{abs(then - now) * 100:.1f} points {'more' if then > now else 'less'} than"
    text = f"Sellers are expected to initiate {then:.1%} of the next {unit}'s volume, {moved} in the one posted."
    return {
        "prediction": then,
        "no_change": now,
        "interval": interval,
        "interpretation": text,
    } | _common(champion, row)


def _classification(champion: Champion, row: Row, probabilities: Sequence[float], unit: str) -> Json:
    high, edge = probabilities[HIGH], champion.contract.edges[0]
    likeliest = max(range(len(LEVELS)), key=lambda k: probabilities[k])
    side = f"above {edge:.1%}" if likeliest == HIGH else f"{edge:.1%} or less"
    text = (
        f"The next {unit}'s sell rate is expected to be {LEVELS[likeliest]}, {side}, with a probability of "
        f"{probabilities[likeliest]:.0%}; {edge:.1%} is the median of the {unit}s the model was trained on."
    )
    return {
        "prediction": LEVELS[likeliest],
        "probability": high,
        "probabilities": dict(zip(LEVELS, probabilities, strict=True)),
        "threshold": edge,
        "interpretation": text,
    } | _common(champion, row)


def _common(champion: Champion, row: Row) -> Json:
    notes = [*unusual(row), *gate_notes(champion.contract)]
    return {"features": dict(zip(POSTED, row, strict=True)), "model": champion.json(), "notes": notes}


def _interval(champion: Champion, intervals: Intervals, row: Row, ends: Ends | None) -> Json | None:
    """Where the rate will be, within 0 … 1."""
    if ends is None:
        return None
    now = 1.0 - row[0]
    low, high = (min(max(now + end, 0.0), 1.0) for end in ends)
    measured = champion.contract.conformal["steps"][0].get("measured", {}).get("value")
    return {"low": low, "high": high, "promised": intervals.coverage, "measured": measured}

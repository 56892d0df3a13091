"""The rates of one interval as features: which intervals they are taken of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from data.features.base import InputContext
from data.features.rates import KIND, POSTED, RATES_NOW
from data.records import FACTORS, TIME

CONTEXT = InputContext(symbol="A", session=Session())


def factors(*intervals: dict[str, float]) -> pa.Table:
    """Records of intervals that end at 1, 2, …"""
    rows = [(ts, name, value) for ts, interval in enumerate(intervals, 1) for name, value in sorted(interval.items())]
    columns = {
        "symbol": pa.repeat("A", len(rows)),
        "ts_event": pa.array([row[0] for row in rows], pa.int64()).cast(TIME),
        "factor": pa.array([row[1] for row in rows], pa.string()),
        "value": pa.array([row[2] for row in rows], pa.float64()),
    }
    return pa.table(columns, schema=FACTORS)


def interval(buy: float, sell: float | None, *, large: float | None = 0.125) -> dict[str, float]:
    found = {"initiative_buy_rate": buy, "initiative_sell_rate": sell, "large_buy_rate": large, "large_sell_rate": 0.0}
    return {name: value for name, value in found.items() if value is not None}


def test_a_row_is_what_can_be_posted_of_its_interval() -> None:
    ts, x = KIND.inputs(RATES_NOW, factors(interval(0.75, 0.25), interval(0.5, 0.5, large=0.0)), CONTEXT)
    assert ts.tolist() == [1, 2]
    assert x.tolist() == [[0.75, 0.125, 0.0], [0.5, 0.0, 0.0]]
    assert RATES_NOW.outputs == POSTED
    np.testing.assert_array_equal(RATES_NOW.scan(x, RATES_NOW.start()), x)


def test_an_interval_that_lacks_a_posted_rate_has_no_row() -> None:
    ts, _ = KIND.inputs(RATES_NOW, factors(interval(0.5, 0.5, large=None), interval(0.5, 0.5)), CONTEXT)
    assert ts.tolist() == [2]


def test_an_interval_whose_sell_rate_is_not_known_has_one() -> None:
    ts, _ = KIND.inputs(RATES_NOW, factors(interval(0.5, None)), CONTEXT)
    assert ts.tolist() == [1]


def test_intervals_with_volume_that_nobody_initiated_are_left_out_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = factors(interval(0.5, 0.25), interval(0.5, 0.4995), interval(0.5, 0.498))
    ts, _ = KIND.inputs(RATES_NOW, records, CONTEXT)
    assert ts.tolist() == [2]  # rates in percent with two decimals still add up
    assert caplog.messages == ["2 of 3 intervals of A left out: their buy and sell rates do not add up to 1"]


def test_without_records_there_are_no_rows_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    ts, x = KIND.inputs(RATES_NOW, factors(), CONTEXT)
    assert (len(ts), x.shape, caplog.messages) == (0, (0, 3), [])

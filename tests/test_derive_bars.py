"""Bars of trades against pandas, and at the edges of a session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from bellwether.errors import ConfigError
from data.derive import derivation
from data.derive.base import DeriveContext
from data.derive.intervals import OUTSIDE, interval_ends
from data.intake.quality import refuse_starts, screen_rows
from data.intake.quality import stamps as marks
from data.records import BARS, TICKS
from data.records.bars import VALUES
from data.sources.base import RAW as BARS_RAW
from data.sources.base import SourceContext
from data.sources.columns import closes
from data.sources.lobster import LOBSTER, LobsterOptions

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def local(when: str, zone: str = "America/New_York") -> int:
    return pd.Timestamp(when, tz=zone).value


def ticks(trades: Sequence[tuple[int, float, float]]) -> pa.Table:
    names = ("ts_event", "price", "volume")
    rows = [dict(zip(names, t, strict=True)) | {"symbol": "A", "seq": n, "side": 0} for n, t in enumerate(trades)]
    return pa.Table.from_pylist(rows, TICKS)


def made(parts: Sequence[pa.Table], interval_ns: int, session: Session | None = None) -> pa.Table:
    found = derivation("bars")
    context = DeriveContext(symbol="A", session=session or Session(), interval_ns=interval_ns)
    return pa.concat_tables(found.make(iter(parts), found.options(), context))


def resampled(trades: pa.Table, step: int) -> pd.DataFrame:
    """Bars by pandas, labelled with their end, of trades within New York's regular hours."""
    at = pd.to_datetime(trades["ts_event"].cast(pa.int64()).to_numpy(), utc=True).tz_convert("America/New_York")
    frame = pd.DataFrame({"price": trades["price"].to_numpy(), "volume": trades["volume"].to_numpy()}, index=at)
    inside = frame.between_time("09:30", "16:00").loc[lambda f: f.index <= f.index.normalize() + pd.Timedelta(hours=16)]
    days = []
    for _, day in inside.groupby(inside.index.date):
        opens = day.index[0].normalize() + pd.Timedelta(hours=9, minutes=30)
        closes = opens + pd.Timedelta(minutes=390)
        grid = day.resample(pd.Timedelta(step), origin=opens, closed="right", label="right")
        bars = grid["price"].ohlc().assign(volume=grid["volume"].sum())[grid["price"].count() > 0]
        bars.index = bars.index.where(bars.index < closes, closes)
        days.append(bars)
    return pd.concat(days)


def agrees_with_pandas(trades: pa.Table, step: int) -> None:
    bars, expected = made([trades], step), resampled(trades, step)
    assert bars["ts_event"].cast(pa.int64()).to_pylist() == [ts.value for ts in expected.index]
    for name in VALUES:
        np.testing.assert_allclose(bars[name].to_numpy(), expected[name].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize("step", [7 * SECOND, 5 * MINUTE, 60 * MINUTE, 24 * HOUR])
def test_bars_agree_with_pandas_over_a_change_of_the_clocks(step: int) -> None:
    rng = np.random.default_rng(step)
    seconds = [local(f"2025-03-{day:02} 09:00") // SECOND + rng.integers(0, 8 * 3600, 500) for day in (6, 7, 10, 11)]
    at = np.sort(np.concatenate(seconds)) * SECOND
    at = at[~np.isin(at, [local(f"2025-03-{day:02} 09:30") for day in (6, 7, 10, 11)])]  # pandas puts those in no bar
    price = 10 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(at))))
    agrees_with_pandas(ticks(list(zip(at.tolist(), price, rng.integers(1, 500, len(at)) * 1.0, strict=True))), step)


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_bars_of_real_trades_agree_with_pandas(symbol: str, market_data: Path) -> None:
    context = SourceContext(root=market_data, session=Session(), interval_ns=0, record="ticks")
    tables = LOBSTER.read(LobsterOptions(path=f"lobster/{symbol}_*.csv.gz"), context)
    agrees_with_pandas(pa.concat_tables(tables).select(TICKS.names).cast(TICKS), 5 * MINUTE)


def test_a_trade_at_the_end_of_an_interval_is_in_it_and_one_at_the_opening_in_the_first() -> None:
    opens, closes = local("2025-03-03 09:30"), local("2025-03-03 16:00")
    trades = [(opens - 1, 1.0, 1.0), (opens, 10.0, 1.0), (opens + HOUR, 12.0, 2.0), (opens + HOUR + 1, 11.0, 4.0)]
    bars = made([ticks([*trades, (closes, 9.0, 8.0), (closes + 1, 1.0, 16.0)])], HOUR)
    assert [tuple(row[name] for name in VALUES) for row in bars.to_pylist()] == [
        (10.0, 12.0, 10.0, 12.0, 3.0),
        (11.0, 11.0, 11.0, 11.0, 4.0),
        (9.0, 9.0, 9.0, 9.0, 8.0),
    ]
    assert bars["ts_event"].cast(pa.int64()).to_pylist() == [opens + HOUR, opens + 2 * HOUR, closes]


def test_a_market_that_never_closes_has_whole_days() -> None:
    midnight, session = local("2025-03-03", "UTC"), Session(timezone="UTC", calendar="24/7")
    at = np.array([midnight - 1, midnight, midnight + 1, midnight + 24 * HOUR])
    opens, ends = interval_ends(at, session, 24 * HOUR)
    assert ends.tolist() == [midnight, midnight, midnight + 24 * HOUR, midnight + 24 * HOUR]
    assert (ends - opens == 24 * HOUR).all()


def test_holidays_and_early_closes_are_those_of_the_calendar() -> None:
    session = Session(calendar="XNYS")
    at = [local(f"2024-11-{when}") for when in ("28 12:00", "29 12:59", "29 13:00", "29 13:01")]
    _, ends = interval_ends(np.array(at), session, HOUR)
    assert ends.tolist() == [OUTSIDE, at[2], at[2], OUTSIDE]


def test_hours_of_another_zone_are_its_own() -> None:
    tokyo = Session(timezone="Asia/Tokyo", opens=time(9), closes=time(15))
    at = np.array([local(f"2025-03-03 {t}", "Asia/Tokyo") for t in ("08:59", "09:00", "14:31", "15:00", "15:01")])
    opens, ends = interval_ends(at, tokyo, HOUR)
    assert opens.tolist() == [OUTSIDE, at[1], at[1], at[1], OUTSIDE]
    assert ends.tolist() == [OUTSIDE, at[1] + HOUR, at[3], at[3], OUTSIDE]


def test_without_an_interval_it_is_refused_and_without_trades_there_is_nothing() -> None:
    with pytest.raises(ConfigError, match="derivation 'bars' works by the interval"):
        made([], 0)
    assert made([], HOUR).equals(BARS.empty_table())
    assert made([TICKS.empty_table()], HOUR).num_rows == 0


def test_the_close_of_a_calendars_session_is_inside_of_it() -> None:
    york = Session(calendar="XNYS")
    always = Session(timezone="UTC", opens=time(0), closes=time(23, 59), calendar="24/7")
    at = [local(f"2025-03-03 {hour:02}:30", "UTC") for hour in range(24)] + [local("2025-03-04 00:00:01", "UTC")]
    bars = made([ticks([(t, 10.0, 1.0) for t in at])], HOUR, always).slice(0, 24)
    for session, stamps, inside in (
        (always, bars["ts_event"].cast(pa.int64()).to_pylist(), [True] * 24),
        (york, [local(f"2024-11-{when}") for when in CLOSES], list(CLOSES.values())),
        (york, [-(2**63) + 1, 2**63 - 1], [False] * 2),
    ):
        rows = [{"symbol": "A", "ts_event": t, **dict.fromkeys(VALUES, 1.0), "file": "f", "row": 1} for t in stamps]
        raw = pa.Table.from_pylist([row | {"ts_event": None} for row in rows], BARS_RAW)
        raw = raw.set_column(1, BARS_RAW.field(1), pa.array(stamps).cast(BARS_RAW.field(1).type))
        kept = screen_rows(raw, session).kept["ts_event"].cast(pa.int64()).to_pylist()
        assert [t in kept for t in stamps] == inside
        refuse_starts(marks(raw, session))  # 00:00 is an opening, and a close


CLOSES = {
    "28 12:00": False,  # a holiday
    "29 09:30": False,
    "29 13:00": True,  # the market closes early
    "29 16:00": True,  # where sources stamp that day's last bar that do not know
    "29 16:01": False,
    "30 12:00": False,
}


def test_bars_that_start_in_a_calendars_session_close_with_it() -> None:
    york = Session(calendar="XNYS")
    starts = [local(f"2024-11-{when}") for when in ("27 15:30", "29 12:30", "29 13:30", "30 12:00")]
    ends = closes(pa.array(starts).cast(BARS_RAW.field(1).type), york, HOUR).cast(pa.int64()).to_pylist()
    assert ends == [local("2024-11-27 16:00"), local("2024-11-29 13:00"), starts[2] + HOUR, starts[3] + HOUR]

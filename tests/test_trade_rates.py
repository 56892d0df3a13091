"""Rates of trades against the long way, and at the edges: the first interval, ties, unsigned and late trades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from bellwether.errors import ConfigError
from data.derive import derivation
from data.derive.base import DeriveContext
from data.derive.trade_sign import trade_signs
from data.options import checked
from data.records import FACTORS, TICKS
from data.records.factors import RATES
from data.sources.base import SourceContext
from data.sources.lobster import LOBSTER, LobsterOptions

MINUTE = 60_000_000_000
DAY = 1_440 * MINUTE
NIGHT = pd.Timestamp("2025-03-03", tz="America/New_York").value
OPENS, CLOSES = NIGHT + 570 * MINUTE, NIGHT + 960 * MINUTE

Trade = tuple[int, float, float, float | None, float | None, int]
"""Time, price, volume, bid, ask, side."""


def ticks(trades: Sequence[Trade]) -> pa.Table:
    names = ("ts_event", "price", "volume", "bid", "ask", "side")
    rows = [dict(zip(names, trade, strict=True)) | {"symbol": "A", "seq": n} for n, trade in enumerate(trades)]
    return pa.Table.from_pylist(rows, TICKS)


def simple(*trades: tuple[int, float, int]) -> pa.Table:
    """Trades of time, volume and side at one price."""
    return ticks([(ts, 10.0, volume, None, None, side) for ts, volume, side in trades])


def made(
    parts: Sequence[pa.Table], interval_ns: int = DAY, session: Session | None = None, **options: object
) -> pa.Table:
    found = derivation("trade-rates")
    context = DeriveContext(symbol="A", session=session or Session(), interval_ns=interval_ns)
    return pa.concat_tables(found.make(iter(parts), checked("trade-rates", found.options, options), context))


def rows(factors: pa.Table) -> dict[int, dict[str, float]]:
    """Rates by time."""
    found: dict[int, dict[str, float]] = {}
    for ts, name, value in zip(
        factors["ts_event"].cast(pa.int64()).to_pylist(),
        factors["factor"].to_pylist(),
        factors["value"].to_pylist(),
        strict=True,
    ):
        found.setdefault(ts, {})[name] = value
    return found


def random_trades(seed: int, n: int = 3_000, days: int = 3) -> list[Trade]:
    """Trades from before the opening to after the close, many of one size; side and quote are not always known."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, days, n) * DAY + rng.integers(560 * 60, 970 * 60, n) * (MINUTE // 60)) + NIGHT
    cents = 1_000 + np.cumsum(rng.integers(-1, 2, n))
    volume = rng.choice([100.0, 100.0, 100.0, 37.0, 200.0, 1_000.0], n)
    low, high = cents - rng.integers(0, 3, n), cents + rng.integers(0, 3, n)
    known = rng.random((2, n)) < 0.9
    side = rng.choice([0, 0, 0, 1, -1], n)
    return [
        (int(at[k]), cents[k] / 100, volume[k], _quote(low, known[0], k), _quote(high, known[1], k), int(side[k]))
        for k in range(n)
    ]


def _quote(cents: np.ndarray, known: np.ndarray, k: int) -> float | None:
    return cents[k] / 100 if known[k] else None


def long_way(trades: Sequence[Trade], minutes: int, quantile: Fraction, sizes: int) -> dict[int, dict[str, float]]:
    """One interval after the other, by New York's clock on days of standard time."""
    within = [t for t in trades if OPENS <= NIGHT + (t[0] - NIGHT) % DAY <= CLOSES]
    signs = [s for _, day in groupby(within, lambda t: (t[0] - NIGHT) // DAY) for s in signed(list(day))]
    before: list[float] = []
    out = {}
    for end, group in groupby(zip(within, signs, strict=True), lambda pair: end_of(pair[0][0], minutes)):
        here = list(group)
        volume = sum(t[2] for t, _ in here)
        out[end] = {
            "initiative_buy_rate": sum(t[2] for t, s in here if s > 0) / volume,
            "initiative_sell_rate": sum(t[2] for t, s in here if s < 0) / volume,
        }
        if before:
            last = sorted(before[-sizes:])
            large = last[ceil(quantile * len(last)) - 1]
            out[end]["large_buy_rate"] = sum(t[2] for t, s in here if s > 0 and t[2] > large) / volume
            out[end]["large_sell_rate"] = sum(t[2] for t, s in here if s < 0 and t[2] > large) / volume
        before += [t[2] for t, _ in here]
    return out


def signed(day: Sequence[Trade]) -> list[int]:
    price, bid, ask = (np.array([np.nan if t[k] is None else t[k] for t in day], np.float64) for k in (1, 3, 4))
    return [int(s) for s in trade_signs(price, bid, ask, np.array([t[5] for t in day]))]


def end_of(ts: int, minutes: int) -> int:
    day = (ts - NIGHT) // DAY * DAY
    steps = max(ceil(Fraction(ts - day - OPENS, minutes * MINUTE)), 1)
    return min(OPENS + day + steps * minutes * MINUTE, CLOSES + day)


def agrees(got: Mapping[int, Mapping[str, float]], expected: Mapping[int, Mapping[str, float]]) -> None:
    assert {ts: list(rates) for ts, rates in got.items()} == {ts: list(rates) for ts, rates in expected.items()}
    for ts, rates in expected.items():
        assert got[ts] == pytest.approx(rates, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("minutes", [5, 60, 390, 1_440])
@pytest.mark.parametrize(("quantile", "sizes"), [("0.9", 10_000), ("0.55", 100), ("0.01", 7), ("0.99", 1)])
def test_rates_agree_with_the_long_way(minutes: int, quantile: str, sizes: int) -> None:
    trades = random_trades(seed=minutes)
    factors = made([ticks(trades)], minutes * MINUTE, large_quantile=float(quantile), sizes=sizes)
    assert factors.schema == FACTORS
    agrees(rows(factors), long_way(trades, minutes, Fraction(quantile), sizes))


def test_a_day_is_a_session_and_rates_are_shares_of_its_volume() -> None:
    first = [(OPENS + 1, 100.0, 1), (OPENS + 2, 300.0, -1), (CLOSES, 600.0, 0)]
    second = [(DAY + OPENS, 500.0, 1), (DAY + CLOSES, 301.0, -1), (DAY + CLOSES - 1, 199.0, -1)]
    got = rows(made([simple(*first, *second)], large_quantile=0.5))
    assert got == {
        CLOSES: {"initiative_buy_rate": 0.1, "initiative_sell_rate": 0.3},
        DAY + CLOSES: dict(zip(RATES, (0.5, 0.5, 0.5, 0.301), strict=True)),  # large: over 300
    }


def test_with_a_stated_size_the_first_interval_has_large_rates_and_sizes_before_do_not_matter() -> None:
    first = [(OPENS + 1, 100.0, 1), (OPENS + 2, 99.0, 1), (OPENS + 3, 201.0, -1)]
    second = [(DAY + OPENS, 100.0, -1), (DAY + OPENS, 60.0, 1)]
    assert rows(made([simple(*first, *second)], large_size=100)) == {
        CLOSES: dict(zip(RATES, (0.4975, 0.5025, 0.25, 0.5025), strict=True)),
        DAY + CLOSES: dict(zip(RATES, (0.375, 0.625, 0.0, 0.625), strict=True)),
    }


def test_what_is_large_does_not_depend_on_the_interval_itself() -> None:
    first, small = [(OPENS + n, 100.0, 1) for n in range(10)], [(DAY + OPENS, 101.0, 1), (DAY + OPENS, 1.0, -1)]
    huge = [(DAY + OPENS + n, 1e6, 1) for n in range(1, 50)]
    without, with_huge = (rows(made([simple(*first, *small, *more)])) for more in ([], huge))
    assert without[DAY + CLOSES]["large_buy_rate"] * 102 == pytest.approx(101)
    assert with_huge[DAY + CLOSES]["large_sell_rate"] == 0.0
    assert with_huge[DAY + CLOSES]["large_buy_rate"] * (102 + 49e6) == pytest.approx(101 + 49e6)


def test_where_all_sizes_tie_no_trade_is_large() -> None:
    day = [(OPENS + n, 100.0, 1) for n in range(5)]
    got = rows(made([simple(*day, *((ts + DAY, v, s) for ts, v, s in day))], large_quantile=0.1))
    assert got[DAY + CLOSES]["large_buy_rate"] == 0.0


def test_trades_outside_of_the_hours_take_no_part() -> None:
    outside = [(OPENS - 1, 1e6, -1), (CLOSES + 1, 1e6, -1)]
    inside = [(OPENS, 100.0, 1)]
    assert rows(made([simple(*inside, *outside)])) == {
        CLOSES: {"initiative_buy_rate": 1.0, "initiative_sell_rate": 0.0}
    }
    assert made([simple(*outside)]).num_rows == 0


def test_the_tick_test_starts_anew_with_a_session() -> None:
    trades = [(OPENS + 1, 10.0, 100.0, None, None, 0), (DAY + OPENS + 1, 11.0, 100.0, None, None, 0)]
    assert rows(made([ticks(trades)]))[DAY + CLOSES]["initiative_buy_rate"] == 0.0
    up = [trades[0], (OPENS + 2, 11.0, 300.0, None, None, 0)]
    assert rows(made([ticks(up)]))[CLOSES]["initiative_buy_rate"] == 0.75


def test_an_early_close_ends_the_interval() -> None:
    black_friday = pd.Timestamp("2024-11-29 12:59", tz="America/New_York").value
    trades = simple((black_friday, 100.0, 1), (black_friday + 2 * MINUTE, 100.0, 1))
    got = rows(made([trades], session=Session(calendar="XNYS")))
    assert list(got) == [black_friday + MINUTE]


def test_without_an_interval_it_is_refused_and_without_trades_there_is_nothing() -> None:
    with pytest.raises(ConfigError, match="derivation 'trade-rates' works by the interval"):
        made([], 0)
    assert made([]).equals(FACTORS.empty_table())
    assert made([TICKS.empty_table()]).num_rows == 0


@pytest.mark.parametrize(
    "options", [{"large_size": 0}, {"large_quantile": 1.0}, {"large_quantile": 0.0}, {"sizes": 0}, {"large": 5}]
)
def test_options_out_of_bounds_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        made([], **options)


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_rates_of_real_trades_with_and_without_the_side_of_the_feed(symbol: str, market_data: Path) -> None:
    context = SourceContext(root=market_data, session=Session(), interval_ns=0, record="ticks")
    source = LobsterOptions(path=f"lobster/{symbol}_*.csv.gz")
    real = pa.concat_tables(LOBSTER.read(source, context)).select(TICKS.names).cast(TICKS)
    assert real.num_rows > 5_000
    hidden = real.set_column(
        TICKS.get_field_index("side"), TICKS.field("side"), pa.array([0] * real.num_rows, pa.int8())
    )
    told, guessed = (rows(made([t], 30 * MINUTE)) for t in (real, hidden))
    assert len(told) == 13
    buys = np.array([[r[ts]["initiative_buy_rate"] for ts in told] for r in (told, guessed)])
    sells = np.array([r["initiative_sell_rate"] for r in told.values()])
    known = real["side"].to_numpy() != 0
    assert known.all() == np.allclose(buys[0] + sells, 1.0)
    assert np.abs(buys[0] - buys[1]).max() < 0.15
    large = np.array([[rates[name] for name in RATES[2:]] for rates in list(told.values())[1:]])
    assert 0.0 < large.sum(axis=1).mean() < 0.9

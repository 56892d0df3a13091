"""Lee and Ready's rule against the long way, and against the sides that LOBSTER knows of real executions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.derive.trade_sign import TICK_STATE, trade_signs
from data.features.base import Floats, Ints

NAN = float("nan")
VISIBLE, HIDDEN = 4, 5
CENTS = st.integers(1_000, 1_006)
SIGNED_RIGHT = [
    ("AMZN", VISIBLE, 1.0, 0.876),
    ("GOOG", VISIBLE, 1.0, 0.855),
    ("AMZN", HIDDEN, 0.871, 0.718),
    ("GOOG", HIDDEN, 0.902, 0.821),
]
"""Shares of executions signed right, and by the tick test alone, at least. Visible orders are executed at the best
quote of the row before; hidden ones also inside of it, at the mid too."""

QUOTES = st.one_of(st.just((None, None)), st.tuples(CENTS, st.none()), st.tuples(CENTS, st.integers(1_000, 1_008)))
TRADES = st.lists(st.tuples(CENTS, QUOTES, st.sampled_from([0, 0, 0, 1, -1])), max_size=40)


def price_of(cents: int | None) -> float:
    return NAN if cents is None else cents / 100


def long_way(prices: Sequence[int], quotes: Sequence[tuple[int | None, int | None]], sides: Sequence[int]) -> list[int]:
    """In whole cents, looking back through all prices for each trade."""
    out = []
    for i, (price, (bid, ask), side) in enumerate(zip(prices, quotes, sides, strict=True)):
        different = [p for p in prices[:i] if p != price]
        # the last different price lies before the run of equal ones this trade ends
        tick = 0 if not different else (1 if price > different[-1] else -1)
        quote = None if bid is None or ask is None else Fraction(bid + ask, 2)
        beyond = 0 if quote is None else (price > quote) - (price < quote)
        out.append(side or beyond or tick)
    return out


def signs(trades: Sequence[tuple[int, tuple[int | None, int | None], int]], memory: Floats | None = None) -> list[int]:
    price, bid, ask = (
        np.array([price_of(c) for c in column], np.float64)
        for column in ([t[0] for t in trades], [t[1][0] for t in trades], [t[1][1] for t in trades])
    )
    side = np.array([t[2] for t in trades], np.int64)
    return [int(s) for s in trade_signs(price, bid, ask, side, memory)]


@given(trades=TRADES)
def test_it_agrees_with_the_long_way(trades) -> None:
    expected = long_way([t[0] for t in trades], [t[1] for t in trades], [t[2] for t in trades])
    assert signs(trades) == expected


@given(trades=TRADES, cut=st.integers(0, 40))
def test_it_may_be_cut_anywhere_and_sees_no_later_trade(trades, cut) -> None:
    memory = np.zeros(1, TICK_STATE)
    first = signs(trades[:cut], memory)
    assert first == signs(trades)[:cut]
    assert first + signs(trades[cut:], memory) == signs(trades)


@pytest.mark.parametrize("cents", range(1, 3_000, 7))
def test_the_mid_of_decimal_prices_is_the_mid(cents: int) -> None:
    bid, ask = cents / 100, (cents + 1) / 100
    mid = float(f"{cents / 100 + 0.005:.3f}")
    before, at = np.array([mid + 1.0, mid]), np.array([NAN, bid])
    assert trade_signs(before, at, np.array([NAN, ask])).tolist() == [0, -1]


def test_the_side_of_the_feed_is_believed() -> None:
    quote = np.array([10.0, 10.0]), np.array([10.1, 10.1])
    assert trade_signs(np.array([10.1, 10.0]), *quote, np.array([-1, 0])).tolist() == [-1, -1]


def executions(market_data: Path, symbol: str, kind: int) -> tuple[Floats, Floats, Floats, Ints]:
    """Price, best bid and ask of the row before, and the true side of executions of a type."""
    rows = {
        what: np.loadtxt(path, delimiter=",", usecols=columns)
        for what, columns in (("message", (1, 4, 5)), ("orderbook", (0, 2)))
        for path in (market_data / "lobster").glob(f"{symbol}_*_{what}_5.csv.gz")
    }
    at = np.flatnonzero(rows["message"][:, 0] == kind)
    at = at[at > 0]
    ask, bid = (rows["orderbook"][at - 1] / 10_000).T
    return rows["message"][at, 1] / 10_000, bid, ask, -rows["message"][at, 2].astype(np.int64)


@pytest.mark.parametrize(("symbol", "kind", "at_least", "by_tick_alone"), SIGNED_RIGHT)
def test_it_finds_the_side_of_real_executions(
    symbol: str, kind: int, at_least: float, by_tick_alone: float, market_data: Path
) -> None:
    price, bid, ask, side = executions(market_data, symbol, kind)
    unknown = np.full(len(price), NAN)
    assert len(price) > 2_000
    assert set(side) == {1, -1}
    assert (trade_signs(price, bid, ask) == side).mean() >= at_least
    assert (trade_signs(price, unknown, unknown) == side).mean() >= by_tick_alone

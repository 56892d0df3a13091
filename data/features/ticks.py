"""The features of a trade: price, volume and spread over lookbacks of trades, indicators, and the session's clock."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
from pydantic import field_validator

from bellwether.config.frozen import Frozen
from data.arrow import pc
from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints
from data.features.calendar import CLOCK, CLOCKWORK, SessionClock
from data.features.ticks_kernel import tick_kernel, tick_state, tick_warmup
from data.wall import times

LOOKBACKS = (5, 10, 20, 50)
SHORTEST, LONGEST, MOST = 2, 1_000, 8
TRADE = ("price", "volume", "bid", "ask")


class TickOptions(Frozen):
    """What a recipe may say: the lookbacks, in trades, rising; 2 to 1000, at most 8 of them."""

    lookbacks: tuple[int, ...] = LOOKBACKS

    @field_validator("lookbacks")
    @classmethod
    def _sound(cls, lookbacks: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(lookbacks) <= MOST or list(lookbacks) != sorted(set(lookbacks)):
            raise ValueError(f"give 1 to {MOST} lookbacks that rise; got {list(lookbacks)}")
        if lookbacks[0] < SHORTEST or lookbacks[-1] > LONGEST:
            raise ValueError(f"lookbacks are {SHORTEST} to {LONGEST} trades; got {list(lookbacks)}")
        return lookbacks


@cache
def ticks(lookbacks: tuple[int, ...] = LOOKBACKS) -> FeatureSet:
    """Return the set of one trade's features over ``lookbacks`` of trades, in rising order.

    ======================= ============================================================================================
    price_change            price minus the trade before's; price_pct over it, minus 1; log_return, its logarithm
    price_mean_n            of the last n prices; price_std_n their population standard deviation, price_min_n,
                            price_max_n; price_position_n where in between the price is, 0 to 1, 0.5 where they are one
    price_ema_n             exponential average, weight 2 / (n + 1), from the mean of the session's first n prices
    price_vs_mean_n         price over that mean, minus 1; price_vs_ema_n likewise
    volume_change           volume minus the trade before's; volume_pct over it, minus 1
    volume_mean_n           of the last n volumes; volume_std_n, population; volume_vs_mean_n, minus 1
    vwap                    volume-weighted mean price of the session so far; price_vs_vwap, minus 1
    spread                  ask minus bid; mid, their mean; spread_pct, over mid; price_vs_mid, minus 1
    spread_mean_n           of the last n trades; spread_std_n, population
    rsi_14                  relative strength index, 0 to 100; 50 where the price has not moved in the session
    macd                    12- minus 26-trade exponential average; macd_signal its 9-trade average; macd_hist, the rest
    bollinger_upper         2 population deviations over the 20-trade mean; bollinger_middle, bollinger_lower;
                            bollinger_position of the price between them, 0.5 where they are one
    stoch_k, stoch_d        slow stochastic of 14, 3 and 3 trades, 0 to 100, on the highest and lowest *trade price* of
                            the last 14: what TA-Lib's STOCH gives with those as high and low; 0 in a range of nothing
    williams_r_14           Williams %R, -100 to 0, on the same range; 0 in a range of nothing
    hour, minute, weekday   of the exchange's clock; Monday is 0
    session_open            1 while the market trades, 0 outside its hours and in a break
    minutes_since_open      and minutes_to_close: clipped outside of the hours, see `SessionClock`
    ======================= ============================================================================================

    Everything starts anew when ``session`` changes, to the last bit: nothing is carried over the night. The first
    max(lookbacks, 34) - 1 rows of a session are NaN: until the longest window is full and TA-Lib, given the session
    alone, has its first MACD signal. There is no earlier history that these could have converged to.

    ``bid`` and ``ask`` may be NaN: where either is, the last quote of the session stands. Until the session has shown
    one, the columns of the spread are NaN; those of a lookback are until n trades have had a quote, own or standing.
    Nothing else depends on quotes. Prices, means, averages and bands are in the price's unit.

    Sources: `data.features.indicators`; Bollinger, Bollinger on Bollinger Bands (2001). Conventions are TA-Lib's.

    >>> len(ticks().outputs), ticks().warmup, ticks((5, 100)).warmup
    (80, 49, 99)
    """
    return FeatureSet(
        name="ticks",
        inputs=(*TRADE, *CLOCK),
        outputs=_outputs(lookbacks),
        warmup=tick_warmup(lookbacks),
        state=tick_state(lookbacks),
        kernel=tick_kernel(lookbacks),
        inputs_from=(tick_inputs, *CLOCKWORK),
    )


def _outputs(lookbacks: tuple[int, ...]) -> tuple[str, ...]:
    price = ("mean", "std", "min", "max", "position", "ema", "vs_mean", "vs_ema")
    return (
        *("price_change", "price_pct", "log_return"),
        *(f"price_{what}_{n}" for n in lookbacks for what in price),
        *("volume_change", "volume_pct"),
        *(f"volume_{what}_{n}" for n in lookbacks for what in ("mean", "std", "vs_mean")),
        *("vwap", "price_vs_vwap"),
        *("spread", "spread_pct", "mid", "price_vs_mid"),
        *(f"spread_{what}_{n}" for n in lookbacks for what in ("mean", "std")),
        *("rsi_14", "macd", "macd_signal", "macd_hist"),
        *("bollinger_upper", "bollinger_middle", "bollinger_lower", "bollinger_position"),
        *("stoch_k", "stoch_d", "williams_r_14"),
        *CLOCK[1:],
    )


def tick_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring trades of one symbol into the columns the kernel reads; an unknown side of the quote is NaN."""
    ts = times(records)
    x = np.empty((len(ts), len(fs.inputs)))
    for k, name in enumerate(TRADE):
        x[:, k] = pc.fill_null(records[name], np.nan).to_numpy()
    x[:, len(TRADE) :] = SessionClock(context.session).at(ts)
    return ts, x


KIND = FeatureKind(
    kind="ticks",
    record="ticks",
    build=lambda options: ticks(options.lookbacks),
    inputs=tick_inputs,
    options=TickOptions,
    by_session=True,
)

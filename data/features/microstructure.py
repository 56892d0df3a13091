"""The features of one change of the order book: its shape, where the price leans, and the flow that moves it.

Sources: Cont, Kukanov and Stoikov (2014), order flow and trade imbalance; Stoikov (2018), micro-price; Næs and
Skjeltorp, "Order book characteristics and the volume-volatility relation", Journal of Financial Markets 9 (2006),
for the slope of a book, which they take in logarithms of quantity, undefined for a quantity of 1; Lillo and Farmer,
"The long memory of the efficient market", Studies in Nonlinear Dynamics & Econometrics 8 (2004), for signs; Hawkes
(1971) and Ogata (1981), intensities.
"""

from __future__ import annotations

from functools import cache
from math import log
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from bellwether.config.frozen import Frozen
from data.arrow import pc
from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints
from data.features.calendar import CLOCK, CLOCKWORK, DAY, SECOND, SessionClock
from data.features.microstructure_kernel import LAGS, microstructure_kernel, microstructure_state
from data.records.books import LEVELS
from data.wall import times

MOST = 4
LONGEST = 1_000
TRADE = ("trade_px", "trade_qty", "trade_side")
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class MicrostructureOptions(Frozen):
    """What a recipe may say about the set.

    Parameters
    ----------
    levels : int
        How far down each side is looked at, 1 to 10.
    flow : tuple of int
        Windows of order flow, trades and momentum, in rows; 1 to 4 of them that rise, 2 to 1,000.
    window : int
        Window of the returns of the mid, in rows, 25 to 1,000. All of it is looked at in every row: what a row costs
        grows with it.
    trades : int
        Window of trades that sizes and signs are seen in, 2 to 1,000.
    tick : float
        The market's smallest step of prices, which widths of the spread are counted in.
    mu, alpha, beta : float
        Of the Hawkes intensities, per second: what there is without excitation, the jump of a trade, and the decay.
        ``alpha`` must be below ``beta``: else one trade would excite more than one, and the intensity explode. The
        defaults are round numbers, fitted to nothing.
    half_life : float
        Seconds after which a lost quantity counts for half in the depletion rates.
    """

    levels: int = Field(default=5, ge=1, le=LEVELS)
    flow: tuple[int, ...] = (10, 100)
    window: int = Field(default=100, ge=25, le=LONGEST)
    trades: int = Field(default=50, ge=2, le=LONGEST)
    tick: Positive = 0.01
    mu: Positive = 0.1
    alpha: Positive = 0.5
    beta: Positive = 1.0
    half_life: Positive = 5.0

    @field_validator("flow")
    @classmethod
    def _sound(cls, flow: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(flow) <= MOST or list(flow) != sorted(set(flow)):
            raise ValueError(f"give 1 to {MOST} windows that rise; got {list(flow)}")
        if flow[0] < 2 or flow[-1] > LONGEST:
            raise ValueError(f"windows are 2 to {LONGEST} rows; got {list(flow)}")
        return flow

    @model_validator(mode="after")
    def _calms_down(self) -> MicrostructureOptions:
        if self.alpha >= self.beta:
            raise ValueError(f"alpha ({self.alpha}) must be below beta ({self.beta})")
        return self


@cache
def microstructure(options: MicrostructureOptions = MicrostructureOptions()) -> FeatureSet:  # noqa: B008
    """Return the set of features of one change of the order book.

    ========================= ==========================================================================================
    imbalance_k               (bids - asks) / (bids + asks), quantities of the first k levels together, k = 1 to levels
    depth_imbalance           the same of all levels, with weight 1 / k for the k-th
    depth_ratio               quantity of all bid levels over that of all ask levels
    bid_slope, ask_slope      quantity gained by going 1 bp further from the mid: the least-squares slope, through the
                              origin, of the quantity down to each level over that level's distance
    depth_asymmetry           (bid_slope - ask_slope) / (bid_slope + ask_slope)
    spread_bp                 ask minus bid over the mid, in basis points
    weighted_mid              best prices, each weighted with the *other* side's quantity
    microprice                Stoikov's, from what the session has shown so far (`data.features.microprice`)
    mid_to_microprice         microprice over the mid, minus 1, in basis points
    ofi                       order flow of this change (`data.features.order_flow`), in quantity
    ofi_n                     of the last n rows together
    trade_imbalance_n         quantity bought minus quantity sold in the last n rows, by who initiated
    realised_volatility       root of the sum of squares of the window's log returns of the mid, one a row; a relative
                              change below 1e-12 is rounding, and none
    return_mean, return_std   of those; return_skew and return_kurtosis, in excess of the normal's 3 (Fisher);
                              population moments
    autocorrelation_k         of those, at lag k = 1, 5, 10, 20; `data.features.moments` has the estimate
    absolute_autocorrelation  of their absolute values at lag 1, and squared_autocorrelation, of their squares:
                              volatility clusters
    momentum_n                mid over the mid n rows before, minus 1
    vwap_deviation            mid over the volume-weighted mean price of the session's trades, minus 1
    relative_trade_size       size of the last trade over the mean size of the last ``trades``
    trade_bias                mean sign of the last ``trades`` whose initiator is known, -1 to 1
    trade_persistence         mean product of neighbouring signs among them: 1 if all agree, -1 if they alternate; the
                              autocorrelation at lag 1 about 0, as buys and sells are equally many in the long run
    hawkes_buy, hawkes_sell   intensity of trades initiated by buyers and by sellers, per second, right after this row
    bid_depletion             quantity that the best bid loses in a second, by trades and cancellations, as a mean with
                              exponentially fading weights; ask_depletion likewise
    time_sin, time_cos        of the share of the session gone by, as an angle: once round from open to close
    ========================= ==========================================================================================

    A row is a change of the book with both best levels known, and windows count those; the last trade, the last
    ``trades`` and the session's are of such rows too. A row without is passed over: its features are NaN and nothing of
    it is remembered. Further down, an *unknown* level makes the features that need it NaN in that row only; an *empty*
    one counts as a quantity of 0, and as no point of the slopes. Before the session's first trade, the trade features
    are 0 and the intensities ``mu``. Moments and autocorrelations of returns that are all equal are 0.

    Everything starts anew when ``session`` changes, to the last bit. The first max(flow, window) rows of a session
    are NaN. The micro-price goes on learning after that.

    >>> len(microstructure().outputs), microstructure().warmup
    (42, 100)
    """
    o = options
    decay = log(2.0) / o.half_life
    return FeatureSet(
        name="microstructure",
        inputs=(*_columns(o.levels), *TRADE, "second", "session", "session_position"),
        outputs=_outputs(o.levels, o.flow),
        warmup=max(*o.flow, o.window),
        state=microstructure_state(o.flow, o.window, o.trades),
        kernel=microstructure_kernel(o.levels, o.flow, o.window, o.tick, (o.mu, o.alpha, o.beta), decay),
        inputs_from=(book_inputs, *CLOCKWORK),
    )


def _columns(levels: int) -> tuple[str, ...]:
    return tuple(f"{c}_{k}" for k in range(1, levels + 1) for c in ("bid_px", "bid_qty", "ask_px", "ask_qty"))


def _outputs(levels: int, flow: tuple[int, ...]) -> tuple[str, ...]:
    return (
        *(f"imbalance_{k}" for k in range(1, levels + 1)),
        *("depth_imbalance", "depth_ratio", "bid_slope", "ask_slope", "depth_asymmetry"),
        *("spread_bp", "weighted_mid", "microprice", "mid_to_microprice"),
        *("ofi", *(f"{what}_{n}" for n in flow for what in ("ofi", "trade_imbalance"))),
        *("realised_volatility", "return_mean", "return_std", "return_skew", "return_kurtosis"),
        *(f"autocorrelation_{lag}" for lag in LAGS),
        *("absolute_autocorrelation", "squared_autocorrelation"),
        *(f"momentum_{n}" for n in flow),
        *("vwap_deviation", "relative_trade_size", "trade_bias", "trade_persistence"),
        *("hawkes_buy", "hawkes_sell", "bid_depletion", "ask_depletion"),
        *("time_sin", "time_cos"),
    )


def book_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring changes of one symbol's book into the columns the kernel reads; what is null is NaN.

    ``second`` counts from midnight UTC of the session's date, ``session_position`` is the share of it gone by.
    """
    ts, clock = times(records), SessionClock(context.session).at(times(records))
    x = np.empty((len(fs.inputs), len(ts)))
    for k, name in enumerate(fs.inputs[:-3]):
        x[k] = pc.fill_null(records[name].cast(pa.float64()), np.nan).to_numpy()
    session, since, until = (clock[:, CLOCK.index(c)] for c in ("session", "minutes_since_open", "minutes_to_close"))
    x[-3] = (ts - session.astype(np.int64) * DAY) / SECOND
    x[-2] = session
    x[-1] = since / np.maximum(since + until, 1e-9)
    return ts, np.ascontiguousarray(x.T)


KIND = FeatureKind(
    kind="microstructure",
    record="books",
    build=microstructure,
    inputs=book_inputs,
    options=MicrostructureOptions,
    by_session=True,
)

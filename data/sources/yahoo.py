"""Bars from Yahoo Finance through the ``yfinance`` package, for people with internet.

What Yahoo says of the past changes. Prices are always divided by the splits that have happened since, and with
``auto_adjust`` also reduced by the dividends paid since: after a split, or a dividend, the same request answers with
other prices for every bar before it, and ingesting again revises those bars in the lake. Returns are as they were;
price levels are not what anyone saw at the time. Bars made with and without ``auto_adjust`` are different series and
are never merged. Yahoo keeps intraday bars for a limited time: about 8 days of minutes, 60 days of 2 to 90 minutes
and two years of hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from types import ModuleType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from bellwether.config.frozen import Frozen
from bellwether.errors import ConfigError, DataError
from data.arrow import Column
from data.sources.base import Source, SourceContext
from data.sources.columns import closes
from data.sources.rows import raw_table
from data.wall import DAY, Ints, wall_times

MINUTE = 60 * 1_000_000_000
INTERVALS = {
    1 * MINUTE: "1m",
    2 * MINUTE: "2m",
    5 * MINUTE: "5m",
    15 * MINUTE: "15m",
    30 * MINUTE: "30m",
    60 * MINUTE: "1h",
    90 * MINUTE: "90m",
    DAY: "1d",
}
"""What Yahoo calls an interval in nanoseconds."""

PRICES = ("open", "high", "low", "close")


class YahooOptions(Frozen):
    """What a recipe asks Yahoo for.

    Parameters
    ----------
    symbols : tuple of str
        As Yahoo calls them, such as AAPL, ^NDX, 600000.SS or BTC-USD.
    start, end : date, optional
        First day, and the day after the last (today's bars so far if it is left out), in the exchange's zone.
    period : str, optional
        Instead of them, how far back from now: 1d, 5d, 1mo, 3mo, 6mo, 1y, 2y, 5y, 10y, ytd or max.
    auto_adjust : bool
        Whether prices are reduced by dividends paid since; they are divided by splits since in any case. By default
        they are not.
    timeout_s : float
        Seconds to wait for each answer.
    """

    symbols: tuple[str, ...] = Field(min_length=1)
    start: date | None = None
    end: date | None = None
    period: str | None = None
    auto_adjust: bool = False
    timeout_s: float = Field(default=30.0, gt=0.0)

    @field_validator("symbols", mode="before")
    @classmethod
    def _several(cls, symbols: Any) -> Any:
        return (symbols,) if isinstance(symbols, str) else symbols

    @model_validator(mode="after")
    def _one_span(self) -> Self:
        if (self.start is None) == (self.period is None) or (self.end is not None and self.period is not None):
            raise ValueError("give either `start`, with or without `end`, or `period`")
        return self


def read(options: YahooOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the bars of each symbol, as they stand at Yahoo now; ``row`` counts those of its symbol.

    A bar without prices, as Yahoo has of minutes in which nothing traded, comes with nulls. A bar that has not
    closed yet comes with the time it will.

    Raises
    ------
    ConfigError
        ``yfinance`` is not installed, or Yahoo has no bars of the recipe's interval.
    DataError
        Yahoo cannot be reached, refuses, or has no such symbol or no bars of it; or its days are another zone's.
    """
    yfinance = _yfinance()
    interval = INTERVALS.get(context.interval_ns)
    if interval is None:
        seconds = context.interval_ns // 1_000_000_000
        raise ConfigError(f"Yahoo has no bars of {seconds} s; say an interval of {', '.join(INTERVALS.values())}")
    for symbol in options.symbols:
        yield _raw(symbol, _history(yfinance, symbol, interval, options), context)


def _yfinance() -> ModuleType:
    try:
        import yfinance
    except ImportError as error:
        raise ConfigError("source yahoo needs the yfinance package: pip install 'bellwether[yahoo]'") from error
    found: ModuleType = yfinance
    return found


@contextmanager
def _telling(yfinance: ModuleType, symbol: str) -> Iterator[None]:
    """Have ``yfinance`` raise what it would log, and say what to do about it."""
    debug = yfinance.config.debug
    hidden, debug.hide_exceptions = debug.hide_exceptions, False
    try:
        yield
    except yfinance.exceptions.YFRateLimitError as error:
        raise DataError(f"Yahoo answers too many requests at {symbol}; try again in some minutes") from error
    except yfinance.exceptions.YFException as error:
        raise DataError(f"Yahoo has no bars of {symbol}: {error}; correct the symbol or the span") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:  # what its parser makes of a reply it does not know
        raise DataError(
            f"Yahoo's answer for {symbol} is not one yfinance {yfinance.__version__} can read "
            f"({type(error).__name__}: {error}); the span may hold no bars. If it does: pip install -U yfinance"
        ) from error
    except OSError as error:  # every error of the HTTP packages yfinance works with is one
        raise DataError(f"Yahoo cannot be reached for {symbol}: {error}; check the connection, then again") from error
    finally:
        debug.hide_exceptions = hidden


def _history(yfinance: ModuleType, symbol: str, interval: str, options: YahooOptions) -> Any:
    """Return a symbol's bars as the data frame ``yfinance`` makes of Yahoo's answer, stamped with their starts."""
    asked = {"period": options.period} if options.period else {"start": options.start, "end": options.end}
    with _telling(yfinance, symbol):
        frame = yfinance.Ticker(symbol).history(
            **asked,
            interval=interval,
            auto_adjust=options.auto_adjust,
            actions=False,
            keepna=True,
            timeout=options.timeout_s,
        )
    if frame.empty:
        raise DataError(f"Yahoo has no bars of {symbol} in that span; correct `start` and `end`, or `period`")
    return frame


def _raw(symbol: str, frame: Any, context: SourceContext) -> pa.Table:
    starts: Ints = frame.index.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    if context.interval_ns == DAY and (wall_times(starts, context.session.timezone) % DAY).any():
        raise DataError(
            f"Yahoo's days of {symbol} are those of {frame.index.tz}, not of {context.session.timezone}: "
            "correct the recipe's `session`, or leave the symbol out"
        )
    n = len(starts)
    columns: dict[str, Column] = {
        name: pa.array(frame[name.title()].to_numpy(), pa.float64(), from_pandas=True) for name in PRICES
    }
    columns["volume"] = pa.array(frame["Volume"].to_numpy()).cast(pa.float64())
    columns["ts_event"] = closes(pa.array(starts), context.session, context.interval_ns)
    columns |= {"symbol": pa.repeat(symbol, n), "file": pa.repeat(f"yahoo:{symbol}", n)}
    return raw_table("bars", columns | {"row": pa.array(np.arange(1, n + 1))})


def identity(options: YahooOptions) -> str:
    """Tell bars with dividends taken out from those without."""
    return "adjusted" if options.auto_adjust else "unadjusted"


YAHOO = Source(kind="yahoo", options=YahooOptions, read=read, identity=identity)

"""Binance: websocket captures of depth updates, book tickers and trades, of USD-M futures and spot.

Source of the messages' fields: developers.binance.com, "USDⓈ-M Futures: WebSocket Market Streams" and "Spot: WebSocket
Streams"; of applying depth updates: there, "How to manage a local order book correctly".
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import pyarrow as pa

from bellwether.errors import EmptySource
from data.records.books import LEVELS
from data.sources.archives import streams
from data.sources.base import Source, SourceContext
from data.sources.binance_depth import deltas
from data.sources.binance_feed import UNKNOWN, WRONG, Event, events, happened, text, whole
from data.sources.files import Files
from data.sources.rows import Rows

REMEMBERED = 4_096
"""Quotes of a symbol in which the one before a trade is looked up, and trades of it that wait for theirs: streams are
fractions of a second apart."""

DEEPER = (None,) * (4 * (LEVELS - 1))


class BinanceOptions(Files):
    """What a recipe says about captures.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a capture, plain, ``.gz`` or in a ``.zip``, a glob or a folder, or several.
    symbol : str
        What order book snapshots in them are of; without it, the one symbol whose updates the file has.
    trades : "trade" or "aggTrade"
        Which of Binance's two streams of the same trades to read: each, or each taker order's at a price as one.
    clock : "exchange" or "local"
        Whether ``ts_event`` of ticks and books is the exchange's time or that of receipt. Spot book tickers carry
        none of the exchange's: by its clock they go to quarantine. Deltas always have the exchange's.
    """

    symbol: str = ""
    trades: Literal["trade", "aggTrade"] = "trade"
    clock: Literal["exchange", "local"] = "exchange"


class Quote(NamedTuple):
    """The best bid and ask; a price is None where nobody bids or asks."""

    ts: int | None
    bid: float | None
    bid_qty: float
    ask: float | None
    ask_qty: float

    @classmethod
    def of(cls, event: Event, ts: int | None) -> Quote:
        """Read a book ticker."""
        bid, bid_qty, ask, ask_qty = (float(event.data[name]) for name in "bBaA")
        return cls(ts, bid or None, bid_qty, ask or None, ask_qty)


class Trade(NamedTuple):
    """A trade. ``side`` is who initiated it: whoever is not the maker; 0 outside the order book."""

    symbol: str
    ts: int
    received: int
    id: int
    price: float
    qty: float
    side: int
    row: int

    @classmethod
    def of(cls, event: Event, ts: int | None) -> Trade:
        """Read a trade of either stream."""
        data = event.data
        if ts is None or type(data["m"]) is not bool:
            raise ValueError("a trade without a time, or that does not say who made it")
        side = 0 if data.get("X", "MARKET") != "MARKET" else -1 if data["m"] else 1
        number = whole(data, "t" if data["e"] == "trade" else "a")
        return cls(text(data, "s"), ts, event.received, number, float(data["p"]), float(data["q"]), side, event.row)


def read(options: BinanceOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the records of every capture, in the order of the file, a block of rows at a time.

    ``deltas``: see `data.sources.binance_depth.deltas`.

    ``ticks``: a row a trade, ``seq`` its id. The quote is the last book ticker received before the trade that the
    exchange stamped before the trade's own millisecond: within it, tickers that the trade caused often overtake it.
    ``side`` is 0 for trades of the insurance fund and of deleveraging, which are not made in the order book (X).

    ``books``: a row a book ticker, of which level 1 is known, and a row a trade, which repeats the book ticker before
    it in the order of the lake (``ts_event``, ``seq``). ``seq`` is the time of receipt in nanoseconds, raised by one
    where lines share it: rows of an instant keep the order in which they were received, across files too. Two
    recorders receive a message at two times: of captures that overlap, take in one for ``books``, or their rows are
    there twice. ``ticks`` and ``deltas`` have the exchange's numbers, and are there once.

    A line that is no JSON, or is none of Binance's messages, is yielded without values, for quarantine to show. So is
    the end of a gzip that is cut off, as a recorder that is killed leaves it, after its complete lines. Messages of
    other kinds (mark prices, candles, the top of the book sent whole, answers) are passed over.

    Raises
    ------
    DataError
        No file matches or one cannot be read; snapshots are of one of several symbols.
    EmptySource
        The captures have no events that are asked for; the message counts those they have.
    """
    seen: Counter[str] = Counter()
    rows = 0
    for stream in streams(context.root, options.patterns, bool, "capture"):
        feed = _counted(events(stream), seen)
        if context.record == "deltas":
            tables = deltas(feed, stream.name, options.symbol)
        else:
            tables = MAKERS[context.record](feed, stream.name, options)
        for table in tables:
            rows += table.num_rows
            yield table
    if not rows:
        found = ", ".join(f"{n:,} {kind}" for kind, n in sorted(seen.items())) or "no lines"
        raise EmptySource(f"{', '.join(options.patterns)}: no {context.record} in it, but {found}")


def _counted(feed: Iterable[Event], seen: Counter[str]) -> Iterator[Event]:
    for event in feed:
        seen[event.kind] += 1
        yield event


def _read(feed: Iterable[Event], rows: Rows, options: BinanceOptions) -> Iterator[tuple[Event, str, Quote | Trade]]:
    """Yield book tickers and trades with their symbols; what cannot be read goes to the rows as it is."""
    for event in feed:
        try:
            if event.kind == UNKNOWN:
                rows.bad(event.row)
            elif event.kind in ("bookTicker", options.trades):
                ts = event.received if options.clock == "local" else happened(event.data)
                read = Quote.of if event.kind == "bookTicker" else Trade.of
                yield event, text(event.data, "s"), read(event, ts)
        except WRONG:
            rows.bad(event.row)


def _ticks(feed: Iterable[Event], file: str, options: BinanceOptions) -> Iterator[pa.Table]:
    rows = Rows("ticks", file)
    quotes: defaultdict[str, deque[Quote]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for _, symbol, found in _read(feed, rows, options):
        if isinstance(found, Quote):
            quotes[symbol].append(found)
            continue
        q = standing(quotes[symbol], found.ts - 1)
        quote = (q.bid, q.ask, q.bid_qty, q.ask_qty) if q else (None,) * 4
        rows.add((*found[:6], *quote, found.side, "binance", found.row))
        if rows.full:
            yield rows.taken()
    yield rows.taken()


def standing(quotes: deque[Quote], until: int) -> Quote | None:
    """Return the last quote received that the exchange stamped ``until`` then or before, or not at all."""
    return next((q for q in reversed(quotes) if q.ts is None or q.ts <= until), None)


def _books(feed: Iterable[Event], file: str, options: BinanceOptions) -> Iterator[pa.Table]:
    rows = Rows("books", file)
    quotes: defaultdict[str, deque[Quote]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    waiting: defaultdict[str, list[tuple[int, Trade]]] = defaultdict(list)
    seq = 0
    for event, symbol, found in _read(feed, rows, options):
        seq = max(event.received, seq + 1)
        trades = waiting[symbol]
        if isinstance(found, Trade):
            trades.append((seq, found))  # until a quote of its time or later: earlier ones can come after it
            if len(trades) == REMEMBERED:
                _settle(trades, quotes[symbol], None, rows)
        else:
            _settle(trades, quotes[symbol], found.ts, rows)
            quotes[symbol].append(found)
            rows.add((symbol, found.ts, event.received, seq, *found[1:], *DEEPER, None, None, 0, event.row))
        if rows.full:
            yield rows.taken()
    for symbol, left in waiting.items():
        _settle(left, quotes[symbol], None, rows)
    yield rows.taken()


def _settle(trades: list[tuple[int, Trade]], quotes: deque[Quote], until: int | None, rows: Rows) -> None:
    """Add the trades no later than ``until``, or all, with the quotes that stood."""
    for seq, t in [waited for waited in trades if until is None or waited[1].ts <= until]:
        q = standing(quotes, t.ts)
        quote = q[1:] if q else (None,) * 4
        rows.add((t.symbol, t.ts, t.received, seq, *quote, *DEEPER, t.price, t.qty, t.side, t.row))
    trades[:] = [waited for waited in trades if until is not None and waited[1].ts > until]


MAKERS: dict[str, Callable[[Iterable[Event], str, BinanceOptions], Iterator[pa.Table]]] = {
    "ticks": _ticks,
    "books": _books,
}


def _identity(options: BinanceOptions) -> str:
    told = (options.trades, options.clock)
    return "" if told == ("trade", "exchange") else " ".join(told)


BINANCE = Source(
    kind="binance", options=BinanceOptions, read=read, identity=_identity, records=("deltas", "books", "ticks")
)

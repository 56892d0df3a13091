"""The simulated order flow: one market told three ways, with an answer that is known."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from data.records import record_kind
from data.records.factors import RATES
from data.sources.base import SourceContext
from data.sources.flow_tables import FLOW_TRUTH, LOT, TICK, truth
from data.sources.rates import GOES_ON, TURNS, USUAL
from data.sources.simulator import SYMBOLS, SimulatorOptions, flow_sessions, read

SESSION = Session()
MARKET = SimulatorOptions(seed=3, sessions=2, events=3_000, strength=0.3)
DAY = 24 * 3_600_000_000_000


def records(kind: str, options: SimulatorOptions = MARKET) -> pd.DataFrame:
    interval = DAY if kind == "factors" else 0
    context = SourceContext(root=Path(), session=SESSION, interval_ns=interval, record=kind)
    tables = list(read(options, context))
    assert all(table.schema.equals(record_kind(kind).raw) for table in tables)
    return pa.concat_tables(tables).to_pandas()


def moves(options: SimulatorOptions) -> pd.DataFrame:
    """Events that move the mid, with the sign of the move and the lean of the book before it."""
    books = records("books", options)
    mid = (books["bid_px_1"] + books["ask_px_1"]) / 2
    same = books["file"].eq(books["file"].shift(-1))
    move = np.sign((mid.shift(-1) - mid).round(6))
    lean = np.sign(books["bid_qty_1"] - books["ask_qty_1"])
    return pd.DataFrame({"move": move, "lean": lean})[same & (move != 0)]


def test_a_session_stays_within_its_hours_and_times_never_fall():
    for made in flow_sessions(MARKET, SESSION):
        local = pd.DatetimeIndex(made.ts, tz="UTC").tz_convert("America/New_York")
        assert (np.diff(made.ts) >= 0).all()
        assert (local.strftime("%H:%M") >= "09:30").all()
        assert (local.strftime("%H:%M") < "16:00").all()
        assert len(set(local.date)) == 1


def test_the_deltas_alone_rebuild_every_book():
    small = MARKET.model_copy(update={"events": 400})
    deltas, books = records("deltas", small), records("books", small).set_index(["symbol", "ts_event", "seq"])
    for (symbol, _), session in deltas[deltas["symbol"].isin(SYMBOLS[:2])].groupby(["symbol", "file"]):
        levels: dict[int, dict[float, float]] = {1: defaultdict(float), -1: defaultdict(float)}
        for (ts, seq), message in session.groupby(["ts_event", "seq"], sort=False):
            for row in message.itertuples():
                if row.action == "clear":
                    continue
                change = row.qty if row.action in ("set", "add") else -row.qty
                levels[row.side][row.price] += change
                assert levels[row.side][row.price] >= 0
            book = books.loc[(symbol, ts, seq)]
            bids = sorted(((p, q) for p, q in levels[1].items() if q), reverse=True)
            asks = sorted((p, q) for p, q in levels[-1].items() if q)
            assert len(bids) == len(asks) == 10
            for k, ((bid, bid_qty), (ask, ask_qty)) in enumerate(zip(bids, asks, strict=True), 1):
                assert (book[f"bid_px_{k}"], book[f"bid_qty_{k}"]) == (bid, bid_qty)
                assert (book[f"ask_px_{k}"], book[f"ask_qty_{k}"]) == (ask, ask_qty)


def test_ticks_are_the_trades_of_the_books_with_the_quote_before():
    books, ticks = records("books"), records("ticks")
    traded = books[books["trade_side"] != 0]
    assert len(traded) == len(ticks) > 1_000
    np.testing.assert_array_equal(traded["trade_px"], ticks["price"])
    np.testing.assert_array_equal(traded["trade_qty"], ticks["volume"])
    before = books.shift(1).loc[traded.index]
    for column, level in (("bid", "bid_px_1"), ("ask", "ask_px_1"), ("bid_qty", "bid_qty_1"), ("ask_qty", "ask_qty_1")):
        np.testing.assert_array_equal(before[level], ticks[column])
    np.testing.assert_array_equal(np.where(ticks["side"] > 0, ticks["ask"], ticks["bid"]), ticks["price"])


@pytest.mark.parametrize("events", [2, 3, 5])
def test_sessions_without_a_trade_have_no_ticks(events):
    few = SimulatorOptions(seed=1, sessions=2, events=events)
    books, ticks = records("books", few), records("ticks", few)
    assert len(books) == 2 * len(SYMBOLS) * events
    assert len(ticks) == (books["trade_side"] != 0).sum()
    assert set(ticks["file"]) < set(books["file"])


def test_queues_are_whole_lots_and_the_spread_one_tick():
    books = records("books")
    for side in ("bid", "ask"):
        quantities = books[[f"{side}_qty_{k}" for k in range(1, 11)]].to_numpy()
        assert (quantities >= LOT).all()
        assert (quantities % LOT == 0).all()
    np.testing.assert_allclose(books["ask_px_1"] - books["bid_px_1"], TICK, atol=1e-9)


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.6])
def test_the_book_foretells_the_stated_share_of_the_direction_of_moves(strength):
    found = moves(SimulatorOptions(seed=1, sessions=4, events=20_000, strength=strength))
    leaning = found[found["lean"] != 0]
    share = np.corrcoef(leaning["move"], leaning["lean"])[0, 1] ** 2
    assert share == pytest.approx(strength, abs=0.03)
    up = (found.loc[found["lean"] == 0, "move"] > 0).mean()
    assert up == pytest.approx(0.5, abs=0.06)


def test_the_truth_is_calibrated_and_sums_the_chance_of_a_move():
    options = SimulatorOptions(seed=1, sessions=4, events=20_000, strength=0.5)
    told = truth(flow_sessions(options, SESSION))
    assert told.schema == FLOW_TRUTH
    books = records("books", options)
    mid = (books["bid_px_1"] + books["ask_px_1"]) / 2
    ends = ~books["file"].eq(books["file"].shift(-1)).to_numpy()
    move = np.sign((mid.shift(-1) - mid).round(6)).to_numpy()
    for name, sign in (("up", 1), ("down", -1)):
        chance = told[name].to_numpy()
        for low, high in ((0.0, 0.01), (0.01, 0.03), (0.03, 0.2)):
            rows = ~ends & (chance >= low) & (chance < high)
            assert rows.sum() > 1_000
            error = 4 * np.sqrt(chance[rows].mean() / rows.sum())
            assert (move[rows] == sign).mean() == pytest.approx(chance[rows].mean(), abs=error)


def test_activity_comes_in_spells_only_where_facts_are_stylised():
    def memory(*, stylised: bool) -> float:
        books = records("books", SimulatorOptions(seed=2, sessions=1, events=20_000, stylised=stylised))
        one = books[books["symbol"] == "SIM01"]
        moved = one["bid_px_1"].diff().ne(0).to_numpy()[1:].reshape(-1, 1)[:19_900].reshape(199, 100).sum(axis=1)
        return float(np.corrcoef(moved[:-1], moved[1:])[0, 1])

    assert memory(stylised=True) > 0.3
    assert abs(memory(stylised=False)) < 0.25


def test_the_sides_of_trades_come_in_runs_only_where_facts_are_stylised():
    def repeats(*, stylised: bool) -> float:
        ticks = records("ticks", SimulatorOptions(seed=2, sessions=1, events=20_000, stylised=stylised, strength=0.0))
        inside = ticks[ticks["symbol"] == "SIM01"]["side"].to_numpy()
        return float((inside[1:] == inside[:-1]).mean())

    assert repeats(stylised=True) > 0.62
    assert repeats(stylised=False) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_rates_foretell_the_stated_share_of_the_next_intervals_log_odds(strength):
    long = records("factors", SimulatorOptions(seed=4, sessions=4_000, strength=strength))
    assert sorted(long["factor"].unique()) == sorted(RATES)
    wide = long.pivot(index="ts_event", columns=["symbol", "factor"], values="value")
    buy = wide.xs("initiative_buy_rate", axis=1, level=1)
    np.testing.assert_allclose(buy + wide.xs("initiative_sell_rate", axis=1, level=1), 1.0)
    odds = np.log(buy / (1 - buy)).to_numpy()
    large = sum(wide.xs(f"large_{side}_rate", axis=1, level=1) for side in ("buy", "sell")).to_numpy()
    kept = odds * np.where(large > USUAL, GOES_ON, TURNS)

    def foretold(x: np.ndarray) -> float:
        return float(np.mean([np.corrcoef(x[:-1, k], odds[1:, k])[0, 1] ** 2 for k in range(odds.shape[1])]))

    assert foretold(kept) == pytest.approx(strength, abs=0.02)
    assert foretold(odds) == pytest.approx(0.138 * strength, abs=0.02)  # repeating the last finds little of it
    local = wide.index.tz_convert("America/New_York")
    assert set(local.strftime("%H:%M")) == {"16:00"}  # known when the session closes, and not before


def test_markets_of_other_seeds_differ_and_of_equal_ones_do_not():
    assert records("ticks").equals(records("ticks"))
    assert not records("ticks").equals(records("ticks", MARKET.model_copy(update={"seed": 4})))

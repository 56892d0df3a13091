"""The universe's scan and the cross-section set against the long way and TA-Lib, and what must not matter to them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Session, Universe
from bellwether.errors import DataError
from data.features import cross_section_market, feature_kind
from data.features.base import Floats, InputContext, Ints
from data.features.cross_market import COMMON, cross_market
from data.features.cross_section import CROSS_SECTION, KIND, WINDOW
from data.features.cross_section_market import CrossContext, cross_context, cross_definition
from data.features.tables import component_slices, feature_table, universe_context
from data.lake import Lake
from data.records import BARS, TIME
from data.weights.table import WeightTable

talib = pytest.importorskip("talib")

HOUR = 3_600_000_000_000
SYMBOLS, INDEX = ("AAA", "BBB", "CCC", "DDD", "EEE"), "III"
WARM, ROWS = CROSS_SECTION.warmup, 400
AT = {name: k for k, name in enumerate(CROSS_SECTION.outputs)}

Series = dict[str, tuple[Ints, Floats]]


def universe(*symbols: str) -> Universe:
    return Universe(name="u", symbols=symbols or SYMBOLS, index=INDEX)


def market(seed: int = 0, rows: int = ROWS, missing: float = 0.0) -> Series:
    """Components that move with their index, on one grid; some bars of all but the index are missing."""
    rng = np.random.default_rng(seed)
    ts = HOUR * np.arange(1, rows + 1)
    heat = np.exp(0.5 * np.sin(np.arange(rows) / 40))
    common = 0.01 * heat * rng.standard_normal(rows)
    series: Series = {INDEX: (ts, 1_000 * np.exp(np.cumsum(common))[:, None])}
    for k, symbol in enumerate(SYMBOLS):
        close = 50 * np.exp(np.cumsum((0.5 + 0.3 * k) * common + 0.01 * rng.standard_normal(rows)))
        there = rng.random(rows) >= missing
        series[symbol] = (ts[there], close[there, None])
    return series


def weights(*dated: tuple[int, Mapping[str, float]]) -> WeightTable:
    values = [[w.get(s, np.nan) for s in SYMBOLS] for _, w in dated]
    return WeightTable(effective=np.array([at for at, _ in dated]), symbols=SYMBOLS, values=np.array(values))


HEAVY_TO_LIGHT = {"AAA": 0.4, "BBB": 0.1, "CCC": 0.2, "DDD": 0.25}
"""EEE has no weight."""

WEIGHTS = weights((30 * HOUR, HEAVY_TO_LIGHT), (200 * HOUR, {"AAA": 0.1, "BBB": 0.3, "CCC": 0.3, "EEE": 0.2}))
"""None at first; then AAA, DDD and CCC lead; then BBB, CCC and EEE do."""


def features(symbol: str, series: Series, context: CrossContext) -> Floats:
    ts, closes = series[symbol]
    table = pa.table({"ts_event": pa.array(ts).cast(TIME), "close": closes[:, 0]})
    given_context = InputContext(symbol=symbol, session=Session(), market=context)
    _, x = KIND.inputs(CROSS_SECTION, table, given_context)
    return CROSS_SECTION.scan(x, CROSS_SECTION.start())


def own_returns(series: Series) -> dict[str, dict[int, float]]:
    """Log returns by symbol and time, each since the symbol's own last bar."""
    found = {}
    for symbol, (ts, values) in series.items():
        change = np.diff(np.log(values[:, 0]))
        found[symbol] = {int(t): float(r) for t, r in zip(ts[1:], change, strict=True)}
    return found


def long_way(series: Series, table: WeightTable | None, symbols: tuple[str, ...]) -> tuple[list[int], dict[str, Any]]:
    """Everything the universe's scan says, one timestamp after the other, with lists."""
    returns, times = own_returns(series), sorted({int(t) for s in symbols if s in series for t in series[s][0]})
    out: dict[str, Any] = {name: [] for name in COMMON} | {s: [] for s in symbols}
    changes: list[float] = []
    known: list[float] = []
    deviations: list[float] = []
    led = dict.fromkeys(symbols, np.nan)
    regime = [np.nan] * 3
    for t in times:
        w = dict(zip(symbols, [np.nan] * len(symbols) if table is None else table.at(t, symbols), strict=True))
        equal = all(np.isnan(v) for v in w.values())
        w = {s: 1.0 if equal else (0.0 if np.isnan(v) else v) for s, v in w.items()}
        now = {s: returns[s][t] for s in symbols if s in returns and t in returns[s]}
        common = [np.nan, np.nan]
        if weighed := [s for s in now if w[s] > 0]:
            changes.append(np.average([now[s] for s in weighed], weights=[w[s] for s in weighed]))
            if len(changes) >= 20:
                common = [changes[-1], np.std(changes[-20:])]
                known.append(changes[-1])
                if len(deviations) >= 60:
                    trend = np.mean(known[-20:]) / common[1]
                    stress = common[1] / np.mean(deviations[-60:]) - 1
                    regime = [trend, stress, (2 if stress > 0 else 0) + (0 if trend > 0 else 1)]
                deviations.append(common[1])
        index = returns[INDEX].get(t, np.nan) if INDEX in returns else common[0]
        for name, value in zip(COMMON, [*common, index, *regime], strict=True):
            out[name].append(value)
        ranks = dict(zip(now, rankdata(list(now.values())), strict=True)) if now else {}
        heaviest = sorted(symbols, key=lambda s: (-w[s], symbols.index(s)))
        for s in symbols:
            rank = np.nan if s not in now else (0.5 if len(now) == 1 else (ranks[s] - 1) / (len(now) - 1))
            leaders = [o for o in heaviest if o != s or len(symbols) == 1][:3]
            with_bar = [o for o in leaders if o in now and w[o] > 0]
            before = led[s]
            if with_bar:
                led[s] = np.average([now[o] for o in with_bar], weights=[w[o] for o in with_bar])
            out[s].append([rank, led[s], before])
    return times, out


CASES = {
    "all there": (market(), WEIGHTS, SYMBOLS),
    "bars missing": (market(1, missing=0.3), WEIGHTS, SYMBOLS),
    "no weights": (market(2, missing=0.1), None, SYMBOLS),
    "no index": ({s: v for s, v in market(3).items() if s != INDEX}, WEIGHTS, SYMBOLS),
    "one absent": ({s: v for s, v in market(4, missing=0.1).items() if s != "AAA"}, WEIGHTS, SYMBOLS),
    "of one": ({s: v for s, v in market(5).items() if s in ("AAA", INDEX)}, WEIGHTS, ("AAA",)),
    "of two": ({s: v for s, v in market(6).items() if s in ("AAA", "BBB")}, WEIGHTS, ("AAA", "BBB")),
}
every_case = pytest.mark.parametrize(("series", "table", "symbols"), CASES.values(), ids=CASES)


@every_case
def test_the_universe_agrees_with_the_long_way(series: Series, table: Any, symbols: tuple[str, ...]) -> None:
    context = cross_context(series, table, universe(*symbols))
    times, expected = long_way(series, table, symbols)
    assert context.ts.tolist() == times
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-13)
    for k, name in enumerate(COMMON):
        close(context.common[:, k], expected[name], err_msg=name)
    for symbol in symbols:
        close(context.own[symbol], expected[symbol], err_msg=symbol)


@every_case
def test_features_agree_with_the_long_way(series: Series, table: Any, symbols: tuple[str, ...]) -> None:
    context, returns = cross_context(series, table, universe(*symbols)), own_returns(series)
    times, expected = long_way(series, table, symbols)
    place = {t: k for k, t in enumerate(times)}
    for symbol in (s for s in symbols if s in series):
        got, pairs, leads = features(symbol, series, context), [], []
        for row, t in enumerate(series[symbol][0].tolist()):
            k, own = place[t], returns[symbol].get(t, np.nan)
            common = {name: expected[name][k] for name in COMMON}
            rank, led, before = expected[symbol][k]
            pairs += [(own, common["index_return"])] if own == own and not np.isnan(common["index_return"]) else []
            leads += [(own, before)] if own == own and not np.isnan(before) else []
            if row < WARM:
                assert np.isnan(got[row]).all()
                continue
            slope, correlation = line(pairs)
            out = {
                **common,
                "log_return": own,
                "relative_return": own - common["basket_return"],
                "rank": rank,
                "beta_60": slope,
                "correlation_60": correlation,
                "index_residual": own - slope * common["index_return"],
                "leader_return": led,
                "leader_correlation_60": line(leads)[1],
            }
            np.testing.assert_allclose(got[row], [out[n] for n in AT], rtol=1e-9, atol=1e-12, err_msg=f"{symbol} {row}")


def line(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    if len(pairs) < WINDOW:
        return np.nan, np.nan
    own, other = np.array(pairs[-WINDOW:]).T
    return np.polyfit(other, own, 1)[0], np.corrcoef(own, other)[0, 1]


def agrees_with_talib(series: Series, table: WeightTable | None, symbols: tuple[str, ...]) -> None:
    """On one grid; TA-Lib's BETA takes prices and makes simple returns of them, which here are the log returns."""
    context = cross_context(series, table, universe(*symbols))
    index = np.diff(np.log(series[INDEX][1][:, 0]), prepend=np.nan)
    for symbol in symbols:
        got, own = features(symbol, series, context), np.diff(np.log(series[symbol][1][:, 0]), prepend=np.nan)
        own_price, index_price = (np.append(1.0, np.cumprod(1.0 + r[1:])) for r in (own, index))
        before = context.own[symbol][:, 2]
        np.testing.assert_allclose(got[WARM:, AT["beta_60"]], talib.BETA(index_price, own_price, 60)[WARM:], rtol=1e-9)
        for name, other in (("correlation_60", index), ("leader_correlation_60", before)):
            expected = np.full(len(own), np.nan)
            expected[2:] = talib.CORREL(own[2:], other[2:], 60)
            np.testing.assert_allclose(got[WARM:, AT[name]], expected[WARM:], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_beta_and_correlations_agree_with_talib(seed: int) -> None:
    agrees_with_talib(market(seed, rows=2_000), WEIGHTS, SYMBOLS)


def test_beta_and_correlations_agree_with_talib_on_real_bars(market_data: Path) -> None:
    bars = pq.read_table(market_data / "bars" / "us_1h.parquet")
    symbols = ("AAPL", "AMD", "AMZN", "GOOGL", "META", "MSFT", "NVDA")
    series = {}
    for symbol, name in [*((s, s) for s in symbols), ("^IXIC", INDEX)]:
        one = bars.filter(pc.equal(bars["symbol"], symbol)).sort_by("timestamp")
        ts = one["timestamp"].cast(TIME).cast(pa.int64()).to_numpy()
        series[name] = (ts, one["close"].to_numpy()[:, None])
    agrees_with_talib(series, None, symbols)


@every_case
@pytest.mark.parametrize("now", [1, 79, 80, 200, 330])
def test_later_bars_and_weights_change_nothing_earlier(
    series: Series, table: Any, symbols: tuple[str, ...], now: int
) -> None:
    end = now * HOUR
    rng = np.random.default_rng(now)
    shocked: Series = {}
    for symbol, (ts, values) in series.items():
        stays = (ts <= end) | (rng.random(len(ts)) < 0.8)
        factor = np.where(ts[:, None] <= end, 1.0, np.exp(rng.normal(0, 1, values.shape)))
        shocked[symbol] = (ts[stays], (values * factor)[stays])
    late = (
        None
        if table is None
        else WeightTable(
            effective=np.append(table.effective, end + 1)[np.argsort(np.append(table.effective, end + 1))],
            symbols=SYMBOLS,
            values=np.vstack([table.values, rng.random(5)])[np.argsort(np.append(table.effective, end + 1))],
        )
    )
    before, after = (cross_context(s, w, universe(*symbols)) for s, w in ((series, table), (shocked, late)))
    for symbol in (s for s in symbols if s in series):
        first, second = (features(symbol, s, c) for s, c in ((series, before), (shocked, after)))
        n = int((series[symbol][0] <= end).sum())
        np.testing.assert_array_equal(first[:n], second[:n])
        same = before.at(symbol, series[symbol][0][:n]), after.at(symbol, series[symbol][0][:n])
        np.testing.assert_array_equal(*same)
        assert not np.array_equal(before.common[-1], after.common[-1])


@pytest.mark.parametrize("late", [0, 1, 47, 150])
def test_the_warmup_is_true_for_a_component_that_joins_late(late: int) -> None:
    series = market(7)
    series["CCC"] = tuple(column[late:] for column in series["CCC"])
    missing = np.isnan(features("CCC", series, cross_context(series, WEIGHTS, universe())))
    assert missing[:WARM].all()
    assert not missing[WARM:].any()


def test_an_index_that_begins_late_is_unknown_until_there_are_enough_bars_of_it() -> None:
    series = market(8)
    series[INDEX] = tuple(column[100:] for column in series[INDEX])
    got = features("AAA", series, cross_context(series, WEIGHTS, universe()))
    known = ~np.isnan(got)
    assert np.flatnonzero(known[:, AT["index_return"]])[0] == 101
    assert np.flatnonzero(known[:, AT["beta_60"]])[0] == 160
    assert known[WARM:, AT["rank"]].all()
    assert known[160:].all()


def test_the_order_of_the_series_and_rows_asked_for_do_not_matter() -> None:
    series = market(9, missing=0.2)
    context = cross_context(series, WEIGHTS, universe())
    turned = cross_context(dict(reversed(series.items())), WEIGHTS, universe())
    for symbol in SYMBOLS:
        everything = context.at(symbol, context.ts)
        np.testing.assert_array_equal(everything, turned.at(symbol, context.ts))
        np.testing.assert_array_equal(everything[[7, 300]], context.at(symbol, context.ts[[7, 300]]))
    assert np.isnan(context.at("ZZZ", context.ts)[:, len(COMMON) :]).all()
    assert np.isnan(context.at("AAA", context.ts[-1:] + 1)).all()


def test_the_index_does_not_make_timestamps_and_none_at_all_is_fine() -> None:
    series = market(10)
    alone = cross_context({INDEX: series[INDEX]}, WEIGHTS, universe())
    assert len(alone.ts) == 0
    assert np.isnan(alone.at("AAA", series[INDEX][0])).all()


def test_times_that_do_not_rise_are_refused_with_the_symbol() -> None:
    series = market(11)
    series["BBB"] = (series["BBB"][0][::-1], series["BBB"][1])
    with pytest.raises(DataError, match="ts_event of BBB must rise"):
        cross_context(series, WEIGHTS, universe())


def test_what_stands_still_has_no_slope_and_no_correlation() -> None:
    series = market(12)
    still = {s: (ts, np.full_like(values, 10.0)) for s, (ts, values) in series.items()}
    for flat, moving in ((still, series), (series, still)):
        mixed = {**flat, "AAA": moving["AAA"]}
        got = features("AAA", mixed, cross_context(mixed, WEIGHTS, universe()))[WARM:]
        assert (got[:, [AT["beta_60"], AT["correlation_60"], AT["leader_correlation_60"]]] == 0.0).all()
    idle = features("AAA", still, cross_context(still, WEIGHTS, universe()))[WARM:]
    assert (idle[:, [AT["market_trend"], AT["market_stress"]]] == 0.0).all()
    assert (idle[:, AT["rank"]] == 0.5).all()


@given(cuts=st.lists(st.integers(0, 200), max_size=5), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_the_universe_may_be_scanned_in_pieces(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    closes = np.exp(np.cumsum(rng.normal(0, 0.01, (200, 4)), axis=0))
    closes[rng.random(closes.shape) < 0.2] = np.nan
    x = np.column_stack([closes, rng.random((200, 3)), rng.normal(0, 0.01, 200), rng.random(200)])
    fs = cross_market(3)
    state = fs.start()
    pieces = [fs.scan(piece, state) for piece in np.split(x, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), fs.scan(x, fs.start()))


def test_the_regime_has_four_states_and_all_of_them_happen() -> None:
    context = cross_context(market(13, rows=1_500), None, universe())
    states, counts = np.unique(context.common[WARM:, -1], return_counts=True)
    assert states.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert counts.min() > 50


def test_the_definition_is_made_of_the_code_and_the_size_and_of_nothing_else() -> None:
    first = cross_definition(3)
    cross_market.cache_clear()
    assert cross_definition(3) == first != cross_definition(4)


@every_case
@pytest.mark.parametrize("block", [1, 7, 150])
def test_the_size_of_a_block_does_not_matter(
    series: Series, table: Any, symbols: tuple[str, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cross_context(series, table, universe(*symbols))
    monkeypatch.setattr(cross_section_market, "BLOCK", block)
    pieces = cross_context(series, table, universe(*symbols))
    assert (pieces.ts.tobytes(), pieces.common.tobytes()) == (whole.ts.tobytes(), whole.common.tobytes())
    assert all(pieces.own[symbol].tobytes() == whole.own[symbol].tobytes() for symbol in symbols)


def test_the_one_component_with_a_weight_has_no_leaders_and_leads_the_others() -> None:
    series = market(15)
    context = cross_context(series, weights((0, {"BBB": 0.5})), universe())
    assert np.isnan(context.own["BBB"][:, 1:]).all()
    returns = np.diff(np.log(series["BBB"][1][:, 0]))
    np.testing.assert_allclose(context.own["AAA"][1:, 1], returns, rtol=1e-12, atol=1e-15)
    got = features("BBB", series, context)[WARM:]
    assert {name for name, k in AT.items() if np.isnan(got[:, k]).any()} == {"leader_return", "leader_correlation_60"}


def test_the_lake_gives_the_set_its_universe_and_index(tmp_path: Path) -> None:
    series = {s: v for s, v in market(14).items() if s != "EEE"}
    lake = Lake(str(tmp_path))
    tables = {s: bars(s, ts, values[:, 0]) for s, (ts, values) in series.items()}
    lake.commit("bars/1h", [lake.stage("bars/1h", s, table) for s, table in tables.items()])
    recipe = Recipe(
        name="small",
        interval="1h",
        source=Part(kind="simulator"),
        universe=universe(*SYMBOLS[:4]),
        features=Part(kind="cross-section"),
        families=("majority",),
        serving={"app": None},
    )
    context = universe_context(recipe, lake, component_slices(recipe, lake))
    table = feature_table(recipe, tables["AAA"], symbol="AAA", market=context)
    expected = features("AAA", series, cross_context(series, None, universe(*SYMBOLS[:4])))
    np.testing.assert_array_equal(np.column_stack([table[name] for name in CROSS_SECTION.outputs]), expected)
    assert feature_kind("cross-section") is KIND


def bars(symbol: str, ts: Ints, close: Floats) -> pa.Table:
    n = len(ts)
    return pa.table(
        [pa.repeat(symbol, n), pa.array(ts).cast(TIME), *[pa.array(close)] * 4, pa.repeat(1.0, n)], schema=BARS
    )

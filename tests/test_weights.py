"""Weights are what was known of them at the time, or there are none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.config.sections import Part, Universe
from bellwether.errors import ConfigError, DataError, NotInLake, UnknownName
from data.lake import Lake
from data.options import checked
from data.weights import WEIGHT_SOURCES, weight_source
from data.weights.base import CASH, WEIGHTS, fractions
from data.weights.table import WeightTable, load_weights

DAY = 86_400 * 1_000_000_000
HOLDINGS = "Fund Ticker,Holding Ticker,Shares/Par Value,Weight,Class of Shares,Date"


def weights(*rows: tuple[int, str | None, float | None]) -> pa.Table:
    """A table of (day, symbol, weight)."""
    days, symbols, values = zip(*rows, strict=True)
    effective = pa.array([day * DAY for day in days], pa.int64()).cast(WEIGHTS.field("effective").type)
    return pa.table({"effective": effective, "symbol": pa.array(symbols, pa.string()), "weight": pa.array(values)})


def universe(*symbols: str) -> Universe:
    return Universe(name="u", symbols=symbols, index="I", weights=Part(kind="plain"))


def read(kind: str, root: Path, **options: Any) -> pa.Table:
    found = weight_source(kind)
    return found.read(checked(kind, found.options, options), root)


def rows_of(table: pa.Table) -> list[tuple[str, str, float]]:
    dates = [t.strftime("%Y-%m-%d %H:%M") for t in table["effective"].cast(pa.timestamp("s", tz="UTC")).to_pylist()]
    return list(zip(dates, table["symbol"].to_pylist(), table["weight"].to_pylist(), strict=True))


# --- every source ---------------------------------------------------------------------------------


def plain_options(root: Path) -> dict[str, Any]:
    (root / "weights.csv").write_text("effective_date,symbol,weight\n2025-01-02,B,0.25\n2025-01-02,A,0.75\n")
    return {"paths": "weights.csv"}


def holdings_options(root: Path) -> dict[str, Any]:
    text = f'{HOLDINGS}\nQQQ,A ,"1,000",60.0,Common Stock,01/02/2025\nQQQ,B,"2,000",40.0,Common Stock,01/02/2025\n'
    (root / "qqq_1.csv").write_text(text)
    return {"paths": "qqq_*.csv"}


OPTIONS = {
    "plain": plain_options,
    "qqq_holdings": holdings_options,
    "simulator": lambda root: {"seed": 3, "sessions": 60},
}

every_source = pytest.mark.parametrize("kind", WEIGHT_SOURCES)


def test_every_source_of_the_table_is_tested():
    assert set(OPTIONS) == set(WEIGHT_SOURCES)
    with pytest.raises(UnknownName, match="known: plain, qqq_holdings, simulator"):
        weight_source("etf")


@every_source
def test_weights_are_dated_fractions_of_the_whole(kind, tmp_path):
    assert weight_source(kind).kind == kind
    table = read(kind, tmp_path, **OPTIONS[kind](tmp_path))
    assert table.schema.equals(WEIGHTS)
    sums = table.group_by("effective").aggregate([("weight", "sum")])["weight_sum"].to_numpy()
    np.testing.assert_allclose(sums, 1.0, atol=0.02)
    assert fractions(table).equals(table)  # already sorted and scaled


@every_source
def test_options_it_does_not_know_are_refused(kind, tmp_path):
    with pytest.raises(ConfigError, match="colour: Extra inputs"):
        read(kind, tmp_path, **OPTIONS[kind](tmp_path), colour="red")


# --- what weights must be ---------------------------------------------------------------------------


def test_percentages_are_told_by_their_sum_date_by_date():
    table = fractions(weights((2, "A", 60.5), (2, "B", 39.0), (1, "B", 0.405), (1, "A", 0.6)))
    assert [w for _, _, w in rows_of(table)] == pytest.approx([0.6, 0.405, 0.605, 0.39])


@pytest.mark.parametrize("values", [(0.3, 0.1), (30.0, 10.0), (0.5, 0.55), (0.0, 0.0), (90.0, 15.0)])
def test_weights_that_do_not_sum_are_refused_with_the_date_and_the_sum(values):
    a, b = values
    with pytest.raises(DataError, match=rf"weights of 1970-01-03T00:00:00 sum to {a + b:.6g}, neither to 1 nor to 100"):
        fractions(weights((1, "A", 1.0), (2, "A", a), (2, "B", b)))


@pytest.mark.parametrize(("symbol", "weight"), [(None, 0.5), ("B", None), ("B", float("nan")), ("B", -0.1)])
def test_a_weight_that_is_none_is_refused(symbol, weight):
    with pytest.raises(DataError, match=r"a weight is unusable: date 1970-01-02.*; 1 such rows"):
        fractions(weights((1, "A", 0.5), (1, symbol, weight)))


def test_a_symbol_has_one_weight_a_date():
    with pytest.raises(DataError, match="A has more than one weight on 1970-01-02"):
        fractions(weights((1, "A", 0.5), (1, "A", 0.5)))


# --- holdings -------------------------------------------------------------------------------------


def holdings(path: Path, *lines: str, header: str = HOLDINGS) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")


def test_holdings_of_a_day_are_known_later(tmp_path):
    options = holdings_options(tmp_path)
    for lag, known in ((0, "2025-01-02 00:00"), (1, "2025-01-03 00:00"), (3, "2025-01-05 00:00")):
        table = read("qqq_holdings", tmp_path, lag_days=lag, **options)
        assert rows_of(table) == [(known, "A", 0.6), (known, "B", 0.4)]
    assert rows_of(read("qqq_holdings", tmp_path, **options))[0][0] == "2025-01-03 00:00"


def test_cash_counts_in_the_sum_whatever_it_is_called_and_may_be_below_zero(tmp_path):
    holdings(
        tmp_path / "qqq.csv",
        'QQQ,A,"1,000",100.3,Common Stock,01/02/2025',
        'QQQ,,"1,234.50",0.2,,01/02/2025',
        "QQQ,-,-5,-0.4,,01/02/2025",
        "QQQ,USD,-5,-0.1,Currency,01/02/2025",
    )
    found = {symbol: weight for _, symbol, weight in rows_of(read("qqq_holdings", tmp_path, paths="qqq.csv"))}
    assert found == pytest.approx({CASH: -0.003, "A": 1.003})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["QQQ,A,1,100,Common Stock,2025-01-02"], "qqq.csv has the date '2025-01-02' in record 1; expected MM/DD/YYYY"),
        (["QQQ,A,1,60,Common Stock,01/02/2025", "QQQ,B,1,40,Common Stock,01/03/2025"], "has 2 dates"),
        (["QQQ,A,1,60,Common Stock,01/02/2025"], "2025-01-03T00:00:00 sum to 60"),
        (["QQQ,A,1,sixty,Common Stock,01/02/2025"], "weight nan"),
    ],
)
def test_holdings_that_cannot_be_used_say_why(tmp_path, lines, message):
    holdings(tmp_path / "qqq.csv", *lines)
    with pytest.raises(DataError, match=message):
        read("qqq_holdings", tmp_path, paths="qqq.csv")


def test_another_file_is_no_holdings_file(tmp_path):
    holdings(tmp_path / "qqq.csv", "A,1", header="Ticker,Weight")
    with pytest.raises(DataError, match=r"qqq\.csv lacks Holding Ticker, Date"):
        read("qqq_holdings", tmp_path, paths="qqq.csv")


def test_real_holdings_sum_and_hold_the_nine_members(market_data):
    table = WeightTable.from_arrow(read("qqq_holdings", market_data, paths="weights/qqq_holdings_*.csv"))
    nine = ("AAPL", "AMD", "AMZN", "GOOGL", "INTC", "META", "MSFT", "NVDA", "TSLA")
    known = [
        int(datetime(*day, tzinfo=UTC).timestamp()) * 10**9 for day in ((2024, 12, 27), (2025, 4, 29), (2025, 9, 25))
    ]
    assert table.effective.tolist() == known
    np.testing.assert_allclose(np.nansum(table.values, axis=1), 1.0, atol=1e-4)
    members = table.matrix(table.effective, nine).sum(axis=1)
    assert ((members > 0.38) & (members < 0.45)).all()
    assert table.at(known[0], ["AAPL"]) == pytest.approx([0.09771])


# --- plain ----------------------------------------------------------------------------------------


def test_plain_weights_hold_from_the_midnight_of_their_date(tmp_path):
    options = plain_options(tmp_path)
    assert rows_of(read("plain", tmp_path, **options)) == [
        ("2025-01-02 00:00", "A", 0.75),
        ("2025-01-02 00:00", "B", 0.25),
    ]
    assert rows_of(read("plain", tmp_path, timezone="Asia/Kolkata", **options))[0][0] == "2025-01-01 18:30"


def test_plain_weights_have_three_columns(tmp_path):
    (tmp_path / "weights.csv").write_text("date,symbol,weight\n2025-01-02,A,1\n")
    with pytest.raises(DataError, match="has the columns date, symbol, weight; weights have effective_date"):
        read("plain", tmp_path, paths="weights.csv")


# --- the table --------------------------------------------------------------------------------------


def test_weights_change_at_their_date_and_not_before():
    table = WeightTable.from_arrow(weights((1, "A", 0.6), (1, "B", 0.4), (3, "A", 1.0)))
    ts = np.array([3 * DAY, DAY - 1, DAY, 3 * DAY - 1])  # in any order
    expected = [[np.nan, 1.0], [np.nan, np.nan], [0.4, 0.6], [0.4, 0.6]]
    np.testing.assert_array_equal(table.matrix(ts, ["B", "A"]), expected)
    np.testing.assert_array_equal(table.at(DAY, ["C", "A", "A"]), [np.nan, 0.6, 0.6])
    assert table.matrix(ts[:0], ["A"]).shape == (0, 1)


dated = st.dictionaries(st.tuples(st.integers(0, 5), st.sampled_from("ABC")), st.floats(0, 1), min_size=1)


@given(dated, st.integers(0, 6 * DAY))
def test_the_table_agrees_with_looking_through_the_rows(found, ts):
    table = WeightTable.from_arrow(weights(*((day, symbol, w) for (day, symbol), w in found.items())))
    day = max((d for d, _ in found if d * DAY <= ts), default=None)
    expected = [found.get((day, symbol), np.nan) for symbol in "ABCD"]
    np.testing.assert_array_equal(table.at(ts, "ABCD"), expected)


def test_a_symbol_with_a_weight_on_no_date_is_named():
    table = WeightTable.from_arrow(weights((1, "A", 1.0), (2, "B", 1.0)))
    table.check(universe("A", "B"))
    with pytest.raises(ConfigError, match=r"no date has a weight for C, D of universe u.*knows 2: A, B"):
        table.check(universe("A", "C", "D"))


def test_weights_come_back_from_the_lake(tmp_path):
    lake = Lake(str(tmp_path))
    with pytest.raises(NotInLake, match="weights/u"):
        load_weights(lake, universe("A"))
    lake.commit("weights/u", [lake.stage("weights/u", "weights", fractions(weights((1, "A", 1.0))))])
    assert load_weights(lake, universe("A")).at(DAY, ["A"]).tolist() == [1.0]

"""The level2-factors set against pandas and TA-Lib, and how long tables of factors become its rows."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.config.sections import Session
from data.derive import derivation
from data.derive.base import DeriveContext
from data.features.base import Floats, InputContext
from data.features.level2_factors import KIND, LEVEL2_FACTORS, RUNS, SERIES
from data.records import FACTORS, TICKS, TIME
from data.records.factors import RATES
from data.sources.base import SourceContext
from data.sources.lobster import LOBSTER, LobsterOptions

talib = pytest.importorskip("talib")

WARM = LEVEL2_FACTORS.warmup
AT = {name: k for k, name in enumerate(LEVEL2_FACTORS.outputs)}
CONTEXT = InputContext(symbol="A", session=Session())
MINUTE = 60_000_000_000


def rates(seed: int, rows: int = 500) -> Floats:
    """Not every trade is signed: buy and sell rate do not add up to 1."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([3, 3, 1, 1, 2], rows)
    buy, sell = shares[:, 0] + shares[:, 2], shares[:, 1] + shares[:, 3]
    return np.column_stack([buy, sell, shares[:, 2], shares[:, 3]])


def scanned(x: Floats) -> Floats:
    return LEVEL2_FACTORS.scan(x, LEVEL2_FACTORS.start())


def long_way(x: Floats) -> pd.DataFrame:
    """The same by pandas, a column at a time."""
    f = pd.DataFrame(x, columns=list(RATES))
    f["initiative_imbalance"] = f["initiative_buy_rate"] - f["initiative_sell_rate"]
    f["large_imbalance"] = f["large_buy_rate"] - f["large_sell_rate"]
    f["small_imbalance"] = f["initiative_imbalance"] - f["large_imbalance"]
    f["large_share"] = f["large_buy_rate"] + f["large_sell_rate"]
    out = {name: f[name] for name in f}
    for name in RATES:
        out |= {f"{name}_lag_{lag}": f[name].shift(lag) for lag in (1, 2, 3)}
    for name in SERIES:
        out[f"{name}_change"] = f[name].diff()
        for n in (5, 20):
            out[f"{name}_mean_{n}"], out[f"{name}_std_{n}"] = f[name].rolling(n).mean(), f[name].rolling(n).std(ddof=0)
        out[f"{name}_zscore_20"] = (f[name] - out[f"{name}_mean_20"]) / out[f"{name}_std_20"]
        out[f"{name}_persistence_20"] = f[name].rolling(20).apply(persistence)
    for run, name in zip(RUNS, ("initiative_imbalance", "large_imbalance"), strict=True):
        sign = np.sign(f[name])
        out[run] = sign.groupby((sign != sign.shift()).cumsum()).cumcount().add(1) * sign
    return pd.DataFrame(out)[list(LEVEL2_FACTORS.outputs)]


def persistence(last: pd.Series) -> float:
    d = last - last.mean()
    return float((d[1:].to_numpy() * d[:-1].to_numpy()).sum() / (d**2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_pandas(seed: int) -> None:
    x = rates(seed)
    np.testing.assert_allclose(scanned(x)[WARM:], long_way(x).to_numpy()[WARM:], rtol=1e-9, atol=1e-11)


def test_means_and_deviations_agree_with_talib() -> None:
    x = rates(9, rows=5_000)
    got = scanned(x)
    for k, name in enumerate(RATES):
        for n in (5, 20):
            mean, deviation = talib.SMA(x[:, k], n), talib.STDDEV(x[:, k], n)
            np.testing.assert_allclose(got[WARM:, AT[f"{name}_mean_{n}"]], mean[WARM:], rtol=1e-9)
            np.testing.assert_allclose(got[WARM:, AT[f"{name}_std_{n}"]], deviation[WARM:], rtol=1e-9, atol=1e-9)


def test_what_stands_still_has_no_deviation_no_score_and_no_run() -> None:
    got = scanned(np.tile([0.3, 0.3, 0.1, 0.1], (50, 1)))[WARM:]
    names = [f"{name}_{what}" for name in SERIES for what in ("change", "std_20", "zscore_20", "persistence_20")]
    assert (got[:, [AT[name] for name in (*names, *RUNS)]] == 0.0).all()


def test_imbalances_are_those_of_large_trades_and_of_the_others() -> None:
    got = scanned(rates(1))[WARM:]
    both = got[:, AT["large_imbalance"]] + got[:, AT["small_imbalance"]]
    np.testing.assert_allclose(both, got[:, AT["initiative_imbalance"]], atol=1e-15)


def long_table(rows: list[tuple[int, str, float]]) -> pa.Table:
    ordered = sorted(rows)
    columns = {
        "symbol": pa.repeat("A", len(rows)),
        "ts_event": pa.array([r[0] for r in ordered], pa.int64()).cast(TIME),
        "factor": pa.array([r[1] for r in ordered], pa.string()),
        "value": pa.array([r[2] for r in ordered], pa.float64()),
    }
    return pa.table(columns, schema=FACTORS)


CELLS = st.tuples(st.integers(1, 8), st.sampled_from([*RATES, "net_inflow"]))


@given(cells=st.sets(CELLS), seed=st.integers(0, 99))
def test_rows_are_the_intervals_of_which_all_rates_are_known(cells: set[tuple[int, str]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(ts, name, rng.random()) for ts, name in cells]
    ts, x = KIND.inputs(LEVEL2_FACTORS, long_table(rows), CONTEXT)
    value = {(t, name): v for t, name, v in rows}
    whole = [t for t in range(1, 9) if all((t, name) in value for name in RATES)]
    assert ts.tolist() == whole
    assert x.tolist() == [[value[t, name] for name in RATES] for t in whole]


def test_a_rate_that_is_nowhere_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ts, x = KIND.inputs(LEVEL2_FACTORS, long_table([(1, name, 0.5) for name in RATES[:2]]), CONTEXT)
    assert (len(ts), x.shape) == (0, (0, 4))
    assert caplog.messages == ["factors of A have no large_buy_rate, large_sell_rate: no features without"]
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        KIND.inputs(LEVEL2_FACTORS, long_table([]), CONTEXT)
    assert caplog.messages == []


def test_features_of_the_rates_of_real_trades(market_data: Path) -> None:
    source = SourceContext(root=market_data, session=Session(), interval_ns=0, record="ticks")
    tables = LOBSTER.read(LobsterOptions(path="lobster/AMZN_*.csv.gz"), source)
    found = derivation("trade-rates")
    context = DeriveContext(symbol="AMZN", session=Session(), interval_ns=5 * MINUTE)
    made = found.make((t.select(TICKS.names).cast(TICKS) for t in tables), found.options(), context)
    ts, x = KIND.inputs(LEVEL2_FACTORS, pa.concat_tables(made), CONTEXT)
    assert len(ts) == 77  # 78 intervals of five minutes, of which the first has no large rates
    got = scanned(x)
    assert np.isfinite(got[WARM:]).all()
    np.testing.assert_allclose(got[WARM:], long_way(x).to_numpy()[WARM:], rtol=1e-9, atol=1e-9)

"""The simulated market: what is planted can be found, what is not cannot, and the oracle knows which is which."""

from __future__ import annotations

from datetime import date, time
from functools import cache
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats

from bellwether.config.sections import Session, Target
from bellwether.errors import ConfigError
from data.features.hourly import HOURLY
from data.features.market import component_features, market_context
from data.intake.quality import screen
from data.options import checked
from data.sources import source
from data.sources.base import RAW, SourceContext
from data.sources.dynamics import CORRELATION, gain
from data.sources.simulator import HOUR, INDEX, STEPS, SYMBOLS, Market, SimulatorOptions, simulate
from data.targets.action import action_classes, action_edges
from data.weights import weight_source
from data.weights.base import fractions
from data.weights.table import WeightTable

SESSION = Session()
LONG = 700


@cache
def market(strength: float = 0.15, stylised: bool = True, sessions: int = LONG, seed: int = 7) -> Market:
    options = SimulatorOptions(strength=strength, stylised=stylised, sessions=sessions, seed=seed)
    return simulate(options, SESSION, HOUR)


def null() -> Market:
    return market(strength=0.0, stylised=False)


def wide(table: pa.Table, column: str) -> np.ndarray:
    """(T, 11): one column a symbol, the index last."""
    return table[column].to_numpy().reshape(11, -1).T


def returns(made: Market) -> np.ndarray:
    return np.diff(np.log(wide(made.bars, "close")), axis=0)


def innovations(made: Market) -> np.ndarray:
    """What the truth leaves of the next return, standardised; (T - 1, 11)."""
    return (returns(made) - wide(made.truth, "mean")[:-1]) / wide(made.truth, "sd")[:-1]


def local(made: Market, zone: str = "America/New_York") -> pd.DatetimeIndex:
    each = made.bars.num_rows // 11
    return pd.DatetimeIndex(made.bars["ts_event"].to_pandas()[:each]).tz_convert(zone)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


# the grid


def test_seven_bars_a_weekday_stamped_at_their_close_in_summer_and_winter() -> None:
    closes = local(market())
    assert closes.day_of_week.max() == 4
    per_day = pd.Series(closes.strftime("%H:%M")).groupby(closes.date).apply(tuple)
    assert set(per_day) == {("10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00")}
    assert len(per_day) == LONG
    assert per_day.index[-1] == date(2025, 6, 30)
    assert set(closes.tz_convert("UTC").hour) == {14, 15, 16, 17, 18, 19, 20, 21}


@pytest.mark.parametrize(
    ("session", "minutes", "expected"),
    [
        (Session(timezone="Asia/Tokyo", opens=time(9), closes=time(15)), 120, ["11:00", "13:00", "15:00"]),
        (Session(timezone="Australia/Sydney", opens=time(10), closes=time(16)), 24 * 60, ["16:00"]),
        (Session(timezone="Europe/London", opens=time(8), closes=time(9)), 25, ["08:25", "08:50", "09:00"]),
    ],
)
def test_any_session_and_interval_has_its_own_grid(session: Session, minutes: int, expected: list[str]) -> None:
    made = simulate(SimulatorOptions(sessions=40, end=date(2025, 11, 2)), session, minutes * 60_000_000_000)
    closes = local(made, session.timezone)
    assert closes.strftime("%H:%M").tolist() == expected * 40
    assert closes[-1].date() == date(2025, 10, 31)  # the 2nd of November 2025 is a Sunday
    effective = made.weights["effective"].cast(pa.int64()).to_numpy()
    assert effective.min() < made.bars["ts_event"].cast(pa.int64()).to_numpy().min()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    sessions=st.integers(1, 12),
    strength=st.floats(0.0, 0.9),
    stylised=st.booleans(),
    minutes=st.sampled_from([7, 30, 60, 240, 1440]),
)
def test_every_bar_of_every_market_is_a_bar(
    seed: int, sessions: int, strength: float, stylised: bool, minutes: int
) -> None:
    options = SimulatorOptions(seed=seed, sessions=sessions, strength=strength, stylised=stylised)
    bars = simulate(options, SESSION, minutes * 60_000_000_000).bars
    o, h, low, c, v = (bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    assert (h >= np.maximum(o, c)).all()
    assert (low <= np.minimum(o, c)).all()
    assert (low > 0).all()
    assert np.isfinite(h).all()
    assert (v >= 0).all()
    assert (
        np.diff(wide(bars.set_column(1, "ts_event", bars["ts_event"].cast(pa.int64())), "ts_event"), axis=0) > 0
    ).all()


def test_a_session_opens_away_from_the_last_close_and_other_bars_open_at_it() -> None:
    bars, first = market().bars, local(market()).strftime("%H:%M") == "10:30"
    jump = np.abs(wide(bars, "open")[1:] / wide(bars, "close")[:-1] - 1.0)
    assert (jump[first[1:]] > 0).all()
    assert jump[~first[1:]].max() < 1e-12


def test_the_range_of_a_bar_is_that_of_a_random_walk() -> None:
    made = null()
    span = np.log(wide(made.bars, "high") / wide(made.bars, "low"))[1:, :10][hours(made) != "10:30"]
    steps = np.random.default_rng(0).standard_normal((100_000, STEPS)) * wide(made.truth, "sd")[0, 0] / np.sqrt(STEPS)
    walks = np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)
    expected = np.ptp(walks, axis=1)
    assert span.mean() == pytest.approx(expected.mean(), rel=0.02)
    assert span.std() == pytest.approx(expected.std(), rel=0.03)


def test_equal_options_give_equal_markets_and_another_seed_another() -> None:
    options = SimulatorOptions(sessions=20)
    one, two = (simulate(options, SESSION, HOUR) for _ in range(2))
    assert one.bars.equals(two.bars)
    assert one.truth.equals(two.truth)
    assert one.weights.equals(two.weights)
    other = simulate(SimulatorOptions(sessions=20, seed=8), SESSION, HOUR)
    assert not np.isclose(returns(one), returns(other)).any()


def test_markets_of_one_seed_share_their_shocks_whatever_is_planted() -> None:
    np.testing.assert_allclose(innovations(market())[:, :10], innovations(null())[:, :10], atol=1e-9)


def test_the_demo_market_is_made_in_under_two_seconds() -> None:
    started = perf_counter()
    simulate(SimulatorOptions(), SESSION, HOUR)
    assert perf_counter() - started < 2.0


# the truth


@pytest.mark.parametrize("strength", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("stylised", [True, False])
def test_the_planted_mean_explains_the_stated_share_of_the_variance(strength: float, stylised: bool) -> None:
    made = market(strength, stylised)
    r, mean = returns(made)[:, :10], wide(made.truth, "mean")[:-1, :10]
    assert (mean**2).sum() / (r**2).sum() == pytest.approx(strength, rel=0.15)
    assert 1.0 - ((r - mean) ** 2).sum() / (r**2).sum() == pytest.approx(strength, abs=0.02)


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.15, 0.4, 0.9])
def test_the_gain_gives_exactly_that_share_in_the_stationary_market(strength: float) -> None:
    weights, sigma = np.array([0.5, 0.3, 0.2]), np.array([0.7, 1.3, 1.0])
    noise = np.outer(sigma, sigma) * np.where(np.eye(3) > 0, 1.0, CORRELATION)
    follows = gain(strength, weights, sigma) * (2.0 * np.outer(np.ones(3), weights) - np.eye(3))
    covariance = linalg.solve_discrete_lyapunov(follows, noise)
    known = follows @ covariance @ follows.T
    assert np.trace(known) / np.trace(covariance) == pytest.approx(strength, abs=1e-12)


def test_the_index_gains_from_the_spread_of_its_components_what_its_mean_says() -> None:
    made = market()
    ts = local(made).as_unit("ns").asi8
    weights = WeightTable.from_arrow(made.weights).matrix(ts, SYMBOLS)[1:]
    r, mean = returns(made), wide(made.truth, "mean")[:-1]
    happened = r[:, 10] - (weights * r[:, :10]).sum(axis=1)
    expected = mean[:, 10] - (weights * mean[:, :10]).sum(axis=1)
    assert happened.mean() == pytest.approx(expected.mean(), rel=0.03)
    assert (expected > 0).all()


def test_the_index_is_predictable_too_and_the_null_market_is_not() -> None:
    for made, low, high in ((market(), 0.1, 0.2), (null(), -1e-3, 1e-3)):
        r, mean = returns(made)[:, 10], wide(made.truth, "mean")[:-1, 10]
        assert low < 1.0 - ((r - mean) ** 2).sum() / (r**2).sum() < high


@pytest.mark.parametrize(("strength", "stylised"), [(0.15, True), (0.4, False), (0.0, False)])
def test_what_the_truth_leaves_is_standard_normal_and_unpredictable(strength: float, stylised: bool) -> None:
    made = market(strength, stylised)
    z = innovations(made)
    for k in range(11):
        assert stats.kstest(z[:, k], "norm").pvalue > 1e-3
    r = returns(made)
    noise = 4.0 / np.sqrt(len(r))
    for lag in (1, 2, 7):
        assert np.abs([correlation(z[lag:, k], z[:-lag, k]) for k in range(11)]).max() < noise
        assert np.abs([correlation(z[lag:, k], r[:-lag, k]) for k in range(11)]).max() < noise
        assert np.abs([correlation(z[lag:, k] ** 2, z[:-lag, k] ** 2) for k in range(11)]).max() < noise


def test_the_mean_is_linear_in_two_features_of_the_hourly_set() -> None:
    made = market(sessions=60)
    features = features_of(made, "SIM03")
    used = features[:, [HOURLY.outputs.index(name) for name in ("basket_return", "relative_return")]]
    mean = wide(made.truth, "mean")[HOURLY.warmup :, 2]
    (a, b), residual, *_ = np.linalg.lstsq(used, mean, rcond=None)
    assert residual[0] < 1e-20
    assert a == pytest.approx(-b)
    assert 0.3 < a < 0.45  # a little less than the root of 0.15: basket and lead are correlated


def features_of(made: Market, symbol: str) -> np.ndarray:
    """Features of the rows after the warm-up."""
    ts = made.bars["ts_event"].cast(pa.int64()).to_numpy().reshape(11, -1)
    close = made.bars["close"].to_numpy().reshape(11, -1)
    closes = {name: (ts[k], close[k]) for k, name in enumerate(SYMBOLS)}
    context = market_context(closes, WeightTable.from_arrow(made.weights), SYMBOLS)
    k = SYMBOLS.index(symbol)
    bars = made.bars.slice(k * ts.shape[1], ts.shape[1])
    return component_features(HOURLY, bars, SESSION, context)[HOURLY.warmup :]


# stylised facts


def hours(made: Market) -> np.ndarray:
    return local(made).strftime("%H:%M").to_numpy()[1:]


def test_volatility_smiles_over_the_session_and_the_night_is_roughest() -> None:
    made = market()
    size = pd.Series(returns(made)[:, :10].std(axis=1)).groupby(hours(made)).mean()
    bars = made.bars
    inside = np.log(wide(bars, "close") / wide(bars, "open"))[1:, :10]
    within = pd.Series((inside**2).mean(axis=1)).groupby(hours(made)).mean() ** 0.5
    assert size["10:30"] == size.max()
    assert within["10:30"] > 1.2 * within["13:30"]
    assert within["16:00"] * np.sqrt(2) > 1.2 * within["13:30"]  # half an hour, per root hour
    gap = np.log(wide(bars, "open")[1:] / wide(bars, "close")[:-1])[hours(made) == "10:30", :10]
    assert gap.std() > within["13:30"]


def test_volatility_clusters_and_tails_are_fat_while_returns_stay_uncorrelated() -> None:
    made = market(strength=0.0)
    r, noise = returns(made)[:, :10], 4.0 / np.sqrt(7 * LONG)
    midday = r[hours(made) == "13:30"]
    assert stats.kurtosis(midday, axis=None) > 0.3
    assert stats.kurtosis(r, axis=None) > 1.5
    size = np.abs(r)
    size /= pd.DataFrame(size).groupby(hours(made)).transform("mean").to_numpy()
    for lag in (1, 7, 21):
        assert all(correlation(size[lag:, k], size[:-lag, k]) > 0.02 for k in range(10))
        assert np.abs([correlation(r[lag:, k], r[:-lag, k]) for k in range(10)]).max() < 1.5 * noise  # fat tails


def test_volume_follows_volatility_and_the_index_trades_the_sum() -> None:
    volume = wide(market().bars, "volume")
    moved = np.abs(returns(market()))
    assert min(correlation(np.log(volume[1:, k]), moved[:, k]) for k in range(10)) > 0.3
    np.testing.assert_allclose(volume[:, 10], volume[:, :10].sum(axis=1))


# the null market


def test_the_null_market_has_one_constant_volatility_no_mean_and_idle_volume() -> None:
    made = null()
    assert (wide(made.truth, "mean")[:, :10] == 0.0).all()
    sd = wide(made.truth, "sd")[:, :10]
    np.testing.assert_allclose(sd, sd[0, 0], rtol=1e-12)
    r, volume = returns(made), wide(made.bars, "volume")
    noise = 4.0 / np.sqrt(len(r))
    assert stats.levene(*(r[hours(made) == h, 0] for h in np.unique(hours(made)))).pvalue > 1e-3
    for k in range(10):
        assert abs(correlation(r[1:, k], r[:-1, k])) < noise
        assert abs(correlation(np.abs(r[1:, k]), np.abs(r[:-1, k]))) < noise
        assert abs(correlation(volume[:-1, k], np.abs(r[:, k]))) < noise
        assert abs(correlation(volume[1:, k], np.abs(r[:, k]))) < noise


def smallest_p(made: Market, symbol: str) -> float:
    """Of all features, how strongly the best of them, cut in three, tells the five classes of what follows apart."""
    close = wide(made.bars, "close")[:, SYMBOLS.index(symbol)]
    outcome = close[HOURLY.warmup + 1 :] / close[HOURLY.warmup : -1] - 1.0
    y = action_classes(outcome, action_edges(outcome, Target()))
    found = []
    for column in features_of(made, symbol)[:-1].T:
        third = np.digitize(column, np.quantile(column, [1 / 3, 2 / 3]))
        counts = pd.crosstab(third, y).to_numpy()
        found.append(stats.chi2_contingency(counts).pvalue)
    return min(found)


def test_on_the_null_market_no_feature_tells_classes_apart_and_elsewhere_some_do() -> None:
    at_chance = 1e-3 / len(HOURLY.outputs)
    assert smallest_p(null(), "SIM01") > at_chance
    assert smallest_p(null(), "SIM06") > at_chance
    assert smallest_p(market(0.15, False), "SIM01") < at_chance
    assert smallest_p(market(0.0, True), "SIM01") < at_chance  # volatility is no news on direction, but on classes


# weights and index


def test_weights_sum_to_one_drift_slowly_and_come_monthly_from_before_the_first_bar() -> None:
    made = market()
    table = made.weights.to_pandas().pivot(index="effective", columns="symbol", values="weight")
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    assert table.index.day.tolist() == [1] * len(table)
    assert len(table) == len(local(made).strftime("%Y-%m").unique())
    assert table.index[0] < made.bars["ts_event"][0].as_py()
    ratio = (table / table.shift()).dropna()
    assert 0.001 < np.abs(np.log(ratio)).to_numpy().mean() < 0.1
    assert table.iloc[0, 0] == table.iloc[0].max() < 0.4


def test_the_weights_source_has_the_weights_the_market_was_made_with() -> None:
    read = weight_source("simulator")
    options = checked("weights 'simulator'", read.options, {"sessions": LONG})
    got = read.read(options, Path())
    assert got.equals(market().weights)
    assert fractions(got).num_rows == got.num_rows


def test_the_index_moves_by_the_weighted_returns_of_its_components_at_the_weights_in_force() -> None:
    made, ts = market(), local(market()).as_unit("ns").asi8
    weights = WeightTable.from_arrow(made.weights).matrix(ts, SYMBOLS)
    assert len(np.unique(weights, axis=0)) > 12
    close = wide(made.bars, "close")
    simple = close[1:] / close[:-1] - 1.0
    np.testing.assert_allclose(simple[:, 10], (weights[1:] * simple[:, :10]).sum(axis=1), atol=1e-12)
    span = wide(made.bars, "high") / wide(made.bars, "low") - 1.0
    assert 0.3 < span[:, 10].mean() / span[:, :10].mean() < 0.9  # it is calmer than its components


# as a source


def test_the_source_yields_raw_tables_that_nothing_in_the_rules_objects_to() -> None:
    simulator = source("simulator")
    context = SourceContext(root=Path(), session=SESSION, interval_ns=HOUR)
    options = checked("source 'simulator'", simulator.options, {"sessions": 30, "seed": 3})
    tables = list(simulator.read(options, context))
    assert all(table.schema == RAW for table in tables)
    assert [table["symbol"][0].as_py() for table in tables] == [*SYMBOLS, INDEX]
    raw = pa.concat_tables(tables)
    assert raw["row"].to_pylist() == list(range(1, raw.num_rows + 1))
    screened = screen(raw, SESSION)
    assert screened.rejected.num_rows == 0
    assert screened.unsorted == 0
    expected = simulate(SimulatorOptions(sessions=30, seed=3), SESSION, HOUR).bars
    assert screened.kept.combine_chunks().equals(expected.combine_chunks())


@pytest.mark.parametrize(
    "wrong", [{"strength": 1.0}, {"strength": -0.1}, {"sessions": 0}, {"seed": -1}, {"stylized": True}]
)
def test_wrong_options_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        checked("source 'simulator'", SimulatorOptions, wrong)

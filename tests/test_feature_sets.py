"""What every feature set promises, run on the whole table; and what the hash and the cache of its code promise."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.errors import DataError, UnknownName
from data.features import (
    FEATURE_SETS,
    calendar,
    clock,
    cross_section,
    cross_section_market,
    feature_set,
    hourly,
    market,
)
from data.features import basket as basket_module
from data.features.base import FeatureSet, Floats
from data.features.basket import basket, basket_kernel
from data.features.clock import session_clock
from data.features.compiled import source_of
from data.features.cross_market import cross_market
from data.features.hourly import HOURLY
from data.weights import table as weights

ROWS = 420


def hourly_rows(seed: int) -> Floats:
    """Seven bars a session, gaps overnight, idle first bars, a basket that is sometimes unknown early on."""
    rng = np.random.default_rng(seed)
    at = np.arange(ROWS)
    close = 150 * np.exp(np.cumsum(rng.normal(0, 0.01, ROWS)))
    opens = np.roll(close, 1) * np.exp(rng.normal(0, 0.004, ROWS))
    high = np.maximum(opens, close) * (1 + np.abs(rng.normal(0, 0.003, ROWS)))
    low = np.minimum(opens, close) * (1 - np.abs(rng.normal(0, 0.003, ROWS)))
    volume = np.where(at % 7 == 0, 0, rng.integers(0, 10_000_000, ROWS))
    both = np.column_stack([rng.normal(0, 0.008, ROWS), np.abs(rng.normal(0.008, 0.001, ROWS))])
    both[:20] = np.nan
    return np.column_stack([opens, high, low, close, volume, at // 7, 10 + at % 7, (1 + at % 7) / 7, both])


def basket_rows(seed: int) -> Floats:
    """Three components that miss bars (never all at once); weights from row 90 on, the third has none."""
    rng = np.random.default_rng(seed)
    closes = 150 * np.exp(np.cumsum(rng.normal(0, 0.01, (ROWS, 3)), axis=0))
    closes[:, 1:][rng.random((ROWS, 2)) < 0.2] = np.nan
    weights = np.tile([0.08, 0.02, np.nan], (ROWS, 1))
    weights[:90] = np.nan
    return np.column_stack([closes, weights])


def tick_rows(seed: int) -> Floats:
    """Trades of one session on a grid of cents, with flat stretches; the quote is known at first and sometimes not."""
    rng = np.random.default_rng(seed)
    price = np.round(200 + np.cumsum(rng.integers(-2, 3, ROWS) * 0.01 * (rng.random(ROWS) < 0.5)), 2)
    half = rng.integers(1, 5, ROWS) * 0.005
    bid, ask = price - half, price + half
    bid[1:][rng.random(ROWS - 1) < 0.2] = np.nan
    clock = [np.full(ROWS, 19_000), np.full(ROWS, 9), np.full(ROWS, 30), np.full(ROWS, 2), np.ones(ROWS)]
    since = np.sort(rng.random(ROWS)) * 390
    return np.column_stack([price, rng.integers(1, 500, ROWS), bid, ask, *clock, since, 390 - since])


def microstructure_rows(seed: int) -> Floats:
    """Five known levels around a mid in half ticks, a spread of a few ticks, a trade in every fourth row."""
    rng = np.random.default_rng(seed)
    half, mid = 0.005 * rng.integers(1, 8, ROWS), 20.0 + 0.005 * np.cumsum(rng.integers(-3, 4, ROWS))
    quantity = rng.integers(1, 9, (ROWS, 5, 2)) * 100.0
    away = half[:, None] + 0.01 * np.arange(5)
    levels = np.stack([mid[:, None] - away, quantity[:, :, 0], mid[:, None] + away, quantity[:, :, 1]], axis=2)
    traded, side = rng.random(ROWS) < 0.25, rng.integers(-1, 2, ROWS)
    trade = np.where(traded, [mid + side * half, rng.integers(1, 300, ROWS), side], [[np.nan], [np.nan], [0.0]]).T
    second = 34_200.0 + np.cumsum(rng.exponential(0.2, ROWS))
    return np.column_stack([levels.reshape(ROWS, 20), trade, second, np.full(ROWS, 5.0), second / 86_400])


def books_5min_rows(seed: int) -> Floats:
    """A random walk of the mid in five-minute steps, day and night, its quotes and their quantities."""
    rng = np.random.default_rng(seed)
    mid, half = 20 * np.exp(np.cumsum(rng.normal(0, 0.003, ROWS))), rng.integers(1, 5, ROWS) * 0.005
    hour, weekday = np.arange(ROWS) // 12 % 24, np.arange(ROWS) // 288 % 7
    return np.column_stack([mid - half, mid + half, *rng.integers(1, 500, (2, ROWS)), hour, weekday])


def level2_rows(seed: int) -> Floats:
    """Rates of which every trade is signed, with a stretch that stands still."""
    rng = np.random.default_rng(seed)
    buy = 1 / (1 + np.exp(-rng.normal(0, 0.3, ROWS)))
    buy[200:230] = 0.5
    large = rng.beta(2, 8, (ROWS, 2))
    return np.column_stack([buy, 1 - buy, large[:, 0] * buy, large[:, 1] * (1 - buy)])


def rate_rows(seed: int) -> Floats:
    """What a client knows of an interval of which every trade is signed."""
    return level2_rows(seed)[:, [0, 2, 3]]


def cross_section_rows(seed: int) -> Floats:
    """Bars of a component whose universe is not known for the first 20."""
    rng = np.random.default_rng(seed)
    close = 150 * np.exp(np.cumsum(rng.normal(0, 0.01, ROWS)))
    returns, volatility = rng.normal(0, 0.008, (ROWS, 4)), np.abs(rng.normal(0.008, 0.001, ROWS))
    regime = [rng.normal(0, 0.3, ROWS), rng.normal(0, 0.2, ROWS), rng.integers(0, 4, ROWS)]
    market = np.column_stack([returns[:, 0], volatility, returns[:, 1], *regime, rng.random(ROWS), returns[:, 2:]])
    market[:20] = np.nan
    return np.column_stack([close, market])


INPUTS: dict[str, Callable[[int], Floats]] = {
    "hourly": hourly_rows,
    "hourly-wide": hourly_rows,
    "basket_3": basket_rows,
    "ticks": tick_rows,
    "microstructure": microstructure_rows,
    "books-5min": books_5min_rows,
    "level2-factors": level2_rows,
    "rates": rate_rows,
    "cross-section": cross_section_rows,
}
SETS = [*map(feature_set, FEATURE_SETS), basket(3)]
every_set = pytest.mark.parametrize("fs", SETS, ids=lambda fs: fs.name)


def rows_of(fs: FeatureSet, seed: int = 7) -> Floats:
    assert fs.name in INPUTS, f"add realistic rows of {fs.name} to INPUTS"
    return INPUTS[fs.name](seed)


@every_set
@pytest.mark.parametrize("size", [1, 7, 64])
def test_chunks_and_single_rows_equal_history_bit_for_bit(fs: FeatureSet, size: int) -> None:
    x, state = rows_of(fs), fs.start()
    pieces = [fs.scan(x[i : i + size], state) for i in range(0, len(x), size)]
    np.testing.assert_array_equal(np.concatenate(pieces), fs.scan(x, fs.start()))


@every_set
@given(cuts=st.lists(st.integers(0, ROWS), max_size=6), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_history_may_be_cut_anywhere(fs: FeatureSet, cuts: list[int], seed: int) -> None:
    x, state = rows_of(fs, seed), fs.start()
    pieces = [fs.scan(piece, state) for piece in np.split(x, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(pieces), fs.scan(x, fs.start()))


@every_set
@pytest.mark.parametrize("now", [0, 19, 160, 200, ROWS - 2])
def test_the_future_cannot_change_the_past(fs: FeatureSet, now: int) -> None:
    x = rows_of(fs)
    shocked = x.copy()
    shocked[now + 1 :] = 3 * rows_of(fs, seed=8)[now + 1 :]
    before, after = fs.scan(x, fs.start()), fs.scan(shocked, fs.start())
    np.testing.assert_array_equal(before[: now + 1], after[: now + 1])
    assert now + 1 < fs.warmup or not np.array_equal(before[now + 1 :], after[now + 1 :])


@every_set
def test_warmup_is_as_declared(fs: FeatureSet) -> None:
    missing = np.isnan(fs.scan(rows_of(fs), fs.start()))
    assert missing[: fs.warmup].all()
    assert not missing[fs.warmup :].any()


@every_set
def test_symbols_share_a_call_and_nothing_else(fs: FeatureSet) -> None:
    a, b = rows_of(fs, seed=1), rows_of(fs, seed=2)
    order = np.random.default_rng(3).permutation(np.repeat([0, 1], ROWS))
    mixed = np.empty((2 * ROWS, len(fs.inputs)))
    mixed[order == 0], mixed[order == 1] = a, b
    out = fs.scan(mixed, fs.start(2), order)
    np.testing.assert_array_equal(out[order == 0], fs.scan(a, fs.start()))
    np.testing.assert_array_equal(out[order == 1], fs.scan(b, fs.start()))


@every_set
def test_state_survives_a_restart(fs: FeatureSet, tmp_path: Path) -> None:
    x, state = rows_of(fs), fs.start()
    fs.scan(x[:250], state)
    np.save(tmp_path / "state.npy", state, allow_pickle=False)
    restored = np.load(tmp_path / "state.npy", allow_pickle=False)
    np.testing.assert_array_equal(fs.scan(x[250:], restored), fs.scan(x, fs.start())[250:])


@every_set
def test_names_are_unique_and_the_definition_is_stable(fs: FeatureSet) -> None:
    assert len(set(fs.outputs)) == len(fs.outputs)
    assert len(set(fs.inputs)) == len(fs.inputs)
    assert fs.definition == FeatureSet(**{f: getattr(fs, f) for f in fs.__dataclass_fields__}).definition


@every_set
@pytest.mark.parametrize("change", [{"warmup": 1}, {"outputs": ("other",)}, {"name": "other"}])
def test_another_definition_has_another_hash(fs: FeatureSet, change: dict[str, object]) -> None:
    fields = {f: getattr(fs, f) for f in fs.__dataclass_fields__}
    assert FeatureSet(**(fields | change)).definition != fs.definition


@every_set
def test_arrays_of_the_wrong_shape_are_refused(fs: FeatureSet) -> None:
    x = rows_of(fs)
    with pytest.raises(DataError, match=r"takes x \(n, "):
        fs.scan(x[:, :-1], fs.start())
    with pytest.raises(DataError, match=r"takes x \(n, "):
        fs.scan(x, fs.start(), who=np.zeros(3, np.int64))


@every_set
def test_the_caller_may_own_the_output(fs: FeatureSet) -> None:
    x = rows_of(fs)
    out = np.empty((ROWS, len(fs.outputs)))
    assert fs.scan(x, fs.start(), out=out) is out
    np.testing.assert_array_equal(out, fs.scan(x, fs.start()))


def test_an_unknown_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no feature set 'hurly'; known: .*hourly"):
        feature_set("hurly")


KERNEL = """
from data.features.compiled import compiled
from {package}.helper import STEP, helper

@compiled
def kernel(x):
    return helper(x) + STEP
"""
HELPER = """
from data.features.compiled import compiled

STEP = {step}

@compiled
def helper(x):
    return x * {factor}
"""


@pytest.mark.parametrize(("change", "expected"), [({"factor": 30.0}, 31.0), ({"step": 100}, 102.0)])
def test_a_changed_helper_or_constant_changes_code_and_hash(
    change: dict[str, float], expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"probe_{'_'.join(change)}"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "kernel.py").write_text(KERNEL.format(package=package))

    def build(**values: float) -> tuple[float, str]:
        (folder / "helper.py").write_text(HELPER.format(**({"factor": 2.0, "step": 1} | values)))
        for name in [m for m in sys.modules if m.startswith(package)]:
            del sys.modules[name]
        importlib.invalidate_caches()
        kernel = importlib.import_module(f"{package}.kernel").kernel
        fs = FeatureSet(name="probe", inputs=(), outputs=(), warmup=0, state=np.dtype([("rows", "i8")]), kernel=kernel)
        return kernel(1.0), fs.definition

    first, definition = build()
    assert first == 3.0
    assert build() == (3.0, definition)
    value, changed = build(**change)
    assert value == expected
    assert changed != definition


def helper_in_a_comprehension() -> int:
    return 1


def by_comprehension(n: int) -> list[int]:
    return [helper_in_a_comprehension() for _ in range(n)]


def by_lambda(n: int) -> list[int]:
    return sorted(range(n), key=lambda k: k * helper_in_a_comprehension())


@functools.cache
def by_cache(n: int) -> int:
    return n + helper_in_a_comprehension()


def by_cached(n: int) -> int:
    return by_cache(n)


@pytest.mark.parametrize("function", [by_comprehension, by_lambda, by_cached])
def test_the_source_of_a_definition_reaches_into_comprehensions_lambdas_and_caches(
    function: Callable[..., Any],
) -> None:
    assert "def helper_in_a_comprehension" in source_of(function)


def definitions() -> tuple[str, ...]:
    """Of the hourly and the cross-section set and of their scans of a universe of three, computed anew."""
    cross_market.cache_clear()
    sets = (replace(fs).definition for fs in (HOURLY, cross_section.CROSS_SECTION))
    scans = (kind.market.definition(3) for kind in (hourly.KIND, cross_section.KIND) if kind.market)
    return (*sets, *scans)


@pytest.mark.parametrize(
    ("module", "old", "new", "whose"),
    [
        (market, "context.at(ts).T", "2.0 * context.at(ts).T", {0}),
        (market, "if symbol in closes]", "if symbol in closes and symbol]", {0, 2}),
        (market, "x[:, n:] = weights", "x[:, n:] = 2.0 * weights", {0, 2}),
        (market, "= close[low:high]", "= 2.0 * close[low:high]", {0, 2}),
        (market, "else np.union1d(a, b)", "else np.intersect1d(a, b)", {0, 2}),
        (market, "= self.values[where[known]]", "= 2.0 * self.values[where[known]]", {0}),
        (hourly, "component_inputs(records, context", "component_inputs(records[::-1], context", {0}),
        (hourly, "(ts, values[:, 0])", "(ts, 2.0 * values[:, 0])", {2}),
        (clock, "since_midnight - opens)", "since_midnight - closes)", {0}),
        (clock, "gone + 1.0", "gone + 2.0", {0}),
        (calendar, "h.opens <= ts < h.closes", "h.opens < ts < h.closes", {0}),
        (cross_section, 'records["close"].to_numpy()', 'records["open"].to_numpy()', {1}),
        (cross_section_market, "[where[known]]", "[where[known] - 1]", {1}),
        (cross_section_market, "values[there, 0]", "2.0 * values[there, 0]", {1, 3}),
        (cross_section_market, "[closes, in_force, together]", "[closes, in_force, 2.0 * together]", {1, 3}),
        (weights, 'np.searchsorted(self.effective, ts, side="right")', "np.searchsorted(self.effective, ts)", {2, 3}),
        (weights, '= table["weight"]', '= 2.0 * table["weight"]', {2, 3}),
        (basket_module, "total += weight", "total -= weight", {0, 1, 2, 3}),
    ],
)
def test_a_change_in_how_inputs_are_made_changes_the_definition(
    module: ModuleType, old: str, new: str, whose: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the text were changed in the file: of the `definitions` just those change that are made by it."""
    getsource, changed = inspect.getsource, []

    def edited(function: Callable[..., Any]) -> str:
        source = getsource(function)
        if function.__module__ != module.__name__ or old not in source:
            return source
        changed.append(function)
        return source.replace(old, new)

    before = definitions()
    assert definitions() == before
    monkeypatch.setattr(inspect, "getsource", edited)
    after = definitions()
    assert changed
    assert {k for k in range(4) if before[k] != after[k]} == whose


def test_the_columns_of_a_bar_are_part_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = definitions()
    monkeypatch.setattr(market, "PRICES", ("high", "open", "low", "close", "volume"))
    assert definitions()[0] != before[0]


def test_the_clock_and_the_basket_are_part_of_the_hourly_definition() -> None:
    source = "\n".join(map(source_of, HOURLY.inputs_from))
    for used in (session_clock, basket_kernel, market.component_inputs, market.market_context, market.times):
        assert source_of(used) in source

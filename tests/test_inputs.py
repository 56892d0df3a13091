"""What a family reads of a panel is what was known at the row, of its own symbol."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.models.base import Family, Reads, Task
from data.inputs import inputs
from data.panel import Panel

SYMBOLS = ("A", "B", "C")


def panel(seed: int = 0, times: int = 40, ahead: int = 3) -> Panel:
    """Rows of three symbols at uneven times; outcomes are known between one and ``ahead`` rows later."""
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.choice(10_000, times, replace=False)).repeat(len(SYMBOLS))
    who = np.tile(np.arange(len(SYMBOLS)), times)
    kept = rng.random(len(ts)) < 0.8
    ts, who = ts[kept], who[kept]
    return Panel(
        x=rng.normal(size=(len(ts), 2)),
        outcome=rng.normal(size=len(ts)) + 10.0,
        value=rng.uniform(5.0, 6.0, len(ts)),
        ts=ts,
        t1=ts + rng.integers(1, 400 * ahead, len(ts)),
        who=who,
        symbols=SYMBOLS,
        features=("a", "b"),
        definition="test",
        warmup=1,
    )


def reading(reads: Reads) -> Family:
    return Family(
        name="f", tasks=frozenset(Task), space=lambda trial, task: {}, fit=lambda rows, params: None, reads=reads
    )  # type: ignore[arg-type,return-value]


def every(on: Panel) -> np.ndarray:
    return np.arange(len(on.ts))


def test_one_row_of_features_is_the_panel_itself():
    on = panel()
    np.testing.assert_array_equal(inputs(on, False).read(reading(Reads.FEATURES), {}, every(on)), on.x)


@settings(max_examples=20)
@given(seed=st.integers(0, 99), lookback=st.integers(2, 6))
def test_a_window_holds_the_rows_of_the_symbol_up_to_the_row_oldest_first(seed, lookback):
    on = panel(seed)
    found = inputs(on, False).read(reading(Reads.FEATURES), {"lookback": lookback}, every(on))
    for row in every(on):
        own = [k for k in range(row + 1) if on.who[k] == on.who[row]][-lookback:]
        own = [own[0]] * (lookback - len(own)) + own
        np.testing.assert_array_equal(found[row], on.x[own].astype(np.float32).ravel())


@settings(max_examples=20)
@given(seed=st.integers(0, 99), lookback=st.integers(1, 4), level=st.booleans())
def test_outcomes_are_those_that_are_known_and_do_not_overlap(seed, lookback, level):
    on = panel(seed)
    change = on.outcome - on.value if level else on.outcome
    found = inputs(on, level).read(reading(Reads.OUTCOMES), {"lookback": lookback}, every(on))
    for row in every(on):
        expected, by = [], on.ts[row]
        while len(expected) < lookback:
            own = [k for k in range(row) if on.who[k] == on.who[row]]
            known = [k for k in own if max(on.t1[j] for j in own if j <= k) <= by]
            if not known:
                expected.append(0.0)
                by = -1
                continue
            expected.append(change[known[-1]])
            by = on.ts[known[-1]]
        np.testing.assert_array_equal(found[row], expected[::-1])


@pytest.mark.parametrize("reads", list(Reads))
def test_nothing_that_comes_later_is_read(reads):
    on = panel(3)
    middle = len(on.ts) // 2
    now, params = on.ts[middle], {"lookback": 3}
    rows = np.flatnonzero(on.ts <= now)
    later, unknown = on.ts > now, on.t1 > now
    shocked = Panel(
        **{name: getattr(on, name) for name in ("ts", "t1", "who", "symbols", "features", "definition", "warmup")},
        x=np.where(later[:, None], 99.0, on.x),
        outcome=np.where(unknown, 99.0, on.outcome),
        value=np.where(later, 99.0, on.value),
    )
    labels = np.arange(len(on.ts))
    given_labels = [labels, np.where(unknown, 99, labels)]
    one, two = (
        inputs(p, True).read(reading(reads), params, rows, y) for p, y in zip((on, shocked), given_labels, strict=True)
    )
    np.testing.assert_array_equal(one, two)


@settings(max_examples=50)
@given(seed=st.integers(0, 999), horizon=st.integers(1, 5))
def test_of_rows_that_share_a_moment_none_knows_what_the_others_bring(seed, horizon):
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(0, 12, 40))
    t1 = np.append(ts[horizon:], np.full(horizon, np.iinfo(np.int64).max))
    fields = {"who": np.zeros(40, np.int64), "symbols": ("A",), "features": ("a",), "definition": "t", "warmup": 1}
    on = Panel(x=np.zeros((40, 1)), outcome=np.arange(40.0), value=np.ones(40), ts=ts, t1=t1, **fields)
    known = inputs(on, False).known
    for row, found in enumerate(known):
        if found >= 0:
            assert found + horizon <= row  # the record that made the outcome known is this one or an earlier one
            assert t1[found] <= ts[row]


def test_prices_are_the_newest_of_every_symbol():
    on = panel(1)
    found = inputs(on, False).read(reading(Reads.PRICES), {}, every(on))
    for row in every(on):
        assert found[row, 0] == on.who[row]
        for k in range(len(SYMBOLS)):
            own = [j for j in every(on) if on.who[j] == k and on.ts[j] <= on.ts[row]]
            assert found[row, 1 + k] == (np.log(on.value[own[-1]]) if own else 0.0)


def test_labels_are_read_in_class_positions():
    on = panel(2)
    labels = np.arange(len(on.ts)) % 5
    found = inputs(on, False).read(reading(Reads.LABELS), {}, every(on), labels)
    assert set(found.ravel()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert len(set(found.ravel())) == 5

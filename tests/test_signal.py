"""The index signal states what it knows: what counts, what does not and why, and a sum that adds up."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from math import fsum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.actions import ACTIONS, SCORES
from bellwether.config.recipe import load_recipe
from bellwether.config.sections import Session
from bellwether.errors import SignalError
from bellwether.signal import Absence, Prediction, compose
from bellwether.signal_policy import SignalPolicy
from bellwether.signal_series import signal_series
from bellwether.trading_time import bars_left, iso, trading_time

HOUR = 3_600_000_000_000
POLICY = SignalPolicy(buy=0.5, sell=-0.5, coverage_floor=0.6, max_age_bars=1, interval_ns=HOUR)


def new_york(text: str) -> int:
    return pd.Timestamp(text, tz="America/New_York").value


NOON = new_york("2025-06-25 12:30")


def answer(symbol: str, action: int, ts: int = NOON) -> Prediction:
    p = [0.1] * 5
    p[action] = 0.6
    return Prediction(symbol=symbol, ts_event=ts, probabilities=tuple(p))


def signal_of(answers, weights, policy=POLICY, now=None, symbols="ABCD"):
    return compose("u", tuple(symbols), np.array(weights, float), answers, policy, now)


def by_symbol(signal):
    return {c.symbol: c for c in signal.components}


# --- the sum -------------------------------------------------------------------------------------

probabilities = st.lists(st.floats(0, 1), min_size=5, max_size=5).map(tuple)
weight = st.one_of(st.just(float("nan")), st.floats(0, 1))
components = st.lists(
    st.tuples(weight, probabilities, st.sampled_from(["fresh", "stale", "missing", "late"])), min_size=1, max_size=12
)


def posed(rows):
    symbols = [f"S{k}" for k in range(len(rows))]
    answers = {}
    for symbol, (_, p, status) in zip(symbols, rows, strict=True):
        ts = NOON - 3 * HOUR if status == "stale" else NOON
        given = Prediction(symbol=symbol, ts_event=ts, probabilities=p)
        answers[symbol] = given if status in ("fresh", "stale") else Absence(status=status, reason="said so")
    return symbols, np.array([w for w, *_ in rows]), answers


@given(components)
def test_contributions_add_up_to_the_signal_exactly(rows):
    symbols, weights, answers = posed(rows)
    signal = compose("u", symbols, weights, answers, POLICY, now=NOON)
    assert fsum(c.contribution for c in signal.components) == signal.wss
    assert -2.0 - 1e-12 <= signal.wss <= 2.0 + 1e-12
    assert all(c.contribution == c.share * (c.score or 0) for c in signal.components)


@given(components)
def test_shares_are_the_weights_of_what_counts_relative_to_their_sum(rows):
    symbols, weights, answers = posed(rows)
    signal = compose("u", symbols, weights, answers, POLICY, now=NOON)
    counts = [c for c in signal.components if c.status == "fresh" and c.weight]
    total = fsum(c.weight for c in counts)
    assert fsum(c.share for c in signal.components) == pytest.approx(1.0 if total else 0.0)
    for c in signal.components:
        assert c.share == (c.weight / total if c in counts else 0.0)
    assert 0.0 <= signal.coverage <= 1.0
    assert signal.coverage == pytest.approx(total / known if (known := np.nansum(weights)) else 0.0)


@given(components, st.randoms())
def test_the_order_of_the_universe_does_not_change_the_signal(rows, random):
    one = compose("u", *posed(rows), POLICY, now=NOON)
    symbols, weights, answers = posed(rows)
    order = list(range(len(symbols)))
    random.shuffle(order)
    two = compose("u", [symbols[k] for k in order], weights[order], answers, POLICY, now=NOON)
    assert (one.wss, one.wss_probability, one.coverage) == (two.wss, two.wss_probability, two.coverage)
    assert sorted(one.components, key=lambda c: c.symbol) == sorted(two.components, key=lambda c: c.symbol)


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_one_answer_says_what_the_series_over_history_says(seed, n):
    rng = np.random.default_rng(seed)
    p, weights = rng.dirichlet(np.ones(5), n), rng.uniform(0.1, 1, n)
    answered = rng.random(n) < 0.8
    answered[0] = True
    symbols = [f"S{k}" for k in range(n)]
    answers = {
        s: Prediction(symbol=s, ts_event=NOON, probabilities=tuple(row.tolist()))
        for s, row, there in zip(symbols, p, answered, strict=True)
        if there
    }
    signal = compose("u", symbols, weights, answers, POLICY)
    series = signal_series(np.full(answered.sum(), NOON), np.flatnonzero(answered), p[answered], weights[None])
    assert signal.wss == pytest.approx(series.wss[0], abs=1e-12)
    assert signal.wss_probability == pytest.approx(series.wss_probability[0], abs=1e-12)
    assert signal.coverage == pytest.approx(series.coverage[0], abs=1e-12)


def test_the_probability_weighted_signal_uses_the_expected_score():
    p = {"A": (0.1, 0.2, 0.3, 0.3, 0.1), "B": (0.0, 0.0, 0.2, 0.3, 0.5)}
    answers = {s: Prediction(symbol=s, ts_event=NOON, probabilities=row) for s, row in p.items()}
    signal = signal_of(answers, [0.25, 0.75], symbols="AB")
    expected = [sum(x * s for x, s in zip(row, SCORES, strict=True)) for row in p.values()]
    assert signal.wss_probability == pytest.approx(0.25 * expected[0] + 0.75 * expected[1])
    assert signal.wss == 0.25 * 0 + 0.75 * 2


def test_of_equally_likely_actions_the_first_is_taken_as_argmax_does():
    tied = Prediction(symbol="A", ts_event=NOON, probabilities=(0.1, 0.4, 0.1, 0.4, 0.0))
    (component,) = signal_of({"A": tied}, [1.0], symbols="A").components
    assert (component.action, component.score) == ("sell", -1)
    assert component.action == ACTIONS[int(np.argmax(tied.probabilities))]


# --- what it is called ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wss", "called"),
    [
        (0.5, "BUY"),
        (0.49999999999999994, "HOLD"),
        (-0.5, "SELL"),
        (-0.49999999999999994, "HOLD"),
        (0.0, "HOLD"),
        (2, "BUY"),
    ],
)
def test_thresholds_belong_to_the_call(wss, called):
    assert POLICY.call(wss) == called


def test_a_buy_of_exactly_the_threshold():
    answers = {s: answer(s, 3 if s in "AB" else 2) for s in "ABCD"}
    signal = signal_of(answers, [0.25] * 4)
    assert (signal.wss, signal.signal, signal.reason) == (0.5, "BUY", None)


def test_below_the_coverage_floor_it_holds_and_says_who_is_away():
    answers = {"A": answer("A", 4), "B": answer("B", 4, NOON - 2 * HOUR), "C": Absence(status="late", reason="slow")}
    signal = signal_of(answers, [0.3, 0.3, 0.3, 0.1])
    assert (signal.signal, signal.wss) == ("HOLD", 2.0)
    assert signal.coverage == pytest.approx(0.3)
    assert signal.reason == "coverage 0.300 is below the floor of 0.6: B stale, C late, D missing"


def test_coverage_of_exactly_the_floor_is_enough():
    signal = signal_of({s: answer(s, 4) for s in "AB"}, [0.25] * 4, replace(POLICY, coverage_floor=0.5))
    assert (signal.signal, signal.coverage) == ("BUY", 0.5)


@pytest.mark.parametrize("floor", [0.0, 0.6])
def test_knowing_nothing_it_holds(floor):
    signal = signal_of({}, [0.25] * 4, replace(POLICY, coverage_floor=floor))
    assert (signal.signal, signal.wss, signal.coverage, signal.ts_event, signal.as_of) == ("HOLD", 0.0, 0.0, None, None)
    assert signal.reason == (
        "no component with a weight has a fresh prediction: A missing, B missing, C missing, D missing"
    )


@pytest.mark.parametrize(
    ("overnight", "at", "held"),
    [("drop", "16:00", True), ("drop", "15:30", False), ("keep", "16:00", False)],
)
def test_the_last_bar_of_a_session_holds_if_nights_are_left_out(overnight, at, held):
    ts = new_york(f"2025-06-25 {at}")
    signal = signal_of({s: answer(s, 4, ts) for s in "ABCD"}, [0.25] * 4, replace(POLICY, overnight=overnight))
    assert signal.signal == ("HOLD" if held else "BUY")
    assert ("overnight" in (signal.reason or "")) is held


def test_two_bars_ahead_the_last_two_bars_look_across_the_night():
    policy = replace(POLICY, overnight="drop", horizon=2)
    at = [new_york(f"2025-06-25 {clock}") for clock in ("14:30", "15:30", "16:00")]
    assert [policy.is_before_night(ts) for ts in at] == [False, True, True]


# --- who counts ----------------------------------------------------------------------------------


def test_every_component_that_does_not_count_says_why():
    answers = {
        "A": answer("A", 4),
        "B": answer("B", 4, NOON - 2 * HOUR),
        "C": Absence(status="late", reason="shard 1 did not answer within 2 s"),
        "E": answer("E", 0),
    }
    signal = signal_of(
        answers, [0.4, 0.2, 0.2, 0.2, np.nan], symbols="ABCDE", policy=replace(POLICY, coverage_floor=0.1)
    )
    found = by_symbol(signal)
    assert {s: c.status for s, c in found.items()} == dict(
        zip("ABCDE", ("fresh", "stale", "late", "missing", "fresh"), strict=True)
    )
    assert found["A"].reason is None
    assert found["B"].reason == "its newest bar, 2025-06-25T14:30:00Z, is 2 bars old; at most 1"
    assert found["C"].reason == "shard 1 did not answer within 2 s"
    assert found["D"].reason == "no answer"
    assert found["E"].reason == "no weight is in force at 2025-06-25T16:30:00Z"
    assert found["B"].action == "strong_buy"  # what it says is shown, and does not count
    assert [c.contribution for c in signal.components] == [2.0, 0.0, 0.0, 0.0, 0.0]
    assert signal.coverage == pytest.approx(0.4)
    assert found["B"].age_seconds == 7200.0


def test_a_component_as_old_as_allowed_is_fresh():
    signal = signal_of({"A": answer("A", 4), "B": answer("B", 4, NOON - HOUR)}, [0.5, 0.5], symbols="AB")
    assert [c.status for c in signal.components] == ["fresh", "fresh"]


@pytest.mark.parametrize(
    ("now", "status"),
    [
        ("2025-06-25 12:30", "fresh"),
        ("2025-06-25 13:30", "fresh"),
        ("2025-06-25 13:31", "stale"),
    ],
)
def test_against_the_wall_clock_age_is_what_has_been_traded_since(now, status):
    signal = signal_of({"A": answer("A", 4)}, [1.0], symbols="A", now=new_york(now))
    assert [c.status for c in signal.components] == [status]
    assert signal.as_of == new_york(now)


def test_nights_and_weekends_make_nothing_old():
    friday = new_york("2025-06-27 16:00")
    status = {
        now: signal_of({"A": answer("A", 4, friday)}, [1.0], symbols="A", now=new_york(now)).components[0].status
        for now in ("2025-06-28 12:00", "2025-06-30 09:30", "2025-06-30 10:30", "2025-06-30 10:31")
    }
    assert list(status.values()) == ["fresh", "fresh", "fresh", "stale"]


def test_the_wall_clock_does_not_count_a_bar_from_the_future():
    answers = {"A": answer("A", 4), "B": answer("B", 0, NOON + HOUR)}
    signal = signal_of(answers, [0.5, 0.5], symbols="AB", now=NOON)
    assert signal.ts_event == NOON
    assert by_symbol(signal)["B"].status == "missing"
    assert "not closed yet" in str(by_symbol(signal)["B"].reason)


def test_wrong_weights_and_probabilities_are_refused_by_name():
    with pytest.raises(SignalError, match=r"weight of B is -0\.1"):
        signal_of({}, [0.5, -0.1], symbols="AB")
    with pytest.raises(SignalError, match="1 weights for 2 symbols"):
        signal_of({}, [0.5], symbols="AB")
    for p in ((0.5, 0.5), (0.2, 0.2, 0.2, 0.2, float("nan"))):
        with pytest.raises(SignalError, match="probabilities of A"):
            signal_of({"A": Prediction(symbol="A", ts_event=NOON, probabilities=p)}, [1.0], symbols="A")


# --- trading time --------------------------------------------------------------------------------


def traded(a: pd.Timestamp, b: pd.Timestamp, session: Session) -> float:
    """The slow way: minutes of Monday to Friday within the session, one by one."""
    minutes = pd.date_range(a, b, freq="min", inclusive="left").tz_convert(session.timezone)
    inside = [m.weekday() < 5 and session.opens <= m.time() < session.closes for m in minutes]
    return float(sum(inside) * 60)


minute = st.integers(0, 60 * 24 * 20).map(lambda k: pd.Timestamp("2025-02-24", tz="UTC") + pd.Timedelta(minutes=k))


@given(
    minute,
    minute,
    st.sampled_from([Session(), Session(timezone="Asia/Kolkata", opens=time(9, 15), closes=time(15, 30))]),
)
def test_trading_time_counts_the_minutes_of_sessions_across_a_change_of_clocks(one, two, session):
    a, b = sorted((one, two))
    elapsed = trading_time(b.value, session) - trading_time(a.value, session)
    assert elapsed / 1e9 == traded(a, b, session)


def test_bars_left_counts_the_short_bar_at_the_end():
    closes = [new_york(f"2025-06-25 {clock}") for clock in ("09:30", "10:30", "15:30", "15:59", "16:00", "20:00")]
    assert [bars_left(ts, Session(), HOUR) for ts in closes] == [7, 6, 1, 1, 0, 0]


@given(st.integers(0, 2**62))
def test_iso_times_are_exact(ts):
    assert pd.Timestamp(iso(ts)).value == ts


def test_a_daily_bar_is_a_session_old_after_a_day():
    policy = replace(POLICY, interval_ns=24 * HOUR)
    friday, monday, tuesday = (new_york(f"{day} 16:00") for day in ("2025-06-27", "2025-06-30", "2025-07-01"))
    assert not policy.is_stale(policy.age(friday, monday))
    assert policy.is_stale(policy.age(friday, tuesday))


def test_the_policy_is_the_recipes_and_thresholds_the_models_if_calibrated():
    fixed, calibrated = (load_recipe(name) for name in ("index-hourly", "index-hourly-qqq"))
    assert calibrated.serving.thresholds == "calibrated"
    one, two = SignalPolicy.of(fixed, (0.3, -0.3)), SignalPolicy.of(calibrated, (0.3, -0.3))
    assert (one.buy, one.sell) == (fixed.serving.buy, fixed.serving.sell)
    assert (two.buy, two.sell) == (0.3, -0.3)
    assert one.interval_ns == HOUR

"""Messages: what arrives is judged as strictly as at ingest, and refusals are JSON whatever was sent."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pandas as pd
import pyarrow as pa
import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bellwether.config.sections import Session
from data.intake.quality import screen_rows
from data.records import BARS
from data.sources.base import RAW
from serve_apps.index.schemas import MAX_BARS, MAX_ITEMS, BatchRequest, PostedBar, PredictRequest
from serve_apps.index.sharding import shards
from serve_apps.index.wire import by_class
from serve_apps.web.bodies import dumps
from serve_apps.web.problems import LONGEST, SHOWN, refusal, unprocessable
from serve_apps.web.values import to_ns

BAR = {"ts_event": "2025-06-25T16:30:00Z", "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 100}
NOON = pd.Timestamp("2025-06-25T16:30:00Z").value


def request(*bars, **changes):
    return {"symbol": "A", "interval": "1h", "bars": list(bars), **changes}


def problems(model, value) -> str:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(value)
    return " | ".join(
        f"{'.'.join(map(str, d['loc']))}: {d['msg']} ({d.get('received')})" for d in refusal(refused.value)["errors"]
    )


# --- bars ----------------------------------------------------------------------------------------


def test_a_bar_becomes_a_row_of_the_lake():
    table = PredictRequest.model_validate(request(BAR)).table()
    assert table.schema.equals(pa.schema([f.with_nullable(True) for f in BARS if f.name != "symbol"]))
    assert table["ts_event"].cast(pa.int64()).to_pylist() == [NOON]
    assert table["volume"].to_pylist() == [100.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"open": -1.0}, "open: Input should be greater than 0 (-1.0)"),
        ({"close": 0}, "close: Input should be greater than 0 (0)"),
        ({"high": math.nan}, "high: Input should be a finite number (nan)"),
        ({"low": math.inf}, "low: Input should be a finite number (inf)"),
        ({"volume": -5}, "volume: Input should be greater than or equal to 0 (-5)"),
        ({"volume": "100"}, "volume: Input should be a valid number ('100')"),
        ({"open": True}, "open: Input should be a valid number (True)"),
        ({"open": None}, "open: Input should be a valid number (None)"),
        ({"high": 8.0}, "high 8.0 is below low 9.0"),
        ({"close": 11.5}, "close 11.5 is outside low..high, 9.0..11.0"),
        ({"open": 8.5}, "open 8.5 is outside low..high, 9.0..11.0"),
        ({"vwap": 10.0}, "vwap: Extra inputs are not permitted (10.0)"),
    ],
)
def test_a_wrong_bar_is_refused_with_field_bound_and_value(change, message):
    assert message in problems(PostedBar, BAR | change)


def test_a_missing_field_is_named():
    assert "volume: Field required" in problems(PostedBar, {k: v for k, v in BAR.items() if k != "volume"})


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.floats(9, 11), st.sampled_from([0.0, -1.0, 10.0, 10.000001])
)


@given(st.tuples(numbers, numbers, numbers, numbers, numbers))
def test_a_bar_is_accepted_if_and_only_if_ingest_keeps_it(values):
    names = ("open", "high", "low", "close", "volume")
    bar = BAR | dict(zip(names, values, strict=True))
    row = {"symbol": "A", **bar, "ts_event": pd.Timestamp(BAR["ts_event"]), "file": "x", "row": 1}
    kept = screen_rows(pa.Table.from_pylist([row], schema=RAW), Session()).kept.num_rows == 1
    try:
        PostedBar.model_validate(bar)
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted == kept


# --- times ---------------------------------------------------------------------------------------


@given(
    st.integers(10**17, 2**62),
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
)
def test_every_way_to_write_a_time_is_the_same_nanosecond(ts, zone):
    written = pd.Timestamp(ts, tz="UTC").tz_convert(zone).isoformat()
    assert to_ns(written) == to_ns(written.replace("+00:00", "Z")) == to_ns(ts) == ts


@pytest.mark.parametrize(
    "wrong",
    ["2025-06-25T16:30:00", "yesterday", "2025-06-25", "2025-13-25T16:30:00Z", "", 1.5e18, True, None, [1]],
)
def test_a_time_without_zone_or_that_is_none_is_refused(wrong):
    assert "ts_event: " in problems(PostedBar, BAR | {"ts_event": wrong})


@pytest.mark.parametrize("seconds", [1_750_869_000, 1_750_869_000_000, -1, 2**63])
def test_seconds_and_milliseconds_are_not_taken_for_nanoseconds(seconds):
    assert "ns; seconds or milliseconds are too small" in problems(PostedBar, BAR | {"ts_event": seconds})


# --- requests ------------------------------------------------------------------------------------


def at(hours: int) -> dict:
    return BAR | {"ts_event": NOON + hours * 3_600_000_000_000}


def test_bars_must_rise():
    message = problems(PredictRequest, request(at(0), at(2), at(1)))
    assert "bars.2.ts_event is 2025-06-25T17:30:00Z, earlier than 2025-06-25T18:30:00Z" in message
    assert "oldest bar first" in message


def test_a_bar_sent_twice_is_named():
    assert "bars.1.ts_event is 2025-06-25T16:30:00Z, as is that of the bar before" in problems(
        PredictRequest, request(at(0), at(0))
    )


def test_there_is_a_limit_to_bars_and_to_a_batch():
    assert f"at most {MAX_BARS} items" in problems(PredictRequest, request(*[BAR] * (MAX_BARS + 1)))
    assert f"at most {MAX_ITEMS} items" in problems(BatchRequest, {"items": [{}] * (MAX_ITEMS + 1)})
    assert "at least 1 item" in problems(BatchRequest, {"items": []})


def test_unknown_keys_are_refused():
    assert "flat: Extra inputs are not permitted" in problems(PredictRequest, request(BAR, flat=True))


# --- refusals and answers ------------------------------------------------------------------------


def test_refusals_are_json_and_short():
    long = {**{f"k{n}": n for n in range(40)}, "ts_event": "x" * 10_000, "open": math.nan}
    with pytest.raises(ValidationError) as refused:
        PostedBar.model_validate(long)
    found = refusal(refused.value)
    json.dumps(found, allow_nan=False)
    assert found["status"] == 422
    assert len(found["errors"]) == SHOWN
    assert max(len(d["received"]) for d in found["errors"]) == LONGEST + 1


def test_our_own_422s_look_like_those_of_the_schema():
    error = unprocessable(("body", "bars", 3, "ts_event"), "is early")
    assert isinstance(error, RequestValidationError)
    assert refusal(error)["errors"] == [
        {"loc": ["body", "bars", 3, "ts_event"], "msg": "is early", "type": "value_error"}
    ]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_survive_json_bit_for_bit(values):
    back = json.loads(dumps(values))
    assert [v.hex() for v in back] == [v.hex() for v in values]


def test_what_json_cannot_say_is_an_error_and_not_sent():
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps({"wss": math.nan})


def test_probabilities_carry_their_class_names_in_order():
    assert list(by_class((0.1, 0.2, 0.3, 0.3, 0.1))) == ["strong_sell", "sell", "hold", "buy", "strong_buy"]


@given(st.integers(1, 120), st.integers(1, 12))
def test_shards_are_slices_of_the_universe_as_even_as_can_be(n, count):
    symbols = [f"S{k}" for k in range(n)]
    cut = shards(symbols, count)
    assert [s for part in cut for s in part] == symbols
    assert len(cut) == min(n, count)
    assert all(0 <= len(a) - len(b) <= 1 for a, b in pairwise(cut))
    assert len(cut[0]) - len(cut[-1]) <= 1

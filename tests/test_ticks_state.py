"""Where the app of trades stands: at the feature table's bits, and what it keeps is kept."""

import time

import numpy as np
import pyarrow as pa

from bellwether.trading_time import iso
from benchmarks.tick_in_process import Running, as_body, later, same_bits, table_row
from benchmarks.tick_installation import FIRST_OPEN, date_of, trades_of
from data.features.base import FeatureSet
from data.lake import Lake
from data.lake.compaction import compact
from data.wall import DAY, times
from serve_apps.tick import live, posting
from serve_apps.tick.tape import FollowedTape, Tape

# The state


def test_a_trade_in_a_request_leaves_the_features_the_table_would_have(made_ticks):
    with Running(made_ticks) as app:
        assert same_bits(app.row(), table_row(made_ticks))
        ticks = [later(made_ticks, k // 2, price=100 + k / 100, **({} if k % 3 else {"bid": None})) for k in range(8)]
        for tick in ticks:
            said = app.predict(tick=tick)
            assert (said["applied"], said["durable"]) == (True, False)
        assert app.post("/ticks", ticks=[{"symbol": "S000"} | tick for tick in ticks]).json()["kept"] == 8
        told = app.row()
        assert same_bits(told, table_row(made_ticks))
        assert app.predict()["durable"] is True


def test_a_replica_that_starts_anew_and_one_that_follows_say_the_same(made_ticks):
    with Running(made_ticks) as one, Running(made_ticks) as other:
        body = [{"symbol": "S000"} | later(made_ticks, k) for k in range(1, 6)]
        one.post("/ticks", ticks=body)
        other.refresh()
        with Running(made_ticks) as fresh:
            said = [app.get("/predict/S000").json() for app in (one, other, fresh)]
    assert said[0]["ts_event"] == iso(FIRST_OPEN + DAY + _after(body[-1]))
    assert said[0] == said[1] == said[2]


def _after(tick):
    return int(np.datetime64(tick["ts_event"].removesuffix("Z"), "ns").astype(int)) - FIRST_OPEN - DAY


def test_the_lake_and_a_request_may_bring_the_same_trade(made_ticks):
    with Running(made_ticks) as app:
        tick = later(made_ticks, 1, seq=4)
        assert app.predict(tick=tick)["applied"] is True
        assert app.predict(tick=tick)["applied"] is False
        app.post("/ticks", ticks=[{"symbol": "S000"} | tick])
        assert app.predict(tick=tick)["applied"] is False
        assert same_bits(app.row(), table_row(made_ticks))


def test_what_the_lake_learns_late_goes_before_what_a_request_said(made_ticks):
    with Running(made_ticks) as app, Running(made_ticks) as other:
        first, second = later(made_ticks, 1, price=101.0), later(made_ticks, 2, price=102.0)
        app.predict(tick=second)
        other.post("/ticks", ticks=[{"symbol": "S000"} | first])
        app.refresh()
        told = app.predict()
        assert (told["ts_event"], told["durable"]) == (second["ts_event"], False)
        other.post("/ticks", ticks=[{"symbol": "S000"} | second])
        assert same_bits(app.row(), other.row())
        assert same_bits(app.row(), table_row(made_ticks))


def test_trades_that_were_told_are_counted_again_in_one_scan(made_ticks, monkeypatch):
    with Running(made_ticks) as app, Running(made_ticks) as other:
        told = [later(made_ticks, 2 + k // 3, price=100 + k / 100) for k in range(30)]
        for tick in told:
            app.predict(tick=tick)
        other.post("/ticks", ticks=[{"symbol": "S000"} | later(made_ticks, 1)])
        app.refresh()
        one, rows = app.ingress._engine._lives["S000"], []
        scan = FeatureSet.scan
        monkeypatch.setattr(
            FeatureSet, "scan", lambda self, x, *state, **out: _noted(rows, x, scan(self, x, *state, **out))
        )
        app.ingress._engine.live("S000")
        assert rows == [30]
        other.post("/ticks", ticks=[{"symbol": "S000"} | tick for tick in told])
        assert same_bits(app.row(), table_row(made_ticks))
        assert (one.key, one.instant) == (other.ingress._engine.live("S000").key, one.instant)
        assert [tick.price for tick in one.instant] == [tick["price"] for tick in told[-3:]]


def _noted(rows, x, found):
    rows.append(len(x))
    return found


def test_a_session_is_followed_part_by_part_and_through_compaction(made_ticks, monkeypatch):
    monkeypatch.setattr(posting, "MOST_PARTS", 10**9)
    whole = trades_of("S001", 2, 90)
    with Running(made_ticks) as app:
        for first in range(0, 90, 13):
            app.post("/ticks", ticks=as_body(whole.slice(first, 13)))
            if first == 39:
                assert compact(Lake(made_ticks.lake), "ticks").parts > 1
        assert same_bits(app.row("S001"), table_row(made_ticks, "S001", 2))
        state = app.ingress._engine.tape.value["S001"].state
    with Running(made_ticks) as fresh:
        assert fresh.ingress._engine.tape.value["S001"].state.tobytes() == state.tobytes()


def test_a_revision_is_read_from_the_start(made_ticks):
    with Running(made_ticks) as app:
        lake, name = Lake(made_ticks.lake), f"S000/{date_of(1)}"
        other = lake.read("ticks", name)
        other = other.set_column(4, "price", pa.array(other["price"].to_numpy() + 1.0))
        lake.commit(
            "ticks", [lake.stage("ticks", "S000", other.cast(lake.read("ticks", name).schema), date=date_of(1))]
        )
        app.refresh()
        assert same_bits(app.row(), table_row(made_ticks))


def test_many_parts_are_made_one(made_ticks, monkeypatch):
    monkeypatch.setattr(posting, "MOST_PARTS", 3)
    with Running(made_ticks) as app:
        for _ in range(7):
            app.post("/ticks", ticks=[{"symbol": "S000"} | later(made_ticks, 1)])
            app.runner.run(_done(app.ingress._posting._tidying))
        assert len([e for e in Lake(made_ticks.lake).of("ticks", "S000") if e.date == date_of(1)]) <= 4
        app.refresh()
        assert same_bits(app.row(), table_row(made_ticks))


async def _done(task):
    await task


def test_a_replica_that_was_told_more_than_it_remembers_goes_on_alone(made_ticks, monkeypatch):
    monkeypatch.setattr(live, "MOST", 3)
    with Running(made_ticks) as app, Running(made_ticks) as other:
        ticks = [later(made_ticks, k, price=100 + k) for k in range(1, 7)]
        for tick in ticks:
            app.predict(tick=tick)
        for n, tick in enumerate(ticks):
            other.post("/ticks", ticks=[{"symbol": "S000"} | tick])
            app.refresh()
            assert app.predict()["durable"] is (n == 5)
            assert app.predict()["ts_event"] == ticks[-1]["ts_event"]
        assert same_bits(app.row(), table_row(made_ticks))


# What is kept


def test_a_replica_that_goes_on_alone_still_does_when_a_version_looks_back_further(made_ticks, monkeypatch):
    monkeypatch.setattr(live, "MOST", 3)
    with Running(made_ticks) as app:
        for k in range(1, 6):
            app.predict(tick=later(made_ticks, k))
        engine = app.ingress._engine
        told = engine.live("S000").row.tobytes()
        engine.retape(FollowedTape(Tape(engine.recipe, Lake(made_ticks.lake), 3)))
        stands = app.predict()
        rows = [engine.live("S000").window(3)]
        for k in range(6, 8):
            app.predict(tick=later(made_ticks, k))
            rows.append(engine.live("S000").window(3))
    assert (stands["ts_event"], stands["durable"]) == (later(made_ticks, 5)["ts_event"], False)
    assert rows[:2] == [None, None]
    assert rows[2].tobytes()[: len(told)] == told


def test_posted_trades_are_on_the_disk_when_they_are_acknowledged(made_ticks):
    with Running(made_ticks) as app:
        said = app.post("/ticks", ticks=[{"symbol": "S001"} | later(made_ticks, 3, "S001")]).json()
        assert said == {"kept": 1, "unchanged": 0, "quarantined": []}
        newest = later(made_ticks, 0, "S001", ts_event=app.get("/predict/S001").json()["ts_event"])
        assert app.post("/ticks", ticks=[{"symbol": "S001"} | newest]).json()["unchanged"] == 1
    assert times(Lake(made_ticks.lake).read("ticks", f"S001/{date_of(1)}"))[-1] == max(
        e.last for e in Lake(made_ticks.lake).of("ticks", "S001")
    )


def test_a_durable_prediction_is_of_a_trade_in_the_lake(made_ticks):
    with Running(made_ticks) as app:
        tick = later(made_ticks, 1)
        said = app.predict(tick=tick, durable=True)
        assert (said["applied"], said["durable"], said["ts_event"]) == (True, True, tick["ts_event"])
        assert app.predict(tick=tick, durable=True)["applied"] is False
        old = app.post("/predict", symbol="S000", tick_data=later(made_ticks, -1), durable=True)
        said_row = app.row().tobytes()
    assert old.status_code == 422
    assert old.json()["errors"][0]["loc"] == ["body", "tick_data", "ts_event"]
    assert said_row == table_row(made_ticks).tobytes()


def test_what_is_not_taken_is_in_quarantine_with_its_reason(made_ticks):
    bad = [{"price": -1.0}, {"volume": 0}, {"bid": 101.0}, {"bid": -1.0}, {"ask_qty": -2.0}, {"side": 3}]
    ticks = [{"symbol": "S000"} | later(made_ticks, 1, **change) for change in bad]
    ticks += [
        {"symbol": "S000"} | later(made_ticks, -5),
        {"symbol": "S000"} | later(made_ticks, 1, ts_event=time.time_ns() + 10**12),
    ]
    with Running(made_ticks) as app:
        said = app.post("/ticks", ticks=ticks).json()
    told = [(one["tick"], one["field"], one["reason"]) for one in said["quarantined"]]
    assert said["kept"] == 0
    assert told == [
        (0, "price", "non_positive_price"),
        (1, "volume", "non_positive_volume"),
        (2, "bid", "crossed_quote"),
        (3, "bid", "non_positive_quote"),
        (4, "ask_qty", "negative_quantity"),
        (5, "side", "bad_side"),
        (6, "ts_event", "out_of_order"),
        (7, "ts_event", "not_yet"),
    ]
    assert said["quarantined"][2]["message"] == "is 101.0, above ask, which is 100.51"
    aside = Lake(made_ticks.lake).of("quarantine/ticks", "S000")
    assert sum(entry.rows for entry in aside) == len(ticks)


def test_what_is_written_is_acknowledged_though_it_cannot_be_read_yet(made_ticks, monkeypatch):
    def away(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(FollowedTape, "refresh", away)
    with Running(made_ticks) as app:
        posted = app.post("/ticks", ticks=[{"symbol": "S000"} | later(made_ticks, 1)])
        durable = app.post("/predict", symbol="S000", tick_data=later(made_ticks, 2), durable=True)
    assert (posted.status_code, posted.json()["kept"]) == (200, 1)
    assert durable.status_code == 503
    assert durable.json()["detail"] == "the trade is written, and the lake cannot be read now: ask again"


def test_a_lake_that_cannot_be_written_is_a_503(made_ticks, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(posting, "append", full)
    with Running(made_ticks) as app:
        found = app.post("/ticks", ticks=[{"symbol": "S000"} | later(made_ticks, 1)])
    assert found.status_code == 503
    assert "send them again" in found.json()["detail"]

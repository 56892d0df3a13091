"""Predictions reach the lake, and nothing that happens to the lake reaches the requests."""

from __future__ import annotations

import gc
import time
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.lake import Lake
from data.lake.compaction import compact
from data.lake.sql import queried
from serve_apps.book.forecast import Forecast
from serve_apps.factor.ingress import Factors
from serve_apps.index.ingress import IndexSignal
from serve_apps.prediction_log import PredictionLog
from serve_apps.prediction_rows import AT_ONCE, PREDICTIONS, Logged, inputs_sha
from serve_apps.tick.ingress import Ticks
from serve_apps.waiting import Waiting

NEW_YEAR = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC
SECOND = 1_000_000_000


def row(k: int = 0, **changes) -> Logged:
    values = {
        "ts": NEW_YEAR + k * SECOND,
        "request_id": f"r{k}",
        "app": "index_signal",
        "name": "index-hourly",
        "version": 3,
        "alias": "Production",
        "answered": True,
        "symbol": "S000",
        "inputs_sha": inputs_sha(b"x"),
        "features": [0.5, float("nan")],
        "output": [0.1, 0.9],
        "latency_s": 0.001,
        "ts_from": NEW_YEAR - SECOND,
    }
    return Logged(**(values | changes))


def logged(lake: Lake, app: str = "index_signal"):
    kind = f"predictions/{app}"
    return [r for name in lake.partitions(kind) for r in lake.read(kind, name).to_pylist()]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def unwritable(tmp_path: Path) -> Lake:
    """A lake below a file, where no folder can be made, whoever asks."""
    (tmp_path / "file").write_text("")
    return Lake(str(tmp_path / "file" / "lake"))


def mended(tmp_path: Path) -> None:
    (tmp_path / "file").unlink()


# --- what is written -----------------------------------------------------------------------------


def test_a_prediction_is_in_the_lake_as_it_was_logged(lake):
    log = PredictionLog(lake, "index_signal")
    log.add(row(1, features=np.array([1.5, -0.0]), output=(0.25, 0.75)))
    log.add(row(2, features=None, ts_from=None))
    log.close()
    first, second = logged(lake)
    assert first["features"] == [1.5, -0.0]
    assert first["output"] == [0.25, 0.75]
    assert (first["ts_event"].value, first["ts_from"].value) == (NEW_YEAR + SECOND, NEW_YEAR - SECOND)
    assert (first["request_id"], first["version"], first["answered"]) == ("r1", 3, True)
    assert (second["features"], second["ts_from"]) == (None, None)


def test_partitions_are_a_model_and_the_utc_date_of_the_prediction(lake):
    log = PredictionLog(lake, "index_signal")
    for change in ({"ts": NEW_YEAR - 1}, {"ts": NEW_YEAR}, {"name": "ticks"}):
        log.add(row(**change))
    log.close()
    names = ("index-hourly/2025-12-31", "index-hourly/2026-01-01", "ticks/2026-01-01")
    assert lake.partitions("predictions/index_signal") == names


def test_several_replicas_write_at_once_and_compaction_keeps_every_row(lake):
    logs = [PredictionLog(lake, "index_signal", every_s=0.01) for _ in range(3)]

    def work(log: PredictionLog, first: int) -> None:
        for k in range(first, first + 200):
            log.add(row(k))
            time.sleep(1e-4)
        log.close()

    threads = [Thread(target=work, args=(log, 1000 * k)) for k, log in enumerate(logs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"r{1000 * k + j}" for k in range(3) for j in range(200)}
    before = logged(lake)
    assert compact(lake, "predictions/index_signal").parts > 3
    after = logged(lake)
    assert len(before) == len(after) == len(expected)
    assert {r["request_id"] for r in before} == {r["request_id"] for r in after} == expected
    assert all(a["ts_event"] <= b["ts_event"] for a, b in pairwise(after))


def test_more_rows_than_are_made_a_table_at_once_are_one_part_in_their_order(lake):
    log = PredictionLog(lake, "index_signal")
    for k in range(2 * AT_ONCE + 1):
        log.add(row(k))
    log.close()
    assert [r["request_id"] for r in logged(lake)] == [f"r{k}" for k in range(2 * AT_ONCE + 1)]
    assert len(lake.of("predictions/index_signal", "index-hourly")) == 1


def test_a_queue_that_is_half_full_is_written_before_its_time(lake):
    log = PredictionLog(lake, "index_signal", capacity=8, every_s=3600.0)
    for k in range(4):
        log.add(row(k))
    wait_for(lambda: len(logged(lake)) == 4)
    log.close()


@pytest.mark.parametrize(
    ("app", "name"), [(Ticks, "_log"), (Factors, "_log"), (Forecast, "log"), (IndexSignal, "_log")]
)
def test_an_app_that_goes_closes_its_log(app, name):
    closed, one = [], object.__new__(app)
    setattr(one, name, SimpleNamespace(close=lambda: closed.append(app)))
    one.__del__()
    assert closed == [app]
    delattr(one, name)
    one.__del__()  # as of one whose constructor has failed


def test_sql_reads_the_log_by_the_symbol_that_was_predicted(lake):
    log = PredictionLog(lake, "index_signal")
    for k, symbol in enumerate(("S000", "S001", "S001")):
        log.add(row(k, symbol=symbol, answered=k != 2))
    log.close()
    text = "select symbol, count(*), max(output[2]) from predictions_index_signal where answered group by 1 order by 1"
    with queried(lake, text) as found:
        assert [tuple(r.values()) for r in found.read_all().to_pylist()] == [("S000", 1, 0.9), ("S001", 1, 0.9)]


def test_what_a_log_writes_is_documented():
    text = (Path(__file__).resolve().parents[1] / "docs" / "records.md").read_text(encoding="utf-8")
    assert [name for name in PREDICTIONS.names if f"`{name}`" not in text] == []


def test_a_hash_is_that_of_the_bits():
    x = np.array([0.1, 0.2])
    assert inputs_sha(x) == inputs_sha(x.copy()) == inputs_sha(x.tobytes())
    assert inputs_sha(x) != inputs_sha(np.nextafter(x, 1))


# --- what goes wrong -----------------------------------------------------------------------------


def test_while_the_lake_cannot_be_written_predictions_wait_and_nothing_is_raised(tmp_path):
    log = PredictionLog(broken := unwritable(tmp_path), "index_signal", capacity=5, every_s=0.01)
    for k in range(8):
        log.add(row(k))
    wait_for(lambda: log.error is not None)
    assert "NotADirectoryError" in log.error
    mended(tmp_path)
    wait_for(lambda: log.error is None)
    log.close()
    assert log.dropped == 3
    assert [r["request_id"] for r in logged(broken)] == ["r3", "r4", "r5", "r6", "r7"]


def test_adding_does_not_wait_for_a_lake_that_hangs(lake, monkeypatch):
    hangs, goes_on = Event(), Event()

    def commit(*_):
        hangs.set()
        goes_on.wait(30)

    monkeypatch.setattr(lake, "commit", commit)
    log = PredictionLog(lake, "index_signal", capacity=5, every_s=0.01)
    log.add(row())
    assert hangs.wait(30)
    for k in range(100):  # returns while the writer hangs, or the test would not go on
        log.add(row(k))
    assert not goes_on.is_set()
    assert log.dropped == 95
    goes_on.set()
    log.close()


@pytest.mark.parametrize(
    "change",
    [{"version": "three"}, {"output": "high"}, {"features": [None, {}]}, {"name": ""}, {"ts": 2**70}, {"symbol": 5}],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_fits_no_column_costs_itself_and_no_other(lake, change):
    log = PredictionLog(lake, "index_signal")
    for one in (row(1), row(2, **change), row(3)):
        log.add(one)
    log.close()
    assert [r["request_id"] for r in logged(lake)] == ["r1", "r3"]
    assert (log.dropped, log.error) == (1, None)


def test_a_log_that_nobody_holds_any_more_writes_what_waits(lake):
    log = PredictionLog(lake, "index_signal")
    log.add(row())
    del log
    gc.collect()
    assert len(logged(lake)) == 1


def test_closing_twice_is_closing_once(lake):
    log = PredictionLog(lake, "index_signal")
    log.add(row())
    log.close()
    log.close()
    assert len(logged(lake)) == 1


def wait_for(condition) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


# --- the queue -----------------------------------------------------------------------------------

OPERATIONS = st.lists(st.one_of(st.just("put"), st.just("take"), st.just("put_back")), max_size=60)


@given(capacity=st.integers(1, 6), operations=OPERATIONS)
def test_the_queue_holds_the_newest_in_order_and_counts_the_others(capacity, operations):
    waiting: Waiting[int] = Waiting(capacity)
    taken: list[int] = []
    put, gone = 0, 0
    for operation in operations:
        if operation == "put":
            waiting.put(put)
            put += 1
        elif operation == "take":
            gone += len(taken)  # written
            taken = waiting.take()
        else:
            waiting.put_back(taken)
            taken = []
        assert len(waiting) <= capacity
        assert put == gone + len(taken) + len(waiting) + waiting.lost  # nothing is lost without being counted
    left = waiting.take()
    assert left == sorted(left)
    assert not left or left[-1] == put - 1 or taken  # what is pushed out is the oldest


# --- on Ray --------------------------------------------------------------------------------------


@pytest.mark.ray
def test_a_replica_that_serve_takes_away_writes_what_waits(ray_cluster, lake):
    from ray import serve

    class Predicting:
        """As an app does it: an ASGI ingress whose ``__del__`` closes the log."""

        def __init__(self, lake: Lake, first: Logged) -> None:
            from serve_apps.prediction_log import PredictionLog

            self._log, self._first = PredictionLog(lake, "index_signal"), first

        def __serve_build_asgi_app__(self):
            from fastapi import FastAPI

            return FastAPI()

        def predict(self) -> None:
            self._log.add(self._first)

        def __del__(self) -> None:
            self._log.close()

    options = {"ray_actor_options": {"num_cpus": 0.1}, "graceful_shutdown_wait_loop_s": 0.1}
    one = serve.deployment(name="Predicting", **options)(serve.ingress()(Predicting))
    serve.shutdown()
    serve.start(proxy_location="Disabled")
    handle = serve.run(one.bind(lake, row()), name="predicting", route_prefix="/predicting")
    handle.predict.remote().result(timeout_s=30)
    assert logged(lake) == []
    serve.delete("predicting")
    assert [r["request_id"] for r in logged(lake)] == ["r0"]
    serve.shutdown()

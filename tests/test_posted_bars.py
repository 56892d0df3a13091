"""POST /bars: judged as ingest judges, in the lake when it is acknowledged, and in the next signal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pyarrow.csv as csv
import pytest

from bellwether.config import Recipe
from benchmarks.in_process import App
from benchmarks.installation import bars, put_bars, session_closes
from data.intake.take import Intake, take
from data.lake import Lake
from serve_apps.index import posted_bars
from serve_apps.index.answers import BarsTaken
from serve_apps.index.posted_bars import take_bars
from serve_apps.index.schemas import BarsRequest, raw_bars

ROOT = Path(__file__).resolve().parents[1]
TS = session_closes(31)
NOW = int(TS[-1])
THERE = 210
"""Bars of each symbol that the lake has: those of 30 sessions."""


@pytest.fixture
def app(tmp_path) -> App:
    return App(tmp_path, clock=lambda: NOW)


def body_of(symbol: str, first: int, count: int = 1, **changes) -> dict:
    """Bars of the walk that the lake has the beginning of."""
    rows = bars(symbol, TS, int(symbol[1:])).drop_columns(["symbol"]).slice(first, count).to_pylist()
    return {
        "symbol": symbol,
        "interval": "1h",
        "bars": [row | {"ts_event": row["ts_event"].isoformat()} | changes for row in rows],
    }


def counts(reply: httpx.Response) -> tuple[int, ...]:
    taken = BarsTaken.model_validate_json(reply.content)
    assert taken.received == taken.new + taken.revised + taken.unchanged + len(taken.quarantined)
    return taken.new, taken.revised, taken.unchanged, len(taken.quarantined)


# --- into the lake -------------------------------------------------------------------------------


def test_a_bar_is_new_once_and_unchanged_when_it_comes_again(app):
    body = body_of("S001", THERE)
    assert counts(app.post("/bars", body)) == (1, 0, 0, 0)
    version = app.lake.version(app.recipe.kind)
    again = app.post("/bars", body)
    assert counts(again) == (0, 0, 1, 0)
    assert again.json()["version"] == app.lake.version(app.recipe.kind) == version
    assert app.lake.read(app.recipe.kind, "S001").num_rows == THERE + 1


def test_another_bar_of_the_same_close_revises_it(app):
    assert counts(app.post("/bars", body_of("S001", THERE - 1, volume=7.0))) == (0, 1, 0, 0)
    assert app.lake.read(app.recipe.kind, "S001")["volume"][-1].as_py() == 7.0


def test_a_bar_that_breaks_a_rule_is_in_quarantine_with_the_reason_and_stops_no_other(app):
    good, early, wrong = (body_of("S001", THERE + k) for k in range(3))
    early["bars"][0]["ts_event"] = "2025-06-16T05:00:00Z"
    wrong["bars"][0]["low"] = -1.0
    reply = app.post("/bars", good | {"bars": [*good["bars"], *early["bars"], *wrong["bars"]]})
    assert counts(reply) == (1, 0, 0, 2)
    assert [(q["symbol"], q["ts_event"], q["reason"]) for q in reply.json()["quarantined"]] == [
        ("S001", "2025-06-16T05:00:00Z", "outside_session"),
        ("S001", "2025-06-16T16:30:00Z", "non_positive_price"),
    ]
    assert app.lake.read(f"quarantine/{app.recipe.kind}", "S001").num_rows == 2


def test_a_bar_that_has_not_closed_waits_in_quarantine(tmp_path):
    app = App(tmp_path, clock=lambda: int(TS[THERE]) - 1)
    reply = app.post("/bars", body_of("S001", THERE))
    assert [q["reason"] for q in reply.json()["quarantined"]] == ["not_closed"]


def test_several_symbols_are_taken_at_once(app):
    reply = app.post("/bars/batch", {"items": [body_of(symbol, THERE, 2) for symbol in ("S004", "S000")]})
    assert counts(reply) == (4, 0, 0, 0)
    assert [app.lake.read(app.recipe.kind, symbol).num_rows for symbol in ("S000", "S001")] == [THERE + 2, THERE]


def recipe_of_files(app: App, folder: Path) -> Recipe:
    """The recipe, with its bars in CSV files."""
    options = {"path": str(folder), "stamped": "close", "columns": {"time": "ts_event"}}
    source = app.recipe.source.model_copy(update={"kind": "ohlcv", "options": options})
    return app.recipe.model_copy(update={"source": source})


def test_the_lake_is_the_one_that_an_ingest_of_the_same_bars_makes(app, tmp_path):
    posted, ingested = (Lake(str(tmp_path / name)) for name in ("posted", "ingested"))
    recipe = recipe_of_files(app, tmp_path / "files")
    intake = Intake(source=recipe.source, record="bars", interval="1h", session=recipe.session, root=tmp_path)
    (tmp_path / "files").mkdir()
    for lake, count in ((posted, THERE), (ingested, THERE + 3)):
        csv.write_csv(bars("S001", TS, 1).slice(0, count), tmp_path / "files" / "bars.csv")
        take(intake, lake, now=lambda: NOW)
    take_bars(recipe, posted, raw_bars([BarsRequest.model_validate(body_of("S001", THERE, 3))]), NOW)
    assert posted.version(recipe.kind) == ingested.version(recipe.kind)


# --- from there into the signal ------------------------------------------------------------------


def test_a_posted_bar_reaches_the_signal_with_the_answer_that_an_ingested_one_gives(app, tmp_path):
    (tmp_path / "other").mkdir()
    other = App(tmp_path / "other")
    put_bars(other.lake, other.recipe, TS[: THERE + 1])

    async def conversation(client):
        await client.post("/bars/batch", json={"items": [body_of(symbol, THERE) for symbol in app.symbols]})
        for _ in range(500):
            after = (await client.get("/signal/index")).json()
            if {c["ts_event"] for c in after["components"]} == {"2025-06-16T14:30:00Z"}:
                return after
            await asyncio.sleep(0.01)
        raise AssertionError("the signal does not follow the lake")

    assert app.use(conversation) == other.get("/signal/index").json()


def test_a_bar_that_no_model_can_read_costs_its_symbol_and_no_other(app):
    async def conversation(client):
        body = body_of("S001", THERE, open=1e308, high=1e308)
        taken = await client.post("/bars", json=body)
        for _ in range(500):
            after = (await client.get("/signal/index")).json()
            if after["components"][1]["status"] != "fresh":
                return taken, after, (await client.get("/ready")).json()["missing"]
            await asyncio.sleep(0.01)
        raise AssertionError("the signal does not follow the lake")

    taken, after, missing = app.use(conversation)
    assert counts(taken) == (1, 0, 0, 0)  # no rule forbids it
    assert [c["status"] for c in after["components"]] == ["fresh", "missing", "fresh", "fresh", "fresh"]
    assert "features must be finite float32 values" in after["components"][1]["reason"]
    assert missing == []


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"symbol": "S9"}, 404, "no symbol of u5 'S9'"),
        ({"interval": "5min"}, 422, "is '5min'; bench has bars of '1h'"),
        ({"bars": []}, 422, "at least 1 item"),
        ({"more": 1}, 422, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_request_changes_nothing(app, change, status, message):
    version = app.lake.version(app.recipe.kind)
    reply = app.post("/bars", body_of("S001", THERE) | change)
    assert (reply.status_code, message in reply.json()["detail"]) == (status, True)
    assert app.lake.version(app.recipe.kind) == version


def test_the_index_of_the_universe_has_bars_too(app):
    body = body_of("S001", 0) | {"symbol": app.recipe.universe.index}
    assert counts(app.post("/bars", body)) == (1, 0, 0, 0)


def test_bars_of_another_source_are_not_mixed_in(app):
    there = app.lake.read(app.recipe.kind, "S001")
    app.lake.commit(app.recipe.kind, [app.lake.stage(app.recipe.kind, "S001", there, {"source": "elsewhere"})])
    reply = app.post("/bars", body_of("S001", THERE))
    assert reply.status_code == 409
    assert "from another source, elsewhere" in reply.json()["detail"]


def test_bars_that_come_quicker_than_their_interval_are_refused(app):
    quick = [body_of("S001", THERE)["bars"][0] | {"ts_event": f"2025-06-16T15:{m}:00Z"} for m in (30, 45)]
    reply = app.post("/bars", body_of("S001", THERE) | {"bars": quick})
    assert (reply.status_code, "less than their interval" in reply.json()["detail"]) == (409, True)


def test_a_lake_that_cannot_be_written_is_a_503(app, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(posted_bars, "take_bars", full)
    reply = app.post("/bars", body_of("S001", THERE))
    assert (reply.status_code, "send them again" in reply.json()["detail"]) == (503, True)


# --- beside other writers, and killed -------------------------------------------------------------


def test_bars_merged_while_another_process_writes_the_same_symbol_lose_neither(app, monkeypatch):
    lake, kind, update = app.lake, app.recipe.kind, Lake.update
    requests = [raw_bars([BarsRequest.model_validate(body_of("S001", THERE + k))]) for k in range(2)]

    def other_first(self, name, change):
        monkeypatch.setattr(Lake, "update", update)
        take_bars(app.recipe, lake, requests[1], NOW)
        return update(self, name, change)

    monkeypatch.setattr(Lake, "update", other_first)
    assert take_bars(app.recipe, lake, requests[0], NOW).added == 1
    assert lake.read(kind, "S001").num_rows == THERE + 2


KILLED_AT_EVERY_WRITE = """
import os, signal, sys
from data.lake import Lake
from data.lake.storage import Storage
from bellwether.config import load_recipe
from serve_apps.index.posted_bars import take_bars
from serve_apps.index.schemas import BarsRequest, raw_bars

recipe, lake, now = load_recipe(sys.argv[1]), Lake(sys.argv[2]), int(sys.argv[3])
BAR = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 1.0}
WRONG = BAR | {"low": 12.0}

def post(minute):
    times = [f"2025-06-16T{hour}:{minute:02d}:00Z" for hour in (15, 16)]
    bars = [BAR | {"ts_event": times[0]}, WRONG | {"ts_event": times[1]}]
    request = BarsRequest.model_validate({"symbol": "S000", "interval": "1h", "bars": bars})
    return take_bars(recipe, lake, raw_bars([request]), now)

def rows():
    return sum(entry.rows for entry in lake.of(recipe.kind, "S000"))

step = 0
while True:
    step, before = step + 1, rows()
    child = os.fork()
    if not child:
        seen = 0
        def killed(name):
            real = getattr(Storage, name)
            def call(*arguments):
                global seen
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)
            setattr(Storage, name, call)
        for name in ("put", "write"):
            killed(name)
        post(step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert rows() == before, "not acknowledged, and yet there"
    taken = post(step)
    assert (taken.added, taken.rejected.num_rows, rows()) == (1, 1, before + 1)
print(step)
"""


@pytest.mark.chaos
def test_killed_at_any_write_nothing_is_half_there_and_the_same_post_again_completes_it(app, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", KILLED_AT_EVERY_WRITE, app.args.recipe, app.lake.uri, str(NOW)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 4  # bars and quarantine are staged and shown, each

"""What an answer tells of where its symbol stands: how old that is, and what of the lake could not be read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from bellwether.trading_time import iso
from benchmarks.installation import Installation
from benchmarks.tick_in_process import Running, later, table_row
from benchmarks.tick_installation import FIRST_OPEN, SECOND, install_ticks, put_trades, tick_artefact, trades_of
from data.lake import Lake
from data.wall import DAY
from serve_apps.metrics import Meter
from serve_apps.models.routes import Route, to_config
from serve_apps.stores import Stores
from serve_apps.tick.known import Reader

CLOSE = int(6.5 * 3600) * SECOND
"""After the open."""

OLD = 315_673_200 * SECOND
"""1980-01-02 15:00 UTC."""


class App(Running):
    """The app with one model, at a time of its own."""

    now = FIRST_OPEN + 30 * DAY

    def __init__(self, made: Installation) -> None:
        super().__init__(made)
        self.ingress._engine._clock = lambda: self.now

    def config(self):
        return to_config({"trades": Route(version=1)})

    def ask(self, symbol: str = "S000"):
        return self.get(f"/predict/{symbol}").json()

    def missing(self) -> list[str]:
        return self.get("/ready").json()["missing"]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs two symbols' trades of two sessions, and a model that is held in memory."""

    def made(**options) -> Installation:
        found = install_ticks(tmp_path, models=(), **options)
        model = tick_artefact(found.load(), Lake(found.lake))
        registry = SimpleNamespace(load=lambda name, version: (version, model))
        monkeypatch.setattr(Stores, "open_registry", lambda stores: registry)
        return found

    return made


def newest(made: Installation, symbol: str) -> int:
    return max(entry.last for entry in Lake(made.lake).of("ticks", symbol))


# --- age ---------------------------------------------------------------------------------------------


def test_by_the_clock_an_answer_is_as_old_as_its_trade_and_nights_take_no_time(install, monkeypatch):
    noted = []
    monkeypatch.setattr(Meter, "staleness", lambda meter, symbol, seconds: noted.append((symbol, seconds)))
    made = install(serving={"clock": "wall"})
    last = newest(made, "S000")
    with App(made) as app:
        ages = []
        for app.now in (last - SECOND, last, last + 90 * SECOND, FIRST_OPEN + 2 * DAY + 60 * SECOND):
            ages.append(app.ask()["age_seconds"])
        (item,) = app.post("/predict/batch", items=[{"symbol": "S000"}]).json()["items"]
    over_night = (FIRST_OPEN + DAY + CLOSE - last) / SECOND + 60
    assert ages == [0.0, 0.0, 90.0, over_night]
    assert item["result"]["age_seconds"] == over_night
    assert noted == [("S000", age) for age in [*ages, over_night]]


def test_by_the_data_an_answer_is_as_old_as_the_newest_trade_of_all(install):
    made = install()
    last = {symbol: newest(made, symbol) for symbol in ("S000", "S001")}
    latest = max(last.values())
    with App(made) as app:
        assert [app.ask(s)["age_seconds"] for s in last] == [(latest - ts) / SECOND for ts in last.values()]
        told = latest + 100 * SECOND
        said = app.predict("S001", later(made, 0, "S001", ts_event=told))
        assert (said["applied"], said["age_seconds"]) == (True, 0.0)
        assert app.ask("S000")["age_seconds"] == (told - last["S000"]) / SECOND
        posted = later(made, 0, ts_event=told + 50 * SECOND) | {"symbol": "S000"}
        assert app.post("/ticks", ticks=[posted]).json()["kept"] == 1
        assert [app.ask(s)["age_seconds"] for s in last] == [0.0, 50.0]


def test_a_symbol_without_trades_has_no_age(install):
    made = install()
    lake = Lake(made.lake)
    lake.commit("ticks", lake.of("ticks", "S000"), replace=True)
    with App(made) as app:
        said = app.ask("S001")
    assert (said["ts_event"], said["age_seconds"]) == (None, None)
    assert said["reason"] == "there are no trades of S001 yet"


# --- what cannot be read -----------------------------------------------------------------------------


def test_a_symbol_whose_file_is_gone_stands_still_until_it_is_back_and_no_other_does(install):
    made = install()
    lake = Lake(made.lake)
    with App(made) as app:
        before = {symbol: app.ask(symbol)["ts_event"] for symbol in ("S000", "S001")}
        put_trades(lake, made.load(), 3, 120)
        gone = Path(made.lake) / lake.of("ticks", "S000")[-1].path
        gone.rename(aside := gone.with_suffix(".aside"))
        app.refresh()
        assert app.ask("S000")["ts_event"] == before["S000"]
        assert app.ask("S001")["ts_event"] == iso(newest(made, "S001")) > before["S001"]
        (why,) = app.missing()
        assert why.startswith("new trades of S000 cannot be read: NotInLake: ")
        aside.rename(gone)
        app.refresh()  # the lake has the same version
        assert app.ask("S000")["ts_event"] == iso(newest(made, "S000"))
        assert app.row().tobytes() == table_row(made, session=2).tobytes()
        assert app.missing() == []


def test_a_trade_before_the_calendar_begins_costs_its_symbol_alone(install):
    made = install(session={"calendar": "XBOM"})
    lake, one = Lake(made.lake), trades_of("S000", 0, 1)
    ts = pa.array([OLD]).cast(one.schema.field("ts_event").type)
    old = one.set_column(one.schema.get_field_index("ts_event"), "ts_event", ts)
    lake.commit("ticks", [lake.stage("ticks", "S000", old, date="1980-01-02")])
    with App(made) as app:
        one, other, missing = app.ask("S000"), app.ask("S001"), app.missing()
    assert other["predictions"]["direction_5"]["prediction"] is not None
    assert one["reason"] == "trades of S000 cannot be read: /ready says why"
    assert one["predictions"]["direction_5"]["prediction"] is None
    (why,) = missing
    assert why.startswith("new trades of S000 cannot be read: DataError: calendar XBOM reaches from 1997")


def test_a_durable_trade_that_is_written_and_cannot_be_read_is_a_503_and_is_counted_later(install, monkeypatch):
    made, known = install(), Reader.known

    def torn(reader, symbol, parts, before=None):
        if symbol == "S000":
            raise OSError(5, "Input/output error")
        return known(reader, symbol, parts, before)

    with App(made) as app:
        monkeypatch.setattr(Reader, "known", torn)
        tick = later(made, 1)
        found = app.post("/predict", symbol="S000", tick_data=tick, durable=True)
        assert found.status_code == 503
        assert found.json()["detail"] == "the trade is written, and the lake cannot be read now: ask again"
        other = app.predict("S001", later(made, 1, "S001"), durable=True)
        assert (other["applied"], other["durable"]) == (True, True)
        monkeypatch.setattr(Reader, "known", known)
        said = app.predict("S000", tick, durable=True)
    assert (said["applied"], said["durable"], said["ts_event"]) == (False, True, tick["ts_event"])

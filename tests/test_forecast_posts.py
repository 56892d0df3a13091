"""Prices ahead of a window that a client sends: the same answer as from the lake, or a refusal that says why."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.book_in_process import FORECAST, Books
from benchmarks.books import bodies, books, grid
from serve_apps.book.answers import ForecastBatch
from serve_apps.book.forecast import Forecast
from serve_apps.models.routes import Route

TS = grid(4)


@pytest.fixture(scope="module")
def ahead(tmp_path_factory) -> Books:
    """One step ahead, nights left out; version 2 looks at six rows, and version 3 reads the last known outcome."""
    made = Books(tmp_path_factory.mktemp("ahead"), FORECAST)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0})
    made.fit("ridge", {"alpha": 1.0, "lookback": 6})
    made.fit("last_return", {})
    return made


def window(made: Books, rows: int = len(TS) - 5, symbol: str = "A") -> list[dict]:
    return bodies(books(symbol, TS[:rows], made.recipe.universe.symbols.index(symbol)))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_lakes_own_rows_posted_give_the_stored_answer(ahead, version):
    async def conversation(client, app):
        stored = await client.get("/predict/A")
        return stored.json(), (await client.post("/predict", json={"symbol": "A", "snapshots": window(ahead)})).json()

    stored, posted = ahead.use(Forecast, conversation, Route(version=version))
    assert stored == posted
    assert stored["model"]["version"] == version


@pytest.mark.parametrize(("version", "need"), [(1, 24), (2, 29), (3, 25)])
def test_just_enough_rows_are_enough_and_one_fewer_is_refused_with_their_number(ahead, version, need):
    rows = window(ahead, 60)

    async def conversation(client, app):
        return [await client.post("/predict", json={"snapshots": rows[60 - n :]}) for n in (need, need - 1, 0)]

    enough, short, none = ahead.use(Forecast, conversation, Route(version=version))
    assert enough.status_code == 200
    assert (short.status_code, none.status_code) == (422, 422)
    assert f"{need} rows are needed, the newest last; {need - 1} came" in short.json()["detail"]


def changed(rows: list[dict], row: int, **what) -> list[dict]:
    return [r | what if k == row else r for k, r in enumerate(rows)]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"bids": [[100.5, 1.0]], "asks": [[100.4, 1.0]]}, "crossed"),
        ({"bids": [[99.0, 1.0], [99.1, 1.0]]}, "levels unordered"),
        ({"bids": [[-99.0, 1.0]]}, "non positive price"),
        ({"bids": [[None, 5.0]]}, "quantity without price"),
        ({"asks": [[100.5, -1.0]]}, "negative quantity"),
        ({"ts_event": int(TS[38])}, "earlier than"),
        ({"ts_event": int(TS[40]) - 60 * 10**9}, "comes 240 s after the one before; they are taken every 300 s"),
        ({"ts_event": "2025-05-05T13:35"}, "ISO 8601 with its zone"),
        ({"bids": [[99.0]]}, "bids"),
        ({"bids": [["99.0", 1.0]]}, "valid number"),
        ({"bids": [[True, 1.0]]}, "valid number"),
        ({"bid": 1}, "Extra inputs"),
    ],
)
def test_what_ingest_would_reject_is_refused_with_the_row_and_the_reason(ahead, what, says):
    rows = changed(window(ahead, 60), 40, **what)
    reply = ahead.post(Forecast, "/predict", {"snapshots": rows})
    assert reply.status_code == 422
    assert says in json.dumps(reply.json())
    assert reply.json()["errors"][0]["loc"][:3] == ["body", "snapshots", 40]


def test_a_row_that_has_not_happened_is_refused(ahead):
    late = pd.Timestamp("2025-05-08T21:00Z").value
    rows = [*window(ahead, 60), window(ahead, 61)[-1] | {"ts_event": late}]
    reply = ahead.use(
        Forecast, lambda client, app: client.post("/predict", json={"snapshots": rows}), clock=lambda: late - 1
    )
    assert "not yet; it has not happened yet" in reply.json()["detail"]


def test_a_last_row_without_a_best_price_is_refused_with_the_features_it_lacks(ahead):
    rows = changed(window(ahead, 60), 59, asks=[[None, 0.0]])
    reply = ahead.post(Forecast, "/predict", {"snapshots": rows})
    assert reply.status_code == 422
    assert "features of its newest row are not known: spread" in reply.json()["detail"]


def test_rows_that_a_model_gives_no_finite_number_of_are_refused_and_cost_no_other_of_their_batch(ahead, monkeypatch):
    rows, logged = window(ahead), []
    extreme = changed(
        rows, len(rows) - 1, bids=[[1e32, 1.0]], asks=[[2e32, 1.0]]
    )  # finite features, and an infinite forecast

    async def conversation(client, app):
        monkeypatch.setattr(app.log, "add", logged.append)
        return await client.post("/predict/batch", json={"items": [{"snapshots": each} for each in (extreme, rows)]})

    bad, good = ahead.use(Forecast, conversation).json()["items"]
    assert bad["error"]["detail"] == "body.snapshots: ridge gives no finite numbers of what it is shown"
    assert (bad["error"]["status"], good["error"]) == (422, None)
    assert len(logged) == 1


def test_each_of_a_batch_has_its_result_or_its_error(ahead):
    items = [{"symbol": "A", "snapshots": window(ahead)}, {"symbol": "Z", "snapshots": []}, {"snapshots": 3}, None]
    reply = ahead.post(Forecast, "/predict/batch", {"items": items})
    batch = ForecastBatch.model_validate_json(reply.content)
    assert batch.items[0].result.symbol == "A"
    assert [item.error.status for item in batch.items[1:]] == [404, 422, 422]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PRICE = st.sampled_from([None, 0, -1.0, 1e-320, 1e-5, 99.99, 100.0, 100.01, 1e38, 1e300, 1.7e308, 10**400, True, "1"])
SIDE = st.lists(st.lists(PRICE, min_size=1, max_size=3), max_size=3) | JSON


@given(bids=SIDE, asks=SIDE, row=st.integers(0, 29), ts=st.none() | st.integers() | st.just(10**17) | JSON, extra=JSON)
@settings(max_examples=25)
def test_no_body_breaks_it(ahead, bids, asks, row, ts, extra):
    rows = window(ahead, 30)
    bad = changed(rows, row, bids=bids, asks=asks) if ts is None else changed(rows, row, ts_event=ts)
    scaled = [r | {"bids": bids, "asks": asks} for r in rows]
    requests = [{"snapshots": bad}, {"snapshots": scaled}, extra, {"symbol": extra, "snapshots": rows}]

    async def conversation(client, app):
        replies = [await client.post("/predict", json=body) for body in requests[1:3]]
        return [*replies, await client.post("/predict/batch", json={"items": requests})]

    for reply in ahead.use(Forecast, conversation):
        assert reply.status_code in (200, 422, 404)
        json.loads(reply.content)

"""The market's direction over HTTP: from every change of the book, of which only what is new is scanned."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.errors import ConfigError, ModelError
from bellwether.models import family
from bellwether.models.predictor import Predictor
from benchmarks.book_in_process import DIRECTION, FORECAST, Books
from benchmarks.books import bodies, books, events, grid, put
from data.features import features_of
from data.features.market import features_kind
from data.inputs import inputs
from data.lake.compaction import compact
from data.panel import load_panel
from data.targets import target_kind
from serve_apps.book.answers import DirectionAnswer, DirectionBatch
from serve_apps.book.checks import check_recipe
from serve_apps.book.direction import Direction, check_direction
from serve_apps.book.forecast import Forecast
from serve_apps.book.history import History, scan
from serve_apps.book.live import Live, Short, live
from serve_apps.models.routes import Route

EACH = 250
TS = events(3, EACH)
WARMUP = 30
LOGISTIC = {"C": 1.0, "balanced": True}


@pytest.fixture(scope="module")
def moves(tmp_path_factory) -> Books:
    """Three sessions of changes; version 2 looks at three rows, 3 is read by name, 4 reads the last known class."""
    made = Books(tmp_path_factory.mktemp("moves"), DIRECTION)
    made.put(TS, trades=True)
    for name, params in (
        ("logistic", LOGISTIC),
        ("logistic", LOGISTIC | {"lookback": 3}),
        ("hawkes", {"balanced": True}),
    ):
        made.fit(name, params)
    made.fit("persistence", {})
    return made


def changes(symbol: str = "A", first: int = 0, last: int = len(TS)) -> list[dict]:
    return bodies(books(symbol, TS, "AB".index(symbol), True).slice(first, last - first), changes=True)


# --- what a model is shown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "lookback"), [(1, 1), (2, 3), (4, 1), (4, 5)])
def test_at_every_row_a_model_is_shown_what_training_shows_it(moves, version, lookback):
    recipe, features = moves.recipe, features_of(moves.recipe.features)
    contract = moves.models[version].contract.model_copy(update={"lookback": lookback})
    panel, kind = load_panel(recipe, moves.lake), family(contract.family)
    labels = target_kind("market_direction").encode(panel.outcome, np.array(contract.edges))
    of_training, table = inputs(panel, False), books("B", TS, 1, True)
    row_of = {int(ts): k for k, (ts, who) in enumerate(zip(panel.ts, panel.who, strict=True)) if who == 1}
    seen = 0
    for last in range(2 * WARMUP + 40, len(TS), 13):
        if (row := row_of.get(int(TS[last]))) is None:
            continue
        newest = live(recipe, features, "B", scan(recipe, "B", table.slice(0, last + 1), features.start()))
        trained = of_training.read(kind, {"lookback": lookback}, np.array([row]), labels)[0]
        np.testing.assert_array_equal(newest.seen(contract), trained)
        seen += 1
    assert seen > 20


# --- the answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_answer_is_what_the_model_says_of_the_newest_stored_row(moves, version):
    reply = moves.use(Direction, lambda client, app: client.get("/predict/B"), Route(version=version))
    answer, model = DirectionAnswer.model_validate_json(reply.content), moves.models[version]
    table = moves.lake.read(features_kind(moves.recipe), "B/2025-05-07")
    row = {name: table[name][-1].as_py() for name in table.column_names[1:]}
    assert answer.features == row
    if model.contract.reads == "features":
        x = np.column_stack([table[name].to_numpy() for name in row])[-model.contract.lookback :].reshape(1, -1)
        expected = Predictor(model).predict(x)[0].astype(float).tolist()
        assert list(answer.probabilities.values()) == expected
    assert list(answer.probabilities) == ["down", "flat", "up"]
    assert answer.confidence == max(answer.probabilities.values()) == answer.probabilities[answer.direction]
    assert (answer.cost_bp, answer.seconds, answer.model.version) == (1.0, 60.0, version)
    assert pd.Timestamp(answer.ts_event).value == TS[-1]
    assert pd.Timestamp(answer.until).value == TS[-1] + 60 * 10**9


def test_an_outcome_beyond_the_close_is_noted(moves):
    async def conversation(client, app):
        ts = [pd.Timestamp(f"2025-05-07 {t}Z").value for t in ("19:58:59", "19:59:01")]
        rows = [row | {"ts_event": at} for row, at in zip(changes(last=40), range(ts[0] - 39, ts[0] + 1), strict=True)]
        late = [*rows, rows[-1] | {"ts_event": ts[1]}]
        return [(await client.post("/predict", json={"books": sent})).json()["notes"] for sent in (rows, late)]

    beyond = "the market closes before the outcome is read: the model was trained on outcomes within sessions"
    assert moves.use(Direction, conversation) == [[], [beyond]]


def test_an_unknown_symbol_is_a_404_with_the_known_ones(moves):
    reply = moves.get(Direction, "/predict/Z")
    assert (reply.status_code, reply.json()["known"]) == (404, ["A", "B"])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_session_posted_gives_the_stored_answer(moves, version):
    async def conversation(client, app):
        body = {"symbol": "A", "books": changes(first=2 * EACH)}
        return (await client.get("/predict/A")).json(), (await client.post("/predict", json=body)).json()

    stored, posted = moves.use(Direction, conversation, Route(version=version))
    assert posted == stored


def test_enough_rows_are_needed_and_a_refusal_says_how_many(moves):
    async def conversation(client, app):
        enough = await client.post("/predict", json={"books": changes(last=WARMUP + 1)})
        short = await client.post("/predict", json={"books": changes(last=WARMUP)})
        night = await client.post("/predict", json={"books": changes(last=EACH + 5)})
        return enough, short, night

    enough, short, night = moves.use(Direction, conversation)
    assert (enough.status_code, enough.json()["symbol"]) == (200, None)
    assert "31 rows are needed, the newest last; 30 came" in short.json()["detail"]
    assert night.status_code == 422  # five rows into another session: the features have begun anew
    assert "features of its newest row are not known" in night.json()["detail"]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"trade_px": -1.0, "trade_qty": 5.0}, "non positive price"),
        ({"trade_px": 100.0, "trade_qty": 0.0}, "non positive volume"),
        ({"trade_side": 2}, "less than or equal to 1"),
        ({"bids": [[101.0, 1.0]], "asks": [[100.0, 1.0]]}, "crossed"),
    ],
)
def test_what_ingest_would_reject_is_refused_with_the_row(moves, what, says):
    rows = changes(last=60)
    rows[50] |= what
    reply = moves.post(Direction, "/predict", {"books": rows})
    assert reply.status_code == 422
    assert says in json.dumps(reply.json())
    assert reply.json()["errors"][0]["loc"][:3] == ["body", "books", 50]


def test_each_of_a_batch_has_its_result_or_its_error(moves):
    items = [{"symbol": "B", "books": changes("B", last=60)}, {"symbol": "Z", "books": []}, 5]
    batch = DirectionBatch.model_validate_json(moves.post(Direction, "/predict/batch", {"items": items}).content)
    assert batch.items[0].result.symbol == "B"
    assert [item.error.status for item in batch.items[1:]] == [404, 422]


SIZE = st.sampled_from([None, 0, -1.0, 1e-320, 99.99, 100.0, 100.01, 1e38, 1e300, 1.7e308, 10**400, "1"])
SIDE = st.lists(st.lists(SIZE, min_size=2, max_size=2), max_size=3)


@given(bids=SIDE, asks=SIDE, trade=st.tuples(SIZE, SIZE, st.integers(-2, 2)), whole=st.booleans(), ts=st.integers(0))
@settings(max_examples=25)
def test_no_body_breaks_it(moves, bids, asks, trade, whole, ts):
    odd = {"bids": bids, "asks": asks} | dict(zip(("trade_px", "trade_qty", "trade_side"), trade, strict=True))
    rows = [row | odd if whole or k == 20 else row for k, row in enumerate(changes(last=40))]
    later = [*changes(last=40), changes(last=1)[0] | {"ts_event": ts}]
    items = [{"books": rows}, {"books": later}, odd]

    async def conversation(client, app):
        return [
            await client.post("/predict", json=items[0]),
            await client.post("/predict/batch", json={"items": items}),
        ]

    for reply in moves.use(Direction, conversation):
        assert reply.status_code in (200, 422)
        json.loads(reply.content)


# --- the state: only what is new is scanned -------------------------------------------------------------------------


class Reads:
    """A history that takes note of the files it reads."""

    def __init__(self, made: Books, monkeypatch, need: int = 1) -> None:
        self.dates: list[str] = []
        read = made.lake.read_entry

        def noted(entry, columns=None):
            self.dates.append(f"{entry.symbol} {entry.date} {entry.part}")
            return read(entry, columns)

        monkeypatch.setattr(made.lake, "read_entry", noted)
        contract = made.models[1].contract.model_copy(update={"lookback": need})
        self.history = History(made.recipe, made.lake, lambda newest: not isinstance(newest.seen(contract), Short))

    def look(self) -> tuple[dict, list[str]]:
        self.dates.clear()
        return dict(self.history.view("x").newest), list(self.dates)


def own(tmp_path: Path, moves: Books, ts: np.ndarray) -> Books:
    made = Books(tmp_path, DIRECTION)
    made.models = moves.models
    made.put(ts, trades=True)
    return made


def same(found: Live, expected: Live) -> None:
    for name in ("ts", "value", "newest"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("x", "ts", "t1", "changes", "known"):
        a, b = getattr(found.rows, name), getattr(expected.rows, name)
        np.testing.assert_array_equal(a, b)


def fresh(made: Books) -> dict:
    return dict(History(made.recipe, made.lake, lambda newest: True).view("x").newest)


def test_only_the_newest_session_is_read(moves, monkeypatch):
    found, read = Reads(moves, monkeypatch).look()
    assert read == ["A 2025-05-07 0", "B 2025-05-07 0"]
    assert {len(newest.series.ts) < EACH for newest in found.values()} == {True}


def test_the_session_before_is_read_where_a_model_looks_back_so_far(tmp_path, moves, monkeypatch):
    made = own(tmp_path, moves, TS[: 2 * EACH + WARMUP + 2])
    found, read = Reads(made, monkeypatch, need=4).look()
    assert read[:2] == ["A 2025-05-07 0", "A 2025-05-06 0"]
    assert found["A"].rows.ts[-3:].tolist() != TS[2 * EACH + WARMUP - 1 : 2 * EACH + WARMUP + 2].tolist()
    features, table = features_of(made.recipe.features), books("A", TS[: 2 * EACH + WARMUP + 2], 0, True)
    whole = live(made.recipe, features, "A", scan(made.recipe, "A", table, features.start()))
    contract = moves.models[1].contract.model_copy(update={"lookback": 4})
    np.testing.assert_array_equal(found["A"].seen(contract), whole.seen(contract))


def test_what_is_appended_is_scanned_from_where_the_scan_ended(tmp_path, moves, monkeypatch):
    made = own(tmp_path, moves, TS[: 2 * EACH + 100])
    reads = Reads(made, monkeypatch)
    reads.look()
    assert reads.look()[1] == []
    put(made.lake, made.recipe, books("A", TS, 0, True).slice(2 * EACH + 100, 50), append=True)
    found, read = reads.look()
    assert read == ["A 2025-05-07 1"]
    same(found["A"], fresh(made)["A"])


def test_a_late_row_and_compaction_are_scanned_anew(tmp_path, moves, monkeypatch):
    made = own(tmp_path, moves, TS[: 2 * EACH + 100])
    reads, table = Reads(made, monkeypatch), books("A", TS, 0, True)
    reads.look()
    put(made.lake, made.recipe, table.slice(2 * EACH + 100, 50), append=True)
    late = books("A", TS[2 * EACH + 60 : 2 * EACH + 61] + 1, 5, True)
    put(made.lake, made.recipe, late, append=True)
    found, read = reads.look()
    assert read == [f"A 2025-05-07 {part}" for part in range(3)]
    same(found["A"], fresh(made)["A"])
    compact(made.lake, made.recipe.kind)
    again, read = reads.look()
    assert read == ["A 2025-05-07 0"]
    same(again["A"], found["A"])


def test_a_new_session_begins_anew(tmp_path, moves, monkeypatch):
    made = own(tmp_path, moves, TS[: 2 * EACH])
    reads, table = Reads(made, monkeypatch), books("A", TS, 0, True)
    reads.look()
    put(made.lake, made.recipe, table.slice(2 * EACH, 5))
    found, read = reads.look()
    assert read == ["A 2025-05-07 0"]
    assert found["A"] == "its history has 5 rows and the features need 31"
    put(made.lake, made.recipe, table.slice(2 * EACH + 5), append=True)
    found, read = reads.look()
    assert read == ["A 2025-05-07 1"]
    same(found["A"], fresh(made)["A"])


def test_a_session_over_midnight_goes_on(tmp_path, moves, monkeypatch):
    """In Tokyo's clock of this recipe the session spans two UTC dates, and so two slices of the lake."""
    hours = {"timezone": "Asia/Tokyo", "opens": "08:00", "closes": "20:00"}
    made = Books(tmp_path, DIRECTION | {"session": hours})
    made.models = moves.models
    ts = pd.Timestamp("2025-05-06 23:40Z").value + np.arange(400) * 10**10
    table = books("A", ts, 0, True)
    reads = Reads(made, monkeypatch)
    put(made.lake, made.recipe, table.slice(0, 100))
    reads.look()
    put(made.lake, made.recipe, table.slice(120))
    found, read = reads.look()
    assert read == ["A 2025-05-07 0"]
    features = features_of(made.recipe.features)
    rows = scan(made.recipe, "A", table.slice(0, 100), state := features.start())
    whole = live(made.recipe, features, "A", rows.then(scan(made.recipe, "A", table.slice(120), state)))
    np.testing.assert_array_equal(found["A"].newest, whole.newest)


def test_a_new_row_reaches_the_prediction(tmp_path, moves):
    made = own(tmp_path, moves, TS[: 2 * EACH + 100])

    async def conversation(client, app):
        before = (await client.get("/predict/A")).json()
        put(made.lake, made.recipe, books("A", TS, 0, True).slice(2 * EACH + 100), append=True)
        for _ in range(300):
            after = (await client.get("/predict/A")).json()
            if after["ts_event"] != before["ts_event"]:
                return after
            await asyncio.sleep(0.01)
        raise AssertionError("it does not follow the lake")

    assert made.use(Direction, conversation) == moves.get(Direction, "/predict/A").json()


# --- what cannot be served ------------------------------------------------------------------------------------------


def test_a_model_of_another_cost_is_refused(moves):
    contract = moves.models[1].contract.model_copy(update={"edges": (-5e-4, 5e-4)})
    with pytest.raises(ModelError, match="the model's moves cost 5 bp and those of moves 1: train it again"):
        check_direction(contract, moves.recipe)


def test_a_recipe_of_another_target_is_refused(tmp_path):
    ahead = Books(tmp_path, FORECAST).recipe
    with pytest.raises(ConfigError, match="strategy serves the target market_direction of books; ahead has mid_price"):
        check_recipe(ahead, "strategy", "market_direction")


# --- both apps on one port ------------------------------------------------------------------------------------------


@pytest.mark.ray
def test_both_apps_answer_under_their_prefixes_and_a_promotion_swaps_the_version(on_serve, home, tmp_path, moves):
    from bellwether.registry import Ledger, Registry
    from serve_apps import builder

    ahead = Books(tmp_path, FORECAST)
    ahead.put(grid(3)[:-5])
    for alpha in (1.0, 10.0):
        ahead.fit("ridge", {"alpha": alpha})
    where = {"forecast": ahead.install(tmp_path), "strategy": moves.install(tmp_path, versions=1)}
    made = {name: builder(name)[0](builder(name)[1](**given)) for name, given in where.items()}
    with on_serve(**made) as base, httpx.Client(base_url=base, timeout=60.0) as client:
        forecast, direction = client.get("/forecast/predict/A"), client.get("/strategy/predict/A")
        assert forecast.json() == ahead.get(Forecast, "/predict/A").json()
        assert direction.json()["direction"] in ("down", "flat", "up")
        assert {client.get(f"/{name}/ready").status_code for name in where} == {200}
        registry = Registry(where["forecast"]["tracking_uri"], Ledger(where["forecast"]["ledger"]))
        registry.promote("ahead", 2, "Production", who="test", why="test")
        assert client.post("/forecast/reload-model").json() == {"before": {"ahead": 1}, "after": {"ahead": 2}}
        after = client.get("/forecast/predict/A").json()
        assert after["model"]["version"] == 2
        assert after["steps"][0]["price"] != forecast.json()["steps"][0]["price"]

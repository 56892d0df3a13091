"""Books that cannot be read cost their own symbol, which stands where it stood, and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.book_in_process import FORECAST, Books
from benchmarks.books import books, grid, put
from serve_apps.book.forecast import Forecast

TS = grid(2)


@pytest.fixture
def made(tmp_path) -> Books:
    """Two sessions of both symbols, but for the last five rows."""
    made = Books(tmp_path, FORECAST)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0})
    return made


def newest_file(made: Books, symbol: str) -> Path:
    return Path(made.made.lake) / made.lake.of(made.recipe.kind, symbol)[-1].path


async def last(client, symbol: str) -> str:
    return (await client.get(f"/predict/{symbol}")).json()["last"]["ts_event"]


async def until(client, symbol: str, ts: str) -> None:
    while await last(client, symbol) != ts:
        await asyncio.sleep(0.01)


def test_a_symbol_whose_file_is_gone_stands_still_until_it_is_back_and_no_other_does(made):
    async def conversation(client, app):
        for k, symbol in enumerate("AB"):
            put(made.lake, made.recipe, books(symbol, TS, k).slice(len(TS) - 5), append=True)
            if symbol == "A":
                gone = newest_file(made, "A")
                gone.rename(aside := gone.with_suffix(".aside"))
        await until(client, "B", "2025-05-06T20:00:00Z")
        stands, ready = await last(client, "A"), (await client.get("/ready")).json()
        aside.rename(gone)
        await until(client, "A", "2025-05-06T20:00:00Z")  # the lake has the same version
        return stands, ready, (await client.get("/ready")).json()

    async def patient(client, app):
        return await asyncio.wait_for(conversation(client, app), 30)

    stands, ready, after = made.use(Forecast, patient)
    assert stands == "2025-05-06T19:35:00Z"
    (why,) = ready["missing"]
    assert why.startswith("new books of A cannot be read: NotInLake: ")
    assert after == {"ready": True, "missing": []}


def test_a_symbol_that_could_never_be_read_is_a_503_that_names_no_file(made):
    newest_file(made, "A").unlink()

    async def conversation(client, app):
        return [await client.get(path) for path in ("/predict/A", "/predict/B", "/ready")]

    one, other, ready = made.use(Forecast, conversation)
    assert (one.status_code, other.status_code, ready.status_code) == (503, 200, 503)
    assert one.json()["detail"] == "A: its books cannot be read: /ready says why"
    (why,) = ready.json()["missing"]
    assert why.startswith("new books of A cannot be read: NotInLake: ")

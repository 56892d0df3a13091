"""Bars from Yahoo: what yfinance makes of recorded answers, and what becomes of answers that are none."""

from __future__ import annotations

import builtins
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yfinance
from curl_cffi import requests

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError
from data.intake.quality import screen
from data.options import checked
from data.records import record_kind
from data.sources.base import SourceContext
from data.sources.yahoo import DAY, YAHOO, YahooOptions

RECORDED = json.loads((Path(__file__).parent / "recorded_yahoo_chart.json").read_text(encoding="utf-8"))
"""Answers of query2.finance.yahoo.com/v8/finance/chart: AAPL by day around a dividend, NVDA by hour on its last day."""

HOUR = 3_600_000_000_000
Answer = Callable[[str, dict[str, Any]], tuple[int, str]]


class Reply:
    """What yfinance reads of an HTTP response."""

    def __init__(self, url: str, status: int, body: str) -> None:
        self.url, self.status_code, self.text, self.content = url, status, body, body.encode()

    def json(self) -> Any:
        return json.loads(self.text)


def recorded(url: str, params: dict[str, Any]) -> tuple[int, str]:
    """Answer the way Yahoo did."""
    return 200, json.dumps(RECORDED["1h" if url.endswith("NVDA") else "1d"])


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Answer], list[dict[str, Any]]]]:
    """Replace yfinance's session: charts are answered by a function, cookies and crumbs by nothing."""
    monkeypatch.setattr("yfinance.data.SingletonMeta._instances", {})
    yfinance.set_tz_cache_location(str(tmp_path / "cache"))

    def put(answer: Answer) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def get(self: Any, url: str, params: Any = None, **_: Any) -> Reply:
            if "/v8/finance/chart/" not in url:
                return Reply(url, 200, "crumb")
            asked.append(dict(params or {}))
            return Reply(url, *answer(url, dict(params or {})))

        monkeypatch.setattr(requests.Session, "get", get)
        yfinance.data.YfData.cache_get.cache_clear()
        return asked

    yield put
    yfinance.data.YfData.cache_get.cache_clear()


def read(interval_ns: int = DAY, session: Session | None = None, **options: Any) -> pa.Table:
    context = SourceContext(root=Path(), session=session or Session(), interval_ns=interval_ns)
    given = {"symbols": ["AAPL"], "start": "2020-11-03", "end": "2020-11-07"} | options
    return pa.concat_tables(YAHOO.read(checked("yahoo", YahooOptions, given), context))


def changed(kind: str, change: Callable[[dict[str, Any]], None]) -> Answer:
    reply = copy.deepcopy(RECORDED[kind])
    change(reply["chart"]["result"][0])
    return lambda url, params: (200, json.dumps(reply))


def closes(table: pa.Table) -> list[str]:
    return [
        t.strftime("%m-%d %H:%M") for t in table["ts_event"].cast(pa.timestamp("us", "America/New_York")).to_pylist()
    ]


def test_days_close_with_the_session_and_have_the_prices_of_the_tape(answering):
    answering(recorded)
    table = read()
    assert table.schema == record_kind("bars").raw
    assert closes(table) == [f"11-0{day} 16:00" for day in (3, 4, 5, 6)]
    quote = RECORDED["1d"]["chart"]["result"][0]["indicators"]["quote"][0]
    for name in ("open", "high", "low", "close", "volume"):
        assert table[name].to_pylist() == quote[name]
    assert [(r["symbol"], r["file"], r["row"]) for r in table.to_pylist()][2] == ("AAPL", "yahoo:AAPL", 3)
    assert screen(table, Session()).rejected.num_rows == 0


def test_dividends_come_out_of_the_prices_only_if_the_recipe_says_so(answering):
    answering(recorded)
    plain, adjusted = read(), read(auto_adjust=True)
    expected = RECORDED["1d"]["chart"]["result"][0]["indicators"]["adjclose"][0]["adjclose"]
    np.testing.assert_allclose(adjusted["close"].to_numpy(), expected, rtol=1e-12)
    ratio = np.array(expected) / plain["close"].to_numpy()
    np.testing.assert_allclose(adjusted["high"].to_numpy(), plain["high"].to_numpy() * ratio, rtol=1e-12)
    assert adjusted["volume"].equals(plain["volume"])
    told = {YAHOO.named(YahooOptions(symbols=("A",), period="1mo", auto_adjust=flag)) for flag in (True, False)}
    assert told == {"yahoo:adjusted", "yahoo:unadjusted"}


def test_hours_close_an_hour_later_and_the_last_half_with_the_session(answering):
    answering(recorded)
    table = read(HOUR, symbols="NVDA", start="2024-05-03", end="2024-05-04")
    hours = ("10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00")
    assert closes(table) == [f"05-03 {hour}" for hour in hours]  # the row of the last trade, at 16:00, is no bar
    assert table["volume"].to_pylist() == [13341628, 5760484, 4067185, 4038656, 3757541, 4036069, 2798449]
    assert screen(table, Session()).rejected.num_rows == 0


def test_yahoo_is_asked_for_what_the_recipe_says(answering):
    asked = answering(recorded)
    read()
    spans = [(p["period1"], p["period2"], p["interval"]) for p in asked if "period1" in p]
    assert spans == [(1604379600, 1604725200, "1d")]  # midnights of New York
    asked = answering(recorded)
    read(HOUR, symbols=["NVDA"], start=None, end=None, period="5d")
    assert [(p["range"], p["interval"]) for p in asked if p["interval"] == "1h"] == [("5d", "1h")]


def test_a_bar_without_prices_is_a_row_without_them(answering):
    def silence(result: dict[str, Any]) -> None:
        for name, column in result["indicators"]["quote"][0].items():
            column[1] = 0 if name == "volume" else None
        result["indicators"]["adjclose"][0]["adjclose"][1] = None

    answering(changed("1d", silence))
    table = read()
    assert table["close"].null_count == table["open"].null_count == 1
    screened = screen(table, Session())
    assert screened.kept.num_rows == 3
    assert [(r["row"], r["reason"]) for r in screened.rejected.to_pylist()] == [(2, "missing_value")]


def test_days_of_another_zone_are_refused(answering):
    answering(recorded)
    with pytest.raises(DataError, match="Yahoo's days of AAPL are those of America/New_York, not of Asia/Tokyo"):
        read(session=Session(timezone="Asia/Tokyo"))


def test_an_interval_yahoo_has_not_is_refused(answering):
    answering(recorded)
    with pytest.raises(ConfigError, match="no bars of 10800 s; say an interval of 1m, 2m"):
        read(3 * HOUR)


def refuse(url: str, params: dict[str, Any]) -> tuple[int, str]:
    raise requests.exceptions.ConnectionError("Could not resolve host: query2.finance.yahoo.com")


NOT_FOUND = {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (refuse, "cannot be reached for AAPL.*Could not resolve host.*check the connection"),
        (lambda url, params: (429, "Too Many Requests"), "too many requests at AAPL; try again"),
        (lambda url, params: (404, json.dumps(NOT_FOUND)), "no bars of AAPL: .*correct the symbol or the span"),
        (lambda url, params: (200, "<html>"), "answer for AAPL is not one yfinance .* can read"),
        (changed("1d", lambda result: result.pop("timestamp")), r"KeyError: 'timestamp'.*the span may hold no bars"),
    ],
    ids=["no network", "rate limit", "no such symbol", "no JSON", "no bars"],
)
def test_what_goes_wrong_at_yahoo_says_what_to_do(answering, answer, told):
    answering(answer)
    with pytest.raises(DataError, match=told):
        read()
    assert yfinance.config.debug.hide_exceptions  # as it was


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    imports = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "yfinance":
            raise ImportError(name)
        return imports(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'bellwether\[yahoo\]'"):
        read()


def test_one_span_must_be_said():
    for span in (
        {},
        {"start": "2025-01-02", "period": "1mo"},
        {"end": "2025-01-02"},
        {"period": "1mo", "end": "2025-01-02"},
    ):
        with pytest.raises(ConfigError, match="either `start`"):
            checked("yahoo", YahooOptions, {"symbols": ["AAPL"], **span})

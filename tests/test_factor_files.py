"""Files of factors, wide and long."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.options import checked
from data.records import record_kind
from data.records.factors import RATES
from data.sources import factor_files, files
from data.sources.base import SourceContext
from data.sources.factor_files import FACTOR_FILES, dates

SHANGHAI = Session(timezone="Asia/Shanghai", opens=time(9, 30), closes=time(15, 0))
BUY = "S_LI_INITIATIVEBUYRATE.csv"
Rows = list[tuple[str | None, datetime | None, str | None, float | None, int]]


def pieces(root: Path, path: str = BUY, interval_ns: int = 86_400_000_000_000, **options: Any) -> list[pa.Table]:
    context = SourceContext(root=root, session=SHANGHAI, interval_ns=interval_ns, record="factors")
    return list(FACTOR_FILES.read(checked("factor-files", FACTOR_FILES.options, {"path": path} | options), context))


def read(root: Path, path: str = BUY, **options: Any) -> Rows:
    table = pa.concat_tables(pieces(root, path, **options))
    assert table.schema == record_kind("factors").raw
    assert set(table["file"].to_pylist()) <= {Path(path).name}
    seconds = table.set_column(1, "ts_event", table["ts_event"].cast(pa.timestamp("us", tz="UTC")))
    return [(r["symbol"], r["ts_event"], r["factor"], r["value"], r["row"]) for r in seconds.to_pylist()]


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


def close(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 7, 0, tzinfo=UTC)  # 15:00 in Shanghai


def test_a_wide_file_is_a_factor_of_codes_known_when_the_day_closes(tmp_path):
    write(tmp_path / BUY, ",000001.SZ,600000.SH", "20190102,0.4,0.5", "20190103,0.6,", "20190104,NaN,0.7")
    assert read(tmp_path) == [
        ("000001.SZ", close(2019, 1, 2), "initiative_buy_rate", 0.4, 1),
        ("000001.SZ", close(2019, 1, 3), "initiative_buy_rate", 0.6, 3),
        ("600000.SH", close(2019, 1, 2), "initiative_buy_rate", 0.5, 2),
        ("600000.SH", close(2019, 1, 4), "initiative_buy_rate", 0.7, 6),
    ]


def test_the_four_rates_have_our_names_and_others_their_own_in_lower_case(tmp_path):
    wind = ("S_LI_INITIATIVEBUYRATE", "S_LI_INITIATIVESELLRATE", "S_LI_LARGEBUYRATE", "S_LI_LARGESELLRATE", "S_Mom20")
    for name in wind:
        write(tmp_path / f"{name}.csv", "date,A", "2019-01-02,1")
    found = [read(tmp_path, f"{name}.csv")[0][2] for name in wind]
    assert found == [*RATES, "s_mom20"]
    assert read(tmp_path, "S_Mom20.csv", names={"S_Mom20": "momentum"})[0][2] == "momentum"


def test_percent_becomes_a_share_by_the_scale(tmp_path):
    write(tmp_path / BUY, "date,A", "2019-01-02,42.5")
    assert read(tmp_path, scale=0.01)[0][3] == 0.425
    with pytest.raises(ConfigError, match="scale"):
        read(tmp_path, scale=0)


def test_bad_cells_are_rows_and_blank_ones_are_none(tmp_path):
    write(tmp_path / BUY, "date,A,B", "2019-01-02,x, ", "soon,0.1,NA", "2019-02-31,null,0.2", "2019-01-05,-,nan")
    rows = sorted(read(tmp_path), key=lambda row: row[4])
    assert [(r[0], r[1], r[4]) for r in rows] == [
        ("A", close(2019, 1, 2), 1),
        ("A", None, 3),
        ("B", None, 6),
        ("A", close(2019, 1, 5), 7),
    ]
    assert [math.isnan(r[3]) for r in rows if r[3] is not None] == [True, False, False, True]


@settings(max_examples=60)
@given(data=st.data(), lines=st.integers(1, 9), codes=st.integers(1, 5), block=st.integers(60, 200))
def test_wide_files_say_what_a_loop_over_their_cells_says(tmp_path_factory, data, lines, codes, block):
    root = tmp_path_factory.mktemp("wide")
    cell = st.sampled_from(["", " ", "NaN", "NA", "0.25", "1e-3", "-2", "oops"])
    grid = data.draw(st.lists(st.lists(cell, min_size=codes, max_size=codes), min_size=lines, max_size=lines))
    days = [date(2019, 1, 2) + timedelta(days=line) for line in range(lines)]
    names = [f"c{code}" for code in range(codes)]
    write(root / "f.csv", ",".join(["d", *names]), *(",".join([str(d), *c]) for d, c in zip(days, grid, strict=True)))
    expected = []
    with (root / "f.csv").open(newline="") as file:
        for line, record in enumerate(csv.DictReader(file)):
            for code, name in enumerate(names):
                word = record[name].strip()
                if word and word not in ("NaN", "NA"):
                    known = datetime.combine(days[line], time(15), ZoneInfo("Asia/Shanghai")).astimezone(UTC)
                    expected.append(
                        (name, known, "f", repr(math.nan if word == "oops" else float(word)), line * codes + code + 1)
                    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factor_files, "BLOCK", block)
        found = [(*row[:3], repr(row[3]), row[4]) for row in read(root, "f.csv")]
    assert sorted(found, key=lambda row: row[4]) == expected


def test_wide_parquet_says_the_same_as_csv(tmp_path):
    write(tmp_path / BUY, "date,A,B", "2019-01-02,0.5,", "2019-01-03,,1")
    for days in (pa.array([date(2019, 1, 2), date(2019, 1, 3)]), pa.array([20190102, 20190103])):
        columns = {"date": days, "A": [0.5, math.nan], "B": pa.array([None, 1], pa.int8())}
        pq.write_table(pa.table(columns), tmp_path / BUY.replace("csv", "parquet"))
        assert read(tmp_path, BUY.replace("csv", "parquet")) == read(tmp_path)


def test_wide_files_with_many_codes_come_in_blocks(tmp_path, monkeypatch):
    codes, values = [f"{n:06}.SZ" for n in range(500)], np.arange(100 * 500).reshape(100, 500)
    lines = (f"{date(2019, 1, 1) + timedelta(days=d)}," + ",".join(map(str, row)) for d, row in enumerate(values))
    write(tmp_path / BUY, ",".join(["date", *codes]), *lines)
    monkeypatch.setattr(factor_files, "BLOCK", 64 << 10)
    found = pieces(tmp_path)
    assert len(found) > 3
    table = pa.concat_tables(found).sort_by("row")
    assert table["row"].to_pylist() == list(range(1, 50_001))
    assert table["value"].to_pylist() == values.ravel().tolist()
    assert table["symbol"].to_pylist() == codes * 100


LONG = [
    "symbol,date,factor,value",
    "A,20190102,S_LI_LARGEBUYRATE,0.1",
    "B,20190102,S_LI_LARGEBUYRATE,",
    "A,20190103,Other,0.3",
]


def test_a_long_file_names_its_factors(tmp_path):
    write(tmp_path / "long.csv", *LONG)
    assert read(tmp_path, "long.csv", form="long") == [
        ("A", close(2019, 1, 2), "large_buy_rate", 0.1, 1),
        ("A", close(2019, 1, 3), "other", 0.3, 3),
    ]


def test_a_long_file_may_have_a_column_a_factor(tmp_path):
    header = "S_INFO_WINDCODE,TRADE_DT,S_LI_LARGEBUYRATE,S_LI_LARGESELLRATE,OBJECT_ID"
    write(tmp_path / "long.csv", header, "A,20190102,0.1,0.2,x", "B,20190102,,0.4,x")
    assert read(tmp_path, "long.csv", form="long", ignore=["OBJECT_ID"]) == [
        ("A", close(2019, 1, 2), "large_buy_rate", 0.1, 1),
        ("A", close(2019, 1, 2), "large_sell_rate", 0.2, 2),
        ("B", close(2019, 1, 2), "large_sell_rate", 0.4, 4),
    ]


def test_a_long_file_of_values_is_the_factor_it_is_named_after(tmp_path):
    pq.write_table(pa.table({"code": ["A"], "date": [date(2019, 1, 2)], "value": [0.5]}), tmp_path / "Turnover.parquet")
    found = read(tmp_path, "Turnover.parquet", form="long", columns={"symbol": "code"})
    assert found == [("A", close(2019, 1, 2), "turnover", 0.5, 1)]


def test_times_of_intervals_are_closes_or_become_them(tmp_path):
    write(tmp_path / "long.csv", "symbol,time,factor,value", "A,2019-01-02 09:30,f,1", "A,2019-01-02 14:30,f,2")
    zone = {"form": "long", "timezone": "Asia/Shanghai"}
    hour = 3_600_000_000_000
    starts = [r[1] for r in read(tmp_path, "long.csv", stamped="close", **zone)]
    assert starts == [datetime(2019, 1, 2, 1, 30, tzinfo=UTC), datetime(2019, 1, 2, 6, 30, tzinfo=UTC)]
    ends = [r[1] for r in read(tmp_path, "long.csv", stamped="start", interval_ns=hour, **zone)]
    assert ends == [datetime(2019, 1, 2, 2, 30, tzinfo=UTC), close(2019, 1, 2)]
    with pytest.raises(ConfigError, match=r"long\.csv has times: say `stamped`"):
        read(tmp_path, "long.csv", **zone)


def test_a_file_of_the_other_form_is_told(tmp_path):
    write(tmp_path / "long.csv", *LONG)
    with pytest.raises(DataError, match=r"long.csv is not wide.*say `form: long`"):
        read(tmp_path, "long.csv")
    write(tmp_path / BUY, "date,000001.SZ", "20190102,0.4")
    with pytest.raises(DataError, match=r"BUYRATE.csv is not long: its columns are 'date', '000001.SZ'.*`columns`"):
        read(tmp_path, form="long")
    write(tmp_path / BUY, "code,20190102,20190103", "A,0.4,0.5")
    with pytest.raises(DataError, match=r"column 'code' of .* reads 'A'; write days as 20190102"):
        read(tmp_path)


def test_a_last_line_that_is_no_day_does_not_cost_the_file(tmp_path, monkeypatch):
    write(tmp_path / BUY, "date,A", *(f"2019-01-{day:02},0.5" for day in range(1, 20)), "mean,0.5")
    monkeypatch.setattr(factor_files, "BLOCK", 16)
    rows = read(tmp_path)
    assert len(rows) == 20
    assert rows[-1][:2] == ("A", None)


def test_days_are_read_in_any_common_form():
    words = ["20190102", "2019-01-02", "2019/01/02", " 2019-01-02 00:00:00", "2019-01-02T00:00:00.000", "20190102.0"]
    assert set(dates(pa.array(words), "day").to_pylist()) == {date(2019, 1, 2)}
    assert dates(pa.array([*words[:1], "2019-01-02 15:00", "20191302", "2019-2-1", None]), "day").null_count == 4
    noon = pa.array([datetime(2019, 1, 2), datetime(2019, 1, 2, 12)])
    assert dates(noon, "day").to_pylist() == [date(2019, 1, 2), None]
    aware = pa.array([datetime(2019, 1, 1, 16, tzinfo=UTC)], pa.timestamp("us", tz="Asia/Shanghai"))
    assert dates(aware, "day").to_pylist() == [date(2019, 1, 2)]
    with pytest.raises(DataError, match="day holds double"):
        dates(pa.array([20190102.0]), "day")


@settings(max_examples=100)
@given(st.lists(st.dates(date(1900, 1, 1), date(2200, 1, 1)), min_size=1, max_size=20))
def test_every_day_comes_back_and_closes_at_the_sessions_close(days):
    read_back = dates(pa.array([d.strftime("%Y%m%d") for d in days]), "day")
    assert read_back.to_pylist() == days
    closes = factor_files.session_closes(read_back, SHANGHAI).cast(pa.timestamp("us", tz="UTC")).to_pylist()
    zone = ZoneInfo("Asia/Shanghai")
    assert closes == [datetime.combine(d, SHANGHAI.closes, zone).astimezone(UTC) for d in days]


def test_an_empty_file_is_an_empty_source(tmp_path):
    write(tmp_path / BUY, "date,A")
    with pytest.raises(EmptySource, match="no records"):
        read(tmp_path)


def test_a_footer_in_a_later_block_does_not_cost_a_long_file(tmp_path, monkeypatch):
    lines = ("A,2019-01-02 10:00,buy,0.5", "B,2019-01-02 10:00,buy,0.5", "all,total,n,2")
    write(tmp_path / "long.csv", "symbol,time,factor,value", *lines)

    def one_by_one(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return (batch.slice(n, 1) for batch in files.batches(path, columns) for n in range(len(batch)))

    monkeypatch.setattr(factor_files, "batches", one_by_one)
    rows = read(tmp_path, "long.csv", form="long", stamped="close", timezone="UTC")
    assert [row[1] is None for row in rows] == [False, False, True]

"""An ingest brings everything into the lake, or leaves it as it was; doing it again changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from bellwether.config.recipe import Recipe, load_recipe
from bellwether.config.sections import Part, Universe
from bellwether.errors import ConfigError, DataError, EmptySource, UnknownName
from data.intake.ingest import SOURCE, ingest, source_identity
from data.intake.merge import merge
from data.intake.spool import Spool
from data.lake import Lake
from data.records import BARS, TIME, record_kind
from data.weights.table import load_weights

HEADER = "symbol,time,open,high,low,close,volume"
HOURS = range(9, 15)


def bar(symbol: str, hour: int, close: float = 11.0, day: int = 5) -> str:
    return f"{symbol},2025-03-{day:02} {hour:02}:30,10,12,9,{close},100"


def good(*symbols: str) -> list[str]:
    return [bar(symbol, hour) for symbol in symbols for hour in HOURS]


class Market:
    """A folder with a file of bars and one of weights, the recipe that reads them, and a lake."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root, Lake(str(root / "lake"))
        self.bars(*good("A", "B", "I"))
        self.weights("2025-01-01,A,0.5", "2025-01-01,B,0.5")

    def bars(self, *lines: str, header: str = HEADER) -> None:
        (self.root / "bars.csv").write_text("\n".join([header, *lines]) + "\n")

    def weights(self, *lines: str) -> None:
        (self.root / "weights.csv").write_text("\n".join(["effective_date,symbol,weight", *lines]) + "\n")

    def lists(self, symbol: str, *lines: str) -> None:
        """Give a symbol weights, and these bars besides the others'."""
        self.bars(*good("A", "B", "I"), *lines)
        self.weights("2025-01-01,A,0.5", f"2025-01-01,{symbol},0.5")

    def recipe(self, symbols: tuple[str, ...] = ("A", "B"), index: str = "I", **options: Any) -> Recipe:
        given = {"path": "bars.csv", "timezone": "America/New_York", "stamped": "start"} | options
        weights = Part(kind="plain", options={"paths": "weights.csv"})
        return Recipe(
            name="r",
            source=Part(kind="ohlcv", options=given),
            universe=Universe(name="u", symbols=symbols, index=index, weights=weights),
            families=("majority",),
        )

    def ingest(self, **options: Any):
        return ingest(self.recipe(**options), self.lake, self.root)

    def state(self) -> tuple[dict[str, str], set[str]]:
        files = {str(p) for p in Path(self.lake.uri).rglob("*") if p.is_file()}
        return {kind: self.lake.version(kind) for kind in self.lake.kinds()}, files

    def closes(self, symbol: str) -> list[float]:
        return self.lake.read("bars/1h", symbol)["close"].to_pylist()


@pytest.fixture
def market(tmp_path: Path) -> Market:
    return Market(tmp_path)


def test_bars_and_weights_are_in_the_lake_afterwards(market):
    report = market.ingest()
    assert (report.rows_in, report.kept, report.added, report.gaps) == (18, 18, 18, 0)
    assert report.quarantined == {}
    assert report.symbols == market.lake.partitions("bars/1h") == ("A", "B", "I")
    assert report.version == market.lake.version("bars/1h")
    assert market.lake.kinds() == ("bars/1h", "weights/u")
    assert market.lake.read("bars/1h", "A").schema == BARS
    entry = market.lake.entries("bars/1h")["A"]
    assert (entry.rows, entry.last - entry.first) == (6, 5 * 3600 * 10**9)
    assert load_weights(market.lake, market.recipe().universe).at(entry.first, ["B"]).tolist() == [0.5]


def test_doing_it_again_changes_nothing(market):
    market.bars(*good("A", "B", "I"), bar("A", 11), bar("A", 12, close=-1), "B,,10,12,9,11,100")
    first = market.ingest()
    assert first.quarantined == {"duplicate": 1, "missing_value": 1, "non_positive_price": 1}
    before = market.state()
    again = market.ingest()
    assert (again.added, again.revised, again.unchanged, again.version) == (0, 0, 18, first.version)
    assert market.state() == before


def test_every_row_is_kept_or_quarantined_with_its_reason(market):
    lines = [
        *good("A", "B", "I"),
        bar("A", 20),
        "A,2025-03-06 10:30,10,9,12,11,100",
        "A,2025-03-06 11:30,10,12,9,x,100",
        "A,2025-03-06 12:30,10,12,9,11,-1",
        "A,2025-03-06 13:30,10,12,9,13,100",
        ",2025-03-06 13:30,10,12,9,11,100",
        bar("B", 9, close=10.5),
    ]
    market.bars(*lines)
    report = market.ingest()
    assert report.rows_in == len(lines) == report.kept + sum(report.quarantined.values())
    assert market.lake.partitions("quarantine/bars/1h") == ("-", "A", "B")
    found = pa.concat_tables(market.lake.read("quarantine/bars/1h", name) for name in "AB-")
    told = dict(zip(found["row"].to_pylist(), found["reason"].to_pylist(), strict=True))
    assert told == {
        19: "outside_session",
        20: "high_below_low",
        21: "not_finite",
        22: "negative_volume",
        23: "outside_range",
        24: "missing_value",
        25: "conflicting_duplicate",
    }
    assert set(found["file"].to_pylist()) == {"bars.csv"}
    notes = {entry.partition: entry.note for entry in market.lake.entries("quarantine/bars/1h").values()}
    assert notes["B"] == {"conflicting_duplicate": "1"}
    assert notes["A"] == {told[row]: "1" for row in range(19, 24)}


def test_quarantine_has_what_any_batch_brought_once(market):
    for lines in ([bar("A", 20)], [bar("B", 20), bar("A", 21)], [bar("A", 22), bar("A", 20)], [bar("A", 20)] * 2):
        market.bars(*good("A", "B", "I"), *lines)
        market.ingest()
    rows = {name: market.lake.read("quarantine/bars/1h", name).num_rows for name in "AB"}
    assert rows == {"A": 4, "B": 1}  # twice in one file it is two rows
    assert market.lake.entries("quarantine/bars/1h")["A"].note == {"outside_session": "4"}


def test_new_bars_are_merged_into_the_old_and_a_newer_value_wins(market):
    market.ingest()
    market.bars(*good("B", "I"), bar("A", 13), bar("A", 14, close=10.0), bar("A", 9, day=6), bar("A", 10, day=4))
    report = market.ingest()
    assert (report.added, report.revised, report.unchanged) == (2, 1, 13)
    assert market.closes("A") == [11.0] + [11.0] * 5 + [10.0] + [11.0]
    ts = market.lake.read("bars/1h", "A")["ts_event"].cast(pa.int64()).to_numpy()
    assert (np.diff(ts) > 0).all()


def test_symbols_outside_the_universe_are_kept_and_unsorted_rows_sorted(market):
    market.bars(*reversed(good("A", "B", "I", "X")))
    report = market.ingest()
    assert report.symbols == ("A", "B", "I", "X")
    assert report.unsorted == 4 * 5
    assert report.kept == 24


def test_gaps_are_counted_within_each_symbols_span_of_the_universe(market):
    lines = [line for line in good("A", "B", "I") if not line.startswith(("A,2025-03-05 10", "B,2025-03-05 09"))]
    market.bars(*lines, bar("X", 15))  # B starts late, which is no gap; X is not in the universe
    assert market.ingest().gaps == 1


def test_progress_is_told_as_rows_go_by(market):
    told: list[tuple[str, int]] = []
    ingest(market.recipe(), market.lake, market.root, lambda stage, rows: told.append((stage, rows)))
    assert told[0] == ("read", 18)
    assert [t for t in told if t[0] == "screened"] == [("screened", 6), ("screened", 12), ("screened", 18)]
    assert told[-1] == ("written", 18)


# --- a failed ingest --------------------------------------------------------------------------------

AWAY = [f"{s},2025-03-05 {h:02}:00,10,12,9,11,100" for s in "ABI" for h in (1, 2, 3)]
FAILURES = {
    "empty file": (EmptySource, "bars.csv", lambda m: m.bars(), {}),
    "unknown option": (ConfigError, "source 'ohlcv': colour", lambda m: None, {"colour": "red"}),
    "unknown column": (
        DataError,
        "has unknown columns 'x'",
        lambda m: m.bars(f"{bar('A', 9)},1", header=f"{HEADER},x"),
        {},
    ),
    "wrong zone": (DataError, "outside the session", lambda m: m.bars(*AWAY), {}),
    "starts read as closes": (
        DataError,
        "on 1 of 1 days .* Set `stamped: start`",
        lambda m: None,
        {"stamped": "close"},
    ),
    "no such symbol": (ConfigError, "no date has a weight for Z", lambda m: None, {"symbols": ("A", "Z")}),
    "no bars": (
        DataError,
        "no usable bars of C of universe u; it has: A, B, I",
        lambda m: m.lists("C"),
        {"symbols": ("A", "C")},
    ),
    "no index": (DataError, "no usable bars of J .*it has: A, B, I", lambda m: None, {"index": "J"}),
    "all bad": (
        DataError,
        "no usable bars of C .*Rows rejected: 6 non_positive_price",
        lambda m: m.lists("C", *(bar("C", h, close=-1) for h in HOURS)),
        {"symbols": ("A", "C")},
    ),
    "weights do not sum": (DataError, "2025-02-01T00:00:00 sum to 0.7", lambda m: m.weights("2025-02-01,A,0.7"), {}),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("filled", [False, True], ids=["fresh", "filled"])
def test_a_failed_ingest_leaves_the_lake_as_it_was(market, name, filled):
    error, message, spoil, options = FAILURES[name]
    if filled:
        market.ingest()
        market.bars(*good("A", "B", "I"), bar("A", 20), bar("A", 15))  # something to write, had it not failed
    before = market.state()
    spoil(market)
    with pytest.raises(error, match=message):
        market.ingest(**options)
    assert market.state() == before


def test_a_source_that_breaks_off_half_way_leaves_the_lake_as_it_was(market):
    market.ingest()
    before = market.state()
    market.bars(*good("A", "B", "I"), bar("A", 15), "A,2025-03-06 10:30,10")
    with pytest.raises(DataError, match="cannot be read"):
        market.ingest()
    assert market.state() == before


def test_an_unknown_source_lists_the_known(market):
    recipe = market.recipe().model_copy(update={"source": Part(kind="tape")})
    with pytest.raises(UnknownName, match=r"no source 'tape'; known: .*ohlcv, simulator"):
        ingest(recipe, market.lake, market.root)


# --- one series, one source -----------------------------------------------------------------------


def simulated(**options: Any) -> Recipe:
    part = Part(kind="simulator", options={"sessions": 4} | options)
    universe = Universe(name="sim", symbols=("SIM01", "SIM02"), index="SIMX", weights=part)
    return Recipe(name="s", source=part, universe=universe, families=("majority",))


def test_bars_are_noted_with_their_source(market):
    market.ingest()
    assert {entry.note[SOURCE] for entry in market.lake.entries("bars/1h").values()} == {"ohlcv"}
    ingest(simulated(), market.lake, market.root)
    assert market.lake.entries("bars/1h")["SIM01"].note == {SOURCE: source_identity(simulated())}


def test_a_source_is_known_by_what_makes_its_bars_others():
    market = source_identity(simulated())
    assert market.startswith("simulator:")
    assert market == source_identity(simulated(seed=7, strength=0.15))  # the defaults, said
    assert market not in {source_identity(simulated(**o)) for o in ({"seed": 8}, {"strength": 0.0}, {"sessions": 5})}


def test_files_of_another_day_go_on_with_the_series(market):
    market.ingest()
    (market.root / "next.csv").write_text("\n".join([HEADER, *(bar(s, 9, day=6) for s in "ABI")]) + "\n")
    assert market.ingest(path="next.csv").added == 3
    assert len(market.closes("A")) == 7


def test_another_simulated_market_is_not_mixed_into_the_first(tmp_path):
    lake = Lake(str(tmp_path))
    first = ingest(simulated(), lake, tmp_path)
    with pytest.raises(DataError, match=r"SIM01, SIM02.* from another source, simulator:.*another --lake"):
        ingest(simulated(seed=8), lake, tmp_path)
    assert lake.version("bars/1h") == first.version
    assert lake.kinds() == ("bars/1h", "weights/sim")
    assert ingest(simulated(), lake, tmp_path).unchanged == first.kept


@pytest.mark.parametrize("note", [{SOURCE: "simulator:1"}, {}], ids=["another", "unknown"])
@pytest.mark.parametrize("symbol", ["B", "X"], ids=["in the universe", "outside it"])
def test_a_symbol_of_another_source_is_named_and_nothing_is_committed(market, symbol, note):
    market.bars(*good("A", "B", "I", "X"))
    market.lake.commit("bars/1h", [market.lake.stage("bars/1h", symbol, bars(t1=1.0), note)])
    before = market.state()
    with pytest.raises(DataError, match=f"of {symbol} from another source, {note.get(SOURCE, 'unknown')}; .* ohlcv"):
        market.ingest()
    assert market.state() == before


def test_training_takes_no_bars_of_another_source_for_its_own(home, monkeypatch):
    from pipelines import features, ingest, train
    from pipelines.workspace import Workspace

    ran: list[str] = []
    real = ingest.run
    monkeypatch.setattr(features, "run", lambda workspace: ran.append("features"))
    monkeypatch.setattr(ingest, "run", lambda workspace: (ran.append("ingest"), real(workspace)))
    home.mkdir()

    def prepare(**options: Any) -> None:
        (home / "r.yaml").write_text(yaml.safe_dump(simulated(**options).model_dump(mode="json")))
        train.prepare(Workspace.open(str(home / "r.yaml")))

    prepare()
    prepare()
    assert ran == ["ingest", "features", "features"]
    with pytest.raises(DataError, match="from another source"):
        prepare(seed=8)
    assert ran == ["ingest", "features", "features", "ingest"]


def test_a_halted_symbol_does_not_block_the_others(market):
    market.ingest()
    market.bars(*(bar(s, h, day=6) for s in "BI" for h in HOURS if (s, h) != ("B", 12)))
    report = market.ingest()
    assert (report.absent, report.symbols, report.added) == (("A",), ("B", "I"), 11)
    assert report.gaps == 1  # B's: after its last bar A has no gaps
    assert len(market.closes("A")) == 6
    assert market.ingest().absent == ("A",)


def test_times_of_a_halted_symbol_show_the_gaps_of_the_others(market):
    market.bars(*good("A"), *(line for line in good("B", "I") if "10:30" not in line))
    assert market.ingest().gaps == 2
    market.bars(*(bar(s, 9, day=6) for s in "BI"))
    assert market.ingest().gaps == 2


def test_a_halted_symbol_of_another_source_does_not_complete_the_universe(market):
    market.lake.commit("bars/1h", [market.lake.stage("bars/1h", "B", bars(t1=1.0), {SOURCE: "simulator:1"})])
    market.bars(*good("A", "I"))
    with pytest.raises(DataError, match="of B from another source"):
        market.ingest()


def test_a_bar_that_is_not_closed_waits_in_quarantine(market):
    def at(clock: str) -> int:
        return int(datetime.fromisoformat(f"2025-03-05 {clock}").replace(tzinfo=UTC).timestamp()) * 10**9

    early = ingest(market.recipe(), market.lake, market.root, now=lambda: at("19:00"))  # 14:00 in New York
    assert (early.kept, early.quarantined) == (12, {"not_closed": 6})  # closes 14:30 and 15:30
    ingest(market.recipe(), market.lake, market.root, now=lambda: at("19:45"))
    waiting = [market.lake.read("quarantine/bars/1h", name).num_rows for name in "ABI"]
    assert waiting == [1, 1, 1]  # of those that wait, the last ingest's are there
    late = ingest(market.recipe(), market.lake, market.root, now=lambda: at("20:30"))
    assert (late.added, late.unchanged, late.quarantined) == (3, 15, {})
    assert market.lake.partitions("quarantine/bars/1h") == ()


# --- merging --------------------------------------------------------------------------------------


def bars(**closes: float) -> pa.Table:
    """Bars of one symbol, ``t1=2.0``: close 2 at time 1."""
    n = len(closes)
    ts = pa.array([int(name[1:]) for name in closes], pa.int64()).cast(TIME)
    price = pa.array(list(closes.values()), pa.float64())
    return pa.table([pa.repeat("A", n), ts, price, price, price, price, pa.array([1.0] * n)], schema=BARS)


def test_merge_says_what_became_of_the_new():
    merged = merge(record_kind("bars"), bars(t2=2.0, t4=4.0, t6=6.0), bars(t1=1.0, t2=2.0, t4=5.0, t7=7.0))
    assert merged.rows.equals(bars(t1=1.0, t2=2.0, t4=5.0, t6=6.0, t7=7.0))
    assert (merged.added, merged.revised, merged.unchanged) == (2, 1, 1)


# --- real files -----------------------------------------------------------------------------------


def test_the_real_market_is_ingested_whole(market_data, tmp_path):
    recipe, lake = load_recipe("index-hourly-qqq"), Lake(str(tmp_path))
    report = ingest(recipe, lake, market_data)
    assert (report.rows_in, report.kept, report.quarantined, report.gaps) == (52_699, 52_699, {}, 0)
    assert len(report.symbols) == 14
    assert ingest(recipe, lake, market_data).version == report.version
    weights = load_weights(lake, recipe.universe)
    last = lake.entries(recipe.kind)["^NDX"].last
    assert 0.40 < weights.at(last, recipe.universe.symbols).sum() < 0.45


def test_real_starts_read_as_closes_are_refused(market_data, tmp_path):
    recipe, lake = load_recipe("index-hourly-qqq"), Lake(str(tmp_path))
    options = recipe.source.options | {"stamped": "close"}
    with pytest.raises(DataError, match="Set `stamped: start`"):
        ingest(recipe.model_copy(update={"source": Part(kind="ohlcv", options=options)}), lake, market_data)
    assert lake.kinds() == ()


def test_rows_put_aside_by_symbol_keep_the_order_they_came_in(tmp_path):
    spool = Spool(tmp_path)
    names = np.random.default_rng(1).choice(["A", "B", None], 5000).tolist()
    for first in range(0, 5000, 2500):
        part = pa.array(range(first, first + 2500), pa.int64())
        spool.add(pa.table({"symbol": pa.array(names[first : first + 2500], pa.string()), "row": part}))
    found = {place.symbol: table["row"].to_pylist() for place, table in spool}
    assert found == {key: [n for n, name in enumerate(names) if (name or "") == key] for key in ("", "A", "B")}

"""The Ray Data job: what it writes equals the function applied symbol by symbol, once, to the universe only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Session, Universe
from bellwether.errors import DataError, NotInLake
from data import features_job
from data.features import feature_set
from data.features.market import component_features, features_kind
from data.features.tables import component_slices, universe_context
from data.features_job import build_features
from data.lake import Entry, Lake
from data.records import BARS, TIME

HOUR = 3_600_000_000_000
SIZES = {"AAA": 200, "BBB": 320, "CCC": 260}


def recipe_of(*symbols: str, session: Session | None = None) -> Recipe:
    return Recipe(
        name="small",
        source=Part(kind="simulator"),
        universe=Universe(name="abc", symbols=symbols, index="INDEX", weights=Part(kind="simulator")),
        session=session or Session(),
        families=("majority",),
    )


RECIPE = recipe_of("AAA", "BBB", "CCC")


def bars(symbol: str, rows: int, seed: int) -> pa.Table:
    """Hourly bars in sessions of seven, all ending at the same time."""
    rng = np.random.default_rng(seed)
    at = np.arange(400 - rows, 400)
    ts = pd.Timestamp("2024-01-08 15:00", tz="UTC").value + (at // 7) * 24 * HOUR + (at % 7) * HOUR
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))
    opens = close * np.exp(rng.normal(0, 0.003, rows))
    prices = [opens, np.maximum(opens, close) * 1.001, np.minimum(opens, close) * 0.999, close]
    columns = [pa.array([symbol] * rows), pa.array(ts.astype(np.int64)).cast(TIME), *map(pa.array, prices)]
    return pa.table([*columns, pa.array(rng.integers(0, 10**6, rows).astype(float))], schema=BARS)


def weights(**shares: float) -> pa.Table:
    effective = pa.array([0] * len(shares), pa.int64()).cast(TIME)
    return pa.table({"effective": effective, "symbol": list(shares), "weight": list(shares.values())})


def put(lake: Lake, kind: str, **tables: pa.Table) -> None:
    lake.commit(kind, [lake.stage(kind, partition, table) for partition, table in tables.items()])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path))
    put(made, "bars/1h", **{s: bars(s, rows, seed) for seed, (s, rows) in enumerate(SIZES.items())})
    put(made, "bars/1h", ZZZ=bars("ZZZ", 50, 9))
    put(made, "weights/abc", weights=weights(AAA=0.5, BBB=0.3, CCC=0.2))
    return made


def test_importing_the_job_does_not_import_ray() -> None:
    code = "import sys, data.features_job; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[1]).returncode == 0


def test_components_without_bars_are_named(lake: Lake) -> None:
    with pytest.raises(NotInLake, match=r"no bars of DDD, EEE, components of abc.*AAA"):
        build_features(recipe_of("AAA", "DDD", "EEE"), lake)


@pytest.mark.ray
def test_features_in_the_lake_are_the_one_function_symbol_by_symbol(lake: Lake, ray_cluster: None) -> None:
    seen: dict[str, int] = {}
    report = build_features(RECIPE, lake, progress=lambda partition, rows, todo: seen.update({partition: rows}))
    kind, fs = features_kind(RECIPE), feature_set("hourly")
    assert (report.kind, set(report.computed), report.skipped) == (kind, set(SIZES), ())
    assert report.rows == sum(SIZES.values())
    assert seen == SIZES
    assert set(lake.partitions(kind)) == set(SIZES)
    context = universe_context(RECIPE, lake, component_slices(RECIPE, lake))
    for symbol in SIZES:
        source, table = lake.read("bars/1h", symbol), lake.read(kind, symbol)
        assert table.column_names == ["ts_event", *fs.outputs]
        assert table["ts_event"].combine_chunks().equals(source["ts_event"].combine_chunks())
        got = np.column_stack([table[name].to_numpy() for name in fs.outputs])
        np.testing.assert_array_equal(got, component_features(fs, source, RECIPE.session, context))
        missing = np.isnan(got)
        assert missing[: fs.warmup].all()
        assert not missing[fs.warmup :].any()


@pytest.mark.ray
def test_a_second_run_computes_nothing(lake: Lake, ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    build_features(RECIPE, lake)
    version = lake.version(features_kind(RECIPE))
    monkeypatch.setattr(features_job, "_compute", lambda *_: pytest.fail("there is nothing to compute"))
    report = build_features(RECIPE, lake)
    assert (report.computed, set(report.skipped), report.rows) == ((), set(SIZES), 0)
    assert lake.version(features_kind(RECIPE)) == version


@pytest.mark.ray
def test_what_features_are_made_of_decides_what_is_computed_again(lake: Lake, ray_cluster: None) -> None:
    build_features(RECIPE, lake)
    before = lake.version(features_kind(RECIPE))
    put(lake, "weights/abc", weights=weights(AAA=0.1, BBB=0.3, CCC=0.6))
    assert set(build_features(RECIPE, lake).computed) == set(SIZES)
    assert lake.version(features_kind(RECIPE)) != before
    entry = lake.entries(features_kind(RECIPE))["AAA"]
    lost = [e for s, e in lake.entries(features_kind(RECIPE)).items() if s != "AAA"]
    lake.commit(features_kind(RECIPE), lost, replace=True)
    report = build_features(RECIPE, lake)
    assert (report.computed, set(report.skipped)) == (("AAA",), {"BBB", "CCC"})
    assert lake.entries(features_kind(RECIPE))["AAA"] == entry
    fewer = build_features(recipe_of("AAA", "BBB"), lake)
    assert set(fewer.computed) == {"AAA", "BBB"}
    assert set(lake.partitions(fewer.kind)) == {"AAA", "BBB"}
    london = recipe_of("AAA", "BBB", session=Session(timezone="Europe/London"))
    assert set(build_features(london, lake).computed) == {"AAA", "BBB"}


@pytest.mark.ray
def test_a_failing_symbol_is_named_and_nothing_is_committed(lake: Lake, ray_cluster: None) -> None:
    put(lake, "bars/1h", BBB=bars("BBB", 320, 1).drop_columns(["high"]))
    with pytest.raises(DataError, match=r"nothing is committed: BBB: KeyError.*high"):
        build_features(RECIPE, lake)
    assert lake.entries(features_kind(RECIPE)) == {}


class Fatal(Lake):
    """A lake that ends the worker the first time it is to hold features of BBB, and notes what it was asked to hold."""

    def __init__(self, uri: str, log: str) -> None:
        super().__init__(uri)
        self.log = Path(log)

    def __reduce__(self) -> tuple[Any, ...]:
        return Fatal, (self.uri, str(self.log))

    def stage(self, kind: str, symbol: str, *rest: Any, **named: Any) -> Entry:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"{symbol}\n")
        if symbol == "BBB" and self.log.read_text(encoding="utf-8").split().count("BBB") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().stage(kind, symbol, *rest, **named)


@pytest.mark.ray
@pytest.mark.chaos
def test_a_lost_worker_costs_its_own_task_only(lake: Lake, ray_cluster: None, tmp_path: Path) -> None:
    import ray

    whole = build_features(RECIPE, lake)
    expected = lake.entries(whole.kind)
    lake.commit(whole.kind, [], replace=True)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        report = build_features(RECIPE, Fatal(lake.uri, str(tmp_path / "staged.log")))
    finally:
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert set(report.computed) == set(SIZES)
    assert lake.entries(whole.kind) == expected
    assert sorted((tmp_path / "staged.log").read_text(encoding="utf-8").split()) == ["AAA", "BBB", "BBB", "CCC"]

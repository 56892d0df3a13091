"""How much of the coming hour of nine NASDAQ-100 members can be foretold, and what that says about the index.

python -m benchmarks.study_hourly ../shared/data [--families random_forest logistic] [--only months windows]

Three questions. Of each month from July 2024 to September 2025, with everything before it to train on (purged by when
outcomes are known, a bar of embargo, classes cut on the training rows): macro-F1 over all of them. Of six windows of
220 bars a symbol, the ends of six equal parts of the bars: mean macro-F1 on the last 44 bars of each, classes cut on
the window's own first 176, everything before the 44 to train on; once over all bars and once from July 2024 on. And of
the first: how the components' scores, added up by weight, correlate with the index's next bar. Intervals are 95 %
circular block bootstraps over timestamps; windows are resampled apart from each other, and as windows differ by more
than their rows say, half of a Student interval between them stands beside.

What was looked at before. Only rows whose outcome was known before July 2024, tested on January to June 2024 month by
month: (1) ``hourly`` and a first ``hourly-wide`` of 42 columns, with logistic, extra_trees and lightgbm; (2) that with
random_forest, with logistic at C = 0.01 and 0.001 (no better), and its 22 columns of size and clock alone (logistic
0.289, extra_trees 0.293); (3) the present 38 columns, which leave out four that were sums of others, with eight
families, and ``hourly`` with random_forest. Macro-F1 there, with standard parameters, standard error about 0.006:
hourly-wide random_forest 0.304, xgboost 0.303, lightgbm 0.300, extra_trees 0.298, logistic 0.293,
hist_gradient_boosting 0.292, mlp 0.279; hourly random_forest 0.299, logistic 0.298, lightgbm 0.290, extra_trees 0.283;
stratified 0.201. So ``CHOSEN`` was named before any later month was looked at, and the vote is of the three best that
are quick. No parameter was tuned. (4), after the later months had been seen and with no use made of it: factors of the
classes' probabilities, fitted for macro-F1 on the last quarter of the training rows, gain 0.001 to 0.003.

The later months were run once for the figures and once more for the differences between the sets and the windows of
``hourly``. The choice did not hold: ``hourly-wide`` is no better there than ``hourly``. The first two windows over all
bars lie in or before the months of the choice; the others do not.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when the libraries are imported

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe, load_recipe
from bellwether.config.sections import Part
from bellwether.models import family
from bellwether.models.training import Task
from bellwether.signal_series import signal_series
from bellwether.validation.bootstrap import (
    Interval,
    block_bootstrap,
    block_length,
    percentile_interval,
    resampled_figures,
)
from bellwether.validation.evaluation import Evaluation
from bellwether.validation.folds import Selection
from bellwether.validation.index_score import score_index
from bellwether.validation.metrics import confusion_sums
from data.features import feature_kind, features_of
from data.features.base import InputContext
from data.features.tables import component_slices, universe_context
from data.inputs import inputs
from data.intake.ingest import ingest
from data.lake import Lake
from data.lake.slices import Slice, read_slice, slices
from data.panel import Panel
from data.records import record_kind
from data.targets import target_kind
from data.wall import times
from data.weights.table import WeightTable, load_weights
from tune.calibrate import index_moves
from tune.problem import LabelledFold, Problem
from tune.score import evaluate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SETS = ("hourly", "hourly-wide")
BASELINES = ("stratified", "majority", "persistence")
FAMILIES = ("random_forest", "logistic", "extra_trees", "xgboost", "soft_vote")
CHOSEN = ("hourly-wide", "random_forest")
VOTERS = {"random_forest": 1, "extra_trees": 1, "xgboost": 1}
FIRST, LAST = "2024-07", "2025-09"
WINDOWS, BARS, TESTED = 6, 220, 44
TO_BEAT = 0.265
CLASSES, DRAWS = 5, 5000


@dataclass(frozen=True, kw_only=True)
class Market:
    """The recipe's bars by symbol, its index's closes, its weights, and what the basket did."""

    recipe: Recipe
    bars: Mapping[str, pa.Table]
    context: object
    index: tuple[Ints, Floats]
    weights: WeightTable


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows that are tested together, and those that classes are cut on: the training rows, or the newest of them."""

    name: str
    test: Ints
    train: Ints
    cut: Ints


def market(root: Path) -> Market:
    """Take the recipe's files into a lake of their own, as `bellwether ingest` does, and read them back."""
    recipe = load_recipe("index-hourly-qqq")
    with tempfile.TemporaryDirectory(prefix="bellwether-hourly-") as folder:
        lake = Lake(folder)
        ingest(recipe, lake, root.absolute())
        records = component_slices(recipe, lake)
        index = _table(recipe, lake, slices(lake.of(recipe.kind, recipe.universe.index))[recipe.universe.index])
        return Market(
            recipe=recipe,
            bars={symbol: _table(recipe, lake, parts) for symbol, parts in records.items()},
            context=universe_context(recipe, lake, records),
            index=(times(index), index["close"].to_numpy()),
            weights=load_weights(lake, recipe.universe),
        )


def _table(recipe: Recipe, lake: Lake, parts: Sequence[Slice]) -> pa.Table:
    return pa.concat_tables(read_slice(lake, part, record_kind(recipe.record).order) for part in parts)


def panel(found: Market, kind: str) -> Panel:
    """Features of a set and outcomes of the recipe's target, of all symbols: what `data.panel.load_panel` makes."""
    recipe, fs, target = found.recipe, features_of(Part(kind=kind)), target_kind(found.recipe.target.kind)
    columns: list[tuple[NDArray[Any], ...]] = []
    for number, symbol in enumerate(recipe.universe.symbols):
        bars, context = found.bars[symbol], InputContext(symbol=symbol, session=recipe.session, market=found.context)
        at, rows = feature_kind(kind).inputs(fs, bars, context)
        features, closes = fs.scan(rows, fs.start()), bars["close"].to_numpy()
        moved, until = target.outcome(at, closes, recipe.session, recipe.target)
        kept = np.isfinite(features).all(axis=1) & np.isfinite(moved)
        columns.append(tuple(c[kept] for c in (at, until, np.full(len(at), number), moved, closes, features)))
    ts, t1, who, outcome, value, x = (np.concatenate(c) for c in zip(*columns, strict=True))
    order = np.lexsort((who, ts))
    return Panel(
        x=x[order],
        outcome=outcome[order],
        value=value[order],
        ts=ts[order],
        t1=t1[order],
        who=who[order],
        symbols=recipe.universe.symbols,
        features=fs.outputs,
        definition=fs.definition,
        warmup=fs.warmup,
    )


def months(rows: Panel, first: str, last: str) -> Iterator[Block]:
    """Each month, trained on everything before it whose outcome was known then, less one bar."""
    before = Selection(rows=np.arange(len(rows.ts)), ts=rows.ts, t1=rows.t1, embargo=1)
    for month in pd.period_range(first, last, freq="M"):
        start, end = (m.start_time.tz_localize("America/New_York").value for m in (month, month + 1))
        test = np.flatnonzero((rows.ts >= start) & (rows.ts < end))
        train = np.flatnonzero(before.before(int(rows.ts[test[0]])))
        yield Block(name=str(month), test=test, train=train, cut=train)


def rolling(rows: Panel, grid: Ints) -> Iterator[Block]:
    """Windows of 220 bars at the ends of six equal parts of ``grid``: the last 44 are tested.

    Trained on everything before; classes are cut on the window's own first 176 bars, as if it were all there is.
    """
    before = Selection(rows=np.arange(len(rows.ts)), ts=rows.ts, t1=rows.t1, embargo=1)
    for part in np.array_split(grid, WINDOWS):
        start = int(part[-TESTED])
        train = np.flatnonzero(before.before(start))
        test = np.flatnonzero((rows.ts >= start) & (rows.ts <= part[-1]))
        name = str(pd.Timestamp(start, tz="UTC").date())
        yield Block(name=name, test=test, train=train, cut=train[rows.ts[train] >= part[-BARS]])


def posed(recipe: Recipe, rows: Panel, blocks: Sequence[Block], names: Sequence[str]) -> Problem:
    """The blocks as the folds of a sweep's problem, so that families are fitted and asked as they are there."""
    target, folds = target_kind(recipe.target.kind), []
    for block in blocks:
        edges = target.fit(rows.outcome[block.cut], recipe.target)
        labels, weight = target.encode(rows.outcome, edges), np.ones(len(block.train))
        folds.append(LabelledFold(train=block.train, test=block.test, labels=labels, edges=edges, weight=weight))
    return Problem(
        inputs=inputs(rows, target.level),
        folds=tuple(folds),
        exam=folds[-1],
        task=Task.CLASSIFY,
        classes=CLASSES,
        steps=1,
        level=target.level,
        families={name: family(name) for name in names},
        metric="macro_f1",
        seed=0,
    )


def answers(problem: Problem, name: str) -> list[Evaluation]:
    """What a family with its standard parameters says of each block."""
    params = VOTERS if name == "soft_vote" else family(name).standard(Task.CLASSIFY)
    found = []
    for fold in problem.folds:
        fitted = problem.families[name].train(problem.training(fold, name, params), params)
        found.append(evaluate(problem, fold, fitted, problem.read(fold, name, params, fold.test)))
    return found


def pooled(parts: Sequence[Evaluation]) -> Evaluation:
    """All blocks as one."""
    fields = ("ts", "who", "y", "outcome", "probabilities", "predicted")
    return Evaluation(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


def f1(found: Evaluation) -> Interval:
    """Macro-F1 of all rows."""
    sums = confusion_sums(found.ts, found.y, found.predicted, CLASSES)
    return sums.interval(draws=DRAWS)


def f1_over(found: Evaluation, other: Evaluation) -> Interval:
    """Macro-F1 less that of another on the same rows."""
    ours, theirs = (confusion_sums(e.ts, e.y, e.predicted, CLASSES) for e in (found, other))
    width = ours.each.shape[1]
    return block_bootstrap(
        lambda s: ours.figure(s[:, :width]) - theirs.figure(s[:, width:]),
        np.hstack([ours.each, theirs.each]),
        draws=DRAWS,
    )


def mean_f1(parts: Sequence[Evaluation]) -> Interval:
    """Mean over windows of their macro-F1; each window's timestamps are resampled apart from the others'."""
    values, figures, block = [], [], 1
    for seed, part in enumerate(parts):
        sums = confusion_sums(part.ts, part.y, part.predicted, CLASSES)
        block = block_length(len(sums.each))
        values.append(sums.value)
        figures.append(resampled_figures(sums.figure, sums.each, block=block, draws=DRAWS, seed=seed))
    return percentile_interval(float(np.mean(values)), np.mean(figures, axis=0), confidence=0.95, block=block)


def between(parts: Sequence[Evaluation]) -> tuple[list[float], float]:
    """Macro-F1 of each window, and half of the 95 % interval of their mean by Student's t: windows differ, too."""
    from scipy.stats import t

    values = [confusion_sums(p.ts, p.y, p.predicted, CLASSES).value for p in parts]
    spread = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return values, float(t.ppf(0.975, len(values) - 1)) * spread


def coefficients(found: Market, said: Evaluation) -> tuple[Interval | None, Interval | None]:
    """Correlation of the weighted sum of scores with the index's next bar: by expected score, and by likeliest class.

    Before the first published weights all components weigh the same.
    """
    weights = found.weights.matrix(np.unique(said.ts), found.recipe.universe.symbols)
    weights[np.isnan(weights).all(axis=1)] = 1.0
    probabilities = said.probabilities
    assert probabilities is not None
    series = signal_series(said.ts, said.who, probabilities, weights)
    moved, _ = index_moves(found.recipe, series.ts, *found.index)
    known = np.isfinite(moved)
    scores = (
        score_index("", s[known], moved[known], buy=np.inf, sell=-np.inf) for s in (series.wss_probability, series.wss)
    )
    by_probability, by_class = (score.ic for score in scores)
    return by_probability, by_class


def text(found: Interval | None, digits: int = 3) -> str:
    """A figure and its interval."""
    if found is None:
        return "–"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def by_month(found: Market, panels: Mapping[str, Panel], names: Sequence[str], first: str, last: str) -> None:
    """Print the walk-forward's table, a line when it is known, and what the second set of features adds."""
    print(f"\nMonths {first} to {last}, each trained on all before; pooled\n")
    print("| features | family | macro-F1 | over stratified | accuracy | IC by probability | IC by class | s |")
    print("|---" * 8 + "|")
    made: dict[tuple[str, str], Evaluation] = {}
    for kind, rows in panels.items():
        problem = posed(found.recipe, rows, list(months(rows, first, last)), [*BASELINES, *names])
        for name in (*BASELINES, *names):
            started = perf_counter()
            said = made[kind, name] = pooled(answers(problem, name))
            right = float(np.mean(said.predicted == said.y))
            cells = [kind, name, text(f1(said)), text(f1_over(said, made[kind, "stratified"])), f"{right:.3f}"]
            cells += [text(ic) for ic in coefficients(found, said)]
            print("| " + " | ".join([*cells, f"{perf_counter() - started:.0f}"]) + " |", flush=True)
    if len(panels) > 1:
        other, kind = panels
        gains = (f"{name} {text(f1_over(made[kind, name], made[other, name]))}" for name in names)
        print(f"\nMacro-F1 of {kind} over that of {other}: {'; '.join(gains)}")
    print(f"Chosen on earlier months: {' '.join(reversed(CHOSEN))}")


def by_window(found: Market, kind: str, rows: Panel, names: Sequence[str], since: str) -> None:
    """Print the table of rolling windows over the bars from ``since`` on."""
    grid = times(next(iter(found.bars.values())))
    grid = grid[grid >= pd.Timestamp(since, tz="America/New_York").value]
    blocks = list(rolling(rows, grid))
    problem = posed(found.recipe, rows, blocks, ["stratified", *names])
    print(f"\n{kind}: six windows of {BARS} bars from {since} on; tested from {', '.join(b.name for b in blocks)}\n")
    print(f"| family | mean macro-F1 | ± between windows | each | lower end above {TO_BEAT} |\n|---|---|---|---|---|")
    for name in ("stratified", *names):
        parts = answers(problem, name)
        mean, (each, half) = mean_f1(parts), between(parts)
        listed = " ".join(f"{value:.3f}" for value in each)
        print(
            f"| {name} | {text(mean)} | {half:.3f} | {listed} | {'yes' if mean.low > TO_BEAT else 'no'} |", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="the folder that the recipe's paths are below")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--only", nargs="*", default=["months", "windows"])
    parser.add_argument("--first", default=FIRST)
    parser.add_argument("--last", default=LAST)
    options = parser.parse_args()
    found = market(options.root)
    panels = {kind: panel(found, kind) for kind in options.sets}
    if "windows" in options.only:
        for since in ("2023-07-26", "2024-07-01"):
            for kind, rows in panels.items():
                by_window(found, kind, rows, options.families, since)
    if "months" in options.only:
        by_month(found, panels, options.families, options.first, options.last)


if __name__ == "__main__":
    main()

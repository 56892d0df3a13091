"""Does the gate let nothing through where there is nothing, and is what there is found?

python -m benchmarks.study_null [--seeds 20] [--families logistic,extra_trees,...] [--sessions 110]

On the simulator's null market, each family of the list is fitted with its defaults on every fold, the best of them is
judged on the untouched segment as a sweep's champion is, and nothing may pass. On the planted market the best family's
macro-F1 on the untouched segment is compared with that of an oracle that knows the distribution of every next return.
No cluster is needed. `--every` judges each family by itself, not only the best: more chances to go wrong.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import yaml

from bellwether.config import Recipe
from bellwether.config.recipe import RECIPES
from bellwether.models.predictor import Predictor
from bellwether.validation.metrics import macro_f1
from data.features.market import features_kind
from data.features.tables import component_slices, feature_notes, feature_table, universe_context
from data.intake.ingest import ingest
from data.lake import Lake
from data.panel import Panel, load_panel
from data.sources.oracle import oracle_macro_f1
from data.sources.simulator import SimulatorOptions, simulate
from data.wall import times
from tune.champion import Champion, crown
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.sweep import run_baseline
from tune.trial import TrialResult

USUAL = "logistic,extra_trees,hist_gradient_boosting,lightgbm,xgboost,mlp"


def market(options: dict[str, Any], families: Sequence[str], directory: str) -> tuple[Recipe, Panel]:
    """The hourly recipe on a simulated market, and its panel."""
    plain = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    plain["source"]["options"] = plain["universe"]["weights"]["options"] = options
    recipe = Recipe.model_validate(plain | {"families": list(families), "validation": {"folds": 3}})
    lake = Lake(directory)
    ingest(recipe, lake, Path(RECIPES))
    bars = component_slices(recipe, lake)
    context, notes, kind = (
        universe_context(recipe, lake, bars),
        feature_notes(recipe, lake, bars),
        features_kind(recipe),
    )
    tables = {s: feature_table(recipe, lake.read(recipe.kind, s), symbol=s, market=context) for s in bars}
    lake.commit(kind, [lake.stage(kind, s, table, notes[s]) for s, table in tables.items()])
    return recipe, load_panel(recipe, lake)


def tried(problem: Problem, families: Sequence[str]) -> list[TrialResult]:
    """Each family once with its defaults, and the baselines."""
    found = [run_baseline(problem, name) for name in problem.baselines]
    for name in families:
        params = problem.families[name].standard(problem.task)
        folds = tuple(score_fold(problem, name, params, k) for k in range(len(problem.folds)))
        found.append(TrialResult(family=name, params=params, baseline=False, folds=folds, id=name))
    return found


def share_of_oracle(recipe: Recipe, panel: Panel, champion: Champion) -> tuple[float, float]:
    """Macro-F1 of the champion and of the oracle on the untouched rows, cut at the champion's edges."""
    problem, contract = pose(recipe, panel), champion.artefact.contract
    held, edges = problem.exam.test, np.asarray(contract.edges)
    x = problem.read(problem.exam, contract.family, contract.params, held)
    predicted = Predictor(champion.artefact).predict(x).argmax(axis=1)
    options = SimulatorOptions.model_validate(recipe.source.options)
    truth = simulate(options, recipe.session, recipe.interval_ns).truth
    names = zip(truth.column("symbol").to_pylist(), times(truth).tolist(), strict=True)
    place = {key: k for k, key in enumerate(names)}
    at = [place[panel.symbols[panel.who[row]], int(panel.ts[row])] for row in held]
    mean, sd = (truth.column(name).to_numpy()[at] for name in ("mean", "sd"))
    best = oracle_macro_f1(mean, sd, panel.outcome[held], edges)
    return macro_f1(problem.exam.labels[held], predicted, len(contract.classes)), best


def null(seed: int, sessions: int, families: Sequence[str], every: bool) -> list[Champion]:
    """Champions of a market without a signal."""
    options = {"seed": seed, "sessions": sessions, "strength": 0.0, "stylised": False}
    with tempfile.TemporaryDirectory() as place:
        recipe, panel = market(options, families, place)
    trials = tried(pose(recipe, panel), families)
    groups = [[t for t in trials if t.baseline or t.family == name] for name in families] if every else [trials]
    return [crown(recipe, panel, group) for group in groups]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=110)
    parser.add_argument("--families", default=USUAL)
    parser.add_argument("--every", action="store_true", help="judge each family by itself")
    given = parser.parse_args()
    families, passed, judged = given.families.split(","), 0, 0
    for seed in range(given.seeds):
        started = perf_counter()
        verdicts = [c.verdict for c in null(seed, given.sessions, families, given.every)]
        passed, judged = passed + sum(v.passed for v in verdicts), judged + len(verdicts)
        best = max(verdicts, key=lambda v: v.low)
        print(
            f"null {seed:2d}: {best.champion_family:<24} lift {best.lift:+.4f}, at least {best.low:+.4f}: "
            f"{'PASSED' if best.passed else 'refused'} ({perf_counter() - started:.0f} s)",
            flush=True,
        )
    print(f"{passed} of {judged} champions passed on {given.seeds} null markets")
    with tempfile.TemporaryDirectory() as place:
        options = {"seed": 5, "sessions": 2 * given.sessions, "strength": 0.3, "stylised": True}
        recipe, panel = market(options, families, place)
    champion = crown(recipe, panel, tried(pose(recipe, panel), families))
    ours, best_possible = share_of_oracle(recipe, panel, champion)
    print(
        f"planted: {champion.verdict.champion_family} {ours:.4f}, oracle {best_possible:.4f}: "
        f"{ours / best_possible:.1%} of it; gate {'passed' if champion.verdict.passed else 'REFUSED'}"
    )


if __name__ == "__main__":
    main()

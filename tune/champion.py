"""From a finished sweep to a served artefact: refit the best, hold it against the baselines, write it down.

The served model is the one fitted on the selection rows: the holdout figures in its contract describe exactly that
graph. Fitting it again with the holdout included would use the newest rows, but would put a model into service
that nothing untouched has ever judged, under figures that belong to another one. Newer rows enter with the next
sweep, whose holdout moves on.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Fitted
from bellwether.validation.bootstrap import Interval, block_bootstrap, block_length
from bellwether.validation.gate import Candidate, Verdict, judge
from bellwether.validation.metrics import accuracy, f1_of, grouped_confusion
from bellwether.validation.walk_forward import Split, split
from data.panel import Panel
from data.targets import target_kind
from data.weights.table import WeightTable
from tune.calibrate import Calibration, calibrate
from tune.leaderboard import Row, leaderboard
from tune.problem import Problem, pose
from tune.score import labels
from tune.trial import TrialResult

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost", "onnx", "ray")


@dataclass(frozen=True, kw_only=True)
class Champion:
    """What a sweep found: the artefact to register, and whether it may be promoted."""

    artefact: Artefact
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class _Exam:
    """The rows to fit on and to be judged on, both labelled at the edges of the selection rows."""

    cut: Split
    edges: Floats
    y: Ints  # of all rows; only selection and holdout rows are read


def crown(
    recipe: Recipe,
    panel: Panel,
    trials: Sequence[TrialResult],
    *,
    weights: WeightTable | None = None,
    index: tuple[Ints, Floats] | None = None,
) -> Champion:
    """Refit the best configuration on the selection rows and judge it on the holdout, once.

    Parameters
    ----------
    trials : sequence of TrialResult
        All trials of the sweep, baselines included.
    weights, index
        Needed where ``serving.thresholds`` is ``calibrated`` (see `tune.calibrate.calibrate`).

    Returns
    -------
    Champion
        Its contract carries the figures of the champion (folds and holdout) and of every baseline, the verdict, the
        class edges of the selection rows, the thresholds and the library versions.

    Raises
    ------
    ModelError
        No trial of a searched family finished; the message has the first reason.
    ConfigError
        No baseline was run, or calibration lacks weights or index bars.
    """
    rows = leaderboard(trials)
    best = _best(rows)
    rivals = [row for row in rows if row.baseline and row.error is None]
    problem, exam = pose(recipe, panel), _exam(recipe, panel)
    models = {row.family: _refit(problem, exam, row) for row in (best, *rivals)}
    x, seed = panel.x[exam.cut.holdout], problem.seed
    predicted = {name: labels(fitted, x, seed) for name, fitted in models.items()}
    verdict = judge(
        Candidate(family=best.family, predicted=predicted[best.family], folds=best.folds),
        [Candidate(family=r.family, predicted=predicted[r.family], folds=r.folds) for r in rivals],
        ts=panel.ts[exam.cut.holdout],
        y=exam.y[exam.cut.holdout],
        n_classes=problem.classes,
        gate=recipe.gate,
        families=len(problem.searched),
        horizon=recipe.target.horizon,
        seed=seed,
    )
    calibration = None
    if recipe.serving.thresholds == "calibrated":
        calibration = calibrate(recipe, panel, problem, best.family, best.params, weights=weights, index=index)
    figures = {row.family: _figures(row, recipe, panel, exam, predicted[row.family]) for row in (best, *rivals)}
    graph = models[best.family].graph()
    contract = _contract(recipe, panel, exam, best, figures, verdict, calibration, graph)
    return Champion(artefact=Artefact(graph=graph, contract=contract), verdict=verdict)


def _best(rows: Sequence[Row]) -> Row:
    searched = [row for row in rows if not row.baseline]
    if finished := [row for row in searched if row.error is None]:
        return finished[0]
    why = searched[0].error if searched else "no family was searched"
    raise ModelError(f"no trial finished ({why}): look at the leaderboard, or give the sweep more time")


def _exam(recipe: Recipe, panel: Panel) -> _Exam:
    target, cut = target_kind(recipe.target.kind), split(panel.ts, panel.t1, recipe.validation)
    edges = target.fit(panel.outcome[cut.selection], recipe.target)
    return _Exam(cut=cut, edges=edges, y=target.encode(panel.outcome, edges))


def _refit(problem: Problem, exam: _Exam, row: Row) -> Fitted:
    chosen = exam.cut.selection
    fit = problem.families[row.family].fit
    return fit(problem.x[chosen], exam.y[chosen], row.params, problem.classes, problem.seed)


def _figures(row: Row, recipe: Recipe, panel: Panel, exam: _Exam, predicted: Ints) -> dict[str, Any]:
    """Fold and holdout scores of one model, as they go into the contract."""
    held = exam.cut.holdout
    found = _holdout_interval(recipe, panel.ts[held], exam.y[held], predicted)
    return {
        "macro_f1": row.macro_f1,
        "stderr": row.stderr,
        "accuracy": row.accuracy,
        "folds": {"macro_f1": list(row.folds), "accuracy": list(row.folds_accuracy)},
        "holdout": {
            "macro_f1": found.value,
            "low": found.low,
            "high": found.high,
            "confidence": found.confidence,
            "accuracy": accuracy(exam.y[held], predicted),
            "rows": len(held),
            "start": _time(panel.ts[held].min()).isoformat(),
            "end": _time(panel.ts[held].max()).isoformat(),
        },
    }


def _holdout_interval(recipe: Recipe, ts: Ints, y: Ints, predicted: Ints) -> Interval:
    classes = len(target_kind(recipe.target.kind).classes)
    counts = grouped_confusion(ts, y, predicted, classes)
    return block_bootstrap(
        lambda sums: f1_of(sums.reshape(-1, classes, classes)),
        counts.reshape(len(counts), -1).astype(np.float64),
        block=block_length(len(counts), recipe.target.horizon),
        seed=recipe.search.seed,
    )


def _contract(
    recipe: Recipe,
    panel: Panel,
    exam: _Exam,
    best: Row,
    figures: Mapping[str, dict[str, Any]],
    verdict: Verdict,
    calibration: Calibration | None,
    graph: bytes,
) -> Contract:
    chosen, serving = exam.cut.selection, recipe.serving
    buy, sell = (serving.buy, serving.sell) if calibration is None else (calibration.threshold, -calibration.threshold)
    thresholds = {} if calibration is None else {"thresholds": asdict(calibration)}
    return Contract(
        recipe=recipe.name,
        universe=recipe.universe.name,
        symbols=panel.symbols,
        interval=recipe.interval or recipe.record,
        family=best.family,
        params=best.params,
        seed=recipe.search.seed,
        feature_set=recipe.features.kind,
        features=panel.features,
        definition=panel.definition,
        warmup=panel.warmup,
        target=recipe.target.kind,
        horizon=recipe.target.horizon,
        overnight=recipe.target.overnight,
        classes=target_kind(recipe.target.kind).classes,
        edges=tuple(exam.edges.tolist()),
        buy=buy,
        sell=sell,
        train_start=_time(panel.ts[chosen].min()),
        train_end=_time(panel.ts[chosen].max()),
        train_rows=len(chosen),
        metrics=figures[best.family] | thresholds,
        baselines={name: shown for name, shown in figures.items() if name != best.family},
        verdict=verdict.model_dump(mode="json"),
        versions={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        created_at=datetime.now(UTC),
    )


def _time(ns: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(ns) // 1000)  # in whole numbers: a float would round nanoseconds

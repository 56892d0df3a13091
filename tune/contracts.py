"""A champion written down: its model, and the contract it is served under."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Serving
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Bundled, Fitted, Ranged, Reads
from bellwether.validation.verdict import Verdict
from data.panel import Panel
from data.targets import target_kind
from tune.adjust import Adjustment
from tune.calibrate import Calibration
from tune.figures import moment
from tune.leaderboard import Row
from tune.problem import Problem

LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost", "onnx", "ray")


def artefact_of(
    recipe: Recipe,
    panel: Panel,
    problem: Problem,
    best: Row,
    model: Fitted,
    figures: Mapping[str, dict[str, Any]],
    verdict: Verdict,
    *,
    adjustment: Adjustment,
    quantisation: Mapping[str, Any],
    thresholds: Calibration | None,
    outlook: Mapping[str, Any],
    drift: Mapping[str, Any],
) -> Artefact:
    """The model and everything a server must know about it."""
    form, content = _content(model)
    family, chosen = problem.families[best.family], problem.exam.train
    buy, sell = _thresholds(recipe.serving, thresholds)
    extra = {} if thresholds is None else {"thresholds": asdict(thresholds)}
    contract = Contract(
        recipe=recipe.name,
        universe=recipe.universe.name,
        symbols=panel.symbols,
        interval=recipe.interval or recipe.record,
        family=best.family,
        params=best.params,
        seed=problem.seed,
        format=form,
        reads=family.reads.value,
        lookback=best.params.get("lookback", 1),
        feature_set=recipe.features.kind,
        features=panel.features if family.reads is Reads.FEATURES else problem.inputs.columns(family),
        definition=panel.definition,
        warmup=panel.warmup,
        target=recipe.target.kind,
        horizon=recipe.target.horizon,
        overnight=recipe.target.overnight,
        classes=target_kind(recipe.target.kind).classes,
        steps=problem.steps,
        level=problem.level,
        ranged=isinstance(model, Ranged),
        calibration=adjustment.calibration,
        conformal=adjustment.conformal,
        outlook=outlook,
        drift=drift,
        edges=tuple(problem.exam.edges.tolist()),
        buy=buy,
        sell=sell,
        train_start=moment(panel.ts[chosen].min()),
        train_end=moment(panel.ts[chosen].max()),
        train_rows=len(chosen),
        metrics=figures[best.family] | extra | dict(quantisation),
        baselines={name: shown for name, shown in figures.items() if name != best.family},
        verdict=verdict.model_dump(mode="json"),
        versions={"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        sha256=hashlib.sha256(content).hexdigest(),
        created_at=datetime.now(UTC),
    )
    return Artefact(content=content, contract=contract)


def _content(model: Fitted) -> tuple[Literal["onnx", "bundle"], bytes]:
    """The format a model is kept in, and what is kept of it."""
    return ("bundle", model.bundle().serialise()) if isinstance(model, Bundled) else ("onnx", model.graph())


def _thresholds(serving: Serving, found: Calibration | None) -> tuple[float, float]:
    """Buy and sell: the calibrated ones, which are symmetric, or those of the recipe."""
    return (serving.buy, serving.sell) if found is None else (found.threshold, -found.threshold)

"""Models of order books: fitted to all that a lake holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.calibration.conformal import calibrated
from bellwether.config.recipe import Recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact
from bellwether.models.base import Reads
from bellwether.models.training import Training
from benchmarks.contracts import artefact_of
from data.features import features_of
from data.features.market import features_kind
from data.features.tables import component_slices, feature_notes, feature_table, given, runs
from data.inputs import inputs
from data.lake import Lake
from data.lake.slices import read_slice
from data.panel import Panel, load_panel
from data.records import record_kind
from data.targets import target_kind

Floats = NDArray[np.float64]


def put_features(recipe: Recipe, lake: Lake) -> None:
    """Make the feature tables, as the job on the cluster does."""
    records = component_slices(recipe, lake)
    notes, staged = feature_notes(recipe, lake, records), []
    for symbol, parts in records.items():
        for run in runs(recipe, parts):
            state = features_of(recipe.features).start()
            for part in run:
                rows = read_slice(lake, part, record_kind(recipe.record).order)
                table = feature_table(recipe, rows, symbol=symbol, market=None, state=state)
                if part in given(recipe, run):
                    kind = features_kind(recipe)
                    staged.append(lake.stage(kind, symbol, table, notes[part.partition], date=part.date))
    lake.commit(features_kind(recipe), staged, replace=True)


def model(recipe: Recipe, lake: Lake, name: str, params: Mapping[str, Any], **changes: Any) -> Artefact:
    """A family fitted to all there is, with intervals of its own misses where it forecasts values."""
    put_features(recipe, lake)
    panel, kind, target = load_panel(recipe, lake), family(name), target_kind(recipe.target.kind)
    rows = inputs(panel, target.level)
    edges = target.fit(panel.outcome, recipe.target)
    labels = target.encode(panel.outcome, edges)
    if not target.classes:
        labels = labels.reshape(len(labels), -1) - panel.value[:, None]
    x = rows.read(kind, params, np.arange(len(panel.ts)), labels if target.classes else None)
    fitted = kind.train(_training(panel, x, labels, len(target.classes), rows.columns(kind), params), params)
    said = {
        "params": dict(params),
        "reads": kind.reads.value,
        "lookback": params.get("lookback", 1),
        "features": panel.features if kind.reads is Reads.FEATURES else rows.columns(kind),
        "steps": 1 if target.classes else labels.shape[1],
        "edges": tuple(edges.tolist()),
        "train_rows": len(panel.ts),
    }
    if not target.classes:
        misses = np.abs(labels - fitted.predict(x))
        said["conformal"] = {"steps": [calibrated(m, alpha=0.1, kind="tracking").state() for m in misses.T]}
    return artefact_of(recipe, name, fitted, **(said | changes))


def _training(
    panel: Panel, x: Floats, y: NDArray[Any], classes: int, names: tuple[str, ...], params: Mapping[str, Any]
) -> Training:
    """All rows of a panel, of equal weight."""
    return Training(
        x=x,
        y=y,
        classes=classes,
        seed=0,
        ts=panel.ts,
        t1=panel.t1,
        who=panel.who,
        weight=np.ones(len(panel.ts)),
        names=names,
        lookback=params.get("lookback", 1),
    )

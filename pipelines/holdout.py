"""The rows a version was never shown: the untouched segment its contract was judged on, and what came after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from bellwether.models import family
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.predictor import Predictor
from data.features import features_of
from data.inputs import inputs
from data.panel import Panel, load_panel
from pipelines.workspace import Workspace
from serve_apps.models.checks import check_contract

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """Predictions on untouched rows, sorted by (ts, who).

    ``ts``, ``who`` (n,) int64; ``outcome`` (n,); ``probabilities`` (n, classes) as served; ``symbols`` that ``who``
    points into.
    """

    ts: Ints
    who: Ints
    outcome: Floats
    probabilities: Floats
    symbols: tuple[str, ...]


def untouched(workspace: Workspace, artefact: Artefact) -> Untouched:
    """Predict the rows from the start of the version's holdout on, after the checks that serving makes.

    Raises
    ------
    ModelError
        The version belongs to other features, components or bars than the recipe's present ones.
    """
    recipe, contract = workspace.recipe, artefact.contract
    check_contract(contract, recipe, features_of(recipe.features))
    panel = load_panel(recipe, workspace.lake)
    start = datetime.fromisoformat(contract.metrics["holdout"]["start"]) - EPOCH
    held = panel.ts >= start // timedelta(microseconds=1) * 1000
    return Untouched(
        ts=panel.ts[held],
        who=panel.who[held],
        outcome=panel.outcome[held],
        probabilities=Predictor(artefact).predict(_read(contract, panel, np.flatnonzero(held))).astype(np.float64),
        symbols=panel.symbols,
    )


def _read(contract: Contract, panel: Panel, rows: Ints) -> Floats:
    """What the version's model is shown of these rows."""
    return inputs(panel, contract.level).read(family(contract.family), {"lookback": contract.lookback}, rows)

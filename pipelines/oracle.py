"""How much of what could be known a version knows: its score beside the oracle's, on a simulated market."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bellwether.models.artefact import Artefact
from bellwether.models.predictor import Predictor
from bellwether.validation.metrics import macro_f1
from data.panel import Panel, load_panel
from data.sources.oracle import oracle_macro_f1
from data.sources.simulator import SimulatorOptions, simulate
from data.targets import target_kind
from pipelines.console import say
from pipelines.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Share:
    """Macro-F1 of a version and of the oracle on the bars after training ended, cut at the version's class edges."""

    champion: float
    oracle: float


def run(workspace: Workspace, artefact: Artefact) -> Share | None:
    """Report the share of the best achievable score; None, and silent, where the market is not simulated."""
    if workspace.recipe.source.kind != "simulator":
        return None
    share = measure(workspace, artefact)
    say(
        f"[bold]oracle[/bold] best achievable macro-F1 {share.oracle:.3f} on the untouched segment; "
        f"the champion reaches {share.champion:.3f}, {share.champion / share.oracle:.0%} of it"
    )
    return share


def measure(workspace: Workspace, artefact: Artefact) -> Share:
    """Score the version and the oracle on the same rows."""
    recipe, contract = workspace.recipe, artefact.contract
    panel = load_panel(recipe, workspace.lake)
    held = panel.ts > int(contract.train_end.timestamp() * 1e9)
    edges, outcome = np.asarray(contract.edges), panel.outcome[held]
    mean, sd = _truth(workspace, panel, held)
    y = target_kind(contract.target).encode(outcome, edges)
    predicted = Predictor(artefact).predict(panel.x[held]).argmax(axis=1)
    return Share(
        champion=macro_f1(y, predicted, len(contract.classes)), oracle=oracle_macro_f1(mean, sd, outcome, edges)
    )


def _truth(workspace: Workspace, panel: Panel, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the simulator knew of each held row's next return: its mean and standard deviation."""
    recipe = workspace.recipe
    options = SimulatorOptions.model_validate(recipe.source.options)
    truth = simulate(options, recipe.session, recipe.interval_ns).truth.to_pandas()
    truth["ts"] = truth["ts_event"].astype("int64")
    rows = truth.set_index(["symbol", "ts"]).loc[
        list(zip(np.asarray(panel.symbols)[panel.who[held]], panel.ts[held], strict=True))
    ]
    return rows["mean"].to_numpy(), rows["sd"].to_numpy()

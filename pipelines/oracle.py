"""How much of what could be known a version knows: its score beside the oracle's, on a simulated market."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bellwether.models.artefact import Artefact
from bellwether.validation.metrics import macro_f1
from data.sources.oracle import oracle_macro_f1
from data.sources.simulator import SimulatorOptions, simulate
from data.targets import target_kind
from data.wall import times
from pipelines.console import say
from pipelines.holdout import Floats, Untouched, untouched
from pipelines.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Share:
    """Macro-F1 of a version and of the oracle on its untouched bars, cut at the version's class edges."""

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
    contract, rows = artefact.contract, untouched(workspace, artefact)
    edges = np.asarray(contract.edges)
    y = target_kind(contract.target).encode(rows.outcome, edges)
    mean, sd = _truth(workspace, rows)
    return Share(
        champion=macro_f1(y, rows.probabilities.argmax(axis=1), len(contract.classes)),
        oracle=oracle_macro_f1(mean, sd, rows.outcome, edges),
    )


def _truth(workspace: Workspace, rows: Untouched) -> tuple[Floats, Floats]:
    """What the simulator knew of each row's next return: its mean and standard deviation."""
    recipe = workspace.recipe
    options = SimulatorOptions.model_validate(recipe.source.options)
    truth = simulate(options, recipe.session, recipe.interval_ns).truth
    mean, sd = (truth.column(name).to_numpy() for name in ("mean", "sd"))
    place = {
        key: k for k, key in enumerate(zip(truth.column("symbol").to_pylist(), times(truth).tolist(), strict=True))
    }
    at = [place[rows.symbols[who], ts] for who, ts in zip(rows.who.tolist(), rows.ts.tolist(), strict=True)]
    return mean[at], sd[at]

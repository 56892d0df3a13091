"""A trial in one picture: its score by fold, what was taken for what, and how its fits went."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tune.trial import TrialResult

SIZE = 3.2
"""Inches of one panel."""


def trial_picture(trial: TrialResult, metric: str, classes: Sequence[str] = ()) -> bytes:
    """A PNG of a trial that finished at least one fold.

    Parameters
    ----------
    classes : sequence of str
        Names along the confusion matrix; none for values.
    """
    from matplotlib.figure import Figure  # no pyplot: nothing global, and no window

    panels: list[Callable[[Any], None]] = [lambda axes: _folds(axes, trial.scores(metric), metric)]
    counts = [score.confusion for score in trial.folds if score.confusion]
    if counts:
        panels.append(lambda axes: _confusion(axes, np.sum(counts, axis=0), classes))
    if any(score.epochs for score in trial.folds):
        panels += [lambda axes: _losses(axes, trial), lambda axes: _rates(axes, trial)]
    figure = Figure(figsize=(SIZE * len(panels), SIZE), layout="constrained")
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes)
    figure.suptitle(f"{trial.family} {trial.id}", fontsize="medium")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=80)
    return out.getvalue()


def _folds(axes: Any, scores: Sequence[float], metric: str) -> None:
    axes.plot(range(1, len(scores) + 1), scores, marker="o")
    axes.axhline(float(np.mean(scores)), linestyle=":", color="grey")
    axes.set(title=f"{metric} by fold", xlabel="fold", xticks=range(1, len(scores) + 1))


def _confusion(axes: Any, counts: Any, classes: Sequence[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*share.shape):
        axes.text(column, row, f"{share[row, column]:.0%}", ha="center", va="center", fontsize="x-small")
    names = list(classes) or [str(k) for k in range(len(share))]
    places = range(len(share))
    axes.set(title="share of each true class", xlabel="predicted", ylabel="true", xticks=places, yticks=places)
    axes.set_xticklabels(names, rotation=45, ha="right", fontsize="x-small")
    axes.set_yticklabels(names, fontsize="x-small")


def _losses(axes: Any, trial: TrialResult) -> None:
    for number, score in enumerate(trial.folds):
        done, loss, validation, _ = np.transpose(score.epochs) if score.epochs else np.empty((4, 0))
        axes.plot(done, loss, color=f"C{number}", linestyle=":")
        axes.plot(done, validation, color=f"C{number}", label=f"fold {number + 1}")
    axes.set(title="loss (dotted: training)", xlabel="share of the most work")
    axes.legend(fontsize="x-small")


def _rates(axes: Any, trial: TrialResult) -> None:
    for number, score in enumerate(trial.folds):
        done, _, _, rate = np.transpose(score.epochs) if score.epochs else np.empty((4, 0))
        axes.plot(done, rate, color=f"C{number}")
    axes.set(title="learning rate", xlabel="share of the most work")

"""A champion with weights of 8 bits, where the recipe asks for them: judged and served so, at a loss that is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models.base import Bundled, Fitted, Floats, Ranged
from bellwether.models.graph import INPUT, OUTPUT, QUANTILES, VALUES
from bellwether.models.predictor import session
from bellwether.models.quantise import loss, quantised
from bellwether.models.rows import singles
from bellwether.models.training import Task
from tune.leaderboard import Row
from tune.problem import Problem

ROWS = 500
"""Training rows, the newest, on which the answers of both graphs are compared."""


class Rounded:
    """A model that answers by its quantised graph, row by row as it is served.

    Parameters
    ----------
    content : bytes
        The quantised graph.
    task : Task
        Decides which of its results is the prediction.
    """

    def __init__(self, content: bytes, task: Task) -> None:
        self._content, self._session = content, session(content)
        self._output = OUTPUT if task is Task.CLASSIFY else VALUES

    def predict(self, x: Floats) -> Floats:
        """What the served graph answers."""
        return self._answer(self._output, x)

    def graph(self) -> bytes:
        """The quantised graph."""
        return self._content

    def _answer(self, output: str, x: Floats) -> Floats:
        rows = singles(x)
        answers = [self._session.run([output], {INPUT: rows[k : k + 1]})[0] for k in range(len(rows))]
        return np.concatenate(answers).astype(np.float64)


class RoundedRange(Rounded):
    """The same, of a model that gives quantiles."""

    def quantiles(self, x: Floats) -> Floats:
        """What the served graph answers."""
        return self._answer(QUANTILES, x)


def rounded(recipe: Recipe, problem: Problem, best: Row, model: Fitted) -> tuple[Fitted, Mapping[str, Any]]:
    """The model as ``recipe.precision`` wants it, and what that cost and saved.

    A graph in which nothing can be quantised, and a model that is no graph, stay as they are; the figures then say why.
    """
    if recipe.precision == "float32":
        return model, {}
    if isinstance(model, Bundled):
        return model, {"quantisation": {"why_not": "the model is no graph"}}
    full = model.graph()
    try:
        content = quantised(full)
    except ModelError as error:
        return model, {"quantisation": {"why_not": str(error)}}
    x = problem.read(problem.exam, best.family, best.params, problem.exam.train[-ROWS:])
    kind = RoundedRange if isinstance(model, Ranged) else Rounded
    return kind(content, problem.task), {"quantisation": asdict(loss(full, content, x))}

"""A trained ensemble of trees as a served model: classes, or values on their own scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from bellwether.models.base import Floats
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Classes, Singles, singles
from bellwether.models.trees.ensemble import Ensemble, class_graph, value_graph


class Machine(Protocol):
    """A trained ensemble as its library holds it."""

    def margins(self, x: Singles) -> Floats:
        """The library's own sums (n, targets)."""
        ...

    def ensemble(self) -> Ensemble:
        """Its trees."""
        ...

    def gain(self) -> Floats:
        """What the splits on each column gained (columns,), in any unit."""
        ...

    def explain(self, x: Singles) -> tuple[Floats, Floats]:
        """Contributions (n, columns, targets) and what they are added to (targets,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class TreeClasses:
    """Class probabilities from trees.

    Parameters
    ----------
    machine : Machine
        Its targets are the present classes.
    classes : Classes
    softmax : bool
        The sums are log odds, as in boosting; else they are the probabilities, as in a forest.
    n_features : int
        Columns of a row.
    """

    machine: Machine
    classes: Classes
    softmax: bool
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        margins = self.machine.margins(singles(x))
        return self.classes.widen(np.asarray(softmax(margins, axis=1)) if self.softmax else margins)

    def graph(self) -> bytes:
        """The sum of the trees, and a softmax where they give log odds."""
        return class_graph(self.machine.ensemble(), self.classes, softmax=self.softmax)

    def gain(self) -> Floats:
        """Shares of the columns; see `bellwether.models.explained.Explained`."""
        return _shares(self.machine.gain())

    def contributions(self, x: Floats) -> Floats:
        """What each column adds (n, columns, classes)."""
        found, _ = self.machine.explain(singles(x))
        out = np.zeros((*found.shape[:2], self.classes.total))
        out[:, :, self.classes.present] = found
        return out

    def bias(self) -> Floats:
        """What contributions are added to (classes,)."""
        bias = self.machine.explain(np.zeros((1, self.n_features), np.float32))[1]
        out: Floats = self.classes.widen(bias[None])[0]
        return out


@dataclass(frozen=True, kw_only=True)
class TreeValues:
    """Values from trees that were trained on standardised ones.

    Parameters
    ----------
    machine : Machine
        Its targets are the steps.
    scale : Scaler
        Of the values: squared losses, their regularisation and stopping are in one unit.
    n_features : int
        Columns of a row.
    """

    machine: Machine
    scale: Scaler
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Values (n, steps)."""
        return np.asarray(self.scale.mean + self.scale.scale * self.machine.margins(singles(x)))

    def graph(self) -> bytes:
        """The sum of the trees, in the unit of the values."""
        return value_graph(self.machine.ensemble(), self.scale.scale, self.scale.mean)

    def gain(self) -> Floats:
        """Shares of the columns; see `bellwether.models.explained.Explained`."""
        return _shares(self.machine.gain())

    def contributions(self, x: Floats) -> Floats:
        """What each column adds (n, columns, steps), in the unit of the values."""
        return np.asarray(self.machine.explain(singles(x))[0] * self.scale.scale)

    def bias(self) -> Floats:
        """What contributions are added to (steps,)."""
        bias = self.machine.explain(np.zeros((1, self.n_features), np.float32))[1]
        return np.asarray(self.scale.mean + self.scale.scale * bias)


def _shares(gain: NDArray[np.float64]) -> Floats:
    total = gain.sum()
    return np.asarray(gain / total if total > 0 else np.zeros_like(gain))

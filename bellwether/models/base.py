"""What a model family is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import TaskRefused

if TYPE_CHECKING:
    from optuna import Trial

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Params = Mapping[str, Any]


class Task(Enum):
    """The kinds of target a family can be fitted to."""

    CLASSIFY = "classify"
    REGRESS = "regress"


class Fitted(Protocol):
    """A fitted model."""

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes), in class order, or values (n,)."""
        ...

    def graph(self) -> bytes:
        """The model and its preprocessing as one ONNX graph: float32 (n, features) in, probabilities out last."""
        ...


@runtime_checkable
class Sampled(Fitted, Protocol):
    """A fitted model that stands for draws from its probabilities, not for the most probable class.

    The stratified baseline gives every row the same probabilities: their argmax is the majority class, another
    baseline. An evaluation that meets a `Sampled` model asks it for labels; the served graph is unchanged.

    >>> from bellwether.models import family
    >>> x, y = np.zeros((4, 2)), np.array([0, 1, 1, 1])
    >>> isinstance(family("stratified").fit(x, y, {}, 2, 0), Sampled)
    True
    >>> isinstance(family("majority").fit(x, y, {}, 2, 0), Sampled)
    False
    """

    def labels(self, x: Floats, seed: int) -> Ints:
        """Class positions (n,), one draw a row. The same seed gives the same draws."""
        ...


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model: what it can predict, what there is to tune, how it is fitted.

    Parameters
    ----------
    name : str
        Key in the model table and in the sweep's space.
    tasks : frozenset of Task
        Any other task is refused with this list.
    space : callable
        Draws this family's parameters, and only those, from an Optuna trial. Every suggested name starts with
        ``<family>.`` so that families share one conditional space; the returned keys do not.
    fit : callable
        ``fit(x, y, params, n_classes, seed)``: ``x`` float64 (n, features), finite; ``y`` int64 class positions,
        of training rows only. Classes absent from ``y`` get probability zero. The same arguments give the same
        model. One thread.
    baseline : bool
        A reference to beat: always run, never promoted.
    """

    name: str
    tasks: frozenset[Task]
    space: Callable[[Trial], dict[str, Any]]
    fit: Callable[[Floats, Ints, Params, int, int], Fitted]
    baseline: bool = False

    def check(self, task: Task) -> None:
        """Raise `TaskRefused` for a task this family does not predict."""
        if task not in self.tasks:
            known = ", ".join(sorted(t.value for t in self.tasks))
            raise TaskRefused(f"{self.name} cannot {task.value}; it can: {known}")

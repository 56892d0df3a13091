"""What a model family is, and what it makes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from bellwether.errors import TaskRefused
from bellwether.models.training import Task, Training

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from bellwether.models.bundle import Bundle

__all__ = ["Epoch", "Family", "Fitted", "Floats", "Ints", "Params", "Ranged", "Reads", "Sampled", "Task", "Training"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Params = Mapping[str, Any]

LEVELS = (0.05, 0.5, 0.95)
"""The quantiles that a `Ranged` model gives: the median and a central interval of 90 %."""


class Reads(Enum):
    """What the columns of a family's rows are."""

    FEATURES = "features"
    """The features of the row; with a lookback, of the rows of its symbol up to it, oldest first."""

    OUTCOMES = "outcomes"
    """Outcomes of earlier rows of the symbol that are known by then and do not overlap, oldest first; changes for a
    level. Unknown ones, before the first, are 0."""

    LABELS = "labels"
    """The same as class positions, by the class edges of the training rows."""

    PRICES = "prices"
    """Position of the symbol, then the logarithm of the newest price of every symbol."""


class Fitted(Protocol):
    """A fitted model."""

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes), in class order, or values (n, steps)."""
        ...

    def graph(self) -> bytes:
        """The model and its preprocessing as one ONNX graph: float32 ``features`` (n, columns) in, ``probabilities``
        (n, classes) or ``values`` (n, steps) out, and ``quantiles`` (n, steps, levels) where it is `Ranged`."""
        ...


@runtime_checkable
class Sampled(Fitted, Protocol):
    """A fitted model that stands for draws from its probabilities, not for the most probable class.

    The stratified baseline gives every row the same probabilities: their argmax is the majority class, another
    baseline. An evaluation that meets a `Sampled` model asks it for labels; the served graph is unchanged.

    >>> from bellwether.models import family
    >>> from bellwether.models.training import plain
    >>> rows = plain(np.zeros((4, 2)), np.array([0, 1, 1, 1]), classes=2)
    >>> isinstance(family("stratified").train(rows, {}), Sampled)
    True
    >>> isinstance(family("majority").train(rows, {}), Sampled)
    False
    """

    def labels(self, x: Floats, seed: int) -> Ints:
        """Class positions (n,), one draw a row. The same seed gives the same draws."""
        ...


@runtime_checkable
class Ranged(Fitted, Protocol):
    """A fitted model that says how sure it is of a value."""

    def quantiles(self, x: Floats) -> Floats:
        """Quantiles (n, steps, levels) at `LEVELS`, ascending along the last axis."""
        ...


@runtime_checkable
class Bundled(Fitted, Protocol):
    """A fitted model that is no graph: it is saved as named arrays and numbers, and its family restores it."""

    def bundle(self) -> Bundle:
        """Everything `Family.restore` needs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """How far a fit has come: what a scheduler may stop it on, and a person sees as loss curves.

    ``validation`` is the loss on the validation tail, which a family that reports must have; lower is better.
    ``done`` is the share of the most work there can be, 0 … 1.
    """

    done: float
    loss: float
    validation: float
    rate: float


Walk = Generator[Epoch, None, Fitted]
"""A fit that reports as it goes: yields epochs, returns the model."""


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
        ``space(trial, task)`` draws this family's parameters for a task, and only those, from an Optuna trial. Every
        suggested name starts with ``<family>.`` so that families share one conditional space; the returned keys do
        not. A parameter ``lookback`` is the number of rows the family is shown at once.
    defaults : mapping
        A value for every parameter the space can draw: the first trial of the family, and the only one of a sweep
        that does not optimise.
    fit : callable
        ``fit(training, params)`` returns the model, or is a generator that yields `Epoch` and returns it. Classes
        absent from the training rows get probability zero. The same arguments give the same model; `walk` and `train`
        see to it that linear algebra takes one thread, for sums depend on how many there are.
    baseline : bool
        A reference to beat: always run, never promoted.
    reads : Reads
        What its columns are.
    needs : tuple of str
        Features it cannot do without, by name.
    steps : bool
        It can predict several steps at once.
    gpu : float
        Share of a GPU a fit takes where the cluster has one.
    restore : callable, optional
        Makes the model from its `Bundle`, for families that are no graphs.
    """

    name: str
    tasks: frozenset[Task]
    space: Callable[[BaseTrial, Task], dict[str, Any]]
    fit: Callable[[Training, Params], Fitted | Walk]
    defaults: Params = field(default_factory=dict)
    baseline: bool = False
    reads: Reads = Reads.FEATURES
    needs: tuple[str, ...] = ()
    steps: bool = False
    gpu: float = 0.0
    restore: Callable[[Bundle], Fitted] | None = None

    def walk(self, training: Training, params: Params) -> Walk:
        """Fit, yielding the epochs of a family that reports them, between which threads are free; returns the model."""
        training.check_weights()
        threads = ThreadpoolController()  # of the libraries loaded by now; to look for them takes milliseconds
        with threads.limit(limits=1):
            made = self.fit(training, params)
        if not isinstance(made, GeneratorType):
            return cast(Fitted, made)
        with closing(made):
            while True:
                with threads.limit(limits=1):
                    try:
                        epoch = next(made)
                    except StopIteration as end:
                        return cast(Fitted, end.value)
                yield epoch

    def train(self, training: Training, params: Params) -> Fitted:
        """Fit and return the model."""
        steps = self.walk(training, params)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                fitted: Fitted = end.value
                return fitted

    def standard(self, task: Task) -> dict[str, Any]:
        """The default parameters for a task."""
        from optuna.trial import FixedTrial

        return self.space(FixedTrial({f"{self.name}.{key}": value for key, value in self.defaults.items()}), task)

    def check(self, task: Task, *, steps: int = 1, names: tuple[str, ...] | None = None) -> None:
        """Raise `TaskRefused`, with the reason, for a target this family does not predict.

        Parameters
        ----------
        steps : int
            Values a row has.
        names : tuple of str, optional
            The features there are; not asked if left out.
        """
        if task not in self.tasks:
            known = ", ".join(sorted(t.value for t in self.tasks))
            raise TaskRefused(f"{self.name} cannot {task.value}; it can: {known}")
        if steps > 1 and not self.steps:
            raise TaskRefused(f"{self.name} predicts one step and the target has {steps}: ask for one, or leave it out")
        if names is not None and (lacking := [name for name in self.needs if name not in names]):
            raise TaskRefused(f"{self.name} needs the features {', '.join(lacking)}, which the feature set lacks")

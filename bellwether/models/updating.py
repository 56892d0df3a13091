"""Models that go on learning between retrains."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from bellwether.models.base import Fitted, Floats
from bellwether.models.bundle import Bundle


@runtime_checkable
class Updating(Fitted, Protocol):
    """A fitted model that learns from newly labelled rows, and can be carried to another process to go on there.

    It is served as a graph like any other. The graph is a picture of the moment; the state is what learning needs.

    >>> import numpy as np
    >>> from bellwether.models import family
    >>> from bellwether.models.base import Task
    >>> from bellwether.models.training import plain
    >>> kind = family("online")
    >>> x, y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 1, 0])
    >>> model = kind.train(plain(x, y, classes=2), kind.standard(Task.CLASSIFY))
    >>> isinstance(model, Updating)
    True
    >>> again = kind.restore(Bundle.parse(model.state().serialise()))
    >>> bool((again.update(x, y).predict(x) == model.update(x, y).predict(x)).all())
    True
    """

    def update(self, x: Floats, y: NDArray[Any], weight: Floats | None = None) -> Updating:
        """The model after it learned rows in the order they are given; this one stays as it is.

        Parameters
        ----------
        x : float array of shape (n, columns)
        y : int64 array of shape (n,) or float64 array of shape (n, steps)
            Class positions or values, as in training: of outcomes that are known by now.
        weight : float64 array of shape (n,), optional
            How much a row counts; one if left out.

        Raises
        ------
        BadFeatures, ModelError
            As a fit does; the model is unchanged.
        """
        ...

    def state(self) -> Bundle:
        """Everything the family's ``restore`` needs to go on learning, bit for bit."""
        ...

"""What a fitted model can say about where its answers come from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from bellwether.models.base import Fitted, Floats


@runtime_checkable
class Explained(Fitted, Protocol):
    """A fitted model that shares its answers out among the columns it read.

    Contributions are in the model's own unit: log odds for boosted classes, whose softmax over the classes that
    occurred in training is the prediction; probabilities for forests; values for a regression.

    >>> import numpy as np
    >>> from bellwether.models import family
    >>> from bellwether.models.base import Task
    >>> from bellwether.models.training import plain
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> kind = family("lightgbm")
    >>> model = kind.train(plain(x, 3.0 * x[:, 1:]), kind.standard(Task.REGRESS))
    >>> isinstance(model, Explained), model.gain().round(1).tolist()
    (True, [0.0, 1.0])
    >>> whole = model.bias() + model.contributions(x).sum(axis=1)
    >>> np.allclose(whole, model.predict(x))
    True
    """

    def gain(self) -> Floats:
        """Share (columns,) of each column in what the splits gained in training; sums to one, zero if none split.

        A cheap first look: it favours columns with many values, and says nothing of rows not trained on.
        """
        ...

    def contributions(self, x: Floats) -> Floats:
        """What each column adds to each answer: (n, columns, classes or steps); 0 for classes never seen.

        Shapley values of the trees' conditional expectations, as rows were spread over the branches in training:
        Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature
        Machine Intelligence 2 (2020), algorithm 2.

        Raises
        ------
        BadFeatures
            As `bellwether.models.rows.singles`.
        """
        ...

    def bias(self) -> Floats:
        """What the contributions of a row are added to: (classes or steps,)."""
        ...

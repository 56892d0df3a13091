"""Weighted least squares of standardised columns, from its moments: one pass over the rows answers every penalty.

With the Gram matrix ``G = V diag(g) V'`` of the standardised columns and their products ``c`` with the values, both
means over the rows, the coefficients at the penalty ``a`` are ``V diag(1 / (g + a)) V' c``. Directions that hold next
to nothing of the columns' variance are left out: no rows say anything of them but noise, and least squares would make
much of it.

Sources: Hoerl and Kennard, "Ridge regression", Technometrics 12 (1970); Hastie, Tibshirani and Friedman, *The Elements
of Statistical Learning*, 2nd ed. (2009), section 3.4.1; Hansen, "The truncated SVD as a method for regularization",
BIT 27 (1987).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bellwether.models.base import Floats
from bellwether.models.linear_graph import Linear, Scaler, blocks
from bellwether.models.rows import Values

NEGLIGIBLE = 1e-9
"""A direction is left out below this share of the variance of the widest one."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What least squares needs of the rows.

    Parameters
    ----------
    scaler : Scaler
        Of the columns.
    center, spread : float64 arrays of shape (steps,)
        Mean and standard deviation of the values.
    spectrum : float64 array of shape (kept,)
        Variance of the standardised columns along each direction.
    directions : float64 array of shape (columns, kept)
        Orthonormal.
    cross : float64 array of shape (kept, steps)
        Mean product of each direction with the values.
    """

    scaler: Scaler
    center: Floats
    spread: Floats
    spectrum: Floats
    directions: Floats
    cross: Floats

    @classmethod
    def of(cls, rows: Values, *, standardise: bool = True) -> Moments:
        """Of training rows, each counted as often as it weighs.

        Parameters
        ----------
        standardise : bool
            Scale the columns, too; a kernel's have the scale they are meant to have, and are centred only.

        Examples
        --------

        >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]], np.float32)
        >>> rows = Values(x=x, y=x[:, :1] * 2.0 + 1.0, weight=np.ones(4))
        >>> linear = Moments.of(rows).solve(0.0)
        >>> linear(np.array([[10.0, 10.0]])).round(9).tolist()
        [[21.0]]
        """
        total, columns = rows.weight.sum(), rows.x.shape[1]
        scaler = Scaler.of(rows.x, rows.weight)
        if not standardise:
            scaler = replace(scaler, scale=np.ones(columns))
        center = rows.weight @ rows.y / total
        change = rows.y - center
        gram, cross = np.zeros((columns, columns)), np.zeros((columns, rows.y.shape[1]))
        for k in blocks(len(rows.x)):
            z = scaler(rows.x[k])
            weighed = z * rows.weight[k, None]
            gram += weighed.T @ z / total
            cross += weighed.T @ change[k] / total
        spectrum, directions = np.linalg.eigh(gram)
        kept = spectrum > NEGLIGIBLE * spectrum[-1]
        return cls(
            scaler=scaler,
            center=center,
            spread=np.sqrt(rows.weight @ change**2 / total),
            spectrum=spectrum[kept],
            directions=directions[:, kept],
            cross=directions[:, kept].T @ cross,
        )

    def solve(self, penalty: float) -> Linear:
        """Least squares plus ``penalty`` times the sum of squared coefficients, per row and standardised column."""
        return self.linear(self.directions @ (self.cross / (self.spectrum + penalty)[:, None]))

    def linear(self, coef: Floats) -> Linear:
        """The model with these coefficients (columns, steps), through the means."""
        return Linear(scaler=self.scaler, coef=coef, intercept=self.center)

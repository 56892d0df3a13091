"""Return buckets: the future return, cut into five at edges that are given or fitted."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import field_validator

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Target
from bellwether.errors import DataError
from bellwether.models.base import Task
from data.options import checked
from data.targets.ahead import check_finite, return_ahead
from data.targets.base import Floats, Ints, TargetKind

BUCKETS = ("large_fall", "fall", "flat", "rise", "large_rise")
QUANTILES = (0.2, 0.6)
"""Of the size of returns other than zero: below the first is flat, from the second on large."""


class BucketOptions(Frozen):
    """Where returns are cut.

    Parameters
    ----------
    edges : four rising numbers, or "quantiles"
        Fractions. Fixed edges leave the outer classes empty where returns are small, as from tick to tick; then say
        ``quantiles`` of the training rows: of the sizes of their returns other than zero, the 20 % and 60 % quantiles,
        either side of zero. Where few returns are zero, that makes five classes of about one size.
    """

    edges: tuple[float, float, float, float] | Literal["quantiles"] = (-0.01, -0.005, 0.005, 0.01)

    @field_validator("edges")
    @classmethod
    def _rising(cls, edges: tuple[float, ...] | str) -> tuple[float, ...] | str:
        if not isinstance(edges, str) and any(b <= a for a, b in pairwise(edges)):
            raise ValueError(f"edges must rise; got {edges}")
        return edges


def bucket_edges(outcome: Floats, target: Target) -> Floats:
    """The four edges: those given, or quantiles of ``outcome``, which holds training rows only.

    Where the quantiles are one and the same size of move, as the smallest is among trades, the second is the next size.

    Raises
    ------
    DataError
        Returns other than zero are all of one size.

    >>> target = Target(kind="return_bucket", options={"edges": "quantiles"})
    >>> bucket_edges(np.array([0.0, 0.0, 0.0, 1.0, -1.0, 2.0, -2.0]), target).tolist()
    [-2.0, -1.0, 1.0, 2.0]
    """
    given = checked("target 'return_bucket'", BucketOptions, target.options).edges
    if not isinstance(given, str):
        return np.array(given)
    check_finite(outcome)
    sizes = np.abs(outcome[outcome != 0.0])
    if not len(sizes) or sizes.min() == sizes.max():
        raise DataError(
            f"of {len(outcome)} training returns {len(sizes)} are not zero, and none differs in size from another: "
            "five classes need moves of two sizes; use a longer horizon, or `direction`"
        )
    small, large = np.quantile(sizes, QUANTILES, method="higher")
    small = min(small, sizes[sizes < sizes.max()].max())
    large = max(large, sizes[sizes > small].min())
    return np.array([-large, -small, small, large])


def bucket_classes(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `BUCKETS`; a return of exactly an edge is the larger move, up as down.

    >>> bucket_classes(np.array([-0.01, -0.005, 0.0, 0.005, 0.01]), np.array([-0.01, -0.005, 0.005, 0.01])).tolist()
    [0, 1, 2, 3, 4]
    """
    check_finite(outcome)
    down, up = np.digitize(outcome, edges[:2], right=True), np.digitize(outcome, edges[2:])
    return (down + up).astype(np.int64)


RETURN_BUCKET = TargetKind(
    kind="return_bucket",
    task=Task.CLASSIFY,
    classes=BUCKETS,
    outcome=return_ahead,
    fit=bucket_edges,
    encode=bucket_classes,
    options=BucketOptions,
)

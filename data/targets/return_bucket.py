"""Return buckets: the future return, cut into five at edges that are given or fitted."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import field_validator

from bellwether.config.recipe import Frozen, Target
from bellwether.errors import DataError
from bellwether.models.base import Task
from data.options import checked
from data.targets.ahead import check_finite, return_ahead
from data.targets.base import Floats, Ints, TargetKind

BUCKETS = ("large_fall", "fall", "flat", "rise", "large_rise")
QUINTILES = (0.2, 0.4, 0.6, 0.8)


class BucketOptions(Frozen):
    """Where returns are cut.

    Parameters
    ----------
    edges : four rising numbers, or "quantiles"
        Fractions. Fixed edges leave the outer classes empty where returns are small, as from tick to tick; then say
        ``quantiles``: the quintiles of the training rows.
    """

    edges: tuple[float, float, float, float] | Literal["quantiles"] = (-0.01, -0.005, 0.005, 0.01)

    @field_validator("edges")
    @classmethod
    def _rising(cls, edges: tuple[float, ...] | str) -> tuple[float, ...] | str:
        if not isinstance(edges, str) and any(b <= a for a, b in pairwise(edges)):
            raise ValueError(f"edges must rise; got {edges}")
        return edges


def bucket_edges(outcome: Floats, target: Target) -> Floats:
    """The four edges: those given, or the quintiles of ``outcome``, which holds training rows only.

    Raises
    ------
    DataError
        Returns are too alike to have four different quintiles.

    >>> bucket_edges(np.arange(101.0), Target(kind="return_bucket", options={"edges": "quantiles"})).tolist()
    [20.0, 40.0, 60.0, 80.0]
    """
    given = checked("target 'return_bucket'", BucketOptions, target.options).edges
    if not isinstance(given, str):
        return np.array(given)
    check_finite(outcome)
    if not len(outcome):
        raise DataError("no training returns to fit bucket edges to")
    edges = np.quantile(outcome, QUINTILES)
    if not (np.diff(edges) > 0.0).all():
        raise DataError(
            f"the quintiles of {len(outcome)} training returns are {edges.tolist()} and must rise: prices repeat too "
            "often; use a longer horizon, or `direction`"
        )
    return edges


def bucket_classes(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `BUCKETS`; a return of exactly an edge is in the higher bucket.

    >>> bucket_classes(np.array([-0.02, -0.01, 0.0, 0.005, 0.3]), np.array([-0.01, -0.005, 0.005, 0.01])).tolist()
    [0, 1, 2, 3, 4]
    """
    check_finite(outcome)
    return np.digitize(outcome, edges).astype(np.int64)


RETURN_BUCKET = TargetKind(
    kind="return_bucket",
    task=Task.CLASSIFY,
    classes=BUCKETS,
    outcome=return_ahead,
    fit=bucket_edges,
    encode=bucket_classes,
    options=BucketOptions,
)

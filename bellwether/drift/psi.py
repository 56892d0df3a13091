"""Population stability index: how far the shares of bins in a window are from those in the training rows.

PSI = Σ (p - q)·ln(p / q) over the bins of a feature, p being the share of the window and q that of the reference. Bins
are the tenths of the reference. One half is added to each count of the window, so that an empty bin is finite (the
prior of Jeffreys), and to each of the reference scaled to as many rows, so that a bin which both have empty tells
nothing, however long the reference is. The index is the symmetric divergence of Jeffreys, "An invariant form for the
prior probability in estimation problems", Proceedings of the Royal Society A 186 (1946); credit scoring named it
(Siddiqi, *Credit Risk Scorecards*, 2006). Its customary bounds, 0.1 and 0.25, are not used: where rows are few, or
resemble their neighbours, the index is beyond them without any drift. What is usual comes from windows of the
reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bellwether.calibration.conformal import finite_sample_quantile
from bellwether.drift import saved
from bellwether.drift.base import NAME, Detector, Finding, Floats, Ints, Part, Reference, check_rows
from bellwether.drift.usual import least_windows, share_above, windows

TENTHS = np.arange(1, 10) / 10
EXTRA = 0.5
"""What is added to each count of a window."""

ENOUGH = 0.8
"""Rows a window needs, as a share of those of the reference's smallest: with fewer, it strays further by itself."""


@dataclass(frozen=True, kw_only=True)
class FittedPsi:
    """The index of each feature against one reference, and their mean.

    Parameters
    ----------
    names : tuple of str
    edges : tuple of float64 arrays
        Of each feature the edges between its bins, rising; a bin has its upper edge.
    counts : int64 array of shape (features, most bins)
        Rows of the reference in each bin; 0 beyond a feature's last.
    usual_each, usual : float64 array of shape (features,), and float
        Beyond this a feature has moved, and the whole.
    bars, level, windows
        As `bellwether.drift.base.FittedDetector` has them.
    rows : int
        Those of the smallest window of the reference.
    """

    names: tuple[str, ...]
    edges: tuple[Floats, ...]
    counts: Ints
    usual_each: Floats
    usual: float
    bars: int
    level: float
    windows: int
    rows: int

    @property
    def chance(self) -> float:
        """Features of a window like the reference's that are beyond theirs, on average."""
        return len(self.names) * share_above(self.windows, self.level)

    def tally(self, x: Floats) -> Ints:
        """Rows in each bin (features, most bins)."""
        check_rows(x, self.names)
        counts: Ints = _counted(self.edges, x, np.zeros(len(x), np.int64), 1)[0]
        return counts

    def judge(self, tally: Ints) -> Finding | str:
        """The index of each feature and their mean."""
        if (rows := int(tally[0].sum())) < ENOUGH * self.rows:
            return f"the window has {rows} rows whose features are known; windows of the reference had {self.rows}"
        scores = _each(self.edges, tally[None], self.counts)[0]
        parts = zip(self.names, scores.tolist(), self.usual_each.tolist(), strict=True)
        return Finding(
            score=float(scores.mean()),
            usual=self.usual,
            parts=tuple(Part(name=name, score=score, usual=usual) for name, score, usual in parts),
        )

    def state(self) -> dict[str, Any]:
        """Edges and what is usual as they are, for a value may lie on an edge and a score on what is usual; counts."""
        features = {
            name: {"edges": e.tolist(), "counts": c[: len(e) + 1].tolist(), "usual": u}
            for name, e, c, u in zip(self.names, self.edges, self.counts, self.usual_each.tolist(), strict=True)
        }
        kept = {key: getattr(self, key) for key in ("level", "bars", "windows", "rows", "usual")}
        return {NAME: PSI.name, **kept, "features": features}


def fit(reference: Reference) -> FittedPsi | str:
    """Bins of the reference, and how far its windows of ``bars`` stray; in words, why they are too few to say.

    Each window is held against all other rows of the reference, so that none is held against itself.
    """
    x, names = reference.x, reference.names
    check_rows(x, names)
    number = windows(reference.ts, reference.bars)
    count, need = int(number.max(initial=-1)) + 1, least_windows(reference.level)
    if count < need:
        return f"the training rows make {count} windows of {reference.bars} bars, and {need} say what is usual"
    edges = tuple(_edges(column) for column in x.T)
    inside = _counted(edges, x[number >= 0], number[number >= 0], count)
    whole = inside.sum(axis=0) + _counted(edges, x[number < 0], np.zeros(int((number < 0).sum()), np.int64), 1)[0]
    scores = _each(edges, inside, whole - inside)
    return FittedPsi(
        names=names,
        edges=edges,
        counts=whole,
        usual_each=np.array([finite_sample_quantile(column, reference.level) for column in scores.T]),
        usual=finite_sample_quantile(scores.mean(axis=1), reference.level),
        bars=reference.bars,
        level=reference.level,
        windows=count,
        rows=int(inside[:, 0].sum(axis=1).min()),
    )


def restore(state: Mapping[str, Any]) -> FittedPsi:
    """Read what `FittedPsi.state` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is not as `FittedPsi.state` writes it; the message has the figure and what it must be.
    """
    names, kept = _features(state)
    level = saved.share(state, "level")
    found = FittedPsi(
        names=names,
        edges=tuple(edges for edges, _, _ in kept),
        counts=_stacked([counts for _, counts, _ in kept]),
        usual_each=np.array([usual for _, _, usual in kept], np.float64),
        usual=saved.distance(state, "usual"),
        bars=saved.whole(state, "bars", least=1),
        level=level,
        windows=saved.whole(state, "windows", least=least_windows(level)),
        rows=saved.whole(state, "rows", least=1),
    )
    _check_totals(found)
    return found


def _features(state: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Floats, Ints, float]]]:
    """Names, and of each its edges, the counts between them, and what is usual."""
    if not isinstance(features := state["features"], Mapping) or not features:
        raise ValueError("features must be a mapping of at least one")
    kept = []
    for name, one in features.items():
        try:
            edges = saved.rising(one, "edges")
            counts = saved.counts(one, "counts", bins=len(edges) + 1)
            kept.append((edges, counts, saved.distance(one, "usual")))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return tuple(features), kept


def _check_totals(found: FittedPsi) -> None:
    """Raise `ValueError` unless each feature counts the same rows, and they are enough for the windows."""
    rows = sorted(set(found.counts.sum(axis=1).tolist()))
    if len(rows) > 1:
        raise ValueError(f"each feature must count the same rows, and they count {', '.join(map(str, rows))}")
    if rows[0] < found.windows * found.rows:
        raise ValueError(f"{rows[0]} rows are counted, too few for {found.windows} windows of {found.rows} or more")


def _stacked(counts: Sequence[Ints]) -> Ints:
    """Counts (features, most bins), 0 beyond a feature's last."""
    found = np.zeros((len(counts), max(map(len, counts))), np.int64)
    for row, one in zip(found, counts, strict=True):
        row[: len(one)] = one
    return found


def psi(window: Ints, reference: Ints) -> Floats:
    """The index (…) of counts of the same bins (…, bins) in a window and in its reference.

    >>> [round(float(psi(np.array(window), np.array([50, 50]))), 3) for window in ([50, 50], [80, 20], [100, 0])]
    [0.0, 0.406, 2.625]
    """
    rows = window.sum(axis=-1, keepdims=True)
    scaled = reference * rows / reference.sum(axis=-1, keepdims=True)
    total = rows + EXTRA * window.shape[-1]
    p, q = (window + EXTRA) / total, (scaled + EXTRA) / total
    found: Floats = ((p - q) * np.log(p / q)).sum(axis=-1)
    return found


def _edges(column: Floats) -> Floats:
    """Inner tenths of a feature. A value that fills a tenth has a bin of its own, so that moves to either side show."""
    tenths = np.quantile(column, TENTHS)
    filling = tenths[1:][tenths[1:] == tenths[:-1]]
    margin = 1e-9 * (float(np.abs(column).max()) or 1.0)
    return np.unique(np.concatenate([tenths, filling - margin]))


def _counted(edges: tuple[Floats, ...], x: Floats, number: Ints, count: int) -> Ints:
    """Rows (count, features, most bins) of each window in each bin."""
    bins = max(map(len, edges)) + 1
    found = [
        np.bincount(number * bins + np.searchsorted(edge, column), minlength=count * bins).reshape(count, bins)
        for edge, column in zip(edges, x.T, strict=True)
    ]
    return np.stack(found, axis=1)


def _each(edges: tuple[Floats, ...], inside: Ints, reference: Ints) -> Floats:
    """The index (windows, features) of each feature, over the bins it has."""
    bins = [len(edge) + 1 for edge in edges]
    return np.stack([psi(inside[:, k, :n], reference[..., k, :n]) for k, n in enumerate(bins)], axis=1)


PSI = Detector(name="psi", fit=fit, restore=restore)

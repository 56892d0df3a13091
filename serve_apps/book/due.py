"""When the steps of a forecast are due, and which of them its model knows of."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from bellwether.config.recipe import Recipe
from bellwether.models.artefact import Contract
from bellwether.trading_time import iso
from serve_apps.book.ahead import in_session, next_rows

KEPT = 4_096
"""Rows whose steps are remembered: a stored row is predicted from until the next one comes."""


class Due(NamedTuple):
    """Times of the steps that are told, as text, and why there are fewer than were asked for, if there are."""

    times: tuple[str, ...]
    reason: str | None


class Dues:
    """Says when steps after a row are due. It takes time to find out, and is a function of little: so it is kept.

    Parameters
    ----------
    recipe : Recipe
    """

    def __init__(self, recipe: Recipe) -> None:
        self._session, self._interval_ns = recipe.session, recipe.interval_ns
        self._kept = lru_cache(maxsize=KEPT)(self._due)

    def after(self, ts: int, contract: Contract, count: int) -> Due:
        """The next ``count`` steps of a model after a row at ``ts``, UTC nanoseconds.

        Where training left nights out (``overnight`` is drop), steps beyond the row's session are left out.

        Raises
        ------
        DataError
            The market does not open within a month, or the calendar does not reach so far.
        """
        return self._kept(ts, contract.horizon, count, contract.overnight == "drop")

    def _due(self, ts: int, horizon: int, count: int, within: bool) -> Due:
        times = next_rows(ts, self._session, self._interval_ns, horizon * count)[horizon - 1 :: horizon]
        own = in_session(ts, times, self._session) if within else [True] * count
        told = tuple(iso(at) for at, here in zip(times, own, strict=True) if here)
        return Due(told, None if len(told) == count else _why(len(told) + 1, times[len(told)]))


def _why(step: int, ts: int) -> str:
    return (
        f"step {step} would be due at {iso(ts)}, in another session: the model was trained within sessions "
        "(target.overnight is drop)"
    )

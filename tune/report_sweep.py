"""What the page is about: the families of a sweep and the contract of its champion, either of which may have gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bellwether.validation.scores import SCORES

Result = Mapping[str, Any]

CHAMPION, SEARCHED, BASELINE = "champion", "family", "baseline"
"""The roles a family can have. They are also the names of their colours."""

GAP = "–"
"""Stands where a figure is not known."""

FENCE = 5.0
"""How many times the spread of the better scores a score may lie below them and still be drawn to scale."""


def number(value: Any) -> float | None:
    """A finite number, or None for anything else.

    >>> number(1), number(float("nan")), number(None), number("3"), number(True)
    (1.0, None, None, None, None)
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(values: Any) -> list[float | None]:
    """`number` of each; empty for what is no sequence."""
    return [number(value) for value in listed(values)]


def known(values: Sequence[float | None]) -> list[float]:
    """Those that are there."""
    return [value for value in values if value is not None]


def shown(value: Any, *, sign: bool = False) -> str:
    """A figure for people: four decimals, or three digits where those would say nothing.

    >>> shown(0.25), shown(0.25, sign=True), shown(0.0000123), shown(123456.7), shown(None)
    ('0.2500', '+0.2500', '1.23e-05', '123,457', '–')
    """
    figure, plus = number(value), "+" if sign else ""
    if figure is None:
        return GAP
    if figure == 0.0 or 1e-3 <= abs(figure) < 100.0:
        return f"{figure:{plus}.4f}"
    return f"{figure:{plus},.0f}" if 100.0 <= abs(figure) < 1e7 else f"{figure:{plus}.3g}"


def listed(value: Any) -> list[Any]:
    """A list or tuple as a list; empty for anything else."""
    return list(value) if isinstance(value, list | tuple) else []


def mapping(value: Any) -> Result:
    """The mapping, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def records(value: Any) -> list[Result]:
    """A list of mappings, empty ones for what is none."""
    return [mapping(inner) for inner in listed(value)]


def word(value: Any, otherwise: str = GAP) -> str:
    """Text, or a whole number as text; else what stands in for it.

    >>> word("a"), word(3), word(None), word(float("nan"), "none")
    ('a', '3', '–', 'none')
    """
    return str(value) if isinstance(value, str | int) and value != "" else otherwise


def name_of(family: Result) -> str:
    """Its name."""
    return word(family.get("family"), "unnamed")


def closeup_of(family: Result) -> Result:
    """What was seen of it from near; empty if that failed."""
    return mapping(family.get("closeup"))


def moment(stamp: Any) -> str:
    """A time in ISO 8601 to the minute, for people.

    >>> moment("2024-08-30T20:00:00Z"), moment(None)
    ('2024-08-30 20:00', '')
    """
    return word(stamp, "")[:16].replace("T", " ")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The families of a sweep, best first, and the contract of the champion.

    Parameters
    ----------
    families : tuple of mapping
        As `pipelines.report.family_result` makes them.
    contract : mapping
        As `bellwether.models.artefact.Contract` writes it.
    """

    recipe: str
    run_id: str
    families: tuple[Result, ...]
    contract: Result

    @property
    def metric(self) -> str:
        """What the sweep makes best."""
        named = [found for family in self.families if (found := word(family.get("metric"), ""))]
        return named[0] if named else word(self.verdict.get("metric"), "score")

    @property
    def verdict(self) -> Result:
        """What the gate decided."""
        return mapping(self.contract.get("verdict"))

    @property
    def greater_is_better(self) -> bool:
        """Which way is better."""
        return self.metric not in SCORES or SCORES[self.metric].greater_is_better

    @property
    def meaning(self) -> str:
        """What the metric is, in words."""
        return SCORES[self.metric].description if self.metric in SCORES else "the score of the sweep"

    @property
    def better(self) -> str:
        """Which way is better, in words."""
        return "higher is better" if self.greater_is_better else "lower is better"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for values."""
        return tuple(word(name) for name in listed(self.contract.get("classes")))

    @property
    def champion(self) -> Result | None:
        """The family of the contract."""
        return next((family for family in self.families if self.role(family) == CHAMPION), None)

    @property
    def baselines(self) -> tuple[Result, ...]:
        """Families to be beaten."""
        return tuple(family for family in self.families if self.role(family) == BASELINE)

    @property
    def best_baseline(self) -> Result | None:
        """The baseline with the best score."""
        scored = [family for family in self.baselines if self.score(family) is not None]
        return min(scored, key=lambda family: self.cost(self.score(family)), default=None)

    def role(self, family: Result) -> str:
        """`CHAMPION`, `SEARCHED` or `BASELINE`."""
        if family.get("baseline") is True:
            return BASELINE
        named = word(self.contract.get("family"), "")
        return CHAMPION if named and family.get("family") == named else SEARCHED

    def label(self, family: Result) -> str:
        """Its name, and that it is a baseline."""
        return f"{name_of(family)} (baseline)" if self.role(family) == BASELINE else name_of(family)

    def score(self, family: Result) -> float | None:
        """Mean of the metric over the folds of its best trial."""
        return number(family.get("score"))

    def cost(self, score: float | None) -> float:
        """A score as something to make small; infinite where it is not known."""
        if score is None:
            return math.inf
        return -score if self.greater_is_better else score

    def lift(self, score: float | None, bar: float | None) -> float | None:
        """By how much a score is better than another."""
        return None if score is None or bar is None else self.cost(bar) - self.cost(score)

    def reach(
        self, scores: Sequence[float | None], keep: Sequence[float | None] = ()
    ) -> tuple[list[float] | None, int]:
        """The range to draw scores in, and how many lie outside it.

        One fit that diverged would push all others into a line. Only the worse side is cut, at `FENCE` times the spread
        of the better half and of those to ``keep``, which are always drawn.
        """
        found = sorted(known(scores), key=self.cost)
        wanted = sorted([*found[: (len(found) + 1) // 2], *known(keep)], key=self.cost)
        if not wanted:
            return None, 0
        spread = abs(wanted[0] - wanted[-1])
        inside = [s for s in found if not spread or self.cost(s) <= self.cost(wanted[-1]) + FENCE * spread]
        pad = 0.08 * (max(inside) - min(inside)) or 0.05 * abs(inside[0]) or 1.0
        low, high = min(inside) - pad, max(inside) + pad
        return [low, high], sum(not low <= score <= high for score in found)

    @property
    def champion_first(self) -> tuple[Result, ...]:
        """The order of choosers: the champion, then the others as they rank."""
        return tuple(sorted(self.families, key=lambda family: self.role(family) != CHAMPION))

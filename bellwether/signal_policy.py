"""When a component counts, and what its index signal is called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Session
from bellwether.trading_time import bars_left, session_length, trading_time

Call = Literal["BUY", "SELL", "HOLD"]


@dataclass(frozen=True, kw_only=True)
class SignalPolicy:
    """The rules of one served signal.

    Parameters
    ----------
    buy, sell : float
        BUY at or above ``buy``, SELL at or below ``sell``, HOLD between.
    coverage_floor : float
        Share of the known weight that must have answered; below it the answer is HOLD.
    max_age_bars : int
        A component whose newest bar is older than so many bars is stale. Age is trading time (see
        `bellwether.trading_time`): the night and the weekend between two bars make neither older. Against the wall
        clock a bar is up to one interval old just before the next one closes, and older until that has been
        ingested: there 1 leaves no room for a slow feed, and 0 leaves none at all.
    interval_ns, horizon, overnight, session
        Of the recipe: what a bar is, how far ahead is predicted, and whether across the night.

    Examples
    --------
    >>> policy = SignalPolicy(buy=0.5, sell=-0.5, coverage_floor=0.6, max_age_bars=1, interval_ns=3_600_000_000_000)
    >>> [policy.call(wss) for wss in (0.5, 0.49, -0.5)]
    ['BUY', 'HOLD', 'SELL']
    """

    buy: float
    sell: float
    coverage_floor: float
    max_age_bars: int
    interval_ns: int
    horizon: int = 1
    overnight: Literal["keep", "drop"] = "keep"
    session: Session = field(default_factory=Session)

    @classmethod
    def of(cls, recipe: Recipe, calibrated: tuple[float, float]) -> SignalPolicy:
        """The policy of a recipe; ``calibrated`` (buy, sell) of its model is used where the recipe says so."""
        serving = recipe.serving
        buy, sell = calibrated if serving.thresholds == "calibrated" else (serving.buy, serving.sell)
        return cls(
            buy=buy,
            sell=sell,
            coverage_floor=serving.coverage_floor,
            max_age_bars=serving.max_age_bars,
            interval_ns=recipe.interval_ns,
            horizon=recipe.target.horizon,
            overnight=recipe.target.overnight,
            session=recipe.session,
        )

    def call(self, wss: float) -> Call:
        """BUY, SELL or HOLD."""
        return "BUY" if wss >= self.buy else "SELL" if wss <= self.sell else "HOLD"

    @property
    def bar(self) -> int:
        """Trading nanoseconds in a full bar: a bar of a day or more is a session."""
        return min(self.interval_ns, session_length(self.session))

    def age(self, ts: int, now: int) -> int:
        """Trading nanoseconds between two times, UTC nanoseconds."""
        return trading_time(now, self.session) - trading_time(ts, self.session)

    def is_stale(self, age: int) -> bool:
        """Whether trading nanoseconds are more than the bars allowed."""
        return age > self.max_age_bars * self.bar

    def is_before_night(self, ts: int) -> bool:
        """Whether the bar predicted from ``ts`` lies across a night that the recipe leaves out."""
        return self.overnight == "drop" and bars_left(ts, self.session, self.interval_ns) < self.horizon

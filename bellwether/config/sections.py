"""The sections of a recipe. Each checks itself; what must hold between them, the recipe checks."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from bellwether.config.frozen import Frozen
from bellwether.config.interval import INTERVAL

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Embargo = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=INTERVAL)]


class Part(Frozen):
    """An entry of a table, by its name there, with its own options."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)


class Session(Frozen):
    """The regular trading hours of a market, in its own time zone.

    ``calendar`` is a code of the ``exchange_calendars`` package, such as ``XNYS`` or ``24/7``. Feature sets that say
    how far a session has come then know its holidays and the days it closes early; without one, every day has the
    regular hours.
    """

    timezone: str = "America/New_York"
    opens: time = time(9, 30)
    closes: time = time(16, 0)
    calendar: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError) as error:
            raise ValueError(f"no time zone {name!r}; use an IANA name such as America/New_York") from error
        return name

    @model_validator(mode="after")
    def _ordered(self) -> Session:
        if self.opens >= self.closes:
            raise ValueError(f"a session opens ({self.opens}) before it closes ({self.closes})")
        return self


class Universe(Frozen):
    """The symbols predicted; of an index's components also the index itself, and where their weights come from."""

    name: str
    symbols: tuple[str, ...] = Field(min_length=1)
    index: str = ""
    weights: Part | None = None

    @field_validator("symbols")
    @classmethod
    def _unique(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({s for s in symbols if symbols.count(s) > 1}):
            raise ValueError(f"symbols listed more than once: {', '.join(twice)}")
        return symbols


class Target(Frozen):
    """What is predicted: an entry of the target table with its options, its horizon in rows, and what nights mean.

    ``overnight`` says what becomes of a row whose next bar is in another session: ``keep`` predicts across the
    night like any other hour; ``drop`` leaves such rows out of training and serving answers HOLD there.
    """

    kind: str = "action_5"
    horizon: int = Field(default=1, ge=1)
    overnight: Literal["keep", "drop"] = "keep"
    options: dict[str, Any] = Field(default_factory=dict)


class Search(Frozen):
    """The budget of a sweep. Baselines are always run and are not part of ``trials``.

    ``optimize: false`` fits each family once, with its defaults. ``metric`` is what the sweep makes best; left out, it
    is ``macro_f1`` for classes and ``skill`` against "no change" for values. ``stop`` ends trials that do worse than
    most of their family at the same point. ``weights: uniqueness`` counts a row less the more outcomes overlap its own.
    """

    trials: int = Field(default=30, ge=1)
    optimize: bool = True
    metric: str | None = None
    stop: bool = True
    weights: Literal["equal", "uniqueness"] = "equal"
    time_budget_s: float | None = Field(default=None, gt=0)
    concurrent: int = Field(default=0, ge=0, description="0: one trial a CPU of the cluster")
    seed: int = 0


class Validation(Frozen):
    """Purged splits on unique timestamps of the pooled panel, with a last segment that selection never sees.

    ``walk_forward`` trains on what comes before each of its ``folds``, after a share of ``first_train``.
    ``combinatorial`` cuts the selection into ``groups`` and tests every ``test_groups`` of them on the rest, what comes
    later too; it reads neither ``folds`` nor ``first_train``.
    """

    kind: Literal["walk_forward", "combinatorial"] = "walk_forward"
    folds: int = Field(default=5, ge=2)
    holdout: float = Field(default=0.2, gt=0.0, lt=0.9)
    embargo: Embargo = Field(
        default=1, description="left out between training and test: unique timestamps, or a duration such as 60s"
    )
    first_train: float = Field(default=0.4, gt=0.0, lt=1.0, description="share of the selection span before fold 1")
    groups: int = Field(default=6, ge=2)
    test_groups: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _grouped(self) -> Validation:
        if self.test_groups >= self.groups:
            raise ValueError(f"test_groups ({self.test_groups}) must be fewer than groups ({self.groups})")
        return self


class Gate(Frozen):
    """What a candidate must show on the untouched segment before it may be promoted.

    The lower end of the interval of (champion's macro-F1 - best baseline's macro-F1) at ``confidence`` must be
    above ``min_lift``; of values, the same in skill against "no change". With ``directional`` the champion must tell
    rises from falls, too, at the same confidence: a model that foresees only how large moves are does not pass.
    """

    confidence: float = Field(default=0.99, gt=0.5, lt=1.0)
    min_lift: float = 0.0
    directional: bool = False


class Serving(Frozen):
    """How the signal is served.

    ``clock`` is what staleness is measured against: ``wall`` for a live desk, ``data`` (the newest closed bar of
    the universe) for history and simulation. A component older than ``max_age_bars`` intervals is stale.
    ``app`` may be null: then the recipe is trained and not served.
    ``thresholds`` are the ``buy`` and ``sell`` below, or ``calibrated`` on the out-of-fold signals of validation.
    ``universes`` are parts of the recipe's universe that have a signal of their own, by name. ``history_bars`` are kept
    ready to show what the signal was; drift is measured on the last ``drift_bars`` of them, which are 50, or all where
    they are fewer, if left out.
    ``shards`` is a number, or the symbols of each. With ``models: per_symbol`` a symbol's own model, registered under
    the recipe's name, a dot and the symbol, answers for it where there is one; a shard holds ``loaded`` at a time.
    """

    app: str | None = "index_signal"
    shards: Annotated[int, Field(ge=1)] | tuple[tuple[str, ...], ...] = 2
    models: Literal["pooled", "per_symbol"] = "pooled"
    loaded: int = Field(default=32, ge=1)
    clock: Literal["wall", "data"] = "data"
    max_age_bars: int = Field(default=1, ge=0)
    coverage_floor: Share = 0.6
    thresholds: Literal["fixed", "calibrated"] = "fixed"
    buy: float = 0.5
    sell: float = -0.5
    refresh_s: float = Field(default=2.0, gt=0)
    timeout_s: float = Field(default=2.0, gt=0)
    universes: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    history_bars: int = Field(default=200, ge=1, le=5000)
    drift_bars: int | None = Field(default=None, ge=1)

    @property
    def drift_window(self) -> int:
        """Bars that drift is measured on."""
        return min(50, self.history_bars) if self.drift_bars is None else self.drift_bars

    @model_validator(mode="after")
    def _ordered(self) -> Serving:
        if self.sell >= self.buy:
            raise ValueError(f"sell ({self.sell}) must be below buy ({self.buy})")
        if self.drift_window > self.history_bars:
            raise ValueError(f"drift_bars ({self.drift_bars}) must be at most history_bars ({self.history_bars})")
        return self

"""A recipe: one YAML file that names everything a signal is made of."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bellwether.errors import ConfigError, UnknownName

RECIPES = Path(__file__).resolve().parents[2] / "pipelines" / "recipes"
SUFFIXES = (".yaml", ".yml")

Record = Literal["bars", "ticks", "books", "deltas", "factors"]
"""The record kinds; `data.records` has their schemas."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Embargo = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[1-9]\d*(s|min|h|d)$")]


class Frozen(BaseModel):
    """A configuration that cannot change and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Variant(Frozen):
    """Another thing to predict from the same records: what it says replaces what the recipe says.

    Parameters
    ----------
    target : Target
    features, families, gate : optional
    embargo : optional
        Of the validation; it must cover the variant's horizon.
    """

    target: Target
    features: Part | None = None
    families: tuple[str, ...] | None = Field(default=None, min_length=1)
    gate: Gate | None = None
    embargo: Embargo | None = None

    @field_validator("features", mode="before")
    @classmethod
    def _named_alone(cls, features: Any) -> Any:
        return {"kind": features} if isinstance(features, str) else features


class Recipe(Frozen):
    """Everything one signal is made of, from source to serving app.

    Records are of kind ``record``; bars and factors have an ``interval``, ticks and deltas have none, and books have
    one where they are sampled. The source yields them, or yields what the first entry of ``derive`` takes, and each
    entry makes the next kind of record until the last makes ``record``.

    ``precision: int8`` quantises the champion's weights where its graph has layers that can be, and writes down what
    that costs. ``calibration`` is what the champion's probabilities pass through; ``auto`` chooses on out-of-fold
    predictions. ``interval_coverage`` is what the intervals of its values promise.

    ``variants`` are other targets on the same records, each trained, promoted and served as a recipe of its own; see
    `variant`.
    """

    name: str
    record: Record = "bars"
    interval: str | None = Field(default=None, pattern=r"^[1-9]\d*(s|min|h|d)$", validate_default=False)
    session: Session = Session()
    source: Part
    derive: tuple[Part, ...] = ()
    universe: Universe
    features: Part = Part(kind="hourly")
    target: Target = Target()
    families: tuple[str, ...] = Field(min_length=1)
    search: Search = Search()
    validation: Validation = Validation()
    gate: Gate = Gate()
    precision: Literal["float32", "int8"] = "float32"
    calibration: Literal["none", "auto", "temperature", "sigmoid", "isotonic"] = "auto"
    interval_coverage: float = Field(default=0.9, gt=0.0, lt=1.0)
    serving: Serving = Serving()
    variants: dict[Annotated[str, Field(pattern=r"^\w[\w\-]*$")], Variant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _embargoed(self) -> Recipe:
        """An embargo in timestamps covers the horizon; one in time does not compare with rows and is taken as it is."""
        embargo, horizon = self.validation.embargo, self.target.horizon
        if isinstance(embargo, int) and embargo < horizon:
            raise ValueError(f"validation.embargo ({embargo}) must be at least target.horizon ({horizon})")
        return self

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        """Bars are hourly unless another interval is named; a feature set without options may be named alone."""
        if not isinstance(values, dict):
            return values
        given = dict(values)
        if given.get("record", "bars") == "bars":
            given.setdefault("interval", "1h")
        if isinstance(features := given.get("features"), str):
            given["features"] = {"kind": features}
        return given

    @model_validator(mode="after")
    def _timed(self) -> Recipe:
        if self.record in ("bars", "factors") and self.interval is None:
            raise ValueError(f"interval: {self.record} have one; say it, e.g. 1d")
        if self.record in ("ticks", "deltas") and self.interval is not None:
            raise ValueError(f"interval: {self.record} are events and have none; leave it out")
        return self

    @model_validator(mode="after")
    def _weighed(self) -> Recipe:
        lacking = [name for name in ("index", "weights") if not getattr(self.universe, name)]
        if self.serving.app == "index_signal" and lacking:
            raise ValueError(f"serving.app index_signal needs universe.{' and universe.'.join(lacking)}")
        return self

    @model_validator(mode="after")
    def _varied(self) -> Recipe:
        for name in self.variants:
            try:
                self.variant(name)
            except ValidationError as error:
                raise ValueError(f"variant {name}: {_first_problem(error)}") from error
        return self

    def variant(self, name: str) -> Recipe:
        """The recipe of a variant: this one with what the variant says in place of it.

        It is called ``RECIPE.VARIANT``, under which its models are registered.

        Raises
        ------
        UnknownName
            There is no such variant.
        """
        if name not in self.variants:
            raise UnknownName(f"variant of {self.name}", name, self.variants)
        own = self.variants[name]
        changes = {key: value for key, value in own if value is not None and key != "embargo"}
        if own.embargo is not None:
            changes["validation"] = self.validation.model_copy(update={"embargo": own.embargo})
        plain = {key: value for key, value in self if key != "variants"}
        return Recipe.model_validate(plain | changes | {"name": f"{self.name}.{name}"})

    @model_validator(mode="after")
    def _parts_of_it(self) -> Recipe:
        own = self.universe
        for name, symbols in self.serving.universes.items():
            strange = [s for s in symbols if s not in own.symbols or symbols.count(s) > 1]
            if name == own.name or strange:
                why = f"lists {', '.join(strange)}" if strange else "is the name of the recipe's own"
                raise ValueError(f"serving.universes.{name} {why}: each is some of {own.name}'s symbols, once")
        return self

    @property
    def kind(self) -> str:
        """Where the records live in the lake, e.g. ``bars/1h`` or ``ticks``."""
        return lake_kind(self.record, self.interval)

    @property
    def interval_ns(self) -> int:
        """Length of the interval in nanoseconds; 0 for events."""
        return nanoseconds(self.interval) if self.interval else 0


def lake_kind(record: str, interval: str | None) -> str:
    """Return the name records have in the lake.

    >>> lake_kind("bars", "1h"), lake_kind("ticks", None)
    ('bars/1h', 'ticks')
    """
    return f"{record}/{interval}" if interval else record


def nanoseconds(interval: str) -> int:
    """Return the length of an interval such as ``30s``, ``5min``, ``1h`` or ``1d``.

    >>> nanoseconds("5min")
    300000000000
    """
    unit = {"s": 1, "min": 60, "h": 3600, "d": 86400}[interval.lstrip("0123456789")]
    return int(interval.rstrip("sminhd")) * unit * 1_000_000_000


def load_recipe(name: str) -> Recipe:
    """Read a recipe by its name among the bundled ones, or by the path of a YAML file; ``RECIPE/VARIANT`` of either.

    Raises
    ------
    UnknownName
        No bundled recipe has this name, or the recipe has no such variant.
    ConfigError
        There is no such file, or it is not a recipe; the message names each wrong key.

    >>> load_recipe("ticks/direction_1").name
    'ticks.direction_1'
    """
    base, variant = split_variant(name)
    given = base.endswith(SUFFIXES)
    path = Path(base) if given else RECIPES / f"{base}.yaml"
    if given and not path.is_file():
        raise ConfigError(f"no such file: {base}")
    if not path.is_file():
        raise UnknownName("recipe", name, (p.stem for p in RECIPES.glob("*.yaml")))
    try:
        recipe = Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path.name} is not a recipe: {_first_problem(error)}") from error
    return recipe.variant(variant) if variant else recipe


def split_variant(name: str) -> tuple[str, str]:
    """Tell a recipe's name or path from the variant asked for; that is empty where none is.

    >>> split_variant("ticks/direction_1"), split_variant("mine/t.yaml"), split_variant("mine/t.yaml/direction_1")
    (('ticks', 'direction_1'), ('mine/t.yaml', ''), ('mine/t.yaml', 'direction_1'))
    """
    base, slash, variant = name.rpartition("/")
    return (base, variant) if slash and not name.endswith(SUFFIXES) else (name, "")


def _first_problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error).replace("\n", " ")
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())

"""A recipe: one YAML file that names everything a signal is made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from bellwether.config.frozen import Frozen
from bellwether.config.interval import INTERVAL, nanoseconds
from bellwether.config.sections import Embargo, Gate, Part, Search, Serving, Session, Target, Universe, Validation
from bellwether.errors import ConfigError, UnknownName

RECIPES = Path(__file__).resolve().parents[2] / "pipelines" / "recipes"
SUFFIXES = (".yaml", ".yml")

Record = Literal["bars", "ticks", "books", "deltas", "factors"]
"""The record kinds; `data.records` has their schemas."""


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
    interval: str | None = Field(default=None, pattern=INTERVAL, validate_default=False)
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
    def _told_apart(self) -> Recipe:
        """The registry does not know every character, so that symbols' own models may come to have one name."""
        known = dict[str, str]()
        for symbol in self.universe.symbols if self.serving.models == "per_symbol" else ():
            name = own_name(self.name, symbol)
            if (other := known.setdefault(name, symbol)) != symbol:
                raise ValueError(
                    f"the own models of {other} and {symbol} would both be called {name}: "
                    "leave one of the symbols out, or say `serving.models: pooled`"
                )
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


def own_name(recipe: str, symbol: str) -> str:
    """What the model of one symbol is called in the registry, which knows no slash.

    >>> own_name("index-hourly", "BRK/B")
    'index-hourly.BRK-B'
    """
    return f"{recipe}." + re.sub(r"[^\w.\- ]", "-", symbol)


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

"""What a shard knows: the market's context, the newest features of its symbols, and what each release makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe, own_name
from bellwether.errors import BadFeatures, ModelError
from bellwether.models.artefact import Artefact
from bellwether.models.predictor import Predictor
from bellwether.signal import Absence, Prediction
from data.features import features_of
from data.features.base import Floats, Ints
from data.features.market import MarketContext, component_features
from data.features.tables import Slices, universe_context
from data.lake.slices import Slice, read_slice, slices
from data.records import record_kind
from data.wall import times
from data.weights.table import weights_kind
from serve_apps.index.releases import Release, own_recipe
from serve_apps.metrics import Meter
from serve_apps.models.checks import check_contract
from serve_apps.models.shelf import Shelf
from serve_apps.stores import Stores
from serve_apps.window import window

KEEP = 64
"""Rows a symbol is remembered by: the most that a model may look back at."""

VERSIONS = 4
"""Pooled versions a shard holds: the release that answers and the one beside it, now and before a promotion."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The newest closed bar of a symbol: its features, bit for bit those of the feature table.

    ``known`` are the last `KEEP` rows whose features are known, oldest first; the newest is the last of them.
    """

    ts: int
    known: Floats


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The prediction from the newest closed bar of a symbol, and its features."""

    prediction: Prediction
    features: dict[str, float]


Predicted = Mapping[str, Newest | Absence]


@dataclass(frozen=True, kw_only=True)
class View:
    """What a shard knows at one version of the lake. The next version is another view.

    ``stamp`` names what the rows are a function of; ``predicted`` is what releases make of them, as they are asked for:
    answers of one stamp and one release are alike, in whatever process.
    """

    stamp: str
    context: MarketContext
    rows: Mapping[str, Rows | Absence]
    predicted: dict[Release, Predicted] = field(default_factory=dict)


class ShardState:
    """Makes views of the lake, and predicts from them through the models of a release.

    Parameters
    ----------
    symbols : sequence of str
        The components of this shard; the market's context is that of the whole universe.
    """

    def __init__(self, recipe: Recipe, stores: Stores, symbols: Sequence[str], meter: Meter) -> None:
        self.recipe, self.lake, self.symbols = recipe, stores.open_lake(), tuple(symbols)
        self.features = features_of(recipe.features)
        self.releases: tuple[Release, ...] = ()
        self._stores, self._meter = stores, meter
        self._pooled, self._own = Shelf(self._load, VERSIONS), Shelf(self._load, recipe.serving.loaded)

    def version(self) -> str:
        """What a view depends on, as a short text; changes if and only if it does."""
        return f"{self.lake.version(self.recipe.kind)}-{self.lake.version(weights_kind(self.recipe.universe))}"

    def view(self, stamp: str) -> View:
        """Read the lake, and predict from the newest closed bar of each symbol through the routed releases."""
        with self._meter.timed("features"):
            bars = slices(self.lake.entries(self.recipe.kind).values())
            context = self._context(bars)
            rows = {s: self._rows(s, bars.get(s, ()), context) for s in self.symbols}
        view = View(stamp=stamp, context=context, rows=rows)
        for release in self.releases:
            self.predicted(view, release)
        return view

    def predicted(self, view: View, release: Release) -> Predicted:
        """What a release makes of a view; made once.

        Raises
        ------
        ModelError, RegistryError
            A version of it cannot be loaded, or was made for something else than what it would be served for.
        """
        if (found := view.predicted.get(release)) is None:
            with self._meter.timed("inference"):
                found = {symbol: self._newest(view, release, symbol) for symbol in self.symbols}
            for old in [*view.predicted][: 1 - VERSIONS]:
                view.predicted.pop(old, None)
            view.predicted[release] = found
        return found

    def predictor(self, release: Release, symbol: str) -> Predictor:
        """The model that a release has for a symbol: its own, or else the pooled one."""
        for name, version in release.own:
            if name == symbol:
                return self._own.get(own_name(self.recipe.name, symbol), version)
        return self._pooled.get(self.recipe.name, release.version)

    def named(self, row: Floats) -> dict[str, float]:
        """A row of features by name."""
        return dict(zip(self.features.outputs, row.tolist(), strict=True))

    def _load(self, name: str, version: int) -> Predictor:
        _, artefact = self._stores.open_registry().load(name, version)
        self._check(name, artefact)
        self._meter.reloaded(name, version)
        return Predictor(artefact)

    def _check(self, name: str, artefact: Artefact) -> None:
        recipe, contract = self.recipe, artefact.contract
        if name != recipe.name:
            symbol = next(s for s in self.symbols if own_name(recipe.name, s) == name)
            recipe = own_recipe(recipe, symbol)
        check_contract(contract, recipe, self.features)
        if contract.lookback > KEEP:
            raise ModelError(f"{name} looks at {contract.lookback} bars; a shard remembers {KEEP} of each symbol")

    def _context(self, bars: Slices) -> MarketContext:
        present = {s: bars[s] for s in self.recipe.universe.symbols if s in bars}
        context: MarketContext = universe_context(self.recipe, self.lake, present)
        return context

    def _rows(self, symbol: str, parts: Sequence[Slice], context: MarketContext) -> Rows | Absence:
        if not parts:
            return Absence(status="missing", reason="the lake has no bars of it; ingest them")
        bars = pa.concat_tables(read_slice(self.lake, part, record_kind(self.recipe.record).order) for part in parts)
        x = component_features(self.features, bars, self.recipe.session, context)
        if len(x) <= self.features.warmup:
            need = self.features.warmup + 1
            return Absence(status="missing", reason=f"its history has {len(x)} bars and the features need {need}")
        if not np.isfinite(x[-1]).all():
            unknown = [n for n, v in zip(self.features.outputs, x[-1], strict=True) if not np.isfinite(v)]
            return Absence(status="missing", reason=f"features of its newest bar are not known: {', '.join(unknown)}")
        return Rows(ts=int(times(bars)[-1]), known=x[np.isfinite(x).all(axis=1)][-KEEP:])

    def _newest(self, view: View, release: Release, symbol: str) -> Newest | Absence:
        if isinstance(rows := view.rows[symbol], Absence):
            return rows
        predictor = self.predictor(release, symbol)
        lookback = predictor.contract.lookback
        if (seen := window(rows.known, lookback)) is None:
            return Absence(status="missing", reason=f"the model looks at {lookback} bars whose features are known")
        try:
            probabilities = predict(predictor, seen)
        except BadFeatures as error:  # bars that no rule forbids and no model can read, such as a price of 1e308
            return Absence(status="missing", reason=str(error))
        prediction = Prediction(symbol=symbol, ts_event=rows.ts, probabilities=probabilities)
        return Newest(prediction=prediction, features=self.named(rows.known[-1]))


def predict(predictor: Predictor, x: Floats) -> tuple[float, ...]:
    """Class probabilities of one row of features, or of one `window` of them.

    Rows go through the graph one by one: together they would come out different in the last bit, depending on how many
    share the call, and so on how the universe is cut into shards.
    """
    return tuple(predictor.predict(x[None])[0].tolist())


def newest_time(context: MarketContext) -> int:
    """Close of the newest bar of the universe, 0 where there is none."""
    ts: Ints = context.ts
    return int(ts[-1]) if len(ts) else 0

"""What a shard knows: its model, the market's context, and the newest features and prediction of its symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.models.artefact import Artefact
from bellwether.models.predictor import Predictor
from bellwether.signal import Absence, Prediction
from data.features import features_of
from data.features.base import Floats, Ints
from data.features.market import MarketContext, component_features
from data.features.tables import Slices, universe_context
from data.lake import Lake
from data.lake.slices import Slice, read_slice, slices
from data.records import record_kind
from data.wall import times
from data.weights.table import weights_kind
from serve_apps.models.checks import check_contract
from serve_apps.window import window


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The newest closed bar of a symbol: its features, bit for bit those of the feature table, and prediction."""

    prediction: Prediction
    features: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class View:
    """What a shard knows at one version of the lake. Never changes; the next version is another view.

    ``stamp`` names everything the answers depend on: views of one stamp answer alike, in whatever process.
    """

    stamp: str
    context: MarketContext
    newest: Mapping[str, Newest | Absence]


class ShardState:
    """Makes views of the lake through one model.

    Parameters
    ----------
    symbols : sequence of str
        The components of this shard; the market's context is that of the whole universe.
    version : int
        Of the model.

    Raises
    ------
    ModelError
        The model was trained on features, classes, bars or components other than those it would be served.
    """

    def __init__(self, recipe: Recipe, lake: Lake, symbols: Sequence[str], version: int, artefact: Artefact) -> None:
        self.recipe, self.lake, self.symbols, self.model = recipe, lake, tuple(symbols), version
        self.features = features_of(recipe.features)
        check_contract(artefact.contract, recipe, self.features)
        self.predictor, self.lookback = Predictor(artefact), artefact.contract.lookback

    def version(self) -> str:
        """What a view depends on, as a short text; changes if and only if it does."""
        bars, weights = self.recipe.kind, weights_kind(self.recipe.universe)
        return f"{self.model}-{self.lake.version(bars)}-{self.lake.version(weights)}"

    def view(self, stamp: str) -> View:
        """Read the lake and predict from the newest closed bar of each symbol."""
        bars = slices(self.lake.entries(self.recipe.kind).values())
        context = self._context(bars)
        newest = {s: self._newest(s, bars.get(s, ()), context) for s in self.symbols}
        return View(stamp=stamp, context=context, newest=newest)

    def predict(self, x: Floats) -> tuple[float, ...]:
        """Class probabilities of one row of features, or of one `window` of them.

        Rows go through the graph one by one: together they would come out different in the last bit, depending on
        how many share the call, and so on how the universe is cut into shards.
        """
        return tuple(self.predictor.predict(x[None])[0].tolist())

    def named(self, row: Floats) -> dict[str, float]:
        """A row of features by name."""
        return dict(zip(self.features.outputs, row.tolist(), strict=True))

    def _context(self, bars: Slices) -> MarketContext:
        present = {s: bars[s] for s in self.recipe.universe.symbols if s in bars}
        context: MarketContext = universe_context(self.recipe, self.lake, present)
        return context

    def _newest(self, symbol: str, parts: Sequence[Slice], context: MarketContext) -> Newest | Absence:
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
        if (seen := window(x, self.lookback)) is None:
            return Absence(status="missing", reason=f"the model looks at {self.lookback} bars whose features are known")
        prediction = Prediction(symbol=symbol, ts_event=int(times(bars)[-1]), probabilities=self.predict(seen))
        return Newest(prediction=prediction, features=self.named(x[-1]))


def newest_time(context: MarketContext) -> int:
    """Close of the newest bar of the universe, 0 where there is none."""
    ts: Ints = context.ts
    return int(ts[-1]) if len(ts) else 0

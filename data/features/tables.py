"""Feature tables: what one holds, and what it is a function of. The job on the cluster and everyone else agree here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.errors import NotInLake
from data.features import features_of
from data.features.base import FeatureSet
from data.features.basket import basket
from data.features.market import MarketContext, component_features, market_context, times
from data.lake import Entry, Lake
from data.weights.table import load_weights, weights_kind


def component_bars(recipe: Recipe, lake: Lake) -> dict[str, Entry]:
    """The bars of each component, in the universe's order.

    Raises
    ------
    NotInLake
        Components have no bars; they are named.
    """
    entries = lake.entries(recipe.kind)
    if missing := [s for s in recipe.universe.symbols if s not in entries]:
        raise NotInLake(
            f"{recipe.kind} has no bars of {', '.join(missing)}, components of {recipe.universe.name}: "
            f"run `bellwether ingest {recipe.name}`, or take them out of the universe; "
            f"it has {', '.join(sorted(entries)) or 'nothing yet'}"
        )
    return {s: entries[s] for s in recipe.universe.symbols}


def feature_notes(recipe: Recipe, lake: Lake, bars: Mapping[str, Entry]) -> dict[str, dict[str, str]]:
    """What the features of each symbol are a function of; equal notes mean equal features.

    ``definition`` is the feature set's, ``source`` the digest of the symbol's bars, and ``context`` a digest of what
    the basket is made of: its definition, the session, the weights and the bars of all components.
    """
    made_of = (
        basket(len(bars)).definition,
        recipe.session.model_dump_json(),
        lake.version(weights_kind(recipe.universe)),
        [(s, entry.digest) for s, entry in bars.items()],
    )
    context = hashlib.sha256(repr(made_of).encode()).hexdigest()
    definition = features_of(recipe.features).definition
    return {s: {"definition": definition, "source": e.digest, "context": context} for s, e in bars.items()}


def universe_context(recipe: Recipe, lake: Lake, bars: Mapping[str, Entry]) -> MarketContext:
    """Scan the basket of a recipe's universe over ``bars`` of its components; holds 16 bytes a bar while it does."""
    closes = {}
    for symbol, entry in bars.items():
        table = lake.read_entry(entry, ["ts_event", "close"])
        closes[symbol] = (times(table), table.column("close").to_numpy())
    return market_context(closes, load_weights(lake, recipe.universe), recipe.universe.symbols)


def feature_table(fs: FeatureSet, recipe: Recipe, bars: pa.Table, context: MarketContext) -> pa.Table:
    """``ts_event`` and the outputs of ``fs`` for one symbol's bars: float64, a row a bar, NaN in the warm-up."""
    features = np.ascontiguousarray(component_features(fs, bars, recipe.session, context).T)
    columns = [bars.column("ts_event"), *(pa.chunked_array([pa.array(column)]) for column in features)]
    return pa.table(columns, names=["ts_event", *fs.outputs])

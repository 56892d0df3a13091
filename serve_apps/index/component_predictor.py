"""A shard: the components it holds, answered from what it last made of the lake."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bellwether.config.recipe import Recipe
from bellwether.signal import Absence, Prediction
from serve_apps.following import Following
from serve_apps.index.posted import Posted, PostedFeatures, Refused, posted_features
from serve_apps.index.shard_state import Newest, ShardState, View, newest_time
from serve_apps.stores import Stores


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a shard says of its symbols. ``given`` is None where the caller holds the answers of this stamp."""

    stamp: str
    given: dict[str, Prediction | Absence] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """A prediction, the features behind it, and what was assumed."""

    prediction: Prediction
    features: dict[str, float]
    notes: tuple[str, ...] = ()


class ComponentPredictor:
    """A Serve deployment that predicts the components of one shard.

    It loads one version of the model, reads the lake, and keeps the newest features and prediction of each of its
    symbols. A background task looks at the lake's version every ``serving.refresh_s`` seconds and makes everything
    again, beside the running requests, when it has changed. State is a function of lake and model: a replica that
    starts anew knows what the one before it did.

    Parameters
    ----------
    recipe : Recipe
    symbols : sequence of str
        The shard.
    version : int
        Of the model; all shards of an app are given the same.
    stores : Stores
    clock : callable
        The time, UTC nanoseconds; looked at for posted bars only.

    Raises
    ------
    ModelError, RegistryError, NotInLake
        The model is not there or not for this recipe, or the weights are not ingested: the replica does not start.
    """

    def __init__(
        self,
        recipe: Recipe,
        symbols: Sequence[str],
        version: int,
        stores: Stores,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        _, artefact = stores.open_registry().load(recipe.name, version)
        self._state = ShardState(recipe, stores.open_lake(), symbols, version, artefact)
        self._view: Following[View] = Following(self._state.version, self._state.view)
        self._clock = clock
        self._task = asyncio.get_running_loop().create_task(self._view.follow(recipe.serving.refresh_s))

    async def predict(self, symbols: Sequence[str], known: str | None = None) -> Answers:
        """Predictions of ``symbols`` from their newest closed bars.

        ``known`` is the stamp of answers that the caller holds for the same symbols; if nothing has changed since,
        they are not sent again.
        """
        view = self._view.value
        if view.stamp == known:
            return Answers(stamp=view.stamp, given=None)
        found = {symbol: self._newest(view, symbol) for symbol in symbols}
        return Answers(
            stamp=view.stamp, given={s: n if isinstance(n, Absence) else n.prediction for s, n in found.items()}
        )

    async def explain(self, symbol: str) -> Explained | Absence:
        """The newest prediction of one symbol with its features."""
        found = self._newest(self._view.value, symbol)
        return found if isinstance(found, Absence) else Explained(prediction=found.prediction, features=found.features)

    async def predict_bars(self, posted: Sequence[Posted]) -> list[Explained | Refused]:
        """Predictions from bars that a client sent, in their order."""
        return await asyncio.to_thread(self._predict_bars, posted)

    async def health(self) -> str | None:
        """Why what is served may be out of date; None when all is well."""
        return self._view.error

    def _newest(self, view: View, symbol: str) -> Newest | Absence:
        return view.newest.get(symbol, Absence(status="missing", reason="it belongs to another shard"))

    def _predict_bars(self, posted: Sequence[Posted]) -> list[Explained | Refused]:
        state, context = self._state, self._view.value.context
        session = state.recipe.session
        now = self._clock()
        if state.recipe.serving.clock == "data":  # history and simulation: what the lake holds has closed
            now = max(now, newest_time(context))
        made = [posted_features(p, state.features, session, context, now, state.lookback) for p in posted]
        return [
            m if isinstance(m, Refused) else self._explained(p.symbol, m) for p, m in zip(posted, made, strict=True)
        ]

    def _explained(self, symbol: str, made: PostedFeatures) -> Explained:
        prediction = Prediction(symbol=symbol, ts_event=made.ts, probabilities=self._state.predict(made.seen))
        return Explained(prediction=prediction, features=self._state.named(made.x), notes=made.notes)


def shards(symbols: Sequence[str], count: int) -> tuple[tuple[str, ...], ...]:
    """Cut a universe into at most ``count`` contiguous slices of its order, as even as can be, the longer ones first.

    The same universe and count give the same shards, so each start puts a symbol where the last one did.

    >>> shards("ABCDE", 2)
    (('A', 'B', 'C'), ('D', 'E'))
    """
    count = max(1, min(count, len(symbols)))
    size, longer = divmod(len(symbols), count)
    ends = [(k + 1) * size + min(k + 1, longer) for k in range(count)]
    return tuple(tuple(symbols[a:b]) for a, b in zip([0, *ends], ends, strict=False))

"""A shard: the components it holds, answered from what it last made of the lake."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bellwether.config.recipe import Recipe
from bellwether.errors import BadFeatures
from bellwether.signal import Absence, Prediction
from data.features.market import MarketContext
from serve_apps.following import Following
from serve_apps.index.counted import Counted
from serve_apps.index.past import Past, PastAnswers
from serve_apps.index.posted import Posted, PostedFeatures, Refused, posted_features
from serve_apps.index.releases import Release, Releases
from serve_apps.index.shard_state import Newest, Predicted, ShardState, View, newest_time, predict
from serve_apps.metrics import Meter
from serve_apps.stores import Stores

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a shard says of its symbols, and the features behind it, in the contract's order.

    ``given`` is None where the caller holds the answers of this stamp.
    """

    stamp: str
    given: dict[str, Prediction | Absence] | None
    features: dict[str, tuple[float, ...]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """A prediction, the features behind it, and what was assumed."""

    prediction: Prediction
    features: dict[str, float]
    notes: tuple[str, ...] = ()


class ComponentPredictor:
    """A Serve deployment that predicts the components of one shard.

    It reads the lake, and keeps the newest features of each of its symbols and what the routed releases predict from
    them. A background task looks at the lake's version every ``serving.refresh_s`` seconds and makes everything again,
    beside the running requests, when it has changed. Each call names the release it is to be answered by; one that is
    not held is loaded then, so that an answer is of one release whatever the moment at which each replica takes its
    routes. State is a function of lake and registry: a replica that starts anew knows what the one before it did.

    Parameters
    ----------
    recipe : Recipe
    symbols : sequence of str
        The shard.
    stores : Stores
    clock : callable
        The time, UTC nanoseconds; looked at for posted bars only.
    name : str
        Of the shard, in metrics.

    Raises
    ------
    NotInLake
        The weights are not ingested: the replica does not start.
    """

    def __init__(
        self,
        recipe: Recipe,
        symbols: Sequence[str],
        stores: Stores,
        clock: Callable[[], int] = time.time_ns,
        name: str = "",
    ) -> None:
        self._state = ShardState(recipe, stores, symbols, Meter("index_signal", name))
        self._view: Following[View] = Following(self._state.version, self._state.view)
        self._past = Past(self._state)
        self._clock, self._predicting = clock, asyncio.Lock()
        self._error: str | None = None
        self._task = asyncio.get_running_loop().create_task(self._view.follow(recipe.serving.refresh_s))

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Keep predictions of the releases that these routes name from now on.

        Where they cannot be loaded those before are kept, and `health` says why.

        Raises
        ------
        ModelError, RegistryError
            The same where there are none before: the replica does not start.
        """
        releases = tuple(r.narrowed(self._state.symbols) for r in Releases.parse(config, self._state.recipe).all)
        try:
            await self._hold(releases)
            self._state.releases, self._error = releases, None
        except Exception as error:
            if not self._state.releases:
                raise
            log.exception("the releases before stay")
            self._error = f"the releases before stay: {_told(error)}"

    async def prepare(self, releases: Sequence[Release]) -> str | None:
        """Load these releases and predict by them; why that is not possible, or None."""
        try:
            await self._hold(releases)
        except Exception as error:  # of whatever kind: the caller has to know, and the others are served on
            log.exception("a release cannot be served")
            return _told(error)
        return None

    async def predict(self, symbols: Sequence[str], release: Release, known: str | None = None) -> Answers:
        """Predictions of ``symbols`` from their newest closed bars.

        ``known`` is the stamp of answers that the caller holds for the same symbols; if nothing has changed since,
        they are not sent again.
        """
        view, predicted = await self._predicted(release)
        if (stamp := f"{release.stamp}-{view.stamp}") == known:
            return Answers(stamp=stamp, given=None)
        found = {symbol: _newest(predicted, symbol) for symbol in symbols}
        return Answers(
            stamp=stamp,
            given={s: n if isinstance(n, Absence) else n.prediction for s, n in found.items()},
            features={s: tuple(n.features.values()) for s, n in found.items() if not isinstance(n, Absence)},
        )

    async def explain(self, symbol: str, release: Release) -> Explained | Absence:
        """The newest prediction of one symbol with its features."""
        _, predicted = await self._predicted(release)
        found = _newest(predicted, symbol)
        return found if isinstance(found, Absence) else Explained(prediction=found.prediction, features=found.features)

    async def predict_bars(self, posted: Sequence[Posted], release: Release) -> list[Explained | Refused]:
        """Predictions from bars that a client sent, in their order."""
        return await asyncio.to_thread(self._predict_bars, posted, release)

    async def past(self, release: Release, known: str | None = None) -> PastAnswers:
        """Predictions of all its symbols at their last bars; ``known`` as in `predict`."""
        return await self._past.answers(release, known)

    async def drift(self, release: Release) -> Counted:
        """The last rows of all its symbols, as counts that tell whether features still look like the training rows."""
        return await self._past.counted(release)

    async def health(self) -> str | None:
        """Why what is served may be out of date; None when all is well."""
        return self._view.error or self._error

    async def _hold(self, releases: Sequence[Release]) -> None:
        for release in releases:
            await self._predicted(release)

    async def _predicted(self, release: Release) -> tuple[View, Predicted]:
        view = self._view.value
        if (found := view.predicted.get(release)) is None:
            async with self._predicting:  # who asks for the same meanwhile finds it there
                found = await asyncio.to_thread(self._state.predicted, view, release)
        return view, found

    def _predict_bars(self, posted: Sequence[Posted], release: Release) -> list[Explained | Refused]:
        context = self._view.value.context
        now = self._clock()
        if self._state.recipe.serving.clock == "data":  # history and simulation: what the lake holds has closed
            now = max(now, newest_time(context))
        return [self._predict_posted(one, release, context, now) for one in posted]

    def _predict_posted(
        self, posted: Posted, release: Release, context: MarketContext, now: int
    ) -> Explained | Refused:
        state = self._state
        predictor = state.predictor(release, posted.symbol)
        made = posted_features(posted, state.features, state.recipe.session, context, now, predictor.contract.lookback)
        if isinstance(made, Refused):
            return made
        try:
            return self._explained(posted.symbol, made, predict(predictor, made.seen))
        except BadFeatures as error:
            return Refused(field=("bars",), message=str(error))

    def _explained(self, symbol: str, made: PostedFeatures, probabilities: tuple[float, ...]) -> Explained:
        prediction = Prediction(symbol=symbol, ts_event=made.ts, probabilities=probabilities)
        return Explained(prediction=prediction, features=self._state.named(made.x), notes=made.notes)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _newest(predicted: Predicted, symbol: str) -> Newest | Absence:
    return predicted.get(symbol, Absence(status="missing", reason="it belongs to another shard"))

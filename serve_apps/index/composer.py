"""From what the shards said to the body of an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bellwether.config.recipe import Recipe
from bellwether.expected_return import expected_return
from bellwether.signal import Signal, compose, newest_bar
from data.lake import Lake
from data.weights.table import WeightTable, load_weights, weights_kind
from serve_apps.following import Following
from serve_apps.index.published import Published
from serve_apps.index.releases import Release
from serve_apps.index.shard_client import Round
from serve_apps.index.universes import Basket
from serve_apps.index.wire import signal_json
from serve_apps.web.bodies import dumps
from serve_apps.web.values import LATEST

Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A signal and its body. ``key`` names everything it is a function of; None where it depends on the time."""

    key: Key | None
    signal: Signal
    body: bytes


class Composer:
    """Composes rounds under the weights in force, once for each state of shards and weights.

    Parameters
    ----------
    recipe : Recipe
    lake : Lake
        Has the weights, which are followed.
    clock : callable
        The time, UTC nanoseconds; looked at where ``serving.clock`` is ``wall``.

    Raises
    ------
    NotInLake
        The weights are not ingested.
    """

    def __init__(self, recipe: Recipe, lake: Lake, clock: Callable[[], int]) -> None:
        self._recipe, self._clock = recipe, clock
        self.weights = _follow_weights(recipe, lake)
        self._by: Published | None = None
        self._made: dict[tuple[Release, Basket], Composed] = {}

    def compose(self, said: Round, published: Published, basket: Basket) -> Composed:
        """The signal of a basket in a round."""
        if published is not self._by:  # another one may know a release under another alias
            self._by, self._made = published, {}
        version, weights = self.weights.value
        now = self._clock() if self._recipe.serving.clock == "wall" else None
        key = (*said.key, version) if said.key is not None and now is None else None
        made = self._made.get((said.release, basket))
        if key is not None and made is not None and made.key == key:
            return made
        answers = {symbol: said.answers[symbol] for symbol in basket.symbols if symbol in said.answers}
        at = newest_bar(answers.values(), now)
        in_force = weights.at(LATEST if at is None else at, basket.symbols)
        policy, model = published.policy(said.release), published.releases.naming(said.release)
        signal = compose(basket.name, basket.symbols, in_force, answers, policy, now)
        expected = expected_return(published.outlook(said.release), signal)
        body = dumps(signal_json(signal, model, expected, self._recipe.target.horizon))
        composed = Composed(key=key, signal=signal, body=body)
        if key is not None:
            self._made[said.release, basket] = composed
        return composed


def _follow_weights(recipe: Recipe, lake: Lake) -> Following[tuple[str, WeightTable]]:
    kind = weights_kind(recipe.universe)
    return Following(lambda: lake.version(kind), lambda version: (version, load_weights(lake, recipe.universe)))

"""What a replica of the app does without HTTP: trades advance symbols, models predict from where they stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import Any, NamedTuple

from bellwether.config import Recipe
from bellwether.errors import DataError, ModelError
from bellwether.trading_time import SECOND, iso, trading_time
from data.features import features_of
from data.features.base import Floats
from data.features.calendar import SessionClock
from serve_apps.metrics import Meter
from serve_apps.models.per_version import PerVersion
from serve_apps.models.served import Champion, Json, Served
from serve_apps.models.shadow import with_shadow
from serve_apps.prediction_rows import Logged, inputs_sha
from serve_apps.tick.known import Known
from serve_apps.tick.live import LARGEST, Live
from serve_apps.tick.models import Voice, unsaid
from serve_apps.tick.record import Tick, tick_of
from serve_apps.tick.schemas import TickData
from serve_apps.tick.tape import FollowedTape, View
from serve_apps.web.problems import unprocessable

APP = "ticks"


class Seen(NamedTuple):
    """What models with one lookback are shown, and how it is written down: the same for all of them."""

    x: Floats
    price: float
    ts: int
    sha: str
    features: list[float]


Look = Callable[[int], Seen | None]


class Engine:
    """Live symbols, and the models that are held.

    Parameters
    ----------
    recipe : Recipe
        The main one: features and symbols are those of all variants.
    names : mapping
        The registry's name of each model.
    served : Served
    tape : FollowedTape
    log : callable
        Takes note of a prediction.
    meter : Meter, optional
    clock : callable
        The time, UTC nanoseconds.
    """

    def __init__(
        self,
        recipe: Recipe,
        names: Mapping[str, str],
        served: Served,
        tape: FollowedTape,
        *,
        log: Callable[[Logged], None] | None = None,
        meter: Meter | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.recipe, self.served, self.tape, self._names = recipe, served, tape, names
        self._log, self._meter, self._clock = log, meter, clock
        self._features, self._hours = features_of(recipe.features), SessionClock(recipe.session)
        self._lives = {s: self._live(tape.value[s]) for s in recipe.universe.symbols}
        self._voice = PerVersion(served, lambda champion: Voice(champion.predictor))
        self._newest = -1
        self._newest_of: View | None = None

    def live(self, symbol: str) -> Live:
        """A symbol, where the lake and the trades that were told here have brought it."""
        live = self._lives[symbol]
        live.follow(self.tape.value[symbol])
        return live

    def retape(self, tape: FollowedTape) -> None:
        """Follow another tape, of models that look back further; trades that were told here stay."""
        before, self.tape = self._lives, tape
        self._lives = {s: self._taken_over(live, tape.value[s]) for s, live in before.items()}

    def now(self) -> int:
        """The time after which no trade is believed; of history and simulation, not before what the lake has."""
        now = self._clock()
        return max(now, self.newest()) if self.recipe.serving.clock == "data" else now

    def newest(self) -> int:
        """Time of the newest trade that is known here of any symbol, UTC nanoseconds; -1 where there is none."""
        if (view := self.tape.value) is not self._newest_of:
            told = [live.key[0] for live in self._lives.values() if not live.settled]
            self._newest, self._newest_of = max(*told, *(known.key[0] for known in view.values()), -1), view
        return self._newest

    def advance(self, symbol: str, data: TickData) -> bool:
        """Count one more trade of a symbol; returns False for one that is known already.

        Raises
        ------
        RequestValidationError
            It is older than the symbol's newest, its number is taken, or it is still to come.
        """
        live = self.live(symbol)
        tick = _in_order(symbol, live, data, self.now())
        if tick is None:
            return False
        with self._timed("features"):
            try:
                live.advance(tick)
            except DataError as error:
                raise unprocessable(("body", "tick_data", "ts_event"), f"is {iso(tick.ts)}: {error}") from error
        self._newest = max(self.newest(), tick.ts)
        return True

    def predict(self, symbol: str, models: Sequence[str], *, key: str = "", applied: bool = False) -> Json:
        """The answer of ``models``, all of them served, for a symbol as it stands.

        Parameters
        ----------
        key : str
            Of the request: chooses between version and candidate, and is written down.
        """
        live = self.live(symbol)
        reason = None if live.known else self._unknown(symbol, live)
        if reason and self._meter is not None:
            self._meter.abstained("warm-up")
        with self._timed("inference"):
            look = cache(partial(_seen, live))
            said = {model: self._said(symbol, look, self._names[model], key, reason) for model in models}
        return {
            "symbol": symbol,
            "ts_event": iso(live.key[0]) if live.key[0] >= 0 else None,
            "age_seconds": self._age(symbol, live.key[0]) if live.key[0] >= 0 else None,
            "features_known": reason is None,
            "reason": reason,
            "applied": applied,
            "durable": live.settled,
            "predictions": said,
        }

    def _said(self, symbol: str, look: Look, name: str, key: str, reason: str | None) -> Json:
        champion = self.served.choose(name, key)
        if reason:
            return {"model": champion.json()} | unsaid(reason)
        said = with_shadow(self.served, champion, partial(self._answered, symbol, look, key))
        return {"model": champion.json()} | said

    def _answered(self, symbol: str, look: Look, key: str, champion: Champion, answered: bool) -> Json:
        started = time.perf_counter()
        voice = self._voice(champion)
        seen = look(voice.lookback)
        if seen is None:
            return unsaid(f"the model looks at {voice.lookback} trades whose features are known")
        try:
            output, said = voice.answer(seen.x, seen.price)
        except ModelError as error:
            return unsaid(str(error))
        if self._log is not None:
            self._log(
                Logged(
                    ts=self._clock(),
                    request_id=key,
                    app=APP,
                    name=champion.name,
                    version=champion.version,
                    alias=champion.alias,
                    answered=answered,
                    symbol=symbol,
                    inputs_sha=seen.sha,
                    features=seen.features,
                    output=output,
                    latency_s=time.perf_counter() - started,
                    ts_from=seen.ts,
                )
            )
        return said

    def _age(self, symbol: str, ts: int) -> float:
        """Seconds that the market has traded since ``ts``; by the newest trade, where history is the clock."""
        session = self.recipe.session
        now = self._clock() if self.recipe.serving.clock == "wall" else self.newest()
        age = (trading_time(now, session) - trading_time(ts, session)) / SECOND if now > ts else 0.0
        if self._meter is not None:
            self._meter.staleness(symbol, age)
        return age

    def _taken_over(self, live: Live, known: Known) -> Live:
        """A symbol on another tape, with the trades that were told here; one that goes on by itself keeps doing so."""
        if live.adrift and known.key < live.key:
            live.reach(self.tape.tape.lookback)
            return live
        other = self._live(known)
        other.resume(live.pending)
        return other

    def _live(self, known: Known) -> Live:
        return Live(self._features, self._hours, known, self.tape.tape.lookback)

    def _unknown(self, symbol: str, live: Live) -> str:
        if live.key[0] < 0:
            unread = f"trades of {symbol} cannot be read: /ready says why"  # its message may have addresses
            return unread if live.unread else f"there are no trades of {symbol} yet"
        if live.rows <= (warmup := self._features.warmup):
            return f"warming up: {live.rows} of the {warmup + 1} trades of a session that the features need"
        names = [n for n, v in zip(self._features.outputs, live.row.tolist(), strict=True) if not abs(v) <= LARGEST]
        return f"features of the newest trade are not known: {', '.join(names)}"

    def _timed(self, stage: Any) -> Any:
        return nullcontext() if self._meter is None else self._meter.timed(stage)


def _seen(live: Live, lookback: int) -> Seen | None:
    x = live.window(lookback)
    if x is None:
        return None
    return Seen(x=x, price=live.price, ts=live.key[0], sha=inputs_sha(x), features=x[0].tolist())


def _in_order(symbol: str, live: Live, data: TickData, now: int) -> Tick | None:
    """The trade with its number, if it comes after all others; None for one that is known already."""
    ts, (newest, last) = data.ts_event, live.key
    where = ("body", "tick_data")
    if ts > now:
        raise unprocessable((*where, "ts_event"), f"is {iso(ts)}, which is still to come: it is {iso(now)}")
    if ts < newest:
        why = f"is {iso(ts)}, and the newest trade of {symbol} is of {iso(newest)}: ingest takes older ones"
        raise unprocessable((*where, "ts_event"), why)
    tick = tick_of(ts, live.next_seq(ts) if data.seq is None else data.seq, vars(data))
    if ts > newest:
        return tick
    if live.has(tick, numbered=data.seq is not None):
        return None
    if tick.seq <= last:
        raise unprocessable((*where, "seq"), f"is {tick.seq}; the newest trade of {symbol} at {iso(ts)} is {last}")
    return tick

"""What the index signal tells the metrics and the prediction log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bellwether.signal import Prediction, Signal
from serve_apps.index.component_predictor import Explained
from serve_apps.index.releases import Release, Releases
from serve_apps.index.shard_client import Round
from serve_apps.metrics import Meter
from serve_apps.prediction_log import PredictionLog
from serve_apps.prediction_rows import Logged, inputs_sha

APP = "index_signal"

GAUGES_S = 1.0
"""How often gauges are set at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """How predictions came about: by which release, for which request, in what time, and whether they answer."""

    release: Release
    releases: Releases
    request: str
    seconds: float
    answered: bool = True


class Recorder:
    """Notes each prediction once: of a symbol's newest bar when it is first composed, of posted bars each time.

    Parameters
    ----------
    log : PredictionLog
    meter : Meter
    clock : callable
        The time, UTC nanoseconds.
    """

    def __init__(self, log: PredictionLog, meter: Meter, clock: Callable[[], int] = time.time_ns) -> None:
        self._log, self._meter, self._clock = log, meter, clock
        self._noted: dict[tuple[str, int, str, bool], int] = {}
        self._rounds: dict[Release, tuple[str, ...] | None] = {}
        self._measured = -GAUGES_S

    def signal(self, signal: Signal) -> None:
        """Note a signal that goes out."""
        if signal.reason is not None:
            self._meter.abstained("coverage" if signal.coverage < signal.policy.coverage_floor else "session")
        if (now := time.monotonic()) - self._measured < GAUGES_S:
            return
        self._measured = now
        self._meter.coverage(signal.coverage)
        for component in signal.components:
            if component.age_seconds is not None:
                self._meter.staleness(component.symbol, component.age_seconds)

    def is_new(self, said: Round) -> bool:
        """Whether a round may say something that has not been noted; asked once a round."""
        before = self._rounds.get(said.release)
        self._rounds[said.release] = said.key
        return said.key is None or said.key != before

    def round(self, said: Round, made: Made) -> None:
        """Note the predictions of a round that have not been noted yet."""
        for symbol, one in said.answers.items():
            if isinstance(one, Prediction):
                self._once(one, said.features.get(symbol, ()), made)

    def newest(self, one: Explained, made: Made) -> None:
        """Note the prediction of one symbol's newest bar, if it has not been noted yet."""
        self._once(one.prediction, tuple(one.features.values()), made)

    def explained(self, one: Explained, made: Made) -> None:
        """Note a prediction from bars that a client sent."""
        self._add(one.prediction, tuple(one.features.values()), made)

    def _once(self, one: Prediction, features: tuple[float, ...], made: Made) -> None:
        model = made.releases.naming(made.release, one.symbol)
        key = (model["name"], model["version"], one.symbol, made.answered)
        if self._noted.get(key) != one.ts_event:
            self._noted[key] = one.ts_event
            self._add(one, features, made)

    def _add(self, one: Prediction, features: tuple[float, ...], made: Made) -> None:
        model = made.releases.naming(made.release, one.symbol)
        self._log.add(
            Logged(
                ts=self._clock(),
                request_id=made.request,
                app=APP,
                name=model["name"],
                version=model["version"],
                alias=model["alias"],
                answered=made.answered,
                symbol=one.symbol,
                inputs_sha=inputs_sha(np.array(features)),
                features=features,
                output=one.probabilities,
                latency_s=made.seconds,
                ts_from=one.ts_event,
            )
        )

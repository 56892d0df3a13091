"""What a replica tells Prometheus about its requests, through Ray's exporter on each node.

Ray puts ``ray_`` before a name and ``_total`` after a counter's: ``ray_bellwether_requests_total``. An observation
takes 4 µs (``python -m benchmarks.bench_serving --only meter``), so it is recorded at once.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from types import TracebackType
from typing import Literal

import ray
from ray.util.metrics import Counter, Gauge, Histogram, Metric

Stage = Literal["request", "queue", "features", "inference"]

SECONDS = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
"""Upper edges of the latency histograms."""

OTHER = "other"
"""The value of a tag that has had as many values as it may."""

MOST = 512
"""Values a tag may have in one process: series are kept for as long as the process lives."""

Tags = dict[str, str]

NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """All metrics of a process."""

    requests: Counter
    abstentions: Counter
    reloads: Counter
    logged: Counter
    dropped: Counter
    coverage: Gauge
    staleness: Gauge
    drift: Gauge
    stages: dict[str, Histogram]

    def all(self) -> tuple[Metric, ...]:
        """Every metric."""
        counters = (self.requests, self.abstentions, self.reloads, self.logged, self.dropped)
        return (*counters, self.coverage, self.staleness, self.drift, *self.stages.values())


@cache
def instruments() -> Instruments:
    """The metrics, made once a process."""

    def seconds(name: str, what: str, *tags: str) -> Histogram:
        return Histogram(f"bellwether_{name}_seconds", what, boundaries=SECONDS, tag_keys=("app", "shard", *tags))

    return Instruments(
        requests=Counter("bellwether_requests", "Requests answered.", ("app", "endpoint", "status")),
        abstentions=Counter("bellwether_abstentions", "Answers withheld, by the kind of reason.", ("app", "reason")),
        reloads=Counter("bellwether_reloads", "Versions taken up.", ("app", "shard", "model", "version")),
        logged=Counter("bellwether_predictions_logged", "Predictions written to the lake.", ("app",)),
        dropped=Counter("bellwether_predictions_dropped", "Predictions the log had no room for.", ("app",)),
        coverage=Gauge("bellwether_coverage", "Share of the weight that answers.", ("app",)),
        staleness=Gauge("bellwether_staleness_seconds", "Age of the newest record.", ("app", "symbol")),
        drift=Gauge("bellwether_drift", "Drift of the features, as a multiple of what is usual at most.", ("app",)),
        stages={
            "request": seconds("request", "Until the answer began, or a shard's call was done.", "endpoint"),
            "queue": seconds("queue", "Between being sent and being begun."),
            "features": seconds("features", "Computing features."),
            "inference": seconds("inference", "Running models."),
        },
    )


class Bounded:
    """Values of a tag: the first so many, and `OTHER`.

    >>> bounded = Bounded(2)
    >>> [bounded(value) for value in ("a", "b", "c", "a")]
    ['a', 'b', 'other', 'a']
    """

    def __init__(self, most: int = MOST, known: Collection[str] = ()) -> None:
        self._most, self._known = most, set(known)

    def __call__(self, value: str) -> str:
        """The value itself, if it is one of the first."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class Timed:
    """The seconds of a ``with`` block, also of one that raises."""

    __slots__ = ("_histogram", "_started", "_tags")

    def __init__(self, histogram: Histogram, tags: Tags) -> None:
        self._histogram, self._tags = histogram, tags

    def __enter__(self) -> None:
        """Start."""
        self._started = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record."""
        self._histogram.observe(perf_counter() - self._started, self._tags)


class Meter:
    """Metrics of one app, or of one shard of it. In a process that is not connected to Ray it does nothing.

    Parameters
    ----------
    app : str
    shard : str
        Empty at the ingress.

    >>> meter = Meter("doc")
    >>> with meter.timed("inference"):
    ...     _ = sum(range(10))
    >>> meter.answered("/signal/index", 200, 0.004)
    """

    def __init__(self, app: str, shard: str = "") -> None:
        self._to = instruments() if ray.is_initialized() else None
        self._app, self._here = {"app": app}, {"app": app, "shard": shard}
        self._answers: dict[tuple[str, int], tuple[Tags, Tags]] = {}
        self._symbol, self._reason, self._endpoint, self._version = Bounded(), Bounded(64), Bounded(), Bounded()

    def timed(self, stage: Stage) -> AbstractContextManager[None]:
        """Time a ``with`` block. Stages: a shard's whole ``request``, ``queue``, ``features``, ``inference``."""
        return NOTHING if self._to is None else Timed(self._to.stages[stage], self._tags(stage))

    def took(self, stage: Stage, seconds: float) -> None:
        """The same where the seconds are known, such as since the caller's time of sending."""
        if self._to is not None:
            self._to.stages[stage].observe(seconds, self._tags(stage))

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered; ``endpoint`` is the route's template, never the path that was asked for."""
        if self._to is None:
            return
        if (tags := self._answers.get((endpoint, status))) is None:
            name = {"endpoint": self._endpoint(endpoint)}
            tags = self._app | name | {"status": str(status)}, self._here | name
            if len(self._answers) < MOST:
                self._answers[endpoint, status] = tags
        self._to.requests.inc(1, tags[0])
        self._to.stages["request"].observe(seconds, tags[1])

    def coverage(self, value: float) -> None:
        """Share of the weight that the answer is made of."""
        if self._to is not None:
            self._to.coverage.set(value, self._app)

    def staleness(self, symbol: str, seconds: float) -> None:
        """Age of the newest record of a symbol; of `MOST` symbols at most, the others share a series."""
        if self._to is not None:
            self._to.staleness.set(seconds, self._app | {"symbol": self._symbol(symbol)})

    def drift(self, times_usual: float) -> None:
        """How far the features of the last bars are from the training rows, as a multiple of what is usual at most.

        NaN where that is not known any more: Ray's exporter has no series then, so that no old value goes on.
        """
        if self._to is not None:
            self._to.drift.set(times_usual, self._app)

    def abstained(self, reason: str) -> None:
        """No answer, or HOLD whatever the sum says; ``reason`` is the kind of it, one of a few words."""
        if self._to is not None:
            self._to.abstentions.inc(1, self._app | {"reason": self._reason(reason)})

    def reloaded(self, name: str, version: int) -> None:
        """A replica answers by this version from now on."""
        if self._to is not None:
            self._to.reloads.inc(1, self._here | {"model": name, "version": self._version(str(version))})

    def logged(self, rows: int) -> None:
        """So many predictions are in the lake."""
        if self._to is not None and rows:
            self._to.logged.inc(rows, self._app)

    def dropped(self, rows: int) -> None:
        """So many predictions never will be."""
        if self._to is not None and rows:
            self._to.dropped.inc(rows, self._app)

    def _tags(self, stage: Stage) -> Tags:
        return self._here | {"endpoint": ""} if stage == "request" else self._here

"""Whether the features of the last bars still look like those the answering version was trained on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from bellwether.drift.base import Finding, FittedDetector
from bellwether.trading_time import iso
from serve_apps.index.counted import Counted
from serve_apps.index.history import PATIENCE_S
from serve_apps.index.published import Published
from serve_apps.index.releases import Release
from serve_apps.index.shard_client import ShardClient, Unanswered
from serve_apps.index.wire import Json
from serve_apps.metrics import Meter

FIGURES = ("psi", "usual", "level", "bars", "windows", "rows", "in_training", "from", "to", "chance")
EMPTY: Json = {"state": "unknown", "reason": None, **dict.fromkeys(FIGURES), "features": []}
"""A body of which nothing is known yet."""

EVERY_S = 60.0
"""How often drift is measured though nobody asks, so that a gauge in Prometheus is alive without a visitor.

Where nothing has changed it costs each shard one look at the version of the lake. Where something has, shards make the
features of their history once more, in a thread, whoever asks and however many do: as much work as they have with the
newest bars, for which they look every ``serving.refresh_s`` seconds.
"""

log = logging.getLogger(__name__)


class Drift:
    """Adds up what the shards counted, and judges it once for each state of the shards, beside the running requests.

    Parameters
    ----------
    shards : ShardClient
    bars : int
        How many bars shards remember.
    meter : Meter
        Hears of what was found.
    """

    def __init__(self, shards: ShardClient, bars: int, meter: Meter) -> None:
        self._shards, self._bars, self._meter = shards, bars, meter
        self._last: tuple[tuple[object, ...], Json] | None = None
        self._judging = asyncio.Lock()

    async def follow(self, now: Callable[[], Published | None]) -> None:
        """Measure every `EVERY_S` seconds until cancelled, one measurement after the other.

        Where the version that answers has no usable reference, shards are not asked. Replicas agree without a word
        between them: what each says is a function of the version and of the shards.
        """
        while True:
            await asyncio.sleep(EVERY_S)
            if (published := now()) is not None:
                await self._measure(published)

    async def _measure(self, published: Published) -> None:
        try:
            await self.of(published)
        except Exception:  # of whatever kind: the next measurement may succeed
            self._meter.drift(float("nan"))
            log.exception("drift cannot be measured")

    async def of(self, published: Published) -> Json | Unanswered:
        """The body of GET /drift, or which shard did not answer: of a part of the rows nothing is said.

        The reference is the pooled model's, also where symbols have models of their own: their features are the same.
        """
        found = await self._found(published)
        self._meter.drift(float("nan") if isinstance(found, Unanswered) else times_usual(found))
        return found

    async def _found(self, published: Published) -> Json | Unanswered:
        release = published.releases.answering
        model, detector = {"model": published.releases.naming(release)}, published.detector(release)
        if isinstance(detector, str):
            return model | EMPTY | {"reason": detector}
        if detector.bars > self._bars:
            why = f"the reference has windows of {detector.bars} bars, and {self._bars} are kept (serving.history_bars)"
            return model | EMPTY | {"reason": why}
        said = await asyncio.gather(*(self._ask(k, release) for k in range(len(self._shards.slices))))
        if away := [one for one in said if isinstance(one, Unanswered)]:
            return away[0]
        counts = [one for one in said if isinstance(one, Counted)]
        return model | await self._judged(release, detector, counts)

    async def _judged(self, release: Release, detector: FittedDetector, counts: Sequence[Counted]) -> Json:
        key = (release.version, *(one.stamp for one in counts))
        async with self._judging:  # who asks for the same meanwhile finds it there
            if self._last is None or self._last[0] != key:
                self._last = key, await asyncio.to_thread(judged, detector, counts)
            return self._last[1]

    async def _ask(self, shard: int, release: Release) -> Counted | Unanswered:
        pooled = Release(release.version)
        said: Counted | Unanswered = await self._shards.call(shard, "drift", pooled, patience_s=PATIENCE_S)
        return said


def judged(detector: FittedDetector, counts: Sequence[Counted]) -> Json:
    """What a window is, from the counts of all its rows."""
    times = [ts for one in counts for ts in (one.first, one.last) if ts is not None]
    window = {
        "level": detector.level,
        "bars": detector.bars,
        "windows": detector.windows,
        "rows": sum(one.rows for one in counts),
        "in_training": sum(one.in_training for one in counts),
        "from": iso(min(times)) if times else None,
        "to": iso(max(times)) if times else None,
    }
    found = detector.judge(sum((one.tally for one in counts[1:]), counts[0].tally))
    if isinstance(found, str):
        return EMPTY | {"reason": found} | window
    return EMPTY | window | _known(found, detector.chance)


def times_usual(body: Json) -> float:
    """How many times as far as usual at most the features of a body strayed; NaN where that is not known.

    >>> times_usual({"psi": 0.3, "usual": 0.2}) > 1.0, times_usual({"psi": None, "usual": None})
    (True, nan)
    """
    return body["psi"] / body["usual"] if body["usual"] else float("nan")


def _known(found: Finding, chance: float) -> Json:
    return {
        "state": "moved" if found.moved else "usual",
        "psi": found.score,
        "usual": found.usual,
        "chance": chance,
        "features": [{"name": p.name, "psi": p.score, "usual": p.usual, "moved": p.moved} for p in found.parts],
    }

"""The log of predictions: written to the lake beside the requests, which wait for nothing."""

from __future__ import annotations

import logging
import threading
import weakref

from data.lake import Lake
from serve_apps.metrics import Meter
from serve_apps.prediction_rows import Logged, write
from serve_apps.waiting import Waiting

CAPACITY = 16_384
"""Predictions that wait to be written."""

EVERY_S = 30.0
"""Seconds between two batches at most: what a crash loses, besides the batch that is being written."""

CLOSING_S = 10.0
"""Seconds the last batch may take when a replica goes."""

log = logging.getLogger(__name__)


class PredictionLog:
    """Predictions on their way to the kind ``predictions/<app>`` of a lake, a partition a model and UTC date.

    `add` puts them into a queue in memory. A thread of the log's own writes what waits every `EVERY_S` seconds, or when
    the queue is half full, as one further part a partition; several replicas may do so at once, except on an object
    store (see `Lake`). While the lake cannot be written, predictions wait, and the oldest make room for the newest.

    Parameters
    ----------
    lake : Lake
    app : str
    capacity : int
        Predictions that wait at most.
    every_s : float
        Seconds between two batches at most.
    """

    def __init__(self, lake: Lake, app: str, *, capacity: int = CAPACITY, every_s: float = EVERY_S) -> None:
        self._waiting, self._much = Waiting[Logged](capacity), max(1, capacity // 2)
        writer = Writer(self._waiting, lake, app, every_s)
        self._writer = writer
        self._closed = weakref.finalize(self, writer.close)

    @property
    def dropped(self) -> int:
        """Predictions that never reached the lake."""
        return self._waiting.lost

    @property
    def error(self) -> str | None:
        """Why the last batch could not be written; None when it could."""
        return self._writer.error

    def add(self, row: Logged) -> None:
        """Take note of a prediction; waits for nothing and raises nothing."""
        self._waiting.put(row)
        if not self._writer.running:
            self._writer.start()
        if len(self._waiting) >= self._much and self._writer.error is None:
            self._writer.hurry()

    def close(self) -> None:
        """Write what waits, for `CLOSING_S` seconds at most.

        Call it in the deployment's ``__del__``, which Serve calls when a replica that goes has answered its requests.
        """
        self._closed()


class Writer:
    """The thread behind a log. It does not hold the log, so that one nobody holds any more is closed."""

    def __init__(self, waiting: Waiting[Logged], lake: Lake, app: str, every_s: float) -> None:
        self._waiting, self._lake, self._every_s = waiting, lake, every_s
        self._kind, self._meter = f"predictions/{app}", Meter(app)
        self._stop, self._due, self._starting = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._told = 0
        self.error: str | None = None

    @property
    def running(self) -> bool:
        """Whether the thread was started, or is not to be any more."""
        return self._thread is not None or self._stop.is_set()

    def start(self) -> None:
        """Start the thread, once."""
        with self._starting:
            if not self.running:
                self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        """Let the thread write what waits now."""
        self._due.set()

    def close(self) -> None:
        """Let the thread write what waits, and end."""
        with self._starting:
            self._stop.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join(CLOSING_S)

    def _run(self) -> None:
        while not self._over():
            self.flush()
        self.flush()

    def _over(self) -> bool:
        """Wait for the next batch; whether it is the last."""
        self._due.wait(self._every_s)
        self._due.clear()
        return self._stop.is_set()

    def flush(self) -> None:
        """Write what waits; what cannot be written waits again."""
        rows = self._waiting.take()
        try:
            written = write(self._lake, self._kind, rows)
            self._meter.logged(written)
            self._waiting.lose(len(rows) - written)
            self.error = None
        except Exception as error:  # whatever the lake's storage raises: the log must go on, and so must the answers
            self._waiting.put_back(rows)
            if self.error is None:
                log.exception("predictions cannot be written; %d wait", len(self._waiting))
            self.error = f"{type(error).__name__}: {error}"
        lost = self._waiting.lost
        self._meter.dropped(lost - self._told)
        self._told = lost

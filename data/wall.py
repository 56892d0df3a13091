"""Times of records, and what the clocks of a zone show then; UTC nanoseconds."""

from __future__ import annotations

from datetime import time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrow import pc

Ints = NDArray[np.int64]

DAY = 86_400 * 1_000_000_000
"""Nanoseconds of a day."""


def wall_times(ts: Ints, zone: str) -> Ints:
    """Return what the clocks of a zone show at UTC nanoseconds, as nanoseconds since 1970-01-01 00:00 there.

    >>> noon = np.array([12 * 3600 * 1_000_000_000])
    >>> (wall_times(noon, "America/New_York") // 3_600_000_000_000).tolist()
    [7]
    """
    aware = pa.array(ts, pa.int64()).cast(pa.timestamp("ns", tz=zone))
    walls: Ints = pc.local_timestamp(aware).cast(pa.int64()).to_numpy()
    return walls


def of_day(clock: time) -> int:
    """Return a time of day as nanoseconds since midnight.

    >>> of_day(time(9, 30)) // 1_000_000_000
    34200
    """
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1_000_000_000 + clock.microsecond * 1_000


def times(records: pa.Table) -> Ints:
    """Return ``ts_event`` of a table as UTC nanoseconds.

    >>> times(pa.table({"ts_event": pa.array([5], pa.timestamp("ns", tz="UTC"))})).tolist()
    [5]
    """
    ts: Ints = records["ts_event"].cast(pa.int64()).to_numpy()
    return ts

"""Where in its trading session a bar closes."""

from __future__ import annotations

from datetime import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bellwether.config.recipe import Session

SECOND = 1_000_000_000
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND


def session_clock(ts: NDArray[np.int64], session: Session) -> NDArray[np.float64]:
    """Session number, local hour and position in the session of bars that close at ``ts``.

    Parameters
    ----------
    ts : int64 array of shape (n,)
        Closes in UTC nanoseconds.
    session : Session
        The market's hours; daylight saving is that of its time zone.

    Returns
    -------
    float64 array of shape (n, 3)
        Days since 1970-01-01 of the local date the bar lies in (a close at midnight ends the day before); the hour of
        the local clock at the close, 0 to 24; the share of the session gone by at the close, 0 before it opens and 1
        from its close on.

    >>> import pandas as pd
    >>> close = pd.Timestamp("2025-01-06 12:45", tz="America/New_York").value
    >>> session_clock(np.array([close]), Session()).tolist()
    [[20094.0, 12.0, 0.5]]
    """
    local = _local(ts, session.timezone)
    day = (local - 1) // DAY
    since_midnight = local - day * DAY
    opens, closes = _nanoseconds(session.opens), _nanoseconds(session.closes)
    out = np.empty((len(ts), 3))
    out[:, 0] = day
    out[:, 1] = since_midnight // HOUR
    out[:, 2] = np.clip((since_midnight - opens) / (closes - opens), 0.0, 1.0)
    return out


def _local(ts: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Nanoseconds since 1970-01-01 00:00 on the local clock."""
    utc = pa.array(ts, pa.int64()).cast(pa.timestamp("ns", tz=timezone))
    local: pa.Array[Any] = pc.call_function("local_timestamp", [utc])
    return local.cast(pa.int64()).to_numpy()


def _nanoseconds(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * SECOND

"""Binance's websocket captures: which message a line holds, and the values in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data.sources.archives import Stream, complete_lines

logger = logging.getLogger(__name__)

WRONG = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading a message raises that is not what Binance documents."""

SNAPSHOT, UNKNOWN, OTHER = "snapshot", "unknown", "other"
TICKER = frozenset("usbBaA")
PARTIAL = re.compile(r"@depth(5|10|20)\b")
MICROSECONDS = 10**14
"""Times from here on count microseconds, which spot streams offer; as milliseconds they would be past the year 5000."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line of a capture.

    Parameters
    ----------
    row : int
        Number of the line, from 1.
    received : int
        When it was received, nanoseconds since 1970; 0 if unknown.
    kind : str
        Binance's name of the event (``depthUpdate``, ``bookTicker``, ``trade``, …), ``"snapshot"`` for an order book
        asked for over REST, ``"other"`` for a message that is no record, ``"unknown"`` for what cannot be read.
    data : mapping
        Its payload.
    """

    row: int
    received: int
    kind: str
    data: Mapping[str, Any]


def events(stream: Stream) -> Iterator[Event]:
    """Yield the lines of a capture in the order of the file; blank ones are passed over.

    A line is the local receive time in nanoseconds, a blank, and the message, by itself or as ``{"stream", "data"}``.
    A recorder that is killed leaves a gzip that is cut off: its complete lines are yielded, then one that is unknown.
    """
    for row, line in enumerate(complete_lines(stream), 1):
        if line is None:
            logger.warning("%s is cut off after %d lines; what follows them is lost", stream.name, row - 1)
            yield _unreadable(row)
        elif line.strip():
            yield _event(row, line)


def _event(row: int, line: bytes) -> Event:
    stamp, _, text = line.partition(b" ")
    try:
        message = json.loads(text)
        kind, data = _kind(message)
        return Event(row=row, received=_bounded(int(stamp)), kind=kind, data=data)
    except (*WRONG, RecursionError):
        return _unreadable(row)


def _unreadable(row: int) -> Event:
    return Event(row=row, received=0, kind=UNKNOWN, data={})


def _kind(message: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a message's kind and payload.

    Futures call the top of the book, sent whole, ``depthUpdate`` too; only the stream's name tells it from changes.
    """
    if "stream" not in message:
        return _bare(message), message
    data = message["data"]
    if not isinstance(data, dict) or "lastUpdateId" in data or PARTIAL.search(message["stream"]):
        return OTHER, {}
    return _bare(data), data


def _bare(data: dict[str, Any]) -> str:
    if isinstance(kind := data.get("e"), str):
        return kind
    if "lastUpdateId" in data:
        return SNAPSHOT
    if data.keys() >= TICKER:  # spot names no event and no time
        return "bookTicker"
    return OTHER if "result" in data else UNKNOWN  # the answer to a subscription


def whole(data: Mapping[str, Any], name: str) -> int:
    """Return a whole number.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is missing, no whole number, or too long.
    """
    value = data[name]
    if type(value) is not int:
        raise TypeError(f"{name} is {value!r}, no whole number")
    return _bounded(value)


def text(data: Mapping[str, Any], name: str) -> str:
    """Return text.

    Raises
    ------
    KeyError, TypeError
        It is missing or no text.
    """
    value = data[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, no text")
    return value


def happened(data: Mapping[str, Any]) -> int | None:
    """Return when the matching engine did it (T), else when the event was sent (E), as nanoseconds; None if neither.

    >>> happened({"T": 1723161256298, "E": 1723161256299}), happened({"u": 1})
    (1723161256298000000, None)
    """
    name = "T" if "T" in data else "E"
    if name not in data:
        return None
    value = whole(data, name)
    return _bounded(value * (1_000 if value >= MICROSECONDS else 1_000_000))


def _bounded(value: int) -> int:
    if not 0 <= value < 2**62:  # in nanoseconds the year 2116
        raise ValueError(f"{value} does not fit")
    return value

"""The lake: Parquet by kind, symbol and date, changed all at once or not at all, and what may be done with it."""

from data.lake.lake import Lake
from data.lake.manifest import Entry

__all__ = ["Entry", "Lake"]

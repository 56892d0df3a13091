"""Feature sets, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.table import Places, entry
from data.features.base import FeatureSet

FEATURE_SETS: Places = {
    "hourly": ("data.features.hourly", "HOURLY"),
}
"""Where each feature set is: module and name in it, imported when first asked for."""


def feature_set(name: str) -> FeatureSet:
    """Return the feature set called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> feature_set("hourly").warmup
    160
    """
    found: FeatureSet = entry("feature set", FEATURE_SETS, name)
    return found

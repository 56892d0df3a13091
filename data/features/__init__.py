"""Feature sets, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from importlib import import_module

from bellwether.errors import UnknownName
from data.features.base import FeatureSet

FEATURE_SETS: dict[str, tuple[str, str]] = {
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
    if name not in FEATURE_SETS:
        raise UnknownName("feature set", name, FEATURE_SETS)
    module, attribute = FEATURE_SETS[name]
    found: FeatureSet = getattr(import_module(module), attribute)
    return found

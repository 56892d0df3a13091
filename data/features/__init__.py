"""Feature sets, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bellwether.config.sections import Part
from bellwether.table import Places, entry
from data.features.base import FeatureKind, FeatureSet
from data.options import checked

FEATURE_SETS: Places = {
    "hourly": ("data.features.hourly", "KIND"),
    "hourly-wide": ("data.features.hourly_wide", "KIND"),
    "ticks": ("data.features.ticks", "KIND"),
    "microstructure": ("data.features.microstructure", "KIND"),
    "books-5min": ("data.features.books_5min", "KIND"),
    "level2-factors": ("data.features.level2_factors", "KIND"),
    "rates": ("data.features.rates", "KIND"),
    "cross-section": ("data.features.cross_section", "KIND"),
}
"""Where each feature set is: module and name in it, imported when first asked for."""


def feature_kind(name: str) -> FeatureKind:
    """Return what the table has under ``name``.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> feature_kind("hourly").record
    'bars'
    """
    found: FeatureKind = entry("feature set", FEATURE_SETS, name)
    return found


def feature_set(name: str, options: Mapping[str, Any] | None = None) -> FeatureSet:
    """Return the feature set called ``name`` in the table, with options or its defaults.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.
    ConfigError
        An option is wrong.

    >>> feature_set("hourly").warmup
    160
    """
    found = feature_kind(name)
    return found.build(checked(f"feature set {name!r}", found.options, options or {}))


def features_of(part: Part) -> FeatureSet:
    """Return the feature set a recipe names, with the options it gives."""
    return feature_set(part.kind, part.options)

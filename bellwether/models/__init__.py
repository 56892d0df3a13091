"""Model families, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.models.base import Family
from bellwether.table import Places, entry

FAMILIES: Places = {
    "majority": ("bellwether.models.majority", "MAJORITY"),
    "stratified": ("bellwether.models.stratified", "STRATIFIED"),
    "logistic": ("bellwether.models.logistic", "LOGISTIC"),
    "random_forest": ("bellwether.models.random_forest", "RANDOM_FOREST"),
    "extra_trees": ("bellwether.models.extra_trees", "EXTRA_TREES"),
    "lightgbm": ("bellwether.models.lightgbm", "LIGHTGBM"),
    "xgboost": ("bellwether.models.xgboost", "XGBOOST"),
}
"""Where each family is: module and name in it, imported when first asked for."""


def family_names() -> tuple[str, ...]:
    """All names in the table, baselines first."""
    return tuple(FAMILIES)


def family(name: str) -> Family:
    """Return the family called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> family("majority").baseline
    True
    """
    found: Family = entry("model family", FAMILIES, name)
    return found

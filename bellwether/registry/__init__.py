"""Where trained models live: versions in MLflow, and the ledger of what was promoted, when, by whom and why."""

from bellwether.registry.ledger import Entry, Ledger
from bellwether.registry.store import Registry
from bellwether.registry.versions import ALIASES, VersionInfo

__all__ = ["ALIASES", "Entry", "Ledger", "Registry", "VersionInfo"]

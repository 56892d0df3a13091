"""Where a served app finds its bars and its model: addresses that any process of the cluster can use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bellwether.registry import Registry
    from data.lake.lake import Lake


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Addresses of lake, MLflow store and ledger; see `bellwether.config.Settings`. The first two may hold a password.

    >>> Stores(lake="s3://key:secret@bucket", tracking_uri="postgresql://ada:secret@db/mlflow", ledger="moves.jsonl")
    Stores(ledger='moves.jsonl')
    """

    lake: str = field(repr=False)
    tracking_uri: str = field(repr=False)
    ledger: str

    def open_lake(self) -> Lake:
        """Open the lake."""
        from data.lake.lake import Lake

        return Lake(self.lake)

    def open_registry(self) -> Registry:
        """Open the registry."""
        from bellwether.registry import Ledger, Registry

        return Registry(self.tracking_uri, Ledger(self.ledger))

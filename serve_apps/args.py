"""What every app's ``build`` takes, on the command line of ``serve run`` or under ``args`` in a Serve config."""

from __future__ import annotations

from pydantic import Field

from bellwether.config import Settings
from bellwether.config.recipe import Frozen, Share
from serve_apps.stores import Stores


class AppArgs(Frozen):
    """Which model an app serves, from where, and how many replicas answer.

    Parameters
    ----------
    recipe : str
        Name of a bundled recipe, or the path of a YAML file.
    alias : str
        Which version answers: the one that carries this alias when the app is built or told to reload.
    canary : float
        Share of requests that the version in Staging answers.
    shadow : bool
        The version in Staging predicts too, for the log only.
    lake, tracking_uri, ledger : str, optional
        Where records and models are; from ``BELLWETHER_*``, if left out.
    """

    recipe: str
    alias: str = "Production"
    canary: Share = 0.0
    shadow: bool = False
    lake: str | None = None
    tracking_uri: str | None = None
    ledger: str | None = None
    max_ongoing: int = Field(default=64, ge=1, description="requests a replica works on at a time")
    max_queued: int = Field(default=256, ge=-1, description="requests that wait; beyond it 503. -1: no limit")

    def stores(self) -> Stores:
        """The addresses given, completed by the settings."""
        given = self.model_dump(include={"lake", "tracking_uri", "ledger"}, exclude_none=True)
        settings = Settings(**given)
        return Stores(lake=settings.lake, tracking_uri=settings.tracking_uri, ledger=settings.ledger)

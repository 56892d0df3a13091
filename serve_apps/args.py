"""What every app's ``build`` takes, on the command line of ``serve run`` or under ``args`` in a Serve config."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from bellwether.config import Settings
from bellwether.config.frozen import Frozen
from bellwether.config.sections import Share
from serve_apps.stores import Stores
from serve_apps.web.guard import Safety


def _replicas(value: Any) -> Any:
    """A number, or the bounds of one; as text, which is all that a command line has, such as ``2`` or ``1-4``.

    >>> _replicas("1-4"), _replicas("2"), _replicas([1, 4])
    (['1', '4'], '2', [1, 4])
    """
    if isinstance(value, str) and "-" in value:
        value = value.split("-")
    if isinstance(value, list | tuple) and len(value) == 2 and int(value[0]) > int(value[1]):
        raise ValueError(f"fewest before most: {value[0]} is more than {value[1]}")
    return value


Replicas = Annotated[PositiveInt | tuple[PositiveInt, PositiveInt], BeforeValidator(_replicas)]


def _queued(value: int) -> int:
    """Serve has no queue of none: at least one request waits, or as many as come.

    >>> _queued(-1), _queued(1)
    (-1, 1)
    """
    if value < 1 and value != -1:
        raise ValueError(f"at least 1 waits, or -1 for no limit; {value} came")
    return value


class AppArgs(Frozen):
    """Which model an app serves, from where, and how many replicas answer.

    Parameters
    ----------
    recipe : str
        Name of a bundled recipe, or the path of a YAML file.
    alias : str
        Which version answers: the one that carries this alias when the app is built or told to reload. ``newest`` is
        the last that was registered, whatever its gate said: answers then say that it was refused.
    canary : float
        Share of requests that the version in Staging answers.
    shadow : bool
        The version in Staging predicts too, for the log only.
    replicas : int or pair of int
        Replicas of each deployment: so many, or between so many as the requests under way ask for (``1-4`` as text).
    lake, tracking_uri, ledger : str, optional
        Where records and models are; from ``BELLWETHER_*``, if left out.
    safety : Safety
        Who may ask, how much and how often.
    """

    recipe: str
    alias: str = "Production"
    canary: Share = 0.0
    shadow: bool = False
    lake: str | None = Field(default=None, repr=False)
    tracking_uri: str | None = Field(default=None, repr=False)
    ledger: str | None = None
    replicas: Replicas = 1
    max_ongoing: int = Field(default=64, ge=1, description="requests a replica works on at a time")
    max_queued: Annotated[int, AfterValidator(_queued)] = Field(
        default=256, description="requests that wait; beyond it 503. -1: no limit"
    )
    safety: Safety = Field(default_factory=Safety)

    def stores(self) -> Stores:
        """The addresses given, completed by the settings."""
        given = self.model_dump(include={"lake", "tracking_uri", "ledger"}, exclude_none=True)
        settings = Settings(**given)
        return Stores(lake=settings.lake, tracking_uri=settings.tracking_uri, ledger=settings.ledger)

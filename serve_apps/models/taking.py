"""A replica told to answer by other versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve_apps.metrics import Meter
from serve_apps.models.served import Prepare, Served


async def take(served: Served, config: Mapping[str, Any], meter: Meter, prepare: Prepare | None = None) -> None:
    """Answer by these routes from now on (`Served.take`), and count the versions that were not held before."""
    before = {(one.name, one.version) for one in served.all()}
    await served.take(config, prepare)
    for one in served.all():
        if (one.name, one.version) not in before:
            meter.reloaded(one.name, one.version)

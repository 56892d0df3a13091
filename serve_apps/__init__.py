"""Served apps, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bellwether.errors import UnknownName

if TYPE_CHECKING:
    from pydantic import BaseModel
    from ray.serve import Application

APPS: dict[str, tuple[str, str, str]] = {
    "factors": ("serve_apps.factors", "build", "FactorsArgs"),
    "forecast": ("serve_apps.forecast", "build", "ForecastArgs"),
    "index_signal": ("serve_apps.index_signal", "build", "IndexSignalArgs"),
    "strategy": ("serve_apps.strategy", "build", "StrategyArgs"),
    "ticks": ("serve_apps.ticks", "build", "TicksArgs"),
}
"""Where each app is: module, its ``build``, and what that takes; imported when first asked for."""


def builder(name: str) -> tuple[Callable[[Any], Application], type[BaseModel]]:
    """Return the ``build`` of the app called ``name`` in the table, and the type of its arguments.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> builder("index_signal")[1].__name__
    'IndexSignalArgs'
    """
    if name not in APPS:
        raise UnknownName("served app", name, APPS)
    module, build, arguments = APPS[name]
    found = import_module(module)
    return getattr(found, build), getattr(found, arguments)

"""Tables of extensions: data in source, imported when first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from bellwether.errors import UnknownName

Places = Mapping[str, tuple[str, str]]
"""Where each entry of a table is: a module, and the name in it."""


def entry(what: str, table: Places, name: str) -> Any:
    """Import and return what the table has under ``name``.

    Parameters
    ----------
    what : str
        What the table lists, for the error: ``source``, ``model family``.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> entry("number", {"pi": ("math", "pi")}, "tau")
    Traceback (most recent call last):
    ...
    bellwether.errors.UnknownName: no number 'tau'; known: pi
    """
    if name not in table:
        raise UnknownName(what, name, table)
    module, attribute = table[name]
    return getattr(import_module(module), attribute)

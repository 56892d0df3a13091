"""Detectors of drift, by name: whether rows still look like those a model was trained on. A new one is a file here and
a line in the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bellwether.drift.base import NAME, Detector, FittedDetector
from bellwether.errors import ModelError
from bellwether.table import Places, entry

DETECTORS: Places = {"psi": ("bellwether.drift.psi", "PSI")}
"""Where each detector is: module and name in it, imported when first asked for."""


def detector_names() -> tuple[str, ...]:
    """All names in the table."""
    return tuple(DETECTORS)


def detector(name: str) -> Detector:
    """Return the detector called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> detector("psi").name
    'psi'
    """
    found: Detector = entry("drift detector", DETECTORS, name)
    return found


def restored(state: Mapping[str, Any]) -> FittedDetector | str:
    """Make a fitted detector from its `FittedDetector.state`, as JSON gives it back; or say why a contract has none.

    Raises
    ------
    ModelError
        The state lacks what its detector needs, or is damaged.
    UnknownName
        The table does not have that detector.

    >>> restored({})
    'the model states no reference to measure drift against: train it again'
    """
    if not state:
        return "the model states no reference to measure drift against: train it again"
    if "reason" in state:
        return str(state["reason"])
    if not isinstance(state.get(NAME), str):
        raise ModelError(f"the state of a drift detector needs {NAME!r} and has {sorted(state)}: train the model again")
    found = detector(state[NAME])
    try:
        return found.restore(state)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the state of {found.name} is damaged ({error!r}): restore or retrain the model") from error

"""Calibrators of class probabilities, by name. A new one is a file here and a line in the table.

Intervals for values are in `bellwether.calibration.conformal`, sets of classes in `bellwether.calibration.sets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bellwether.calibration.base import NAME, Calibrator, FittedCalibrator
from bellwether.errors import ModelError
from bellwether.table import Places, entry

CALIBRATORS: Places = {
    "none": ("bellwether.calibration.none", "NONE"),
    "temperature": ("bellwether.calibration.temperature", "TEMPERATURE"),
    "sigmoid": ("bellwether.calibration.sigmoid", "SIGMOID"),
    "isotonic": ("bellwether.calibration.isotonic", "ISOTONIC"),
}
"""Where each calibrator is: module and name in it, imported when first asked for. Fewest parameters first."""


def calibrator_names() -> tuple[str, ...]:
    """All names in the table, the fewest parameters first."""
    return tuple(CALIBRATORS)


def calibrator(name: str) -> Calibrator:
    """Return the calibrator called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> calibrator("temperature").name
    'temperature'
    """
    found: Calibrator = entry("calibrator", CALIBRATORS, name)
    return found


def restored(state: Mapping[str, Any]) -> FittedCalibrator:
    """Make a fitted calibrator from its `FittedCalibrator.state`, as JSON gives it back.

    Raises
    ------
    ModelError
        The state names no calibrator, or lacks what that one needs.
    UnknownName
        The table does not have that calibrator.

    >>> import numpy as np
    >>> restored({"calibrator": "none"}).apply(np.array([[0.25, 0.75]])).tolist()
    [[0.25, 0.75]]
    """
    if NAME not in state:
        raise ModelError(f"the state of a calibrator needs {NAME!r} and has {sorted(state)}: calibrate the model again")
    found = calibrator(state[NAME])
    try:
        return found.restore(state)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the state of {found.name} is damaged ({error!r}): calibrate the model again") from error

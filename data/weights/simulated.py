"""The weights of the simulated market."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from data.sources.simulator import SimulatorOptions, published_weights
from data.weights.base import WeightSource


def read(options: SimulatorOptions, root: Path) -> pa.Table:
    """The weights that the market of the same options was made with; ``root`` is not looked at.

    >>> read(SimulatorOptions(sessions=5), Path()).column_names
    ['effective', 'symbol', 'weight']
    """
    return published_weights(options)


SIMULATED = WeightSource(kind="simulator", options=SimulatorOptions, read=read)

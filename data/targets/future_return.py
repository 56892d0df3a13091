"""Future return: by how much the price is higher some rows later."""

from __future__ import annotations

from bellwether.models.base import Task
from data.targets.ahead import as_it_is, no_edges, return_ahead
from data.targets.base import TargetKind

FUTURE_RETURN = TargetKind(
    kind="future_return", task=Task.REGRESS, classes=(), outcome=return_ahead, fit=no_edges, encode=as_it_is
)
"""V[t+h]/V[t] - 1, a fraction. With ``horizon: 5`` it is the usual future_return_5."""

"""What a client should know of a version that was promoted all the same."""

from __future__ import annotations

from bellwether.models.artefact import Contract

REFUSED = "the model did not pass its gate: it was not shown to be better than its baselines"


def gate_notes(contract: Contract) -> list[str]:
    """`REFUSED`, unless the model has passed."""
    return [] if contract.verdict.get("passed") else [REFUSED]

"""Whether answers under load are right: what a client can tell of one by itself and by those before it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from math import fsum
from typing import Any

KEPT = 1_000
"""Bodies that are remembered as right; the same again is not looked at."""


class SignalCheck:
    """Answers of GET /signal/index: parts add up, and a version says one thing of a component.

    An answer that lacks components is right if it says so. One that mixes two versions is wrong: what one of them says
    of a component is then not what it says in other answers.
    """

    def __init__(self) -> None:
        self._right: dict[bytes, int] = {}
        self._said: dict[tuple[int, str], Any] = {}
        self.noticed: dict[str, Any] = {"versions": {}, "degraded": 0}

    def __call__(self, body: bytes) -> str | None:
        version = self._right.get(body)
        if version is None:
            answer = json.loads(body)
            if (wrong := self._wrong(answer)) is not None:
                return wrong
            version = int(answer["model"]["version"])
            if answer["coverage"] == 1.0 and len(self._right) < KEPT:
                self._right[body] = version
            self.noticed["degraded"] += answer["coverage"] < 1.0
        seen = self.noticed["versions"].setdefault(str(version), {"answers": 0, "first": time.time()})
        seen["answers"] += 1
        seen["last"] = time.time()
        return None

    def _wrong(self, answer: Any) -> str | None:
        parts, version = answer["components"], answer["model"]["version"]
        if fsum(part["contribution"] for part in parts) != answer["wss"]:
            return f"contributions do not add up to {answer['wss']}"
        if abs(fsum(part["weight"] for part in parts if part["status"] == "fresh") - answer["coverage"]) > 1e-9:
            return f"fresh weights do not add up to the coverage, {answer['coverage']}"
        for part in parts:
            if part["status"] == "fresh":
                said = self._said.setdefault((version, part["symbol"]), part["probabilities"])
                if said != part["probabilities"]:
                    return f"version {version} says {said} and {part['probabilities']} of {part['symbol']}"
            elif not part["reason"]:
                return f"{part['symbol']} is {part['status']} and nothing says why"
        return None


class TickCheck:
    """Answers of POST /ticks/predict to one client: each counts the trade it came with and predicts by every model."""

    def __init__(self) -> None:
        self._last = ""
        self.noticed: dict[str, Any] = {"models": []}

    def __call__(self, body: bytes) -> str | None:
        answer = json.loads(body)
        if not (answer["features_known"] and answer["applied"]):
            return f"features known: {answer['features_known']}, trade counted: {answer['applied']}"
        models = sorted(answer["predictions"])
        self.noticed["models"] = self.noticed["models"] or models
        if models != self.noticed["models"]:
            return f"models {models} after {self.noticed['models']}"
        last, self._last = self._last, answer["ts_event"]
        return None if last < self._last else f"predicted from {self._last} after {last}"


CHECKS: dict[str, Callable[[], Callable[[bytes], str | None]]] = {"signal": SignalCheck, "ticks": TickCheck}

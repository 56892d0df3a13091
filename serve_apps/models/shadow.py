"""The version that answers a request, and the one that predicts in its shadow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from fastapi import HTTPException

from bellwether.errors import BellwetherError
from serve_apps.models.served import Champion, Served

T = TypeVar("T")

log = logging.getLogger(__name__)


def with_shadow(served: Served, champion: Champion, predict: Callable[[Champion, bool], T]) -> T:
    """What ``predict(champion, True)`` gives; where there is a version beside it, that one predicts after it.

    The shadow's ``predict(other, False)`` is for the log alone: whatever becomes of it is no business of the client's.
    """
    answer = predict(champion, True)
    if (other := served.beside(champion)) is not None:
        try:
            predict(other, False)
        except (BellwetherError, HTTPException) as error:
            log.warning("version %d of %s cannot predict beside: %s", other.version, other.name, error)
        except Exception:
            log.exception("version %d of %s cannot predict beside", other.version, other.name)
    return answer

"""What the command line asks of a served app, and how an app's arguments become its deployments."""

from __future__ import annotations

import asyncio
from io import StringIO
from types import SimpleNamespace

import httpx
import pytest
from pydantic import ValidationError
from rich.console import Console

from bellwether.errors import ServiceError
from pipelines import served
from pipelines.promote import promote
from pipelines.signal import view
from serve_apps.args import AppArgs
from serve_apps.deploying import DRAIN_S, deployment

COMPONENT = {
    "symbol": "SIM01",
    "action": "strong_sell",
    "probabilities": {"strong_sell": 0.41},
    "share": 0.083,
    "contribution": -0.166,
    "status": "fresh",
    "reason": None,
    "ts_event": "2025-06-13T20:00:00Z",
}
LATE = COMPONENT | {"status": "late", "reason": "shard 1 did not answer within 2.0 s", "action": None}
ANSWER = {
    "signal": "HOLD",
    "universe": "simulated-index",
    "wss": -1.234,
    "wss_probability": 0.123,
    "thresholds": {"buy": 0.5, "sell": -0.5},
    "coverage": 0.43,
    "bar_time": "2025-06-13T20:00:00Z",
    "model": {"name": "index-hourly", "version": 3},
    "reason": None,
    "components": [COMPONENT, LATE | {"probabilities": None, "ts_event": None}],
}


def test_a_signal_is_readable_at_80_columns():
    shown = Console(width=80, file=StringIO())
    shown.print(view(ANSWER))
    lines = shown.file.getvalue().splitlines()
    assert not any("…" in line for line in lines)
    assert any("strong_sell" in line and "41%" in line and "-0.166" in line and "06-13 20:00" in line for line in lines)
    assert "SIM01 late: shard 1 did not answer within 2.0 s" in lines[-1]


def replies(monkeypatch, *given: httpx.Response) -> list[str]:
    """Let an app reply in this order, the last again and again; the paths it is asked for."""
    left, asked = list(given), []

    def ask(method, url, path, key=None, **how):
        asked.append(f"{method} {path}")
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(served, "ask", ask)
    return asked


def lacking(*reasons: str) -> httpx.Response:
    return httpx.Response(503, json={"ready": False, "missing": list(reasons)})


def unrouted() -> httpx.Response:
    """What Serve's proxy says at a path that no app is deployed to yet."""
    from ray.serve._private.proxy import HTTPProxy

    async def said() -> list[dict]:
        return [one async for one in HTTPProxy.not_found_response(None, SimpleNamespace(path="/ready"))]

    start, body, _ = asyncio.run(said())
    return httpx.Response(start["status"], headers=start["headers"], content=body["body"])


def test_an_app_that_starts_is_waited_for(monkeypatch):
    asked = replies(monkeypatch, unrouted(), lacking("shard 1 is late"), httpx.Response(200))
    assert served.wait_ready("http://app") == []
    assert asked == ["GET /ready"] * 3


@pytest.mark.parametrize(
    "other",
    [
        httpx.Response(404, text="<h1>404 Not Found</h1>", headers={"content-type": "text/html"}),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(404, json={"status": 404}, headers={"content-type": "application/problem+json"}),
        httpx.Response(200, text="ready"),
    ],
)
def test_what_is_no_app_of_ours_is_not_waited_for(monkeypatch, other):
    asked = replies(monkeypatch, other)
    assert served.wait_ready("http://app") == []
    assert len(asked) == 1


def test_what_an_app_lacks_is_told_in_the_end(monkeypatch):
    replies(monkeypatch, lacking("shard 1 is late"))
    assert served.wait_ready("http://app", seconds=0.0) == ["shard 1 is late"]


def test_an_app_that_wants_a_key_is_not_waited_for(monkeypatch):
    asked = replies(monkeypatch, httpx.Response(401))
    assert served.wait_ready("http://app") == []
    assert len(asked) == 1


def test_a_reload_that_is_refused_says_what_the_app_says(monkeypatch):
    problem = {"detail": "the versions before stay: the model's horizon is 9"}
    replies(monkeypatch, httpx.Response(503, json=problem, headers={"content-type": "application/problem+json"}))
    with pytest.raises(ServiceError, match="http://app answered 503: the versions before stay"):
        served.reload("http://app")


@pytest.mark.parametrize(("given", "replicas"), [("2", 2), (2, 2), ("1-4", (1, 4)), ([1, 4], (1, 4))])
def test_replicas_are_a_number_or_bounds_also_as_text(given, replicas):
    assert AppArgs.model_validate({"recipe": "r", "replicas": given}).replicas == replicas


@pytest.mark.parametrize("wrong", ["0", "4-1", "some", "1-2-3", [0, 2]])
def test_no_replica_is_none(wrong):
    with pytest.raises(ValidationError):
        AppArgs.model_validate({"recipe": "r", "replicas": wrong})


@pytest.mark.parametrize("most", [-1, 1, "2"])
def test_a_queue_holds_a_request_or_has_no_limit(most):
    args = AppArgs.model_validate({"recipe": "r", "max_queued": most})
    assert deployment(SimpleNamespace, "Nothing", args).max_queued_requests == int(most)


@pytest.mark.parametrize("most", [0, -2, "0"])
def test_a_queue_of_none_is_refused_before_serve_refuses_it(most):
    with pytest.raises(ValidationError, match=f"at least 1 waits, or -1 for no limit; {most} came"):
        AppArgs.model_validate({"recipe": "r", "max_queued": most})


def test_a_deployment_has_what_its_app_was_asked_for():
    class Nothing:
        pass

    args = AppArgs(recipe="r", replicas=(1, 4), max_ongoing=10, max_queued=3)
    made = deployment(Nothing, "Nothing", args)
    scale = made._deployment_config.autoscaling_config
    assert (scale.min_replicas, scale.max_replicas, scale.target_ongoing_requests) == (1, 4, 5.0)
    assert (made.max_ongoing_requests, made.max_queued_requests) == (10, 3)
    assert (made.backpressure_config.status_code, made.backpressure_config.retry_after_s) == (503, 1)
    assert made._deployment_config.graceful_shutdown_timeout_s == DRAIN_S
    assert deployment(Nothing, "Nothing", AppArgs(recipe="r", replicas=3)).num_replicas == 3


def moved(monkeypatch, reload: str, after: dict[str, int]) -> list[str]:
    """What moves when a version of ``ticks.direction_1`` is promoted and an app is told."""
    moves: list[str] = []
    registry = SimpleNamespace(promote=lambda name, version, alias, **why: moves.append(f"{name} {version} {alias}"))
    recipe = SimpleNamespace(name="ticks.direction_1")
    workspace = SimpleNamespace(recipe=recipe, registry=registry, settings=SimpleNamespace(api_key=None))
    replies(monkeypatch, httpx.Response(200, json={"before": after, "after": after}))
    try:
        promote(workspace, 2, "Production", who="me", why="better", reload=reload)
    except ServiceError as error:
        moves.append(str(error))
    return moves


def test_a_promotion_told_to_another_app_is_an_error_that_names_what_it_serves(monkeypatch):
    first, why = moved(monkeypatch, "http://here", {"index-hourly": 1})
    assert first == "ticks.direction_1 2 Production"
    assert why == (
        "the alias is moved, and http://here is another app: it answers by index-hourly, not by ticks.direction_1"
    )
    assert moved(monkeypatch, "http://here", {"ticks": 1, "ticks.direction_1": 2}) == ["ticks.direction_1 2 Production"]


def test_what_is_no_address_is_refused_before_anything_moves(monkeypatch):
    (why,) = moved(monkeypatch, "127.0.0.1:8000", {})
    assert why.startswith("'127.0.0.1:8000' is no address of an app: it begins with http://")

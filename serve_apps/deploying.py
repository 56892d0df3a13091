"""How a class of an app becomes a Serve deployment: what all of them have in common."""

from __future__ import annotations

from typing import Any

from ray import serve

from serve_apps.args import AppArgs

CPUS = 0.1
"""What Ray reserves for a replica; an app of a few of them fits on one core."""

RETRY_AFTER_S = 1
"""What a request that is refused because too many wait is told."""

DRAIN_S = 15.0
"""How long a replica that is taken away may finish what it has begun."""

LOOK_S = 0.5
"""How often it looks whether it has."""

TELL_S = 2.0
"""How often proxies and handles tell the controller how many requests are under way.

Serve would rather have it said in the environment of its processes, which an app does not start; what it takes for
granted is 10 s, too seldom for the mean of the last 10 s that replicas are counted by.
"""


def deployment(of: type, name: str, args: AppArgs, access_log: bool = True) -> Any:
    """A class with the options that all deployments of an app share.

    A replica works on ``args.max_ongoing`` requests at a time. ``args.max_queued`` more wait at each proxy and each
    handle; beyond them the answer is 503 with Retry-After. ``args.replicas`` answer: so many, or between so many as
    requests under way ask for: more after some ten seconds in which they do, fewer after two minutes. A replica that
    is taken away gets no new request and finishes those it has.

    Parameters
    ----------
    of : type
        The class; an ingress comes wrapped by ``serve.ingress()``.
    name : str
        Of the deployment, unique in the app.
    args : AppArgs
        What the app was asked for.
    access_log : bool
        Whether each call is logged: shards need not, the ingress logs the request behind them.
    """
    return serve.deployment(
        name=name,
        max_ongoing_requests=args.max_ongoing,
        max_queued_requests=args.max_queued,
        backpressure_config={"status_code": 503, "retry_after_s": RETRY_AFTER_S},
        graceful_shutdown_timeout_s=DRAIN_S,
        graceful_shutdown_wait_loop_s=LOOK_S,
        ray_actor_options={"num_cpus": CPUS},
        logging_config={"enable_access_log": access_log},
        **_scale(args),
    )(of)


def _scale(args: AppArgs) -> dict[str, Any]:
    """A number of replicas, or bounds and when to move between them: at half of what a replica may work on."""
    if isinstance(args.replicas, int):
        return {"num_replicas": args.replicas}
    fewest, most = args.replicas
    return {
        "autoscaling_config": {
            "min_replicas": fewest,
            "max_replicas": most,
            "target_ongoing_requests": max(1.0, args.max_ongoing / 2),
            "metrics_interval_s": TELL_S,
            "look_back_period_s": 10.0,
            "upscale_delay_s": 5.0,
            "downscale_delay_s": 120.0,
        }
    }

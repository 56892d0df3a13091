"""What a replica knows of the Serve it runs in: where that listens, and where it keeps its logs."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

EVERYWHERE = "0.0.0.0"


def in_replica() -> bool:
    """Whether this process is a replica of Serve; False in tests that run an app by itself."""
    if "ray.serve" not in sys.modules:  # every replica has imported it, and it takes its time
        return False
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        serve.get_replica_context()
    except RayServeException:
        return False
    return True


async def listening_host() -> str | None:
    """The address that Serve's proxies listen on; None if they listen on none, or outside of a replica.

    Serve does not publish this: it is what its own replicas ask its controller. With HAProxy in front, Serve listens
    on all interfaces whatever the option says.

    Raises
    ------
    ray.exceptions.RayError, ValueError
        There is no controller to ask.
    """
    if not in_replica():
        return None
    import ray
    from ray.serve._private.constants import RAY_SERVE_ENABLE_HA_PROXY, SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    if RAY_SERVE_ENABLE_HA_PROXY:
        return EVERYWHERE
    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    options = await controller.get_http_config.remote()
    return None if options.host is None else str(options.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.7", "desk.example")]
    [True, True, True, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def logs_directory() -> Path | None:
    """Where Serve keeps this replica's logs; None outside of a replica."""
    if not in_replica():
        return None
    from ray.serve._private.logging_utils import get_serve_logs_dir

    return Path(get_serve_logs_dir())

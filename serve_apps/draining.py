"""Whether Serve is taking this replica away."""

from __future__ import annotations


def draining() -> bool:
    """Whether this process is a replica that has been told to finish what it has begun; False in any other.

    Serve waits for requests under way and does not tell them, so that one without an end would be cut off when its
    patience is over. The flag is Ray's own (2.60, `ray.serve._private.replica`); where it is not, the answer is False.

    >>> draining()
    False
    """
    from ray._private.worker import global_worker

    replicas = (getattr(actor, "_replica_impl", None) for actor in list(global_worker.actors.values()))
    return any(getattr(replica, "_shutting_down", False) for replica in replicas)

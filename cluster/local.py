"""A Ray to run on: the cluster this process was pointed to, or a private one for as long as it is needed."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from functools import cache
from pathlib import Path

from bellwether.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]

# Parallelism is one process a CPU; threads below that would only compete.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "ORT_DISABLE_TELEMETRY": "1",
    # Replicas answer on their main loop: two thread hops fewer a call. Nothing of ours blocks that loop.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}

# Ray's sockets are files 80 characters below this directory, and a socket's path has at most 107 bytes.
LONGEST_TEMP_DIR = 24

CONNECT_S = 10.0


@contextmanager
def local_ray(*, num_cpus: int | None = None, object_store_mb: int = 500, dashboard: bool = False) -> Iterator[str]:
    """A running Ray for the ``with`` block, as the address of its control store.

    A Ray that this process is already connected to is used as it is. Otherwise ``RAY_ADDRESS`` decides: with an
    address (a submitted job always has one) the process connects there and only disconnects at the end. Without
    one, or with ``local``, a private Ray is started and stopped again: its own temporary directory, ports and
    namespace, so that two of them do not notice each other.

    Ray listens on all interfaces. A private Ray is therefore closed by a token that no one else knows and that is
    never written to disk, unless ``RAY_AUTH_MODE`` or a token of one's own is set. Workers inherit one thread a
    library, and import Bellwether from where this process did, whatever the current directory holds.

    Parameters
    ----------
    num_cpus : int, optional
        Logical CPUs of a private Ray; as many as the machine lets this process use, if left out.
    object_store_mb : int
        Shared memory of a private Ray, in MB.
    dashboard : bool
        Whether a private Ray has a dashboard (on loopback). Its token is then Ray's own one, which
        ``ray get-auth-token`` prints.

    Raises
    ------
    ConfigError
        ``RAY_ADDRESS`` is the address of a dashboard, or nothing listens there.
    """
    import ray

    if ray.is_initialized():
        yield _address()
        return
    address = cluster_address()
    with _connected(address) if address else _private(num_cpus, object_store_mb, dashboard):
        yield _address()


def cluster_address() -> str | None:
    """The cluster that ``RAY_ADDRESS`` points to; None when Ray is to be started here."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"RAY_ADDRESS is {address}, a dashboard: submit the job there with `ray job submit`, or unset RAY_ADDRESS "
            "to run on this machine"
        )
    return None if address in ("", "local") else address


@contextmanager
def _connected(address: str) -> Iterator[None]:
    import ray

    _check_reachable(address)
    with _own_termination():
        ray.init(address=address)
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Fail at once where Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "://" in address:
        return  # `auto`, or a protocol of its own
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise ConfigError(
            f"RAY_ADDRESS is {address}, but nothing listens there ({error}): start Ray, or unset RAY_ADDRESS to run on "
            "a private one"
        ) from error


@contextmanager
def _private(num_cpus: int | None, object_store_mb: int, dashboard: bool) -> Iterator[None]:
    import ray

    temp = tempfile.mkdtemp(prefix="bw", dir=_short_directory())
    try:
        # A worker looks for modules in the directory Ray is started from first: a folder `data` there must be ours.
        with _environment(WORKER_ENVIRONMENT | _token(dashboard)), _own_termination(), chdir(ROOT):
            ray.init(
                address="local",
                num_cpus=num_cpus,
                object_store_memory=object_store_mb * 1_000_000,
                include_dashboard=dashboard,
                namespace=Path(temp).name,
                log_to_driver=False,
                logging_level=logging.INFO if dashboard else logging.ERROR,
                _temp_dir=str(Path(temp) / "ray"),  # Ray opens it to everyone; the directory around it is ours alone
            )
        yield
    finally:
        ray.shutdown(wait_for_processes=True)
        shutil.rmtree(temp, ignore_errors=True)  # a worker on its way out may still write a last line of log


def _address() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def _short_directory() -> str:
    directory = tempfile.gettempdir()
    return directory if len(directory) <= LONGEST_TEMP_DIR else "/tmp"


def _token(dashboard: bool) -> dict[str, str]:
    chosen = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    # With no mode set, starting a local Ray turns token mode on in this process; a mode set now, after ray was
    # imported, would reach its children only.
    return {} if chosen or dashboard else {"RAY_AUTH_TOKEN": _secret()}


@cache
def _secret() -> str:
    return secrets.token_hex(32)  # one a process, because Ray reads a process' token once


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """What is started inside inherits ``changes``; this process keeps none of them, nor what Ray adds."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _own_termination() -> Iterator[None]:
    """Ray replaces the handler of SIGTERM by one that exits; one that was chosen before stays in force."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

"""Where it runs: a private Ray disturbs nobody and leaves nothing, and the AWS cluster is closed to the world.

A private Ray is started from processes of their own, because a process can be connected to one Ray only.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from bellwether.errors import ConfigError
from cluster.local import cluster_address, local_ray

ROOT = Path(__file__).resolve().parents[1]

PRIVATE = """
import json, os, signal, sys, time
from pathlib import Path

def ended(*_):
    sys.exit(0)

signal.signal(signal.SIGTERM, ended)
from cluster.local import local_ray
import ray
before = dict(os.environ)

@ray.remote(num_cpus=1)
def seen():
    import data
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "RAY_AUTH_MODE")
    return {"data": data.__file__, "environment": {name: os.environ.get(name) for name in names}}

with local_ray(num_cpus=1, object_store_mb=100) as address:
    session = ray._private.worker._global_node.get_session_dir_path()
    told = ray.get(seen.remote()) | {
        "address": address,
        "temp": str(Path(session).parent),
        "nodes": len(ray.nodes()),
        "here": os.getcwd(),
        "kept": dict(os.environ) == before and signal.getsignal(signal.SIGTERM) is ended,
    }
    print(json.dumps(told), flush=True)
    sys.stdin.readline()
    assert ray.get(seen.remote())["data"] == told["data"]
assert not ray.is_initialized()
"""


def processes_of(home: Path) -> list[int]:
    """Everything that was started with this private HOME, directly or not."""
    mark = f"HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or not ours
    return found


def start(tmp_path: Path, name: str) -> tuple[subprocess.Popen[str], Path]:
    """A driver as a person starts it: from a folder of their own, which happens to hold a package `data`."""
    home, script = tmp_path / name, tmp_path / "bin" / f"{name}.py"
    for folder in (home, script.parent, tmp_path / "project" / "data"):
        folder.mkdir(parents=True, exist_ok=True)
    script.write_text(PRIVATE, encoding="utf-8")
    (tmp_path / "project" / "data" / "__init__.py").write_text("raise ImportError('not the data of Bellwether')")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_") and k != "OMP_NUM_THREADS"}
    env = kept | {"HOME": str(home), "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, script], cwd=tmp_path / "project", env=env, text=True, **pipes), home


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two private Rays at once, what each saw, and what is left of the first while the second still works."""
    tmp_path = tmp_path_factory.mktemp("two")
    drivers = [start(tmp_path, "one"), start(tmp_path, "other")]
    try:
        told = [json.loads(driver.stdout.readline() or driver.communicate()[1]) for driver, _ in drivers]
        ends = []
        for driver, home in drivers:
            _, errors = driver.communicate("go on\n", timeout=60)
            ends.append((driver.returncode, errors, processes_of(home)))
        yield told, ends, [home for _, home in drivers]
    finally:
        for driver, _ in drivers:
            driver.kill()
            driver.wait()


@pytest.mark.ray
def test_two_private_rays_do_not_notice_each_other(two):
    (one, other), ends, _ = two
    assert one["address"] != other["address"]
    assert one["nodes"] == other["nodes"] == 1
    assert [code for code, _, _ in ends] == [0, 0]  # the second went on working after the first was stopped


@pytest.mark.ray
def test_a_private_ray_leaves_no_process_no_file_and_no_word(two):
    told, ends, homes = two
    for seen, (_, errors, left), home in zip(told, ends, homes, strict=True):
        assert left == []
        assert not Path(seen["temp"]).exists()
        assert not (home / ".ray").exists()
        assert errors == ""


@pytest.mark.ray
def test_workers_import_our_packages_whatever_the_current_directory_holds(two):
    for seen in two[0]:
        assert Path(seen["data"]) == ROOT / "data" / "__init__.py"
        assert Path(seen["here"]).name == "project"


@pytest.mark.ray
def test_workers_have_one_thread_a_library_and_a_token(two):
    for seen in two[0]:
        expected = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        assert seen["environment"] == expected | {"RAY_AUTH_MODE": "token"}


@pytest.mark.ray
def test_the_environment_and_the_signals_of_the_process_stay_as_they_were(two):
    assert [seen["kept"] for seen in two[0]] == [True, True]


@pytest.mark.ray
def test_a_stranger_without_the_token_is_refused(tmp_path):
    driver, _ = start(tmp_path, "closed")
    try:
        address = json.loads(driver.stdout.readline())["address"]
        script = f"import ray; ray.init(address={address!r}, logging_level='ERROR'); print(ray.cluster_resources())"
        env = os.environ | {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a guess" * 8}
        stranger = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert stranger.returncode != 0
        assert "InvalidAuthToken" in stranger.stderr
        driver.communicate("go on\n", timeout=60)
        assert driver.returncode == 0
    finally:
        driver.kill()
        driver.wait()

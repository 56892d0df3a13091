"""Where it runs: a private Ray disturbs nobody and leaves nothing, and the AWS cluster is closed to the world.

A private Ray is started from processes of their own, because a process can be connected to one Ray only.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
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
        "temp": str(Path(session).parents[1]),
        "mode": Path(session).parents[1].stat().st_mode & 0o777,
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


def knock(address: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Somebody else on the network, who asks for the resources of a private Ray with a guessed token."""
    script = f"import ray; ray.init(address={address!r}, logging_level='ERROR'); print(ray.cluster_resources())"
    guess = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "guess" * 8, "RAY_NUM_REDIS_GET_RETRIES": "1"}
    env = os.environ | {"HOME": str(home)} | guess
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two private Rays at once: what each saw, what is left of the first while the second works, and a stranger."""
    tmp_path = tmp_path_factory.mktemp("two")
    drivers = [start(tmp_path, "one"), start(tmp_path, "other")]
    try:
        told = [json.loads(driver.stdout.readline() or driver.communicate()[1]) for driver, _ in drivers]
        stranger = knock(told[0]["address"], tmp_path)
        ends = []
        for driver, home in drivers:
            _, errors = driver.communicate("go on\n", timeout=60)
            ends.append((driver.returncode, errors, processes_of(home)))
        yield told, ends, [home for _, home in drivers], stranger
    finally:
        for driver, _ in drivers:
            driver.kill()
            driver.wait()


@pytest.mark.ray
def test_two_private_rays_do_not_notice_each_other(two):
    (one, other), ends, *_ = two
    assert one["address"] != other["address"]
    assert one["nodes"] == other["nodes"] == 1
    assert [code for code, _, _ in ends] == [0, 0]  # the second went on working after the first was stopped


@pytest.mark.ray
def test_a_private_ray_leaves_no_process_no_file_and_no_word(two):
    told, ends, homes, _ = two
    for seen, (_, errors, left), home in zip(told, ends, homes, strict=True):
        assert left == []
        assert seen["mode"] == 0o700
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
def test_a_stranger_without_the_token_is_refused(two):
    *_, stranger = two
    assert stranger.returncode != 0
    assert "InvalidAuthToken" in stranger.stderr


@pytest.mark.ray
def test_a_ray_that_is_already_there_is_used_and_left_alone(ray_cluster):
    before = ray.get_runtime_context().gcs_address
    with local_ray(num_cpus=64) as address:
        assert address == before
    assert ray.is_initialized()


@pytest.mark.parametrize(("value", "address"), [("", None), ("local", None), ("auto", "auto"), ("h:6379", "h:6379")])
def test_ray_address_says_where_to_run(value, address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", value)
    assert cluster_address() == address


def test_the_address_of_a_dashboard_is_refused_with_the_way_to_submit(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(ConfigError, match="ray job submit"):
        cluster_address()


def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(ConfigError, match="nothing listens"), local_ray():
        pytest.fail("there is no Ray to run on")
    assert time.monotonic() - started < 5


@pytest.fixture(scope="module")
def aws() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))


def commands(aws: dict[str, Any], *keys: str) -> str:
    return "\n".join(line for key in keys for line in aws[key])


def test_the_aws_cluster_is_what_ray_accepts(aws):
    prepared = prepare_config(copy.deepcopy(aws))
    validate_config(prepared)
    with pytest.raises(Exception, match="head_node_typo"):
        validate_config(prepared | {"head_node_typo": "head"})


def test_the_aws_cluster_is_closed_to_the_world(aws):
    assert aws["provider"]["use_internal_ips"] is True
    assert "0.0.0.0" not in (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    for node in aws["available_node_types"].values():
        # Without a group of one's own Ray makes one that lets SSH in from anywhere.
        assert node["node_config"]["SecurityGroupIds"]
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        assert node["node_config"]["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True


def test_every_node_of_the_aws_cluster_asks_for_the_token(aws):
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = [line for line in aws[key] if "ray start" in line]
        assert len(starts) == 1
        assert "RAY_AUTH_MODE=token ray start" in starts[0]
    assert "chmod 600 ~/.ray/auth_token" in commands(aws, "setup_commands")
    assert "--dashboard-host=127.0.0.1" in commands(aws, "head_start_ray_commands")


def test_the_aws_cluster_runs_the_versions_of_the_constraints(aws):
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert pinned["ray"] == ray.__version__
    installs = [line for line in commands(aws, "setup_commands", "head_setup_commands").splitlines() if "pip" in line]
    assert len(installs) == 2
    assert all("--constraint ~/bellwether/constraints.txt" in line and "==" not in line for line in installs)
    assert "boto3" in pinned


def test_everything_the_aws_cluster_installs_is_sent_there(aws):
    mounts = aws["file_mounts"]
    assert [local for local in mounts.values() if not local.startswith("~") and not (ROOT / local).exists()] == []
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert {f"~/bellwether/{name}" for name in packages} <= mounts.keys()


def test_the_aws_cluster_grows_from_nothing_and_shrinks_again(aws):
    head, *workers = aws["available_node_types"].values()
    assert head["resources"]["CPU"] == 0
    assert [worker["min_workers"] for worker in workers] == [0] * len(workers)
    assert 0 < aws["idle_timeout_minutes"] <= 10
    assert max(worker["max_workers"] for worker in workers) <= aws["max_workers"]


def test_every_process_of_the_aws_cluster_finds_shared_storage(aws, tmp_path):
    [writes] = [line for line in aws["setup_commands"] if "bellwether.env" in line]
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for _ in range(2):  # `ray up` runs the set-up again when something changed
        subprocess.run(["bash", "-c", f"true && ({writes})"], env=env, check=True)
    assert (tmp_path / ".bashrc").read_text().count("bellwether.env") == 1
    shown = subprocess.run(["bash", "-c", ". ~/.bashrc; env"], env=env, check=True, capture_output=True, text=True)
    seen = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert seen["BELLWETHER_LAKE"].startswith("s3://")
    assert seen["BELLWETHER_RUNS"].startswith("s3://")
    assert seen["BELLWETHER_TRACKING_URI"].startswith("http")
    assert seen["BELLWETHER_LEDGER"].startswith("/mnt/")
    assert seen["RAY_AUTH_MODE"] == "token"
    assert seen["PATH"].startswith(f"{tmp_path}/venv/bin:")

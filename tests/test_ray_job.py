"""``ray job submit`` against a ``ray start --head`` of its own: private ports, home and token; ended by process id."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from ray._private.runtime_env.packaging import get_excludes_from_ignore_files

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

ENTRY = ("python", "-m", "pipelines.train", "index-hourly", "--families", "logistic", "--trials", "1")
SAYS = "registered index-hourly version 1"

PROBE = """
import json, os
from pathlib import Path
import data, ray
from cluster.local import local_ray

@ray.remote(num_cpus=0.1)
def imported():
    import data
    return data.__file__

with local_ray(num_cpus=64) as address:
    told = {
        "address": address,
        "nodes": [node["NodeID"] for node in ray.nodes()],
        "driver": data.__file__,
        "worker": ray.get(imported.remote()),
        "files": sorted(os.listdir()),
        "home": os.environ["HOME"],
    }
print("PROBE" + json.dumps(told))
"""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A running ``ray start --head``: where its dashboard is, and what a client needs to talk to it."""

    url: str
    env: dict[str, str]
    token: str

    def submit(self, *entry: str) -> subprocess.CompletedProcess[str]:
        """Submit from the root of the checkout and wait for the end of the job."""
        command = [str(BIN / "ray"), "job", "submit", "--address", self.url, "--working-dir", ".", "--", *entry]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=420, check=False)

    def ask(self, token: str) -> int:
        """Status of the Jobs API for this token."""
        return httpx.get(f"{self.url}/api/jobs/", headers={"Authorization": f"Bearer {token}"}).status_code


def free_ports(n: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def processes_of(home: Path) -> list[int]:
    """Everything that was started with this private HOME, directly or not."""
    mark, found = f"HOME={home}".encode(), []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or not ours
    return found


def wait_until(true, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} after {seconds} s"
        time.sleep(0.2)


def answers(head: Head) -> bool:
    try:
        return head.ask(head.token) == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    temp = Path(tempfile.mkdtemp(prefix="bwj", dir="/tmp"))  # short: sockets live below it
    home, token = temp / "home", secrets.token_hex(32)
    home.mkdir()
    (temp / "token").touch(mode=0o600)
    (temp / "token").write_text(token, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "BELLWETHER_"))}
    env = kept | {
        "HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(temp / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "BELLWETHER_HOME": str(home / "bellwether"),
    }
    gcs, client, agent, dashboard = free_ports(4)
    command = [
        *(str(BIN / "ray"), "start", "--head", "--block", "--num-cpus", "2", "--object-store-memory", "200000000"),
        *("--port", str(gcs), "--ray-client-server-port", str(client), "--dashboard-agent-listen-port", str(agent)),
        *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard), "--temp-dir", str(temp / "ray")),
    ]
    with (temp / "log").open("w") as log:
        started = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        running = Head(url=f"http://127.0.0.1:{dashboard}", env=env, token=token)
        wait_until(lambda: answers(running), "the Jobs API does not answer")
        yield running
    finally:
        end(started, home)
        shutil.rmtree(temp, ignore_errors=True)


def end(started: subprocess.Popen[bytes], home: Path) -> None:
    """End the head and whatever it started, each by its id, and nothing else on this machine."""
    started.terminate()
    with suppress(subprocess.TimeoutExpired):  # Ray waits for half a minute for some of its processes
        started.wait(timeout=5)
    for pid in processes_of(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    started.wait()
    wait_until(lambda: not processes_of(home), "processes of the head are left", seconds=10)


@pytest.fixture(scope="module")
def probed(head) -> dict[str, object]:
    """What a job sees."""
    job = head.submit("python", "-c", PROBE)
    assert job.returncode == 0, job.stdout + job.stderr
    [line] = [line for line in job.stdout.splitlines() if line.startswith("PROBE{")]
    return json.loads(line.removeprefix("PROBE"))


def test_a_submitted_training_job_runs(head):
    job = head.submit(*ENTRY)
    assert job.returncode == 0, job.stdout + job.stderr
    assert SAYS in job.stdout
    assert {"lake", "mlflow.db"} <= {path.name for path in Path(head.env["BELLWETHER_HOME"]).iterdir()}


def test_a_job_runs_on_the_cluster_it_was_submitted_to(head, probed):
    assert probed["home"] == head.env["HOME"]
    assert len(probed["nodes"]) == 1
    assert head.ask(head.token) == 200  # the job only disconnected


def test_a_job_and_its_workers_import_the_code_that_was_submitted(probed):
    assert probed["driver"] == probed["worker"]
    assert "runtime_resources/working_dir_files" in probed["driver"]


def test_the_upload_holds_the_packages_and_nothing_that_git_ignores(probed):
    assert {"bellwether", "data", "tune", "serve_apps", "cluster", "pipelines"} <= set(probed["files"])
    assert not {".venv", ".git", ".bellwether", ".mypy_cache", ".pytest_cache"} & set(probed["files"])


def test_the_jobs_api_refuses_without_the_token(head):
    assert head.ask("guess" * 8) in (401, 403)


@pytest.mark.parametrize("path", [".bellwether/lake/bars", ".venv/lib", "mlruns/0", ".ruff_cache/x", "dist/x.whl"])
def test_what_git_ignores_is_not_uploaded(path):
    excludes = get_excludes_from_ignore_files(ROOT, include_gitignore=True)
    assert any(matches(ROOT / path) for matches in excludes)
    assert not any(matches(ROOT / "data" / "lake.py") for matches in excludes)

"""What every test may use: small recipes, and one Ray cluster for the whole session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "30")  # beside other tests, 5 s may not do

MARKET_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Real market files, read in place; a test that needs them skips where they are absent."""
    if not MARKET_DATA.is_dir():
        pytest.skip("real market files (../shared/data) are not on this machine")
    return MARKET_DATA


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One small local Ray for every test marked ``ray``."""
    import ray

    temp = tempfile.mkdtemp(prefix="bw")  # short: socket paths below it are limited to 107 bytes
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=300_000_000,
        _temp_dir=temp,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}},
        log_to_driver=False,
    )
    yield
    ray.shutdown()
    shutil.rmtree(temp, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh installation: lake, registry, runs and ledger below a temporary directory."""
    for name in [n for n in os.environ if n.startswith("BELLWETHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BELLWETHER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"

"""What every test may use: small recipes, and one Ray cluster for the whole session."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from benchmarks.installation import Installation
    from benchmarks.page_app import Served

OnServe = Callable[..., AbstractContextManager[str]]

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_worker_niceness", "0")  # by itself, Ray's workers wait behind the tests beside them
os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "30")  # beside other tests, 5 s may not do

settings.register_profile("untimed", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("untimed")

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


@pytest.fixture(scope="session")
def on_serve(ray_cluster: None) -> Iterator[OnServe]:
    """``on_serve(name=app)``: the address of one Serve for all, with these apps under their names while needed.

    It is started when first asked for, and again after a test that needs Serve in another way has shut it down.
    """
    from ray import serve

    from pipelines.demo import free_port

    port = 0

    @contextmanager
    def deployed(**apps: Any) -> Iterator[str]:
        nonlocal port
        if not listens(port):
            serve.shutdown()
            port = free_port()
            serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run_many([serve.RunTarget(app, name=name, route_prefix=f"/{name}") for name, app in apps.items()])
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            for name in apps:
                serve.delete(name)

    yield deployed
    serve.shutdown()


def listens(port: int) -> bool:
    """Whether somebody listens there on loopback."""
    with socket.socket() as probe:
        return bool(port) and probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh installation: lake, registry, runs and ledger below a temporary directory."""
    for name in [n for n in os.environ if n.startswith("BELLWETHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BELLWETHER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def made_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation of trades with a lake of the test's own. All such share a registry, which is opened once: that,
    and to fetch models, takes longer than most of their tests."""
    from benchmarks.tick_in_process import opened, with_own_lake
    from serve_apps.stores import Stores

    monkeypatch.setattr(Stores, "open_registry", opened)
    return with_own_lake(tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The index signal's app with its page, on a port of its own."""
    from benchmarks.page_app import Served
    from benchmarks.page_browser import running

    with running(Served(tmp_path_factory.mktemp("page"))) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium or Chrome."""
    from playwright.sync_api import expect, sync_playwright

    from benchmarks.page_browser import BROWSERS, installed

    if (path := installed()) is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on the PATH")
    expect.set_options(timeout=30_000)  # machines of CI do other things, too
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path)
        yield found
        found.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has the scripts already."""
    found = browser.new_context(viewport={"width": 1280, "height": 844})
    yield found
    found.close()

"""The page in the browser of this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.page_app import Served

BROWSERS = ("chromium", "google-chrome", "chromium-browser")


def installed() -> str | None:
    """Where a browser is. On a machine of CI one is installed, if that is allowed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(command, check=False, capture_output=True, timeout=240)
        found = shutil.which("chromium")
    return found


@contextmanager
def running(found: Served) -> Iterator[Served]:
    """It answers, in a thread."""
    thread = threading.Thread(target=lambda: asyncio.run(found.serve()), daemon=True)
    thread.start()
    while found.server is None or not found.server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield found
    found.server.should_exit = True
    thread.join(timeout=20)


@contextmanager
def opened(where: Browser | BrowserContext, served: Served, path: str = "", **how: Any) -> Iterator[Page]:
    """The page, loaded; or another ``path`` of the app."""
    page = where.new_page(**how)
    page.goto(served.address + path)
    try:
        yield page
    finally:
        page.close()


def show(page: Page, module: str, function: str, value: Any) -> None:
    """Let a module of the page show a value, as if the app had just sent it."""
    page.evaluate(f"async (value) => (await import('/page/{module}.js')).{function}(value)", value)

"""A picture of the page of a running server: ``python -m benchmarks.page_picture http://127.0.0.1:8000 docs/page.png``.

Needs Chromium or Chrome on the ``PATH``. ``--dark`` and ``--width 390`` show it as others see it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.page_browser import BROWSERS, installed


def picture(address: str, path: Path, *, width: int, height: int, dark: bool) -> None:
    """Write what a reader sees once the chart is drawn; ``height`` 0 takes the whole page."""
    if (browser_path := installed()) is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path)
        scheme = "dark" if dark else "light"
        page = browser.new_page(viewport={"width": width, "height": height or 900}, color_scheme=scheme)
        page.goto(address)
        page.locator("#chart[data-drawn] .main-svg").first.wait_for(timeout=60_000)
        page.wait_for_timeout(500)  # the needle of the gauge moves to its place
        page.screenshot(path=path, full_page=not height)
        browser.close()
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("path", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=1360, help="0: the whole page")
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args()
    picture(given.address, given.path, width=given.width, height=given.height, dark=given.dark)


if __name__ == "__main__":
    main()

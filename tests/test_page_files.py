"""The files of the page: kept by the browser while they are the same, and nothing but them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serve_apps.web.pages import PAGE, install_page


@pytest.fixture(scope="module")
def files() -> Any:
    api = FastAPI()
    install_page(api)

    def get(path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://app") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())

    return get


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/page/style.css", "/page/icon.svg"])
def test_a_file_that_has_not_changed_is_not_sent_again(files, path):
    first = files(path)
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    assert "script-src 'self';" in first.headers["content-security-policy"]
    again = files(path, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert files(path, **{"If-None-Match": '"other"'}).status_code == 200


def test_plotly_is_kept_for_good_under_the_address_of_its_version(files):
    asked = re.search(r'data-plotly="([^"]+)"', files("/").text)
    assert asked is not None
    script = files(f"/page/plotly.js?v={asked[1]}")
    assert len(script.content) > 1_000_000
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"].endswith("immutable")
    assert files("/page/plotly.js?v=0").headers["cache-control"] == "no-cache"
    assert files("/page/plotly.js", **{"If-None-Match": script.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/page/other.js", "/page/index.html", "/page/..%2Fargs.py", "/page/%2e%2e/args.py"])
def test_nothing_else_is_served(files, path):
    assert files(path).status_code == 404


def test_the_page_needs_no_other_host():
    elsewhere = {path.name: re.findall(r"(?:https?:)?//[a-z][\w.-]+\.\w+", path.read_text()) for path in PAGE.iterdir()}
    assert {name: found for name, found in elsewhere.items() if set(found) - {"http://www.w3.org"}} == {}
    assert not [
        path.name
        for path in PAGE.iterdir()
        if re.search(r"\.innerHTML|\.outerHTML|insertAdjacentHTML", path.read_text())
    ]

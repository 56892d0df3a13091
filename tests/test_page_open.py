"""The page where it is hard to use: on a phone, and where the documentation behind it needs a key."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from bellwether.config.keys import KeyFile
from benchmarks.page_app import Served
from benchmarks.page_browser import opened, running
from serve_apps.web.guard import Safety


def test_the_documentation_opens_with_the_key_that_the_page_holds_and_asks_for_one_by_itself(browser, tmp_path):
    keys = KeyFile(str(tmp_path / "keys.json"))
    reader = keys.add("reader", ["read"])
    safety = Safety(required=True, keys=str(keys.path))
    with running(Served(tmp_path, safety)) as locked, opened(browser, locked) as page:
        title = page.get_by_role("heading", name="Bellwether index signal")
        field = page.get_by_label("API key", exact=True)
        field.fill(reader)
        field.press("Enter")
        expect(page.locator("#link")).to_have_text("Live")
        page.get_by_role("link", name="The HTTP interface").click()
        expect(title).to_be_visible()
        expect(field).to_be_hidden()
        with page.expect_download() as saved:
            page.get_by_role("link", name="openapi.json").click()
        assert "/signal/index" in saved.value.path().read_text()
        page.evaluate("sessionStorage.clear()")
        page.reload()
        for given, said in ((None, "kept in this tab"), ("bw_€", "kept in this tab"), ("bw_wrong", "not known")):
            if given is not None:
                field.fill(given)
                field.press("Enter")
            expect(page.locator("#key-note")).to_contain_text(said)
            expect(field).to_be_focused()
            expect(title).to_be_hidden()
        field.fill(reader)
        field.press("Enter")
        expect(title).to_be_visible()
        expect(field).to_be_hidden()


@pytest.mark.parametrize("width", [390, 320])
def test_no_table_of_the_models_scrolls_sideways_on_a_phone(context, served, width):
    with opened(context, served) as page:
        page.set_viewport_size({"width": width, "height": 844})
        expect(page.locator("#versions tbody tr")).to_have_count(2)
        expect(page.locator("#leaderboard tbody tr")).to_have_count(2)
        hidden = page.locator("#leaderboard .scroll, #versions .scroll").evaluate_all(
            "all => all.map(e => e.scrollWidth - e.clientWidth)"
        )
        assert hidden == [0, 0]
        cell = page.get_by_role("table", name="Versions of").get_by_role("cell", name="passed").first
        assert cell.evaluate("e => getComputedStyle(e, '::before').content") == '"Gate"'
        assert page.get_by_role("table", name="Versions of").get_by_role("columnheader").count() == 5

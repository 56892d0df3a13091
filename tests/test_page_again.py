"""The page drawn again while somebody is in it: the keyboard and the scrolling stay where they were."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from benchmarks.page_app import Served
from benchmarks.page_browser import opened, show

AGAIN = {
    "#drift": ("drift", "showDrift", "/drift"),
    "#history-table": ("history", "showHistory", "/signal/index/history"),
    "#leaderboard": ("models", "showLeaderboard", "/leaderboard"),
    "#versions": ("models", "showVersions", "/versions"),
}
"""What draws the tables of a section again: module and function of the page, and what it shows."""


def drawn(page: Page, served: Served) -> None:
    """All tables are there, and open."""
    page.locator("#history-table").evaluate("details => { details.open = true }")
    expect(page.locator("#drift tbody tr")).to_have_count(len(served.get("/drift")["features"]))
    page.locator("#drift details").evaluate("details => { details.open = true }")
    for place in ("#leaderboard", "#versions", "#history-table"):
        expect(page.locator(place).locator("tbody tr").first).to_be_visible()


def test_what_is_drawn_again_keeps_the_keyboard_where_it_was(context, served):
    with opened(context, served) as page:
        drawn(page, served)
        for section, draw in AGAIN.items():
            found = served.get(draw[2])
            stops = page.locator(f"{section} :is(summary, .scroll)").all()
            assert stops
            for stop in stops:
                stop.focus()
                show(page, *draw[:2], found)
                expect(stop).to_be_focused()
                assert stop.evaluate("stop => stop.matches(':focus-visible')")


def test_what_is_drawn_again_stays_scrolled_as_it_was(context, served):
    where = "region => [region.scrollLeft, region.scrollTop, scrollY]"
    with opened(context, served) as page:
        page.set_viewport_size({"width": 500, "height": 844})
        drawn(page, served)
        for section in ("#drift", "#history-table"):
            region = page.locator(f"{section} .scroll")
            page.locator(section).evaluate("section => { section.style.width = '180px' }")
            region.evaluate("region => { region.scrollIntoView(); region.scrollTo(9, 40); region.dataset.old = true }")
            before = region.evaluate(where)
            show(page, *AGAIN[section][:2], served.get(AGAIN[section][2]))
            assert region.get_attribute("data-old") is None  # another element, in the place of the one before
            assert region.evaluate(where) == before
            assert before[:2] == [9, 40]


def test_while_there_is_no_table_the_keyboard_is_at_the_heading_and_it_comes_back_as_it_was_left(context, served):
    with opened(context, served) as page:
        drawn(page, served)
        page.locator("#drift summary").press("Enter")
        show(page, "drift", "showDrift", None)
        expect(page.locator("#drift-title")).to_be_focused()
        show(page, "drift", "showDrift", served.get("/drift"))
        expect(page.locator("#drift-title")).to_be_focused()
        expect(page.locator("#drift details")).not_to_have_attribute("open", "")

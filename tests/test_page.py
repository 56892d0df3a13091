"""The page in a browser: what it shows, that it follows the lake, and that anyone can use it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from bellwether.config.keys import KeyFile
from benchmarks.page_app import Served
from benchmarks.page_browser import opened, running, show
from serve_apps.web.guard import Safety

MARKUP = "<img src=x onerror=\"window.ran='yes'\">"


def with_chart(page: Page) -> None:
    expect(page.locator("#chart .main-svg").first).to_be_visible()


def rows(page: Page) -> list[str]:
    return page.locator("table.components tbody th").all_text_contents()


# --- what it loads --------------------------------------------------------------------------------


def test_it_loads_without_errors_and_without_asking_another_host(context, served):
    asked, complaints = [], []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(served.address)
    with_chart(page)
    expect(page.locator("#link")).to_have_text("Live")
    page.wait_for_load_state("load")
    assert complaints == []
    assert {url.split("/")[2] for url in asked if not url.startswith(("data:", "blob:"))} == {
        served.address.split("/")[2]
    }
    page.close()


def test_it_shows_what_the_signal_says(context, served):
    signal = served.get("/signal/index")
    with opened(context, served) as page:
        expect(page.locator("#call")).to_have_text(signal["signal"])
        assert float(page.locator("#wss").inner_text().replace("−", "-")) == round(signal["wss"], 3)
        assert rows(page) == [c["symbol"] for c in signal["components"]]
        first = signal["components"][0]
        cells = page.locator("table.components tbody tr").first.locator("td")
        assert first["action"].replace("_", " ") in cells.nth(0).inner_text()
        said = re.findall(r"([a-z ]+?) (\d+) %", cells.nth(1).text_content())
        assert [int(p) for _, p in said] == [round(100 * p) for p in first["probabilities"].values()]
        assert [name for name, _ in said] == [name.replace("_", " ") for name in first["probabilities"]]
        mean = signal["expected_return"]["mean"]
        expect(page.locator("#facts")).to_contain_text(f"{1e4 * mean:+.1f} bp".replace("-", "−"))
        expect(page.locator("#facts")).to_contain_text("90 % interval")


def test_it_shows_what_the_registry_says(context, served):
    with opened(context, served) as page:
        expect(page.locator("#leaderboard tbody tr")).to_have_count(2)
        assert page.locator("#leaderboard tbody th").all_text_contents() == ["logistic champion", "majority baseline"]
        assert page.locator("#versions tbody th").all_text_contents() == ["7 Production answering", "6"]
        assert page.locator("#versions .moves li span").all_text_contents() == [
            "ada promoted Production to version 7, before 6",
            "ada promoted Production to version 6",
        ]


def test_bars_that_the_model_was_fitted_on_are_shaded_and_said_to_be(context, served):
    history = served.get("/signal/index/history")
    for bar in history["bars"][:4]:
        bar["in_training"] = True
    with opened(context, served) as page:
        with_chart(page)
        show(page, "history", "showHistory", history)
        expect(page.locator("#chart")).to_contain_text("in training: no forecast")
        expect(page.locator("#chart .shapelayer path")).to_have_count(4)  # the shade, two thresholds and zero
        expect(page.locator("#history-text")).to_contain_text("the 4 shaded bars")
        listed = page.locator("#history-table tbody tr td:last-child").all_text_contents()
        assert (listed.count("yes"), listed.count("no")) == (4, len(history["bars"]) - 4)


# --- drift ----------------------------------------------------------------------------------------


def test_drift_is_shown_beside_what_is_usual(context, served):
    found = served.get("/drift")
    assert found["state"] == "usual"
    with opened(context, served) as page:
        drift = page.locator("#drift")
        expect(drift.locator(".verdict")).to_contain_text("As usual. The features of the last 30 bars look like")
        expect(drift.locator("dl")).to_contain_text(f"{found['psi']:.3f}")
        expect(drift.locator("dl")).to_contain_text(f"{found['usual']:.3f}")
        expect(drift.locator("dl")).to_contain_text(f"5 % at most of {found['windows']} windows")
        expect(drift.locator("dl")).to_contain_text("150 rows")
        expect(drift.locator("tbody tr")).to_have_count(len(found["features"]))
        expect(drift.locator("summary")).to_contain_text(f"of {len(found['features'])} features beyond what is usual")


def test_what_moved_is_said_to_have_moved_and_the_features_that_did_come_first(context, served):
    found = served.get("/drift") | {"state": "moved", "psi": 0.9, "usual": 0.2, "in_training": 40}
    for one in found["features"]:
        one["moved"] = one["name"] in ("atr_14", "hour")
        one |= {"psi": 3.0 * one["usual"] if one["moved"] else 0.5 * one["usual"]}
    with opened(context, served) as page:
        with_chart(page)
        show(page, "drift", "showDrift", found)
        drift = page.locator("#drift")
        expect(drift.locator(".verdict")).to_contain_text("Moved. The features of the last 30 bars do not look like")
        expect(drift.locator("dl")).to_contain_text("40 of them no later than the training rows")
        assert set(drift.locator("tbody th").all_text_contents()[:2]) == {"atr_14", "hour"}
        states = drift.locator("tbody td:last-child").all_text_contents()
        assert states == ["beyond"] * 2 + ["usual"] * (len(found["features"]) - 2)
        expect(drift.locator("summary")).to_contain_text(f"2 of {len(states)} features beyond what is usual")


def test_a_feature_that_never_strays_does_not_hide_one_that_did(context, served):
    found = served.get("/drift")
    small, still, moved = ("usual", 0.1, 0.2, False), ("still", 0.0, 0.0, False), ("far", 0.6, 0.2, True)
    changed = ("changed", 0.1, 0.0, True)
    with opened(context, served) as page:
        expect(page.locator("#drift tbody tr")).to_have_count(len(found["features"]))
        for order in ((small, still, moved, changed), (still, changed, small, moved)):
            features = [dict(zip(("name", "psi", "usual", "moved"), one, strict=True)) for one in order]
            show(page, "drift", "showDrift", found | {"features": features})
            names = page.locator("#drift tbody th").all_text_contents()
            assert names == ["changed", "far", "usual", "still"]


def test_where_drift_is_not_known_the_page_says_why(context, served):
    unknown = dict.fromkeys(served.get("/drift")) | {"state": "unknown", "reason": "it reads prices", "features": []}
    with opened(context, served) as page:
        with_chart(page)
        show(page, "drift", "showDrift", unknown)
        expect(page.locator("#drift")).to_contain_text("Not known. it reads prices.")
        page.evaluate("async () => (await import('/page/drift.js')).showDrift(null, 'shard 1 failed')")
        expect(page.locator("#drift")).to_contain_text("Drift is not known: shard 1 failed.")


def test_on_a_phone_the_table_of_features_is_folded_until_it_is_opened(context, served):
    with opened(context, served) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload()
        table, summary = page.locator("#drift table"), page.locator("#drift summary")
        expect(summary).to_be_visible()
        expect(table).to_be_hidden()
        summary.focus()
        page.keyboard.press("Enter")
        expect(table).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        show(page, "drift", "showDrift", served.get("/drift"))
        expect(table).to_be_visible()


# --- universes ------------------------------------------------------------------------------------


def test_a_reader_chooses_among_universes(context, served):
    with opened(context, served) as page:
        page.get_by_label("Universe").select_option("pair")
        expect(page.locator("#universe-name")).to_have_text("pair")
        expect(page.locator("table.components tbody th")).to_have_text(["S003", "S001"])


# --- live -----------------------------------------------------------------------------------------


def test_a_bar_that_arrives_is_shown_without_loading_again(context, served):
    with opened(context, served) as page:
        expect(page.locator("#link")).to_have_text("Live")
        with_chart(page)
        page.evaluate("window.same = true")
        before = page.locator("#facts").inner_text()
        closed = served.get("/signal/index")["bar_time"]
        served.grow()
        expect(page.locator(f'#chart:not([data-drawn="{closed}"])')).to_be_attached()
        newest = served.get("/signal/index")["bar_time"]
        expect(page.locator(f'#chart[data-drawn="{newest}"]')).to_be_attached()
        expect(page.locator("#facts")).not_to_have_text(before, use_inner_text=True)
        assert page.evaluate("window.same")


def test_a_component_without_the_newest_bars_is_shown_as_stale(context, served):
    late = served.app.symbols[1]
    with opened(context, served) as page:
        row = page.locator("table.components tbody tr", has_text=late)
        expect(row).to_be_visible()
        served.grow(without=(late,))
        expect(row.locator("td").last).to_contain_text("stale")
        expect(page.locator("#facts")).to_contain_text("80 %")
        served.grow()
        expect(row.locator("td").last).to_have_text("fresh")


def test_a_connection_that_is_lost_is_told_and_found_again(context, served):
    with opened(context, served) as page:
        page.route("**/signal/index**", lambda route: route.abort())
        page.reload()
        expect(page.locator("#link")).to_contain_text("Disconnected since")
        page.unroute("**/signal/index**")
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.locator("#call")).to_have_text(re.compile("BUY|SELL|HOLD"))


def test_where_there_is_no_stream_it_asks_again_and_again(context, served):
    with opened(context, served) as page:
        page.route("**/signal/index/stream**", lambda route: route.fulfill(status=503, json={"detail": "too many"}))
        page.reload()
        expect(page.locator("#link")).to_have_text("Asking every few seconds")
        expect(page.locator("#call")).to_have_text(re.compile("BUY|SELL|HOLD"))


def test_a_change_of_the_signal_is_read_out_and_nothing_else(context, served):
    signal = served.get("/signal/index")
    other = signal | {"signal": "SELL" if signal["signal"] == "BUY" else "BUY"}
    with opened(context, served) as page:
        expect(page.locator("#link")).to_have_text("Live")
        assert page.locator("[aria-live]").all_text_contents() == [""]
        show(page, "signal", "showSignal", signal | {"wss": 0.1})
        assert page.locator("[aria-live]").all_text_contents() == [""]
        show(page, "signal", "showSignal", other)
        expect(page.locator("[aria-live=polite]")).to_contain_text(f"the signal is {other['signal']}")


# --- for everyone ---------------------------------------------------------------------------------


def test_a_phone_needs_no_scrolling_sideways(context, served):
    beyond = "[...document.querySelectorAll('.components *')].filter(e => e.getBoundingClientRect().right > innerWidth)"
    with opened(context, served) as page:
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 844})
            page.reload()
            with_chart(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(f"{beyond}.map(e => e.className)") == []


def test_it_is_dark_or_light_as_the_system_is_until_told_otherwise_and_remembers(browser, served):
    def background() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    with opened(browser, served, color_scheme="dark") as page:
        assert background() == "rgb(18, 21, 25)"
        page.get_by_role("button", name="Show the page light").click()
        assert background() == "rgb(255, 255, 255)"
        page.reload()
        assert background() == "rgb(255, 255, 255)"
    with opened(browser, served, color_scheme="light") as page:
        assert background() == "rgb(255, 255, 255)"


def test_the_keyboard_reaches_the_table_and_sorts_it(context, served):
    with opened(context, served) as page:
        expect(page.locator("table.components tbody tr")).to_have_count(5)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the signal"
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "Contribution":
                break
        head = page.get_by_role("columnheader", name="Contribution")
        parts = {c["symbol"]: c["contribution"] for c in served.get("/signal/index")["components"]}
        for key, sort in (("Enter", "ascending"), ("Space", "descending")):
            page.keyboard.press(key)
            expect(head).to_have_attribute("aria-sort", sort)
            shown = [parts[symbol] for symbol in rows(page)]
            assert shown == sorted(parts.values(), reverse=sort == "descending")
        assert page.evaluate("document.activeElement.textContent") == "Contribution"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_screen_reader_finds_landmarks_headings_and_a_table(context, served):
    with opened(context, served) as page:
        with_chart(page)
        structure(page, served)
        page.set_viewport_size({"width": 390, "height": 844})
        structure(page, served)


def structure(page: Page, served: Served) -> None:
    """What there is to find, however narrow the screen."""
    for role in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
    headings = [h.inner_text() for h in page.get_by_role("heading", level=2).all() if h.is_visible()]
    assert headings == [f"Signal of {served.app.recipe.universe.name}", "Components", "History", "Models"]
    table = page.get_by_role("table", name="Components of the index")
    names = ["Component", "Action", "Probabilities", "Weight", "Share", "Contribution", "Freshness"]
    assert table.get_by_role("columnheader").count() == len(names)
    assert [table.get_by_role("button", name=name).count() for name in names] == [1] * len(names)
    assert table.get_by_role("rowheader").count() == 5
    assert table.get_by_role("cell").count() == 5 * (len(names) - 1)
    expect(page.get_by_role("img", name=re.compile("Weighted sum .* on a scale from"))).to_be_visible()
    unnamed = page.locator("button, a, select, input:visible, [role=region], [role=img]").evaluate_all(
        "all => all.filter(e => !e.hidden && !(e.textContent.trim() || e.ariaLabel || e.labels?.length"
        " || e.getAttribute('aria-labelledby'))).map(e => e.outerHTML)"
    )
    assert unnamed == []


# --- safe -----------------------------------------------------------------------------------------


def test_markup_in_data_is_text(context, served):
    def spoilt(value: Any) -> Any:
        """The same with markup in every text that is free."""
        if isinstance(value, dict):
            free = ("symbol", "reason", "name", "universe", "alias", "who", "why", "family", "metric", "error")
            return {k: MARKUP if k in free and isinstance(v, str | None) else spoilt(v) for k, v in value.items()}
        return [spoilt(inner) for inner in value] if isinstance(value, list) else value

    with opened(context, served) as page:
        with_chart(page)
        signal = spoilt(served.get("/signal/index"))
        show(page, "signal", "showSignal", signal)
        show(page, "components", "showComponents", signal["components"])
        show(page, "models", "showVersions", spoilt(served.get("/versions")))
        show(page, "models", "showLeaderboard", spoilt(served.get("/leaderboard")))
        show(page, "drift", "showDrift", spoilt(served.get("/drift")))
        show(page, "history", "showHistory", spoilt(served.get("/signal/index/history")))
        assert rows(page) == [MARKUP] * 5
        assert page.locator("#versions tbody tr").count() == 2
        assert page.locator("#drift tbody th").first.text_content() == MARKUP
        assert page.locator("#leaderboard th[scope=row]").first.text_content().startswith(MARKUP)
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("window.ran ?? null") is None


def test_a_key_is_asked_for_kept_in_the_tab_alone_and_sent_as_a_header(context, served):
    def locked(route):
        if route.request.headers.get("authorization") == "Bearer open-sesame":
            return route.continue_()
        return route.fulfill(status=401, json={"detail": "this API key is not known"})

    with opened(context, served) as page:
        page.route(re.compile(r":\d+/(signal|universes|leaderboard|versions|drift)"), locked)
        page.reload()
        field = page.get_by_label("API key", exact=True)
        expect(field).to_be_focused()
        field.fill("wrong")
        field.press("Enter")
        expect(page.locator("#key-note")).to_contain_text("this API key is not known")
        field.fill("open-sesame")
        field.press("Enter")
        expect(page.locator("#link")).to_have_text("Live")
        expect(field).to_be_hidden()
        assert page.evaluate("Object.values(sessionStorage)") == ["open-sesame"]
        assert "open-sesame" not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")


def test_the_guard_lets_the_page_in_without_a_key_and_what_it_shows_with_one(context, tmp_path):
    keys = KeyFile(str(tmp_path / "keys.json"))
    reader, writer = keys.add("reader", ["read"]), keys.add("writer", ["write"])
    safety = Safety(required=True, keys=str(keys.path))
    with running(Served(tmp_path, safety)) as locked, opened(context, locked) as page:
        field, link = page.get_by_label("API key", exact=True), page.locator("#link")
        for given, said in ((None, "kept in this tab"), ("bw_wrong", "not known"), (writer, "this needs read")):
            if given is not None:
                field.fill(given)
                field.press("Enter")
            expect(field).to_be_focused()
            expect(link).to_have_text("Needs a key")
            expect(page.locator("#key-note")).to_contain_text(said)
            assert rows(page) == []
        field.fill(reader)
        field.press("Enter")
        expect(link).to_have_text("Live")
        with_chart(page)
        assert len(rows(page)) == 5
        expect(page.locator("#leaderboard tbody tr")).to_have_count(2)
        page.reload()
        expect(link).to_have_text("Live")
        keys.remove("reader")
        locked.grow()
        expect(link).to_have_text("Needs a key")
        expect(field).to_be_focused()

"""Parts of the page of a sweep: escaping, figures for people, and what charts are drawn from."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.report_champion import held_scores
from tune.report_closeups import confusion_counts, confusion_share, ranked
from tune.report_html import data, tag
from tune.report_sweep import Sweep, shown
from tune.report_theme import THEMES
from tune.report_truth import of_one_symbol


@pytest.fixture(scope="module", autouse=True)
def no_plotly():
    """Nearly five megabytes of script, which most tests have no use for."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plotly.offline, "get_plotlyjs", lambda: "/* plotly */")
        yield


def read(families: Any, contract: Any, recipe: str = "demo", run_id: str = "run-1") -> Page:
    return Page(page(recipe, run_id, families, contract))


each_task = pytest.mark.parametrize("values", [False, True], ids=["classes", "values"])


@pytest.fixture(scope="module", params=[False, True], ids=["classes", "values"])
def whole(request: pytest.FixtureRequest, no_plotly: None) -> Page:
    return read(*made(request.param))


def test_every_section_is_there_and_in_the_contents(whole):
    assert [section["id"] for section in whole.all("section")] == list(PARTS)
    inside = [link["href"] for link in whole.all("a") if link["href"] != "#content"]
    assert inside == [f"#{key}" for key in PARTS]


def test_tags_nest(whole):
    assert whole.open == []


def test_nothing_is_loaded_from_anywhere(whole):
    links = [value for _, given in whole.elements for name, value in given.items() if name in ("src", "href", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert not {"link", "img", "iframe", "base", "object"} & {tag for tag, _ in whole.elements}
    style = "".join(text for tag, text in whole.texts if tag == "style")
    assert "url(" not in style
    assert "@import" not in style


def test_only_the_scripts_of_the_page_may_run(whole):
    policy = next(m["content"] for m in whole.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert sum("type" not in script for script in whole.all("script")) == policy.count("'sha256-") == 2


def test_headings_go_down_one_level_at_a_time(whole):
    levels = [int(tag[1]) for tag, _ in whole.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_tables_have_captions_and_scopes_and_charts_have_words(whole):
    assert len(whole.all("table")) == len(whole.all("caption")) > 5
    assert {head.get("scope") for head in whole.all("th")} == {"col", "row"}
    plots = [div for div in whole.all("div") if div.get("class") == "plot"]
    assert len(plots) == len(whole.figures)
    assert all(len(plot["aria-label"]) > 15 for plot in plots)


def test_ids_are_unique_and_labels_point_at_them(whole):
    ids = [given["id"] for _, given in whole.elements if "id" in given]
    assert len(ids) == len(set(ids))
    wanted = [given[name] for _, given in whole.elements for name in ("aria-labelledby", "for") if name in given]
    assert set(wanted) <= set(ids)


def test_plotly_knows_every_figure(whole):
    def dressed(value: Any, theme: Any) -> Any:
        if isinstance(value, dict):
            return {key: dressed(inner, theme) for key, inner in value.items()}
        if isinstance(value, list):
            return [dressed(inner, theme) for inner in value]
        return theme[value[1:]] if isinstance(value, str) and value.startswith("@") else value

    assert len(whole.figures) > 12
    for figure in whole.figures:
        for theme in THEMES.values():
            go.Figure(dressed(figure, theme))  # raises for a key or a value that it does not know


def test_themes_name_the_same_colours():
    assert THEMES["light"].keys() == THEMES["dark"].keys()


@each_task
def test_the_same_sweep_makes_the_same_bytes(values):
    assert page("demo", "run-1", *made(values)) == page("demo", "run-1", *copy.deepcopy(made(values)))


@each_task
def test_what_was_kept_as_json_makes_the_same_page(values):
    families, contract = made(values)
    kept = json.loads(json.dumps(families).replace("NaN", "null"))
    assert page("demo", "run-1", kept, contract) == page("demo", "run-1", families, contract)


@each_task
def test_markup_in_data_stays_text(values):
    families, contract = made(values)
    text = json.dumps([families, contract])
    for name in ("trees", "600519", "return_5", "depth", "down", "direction", "t2"):
        text = text.replace(f'"{name}"', json.dumps(f"{name}{NASTY}"))
    families, contract = json.loads(text)
    families[1]["error"] = contract["verdict"]["reason"] = NASTY
    html = page(NASTY, NASTY, families, contract)
    assert "<script>alert" not in html
    assert "alert('x')</script>" not in html
    nasty, clean = Page(html), read(*made(values))
    assert len(nasty.all("script")) - len(nasty.figures) == len(clean.all("script")) - len(clean.figures)
    assert nasty.open == []
    assert f"trees{NASTY}" in nasty.text


def test_markup_in_names_stays_text_for_plotly_too():
    """It reads a little HTML in labels: what comes from data is escaped once more."""
    families, contract = made(False)
    families[1]["family"] = "<b>net</b>"
    names = [name for figure in read(families, contract).figures for t in figure["data"] for name in t.get("y") or []]
    assert "&lt;b&gt;net&lt;/b&gt;" in names
    assert "<b>net</b>" not in names


def gaps(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested data."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, below in list(inner)[:3] if isinstance(value, (list, tuple)) else inner:
        found += gaps(below, (*path, key))
    return found


def cut(value: Any, path: tuple[Any, ...], filler: Any) -> Any:
    if not path:
        return filler
    copied = list(value) if isinstance(value, tuple) else copy.copy(value)
    copied[path[0]] = cut(copied[path[0]], path[1:], filler)
    return copied


PLACES = {values: gaps({"family": made(values)[0][0], "contract": made(values)[1]}) for values in (False, True)}


@given(st.booleans(), st.data())
def test_whatever_is_missing_the_page_is_made(values, drawn):
    path = drawn.draw(st.sampled_from(PLACES[values]))
    families, contract = made(values)
    given_ = cut({"family": families[0], "contract": contract}, path, drawn.draw(st.sampled_from([None, float("nan")])))
    one = given_["family"] if isinstance(given_["family"], dict) else {}
    told = given_["contract"] if isinstance(given_["contract"], dict) else {}
    shown_ = read([one, *families[1:]], told)
    assert [section["id"] for section in shown_.all("section")] == list(PARTS)
    assert "nan" not in re.findall(r"[a-z]+", shown_.text.lower())


def test_a_family_that_failed_is_listed_with_its_reason():
    families, contract = made(False)
    lost = {"score": float("nan"), "low": None, "high": None, "folds": (), "metrics": {}, "symbols": {}}
    families[1] |= lost | {"scores": [], "closeup": {}, "tried": [], "error": "it ran out of memory"}
    text = read(families, contract).text
    assert "net has no confusion counts: it ran out of memory." in text
    assert "No trial of net has a score: it ran out of memory." in text


def test_a_closeup_that_failed_leaves_its_charts_out_and_says_so():
    families, contract = made(True)
    for one in families:
        one["closeup"] = {}
    text = read(families, contract).text
    assert "trees has no importance of single features: it was not looked at closely." in text
    assert "Not measured in this sweep: seconds of a fit, microseconds to predict one row, bytes" in text


def test_no_families_and_no_contract_make_a_page():
    empty = read([], {})
    assert [section["id"] for section in empty.all("section")] == list(PARTS)
    assert "The sweep has no champion." in empty.text
    assert empty.figures == []


def test_the_verdict_is_told_in_words():
    families, contract = made(False)
    assert "The gate passed it: trees beats every baseline." in re.sub(r"\s+", " ", read(families, contract).text)
    contract["verdict"] |= {"passed": False, "reason": "luck explains it."}
    assert "The gate refused it: luck explains it." in re.sub(r"\s+", " ", read(families, contract).text)
    contract["verdict"] = {}
    assert "The gate did not judge it." in re.sub(r"\s+", " ", read(families, contract).text)


def test_lift_is_positive_where_lower_is_better():
    sweep = Sweep(recipe="r", run_id="1", families=({"family": "a", "metric": "rmse", "score": 1.0},), contract={})
    assert sweep.lift(1.0, 3.0) == 2.0
    assert sweep.better == "lower is better"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.sampled_from(["skill", "rmse"]))
def test_the_best_score_is_always_on_the_scale(scores, metric):
    sweep = Sweep(recipe="r", run_id="1", families=({"metric": metric},), contract={})
    reach, outside = sweep.reach(scores)
    best = max(scores) if metric == "skill" else min(scores)
    assert reach[0] <= best <= reach[1]
    assert outside == sum(not reach[0] <= score <= reach[1] for score in scores)


def test_a_symbol_with_few_rows_is_not_shown_alone():
    many = [(k, "a", 0.0, 0.0) for k in range(40)]
    assert of_one_symbol([*many, (9, "b", 1.0, 1.0)]) == (many, "a")
    assert of_one_symbol([(2, "b", 1.0, 1.0), (1, "a", 0.0, 0.0)])[1] == ""


def test_features_are_ranked_by_what_is_lost_without_them():
    found = ranked({"permutation": {"a": (0.1, 0.0), "b": (0.3, 0.1), "c": (None, None)}}, "permutation")
    assert found == [("b", 0.3, 0.1), ("a", 0.1, 0.0)]


class Read(HTMLParser):
    """The elements, their attributes and the text of a piece of markup."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@given(st.text(), st.text())
def test_a_tag_reads_back_as_it_was_given(text, attribute):
    found = Read(tag("p", text, title=attribute))
    assert found.elements == [("p", {"title": attribute})]
    assert found.text == text


@given(
    st.recursive(st.text() | st.floats() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_data_holds_no_markup_and_is_json(value):
    text = data(value)
    assert not set("<>&") & set(text)
    json.loads(text, parse_constant=pytest.fail)


@given(st.floats(-1e300, 1e300))
def test_a_figure_for_people_is_near_the_figure(value):
    assert float(shown(value).replace(",", "")) == pytest.approx(value, rel=0.06, abs=1e-300)


def test_confusion_is_added_up_over_folds_and_shared_by_row():
    fold = [[3, 1, 0], [1, 2, 1], [0, 0, 0]]
    counts = confusion_counts({"scores": [{"confusion": fold}, {"confusion": []}, {"confusion": fold}]})
    np.testing.assert_array_equal(counts, 2 * np.array(fold))
    assert confusion_share(counts) == [[0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [None, None, None]]


def test_holdout_scores_keep_their_bounds_and_gaps_are_left_out():
    scores = {"skill": {"value": 0.1, "low": 0.0, "high": 0.2}, "mae": {"value": None, "low": None, "high": None}}
    assert held_scores({"holdout": {"scores": scores, "rows": 7}}) == {"skill": (0.1, 0.0, 0.2)}

"""Parts of the page of a sweep: escaping, figures for people, and what charts are drawn from."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.report_champion import held_scores, holdout
from tune.report_closeups import confusion_counts, confusion_share, ranked
from tune.report_html import data, tag
from tune.report_sweep import Sweep, shown
from tune.report_theme import THEMES
from tune.report_truth import of_one_symbol


def test_themes_name_the_same_colours():
    assert THEMES["light"].keys() == THEMES["dark"].keys()


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


def test_the_untouched_segment_says_how_often_intervals_held():
    step = {"promised": 0.9, "measured": {"value": 0.902, "low": 0.885, "high": 0.918}, "width": 0.0865}
    shown = str(holdout(Sweep(recipe="r", run_id="1", families=(), contract={"conformal": {"steps": [step]}})))
    assert all(text in shown for text in ("90%", "0.9020 (0.8850 to 0.9180)", "0.0865"))
    without = str(holdout(Sweep(recipe="r", run_id="1", families=(), contract={"conformal": {}})))
    assert "intervals of its values held" not in without

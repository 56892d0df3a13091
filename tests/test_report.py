"""The page of a sweep: complete, closed to the network, deaf to markup in data, and unmoved by what is missing."""

from __future__ import annotations

import copy
import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.offline
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune.report import PARTS, page
from tune.report_maps import SYMBOLS_SHOWN
from tune.report_theme import THEMES

VOID = {"meta", "br", "link", "img", "input"}
NASTY = "<script>alert('x')</script> & \"co\""
FOLDS, SYMBOLS = 3, ("600519", "000001")
plotly_script = plotly.offline.get_plotlyjs
Made = tuple[list[dict[str, Any]], dict[str, Any]]


class Page(HTMLParser):
    """Elements with their attributes, text by the element it is in, and whether tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, kind: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == kind]

    @property
    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))

    @property
    def figures(self) -> list[dict[str, Any]]:
        """What plotly is given; the last block of data are the themes."""
        found = [json.loads(text) for tag, text in self.texts if tag == "script" and text.startswith("{")]
        return [block for block in found if "layout" in block]


def family(name: str, rank: int, score: float, *, values: bool, baseline: bool = False) -> dict[str, Any]:
    rng = np.random.default_rng(rank)
    metric = "skill" if values else "macro_f1"
    folds = tuple((score + rng.normal(0, 0.01, FOLDS)).tolist())
    epochs = [[0.5, 1.0, 1.1, 1e-3], [1.0, 0.8, 1.2, 1e-4]] if rank == 1 else []
    scores = [
        {
            "metrics": {metric: fold, "rank_ic": float("nan")},
            "symbols": {},
            "confusion": [] if values else [[3, 1, 0], [1, 2, 1], [0, 0, 0]],
            "epochs": epochs,
            "seconds": 1.5,
        }
        for fold in folds
    ]
    close = {
        "fit_seconds": 1.0 + rank,
        "latency_us": 10.0 * rank,
        "bytes": 1000 * rank,
        "permutation": {} if baseline else {"return_5": (0.02, 0.001), "spread": (-0.001, 0.002)},
        "gain": {"return_5": 0.9, "spread": 0.1} if rank == 1 else {},
        "shap": {},
        "calibration": [] if values else [(0.4, 0.38, 30), (0.6, 0.5, 12)],
        "truth": [
            (1_700_000_000_000_000_000 + k * 10**9, SYMBOLS[k % 2], float(k % 3), float(k % 2)) for k in range(80)
        ],
    }
    return {
        "rank": rank,
        "family": name,
        "params": {"depth": 3, "rate": 0.012345},
        "baseline": baseline,
        "metric": metric,
        "score": score,
        "low": score - 0.02,
        "high": score + 0.02,
        "folds": folds,
        "metrics": {metric: score, "rank_ic": float("nan")},
        "symbols": dict.fromkeys(SYMBOLS, score),
        "trials": 2,
        "failed": 0,
        "stopped": 1,
        "seconds": 9.0,
        "error": None,
        "trial": "t1",
        "scores": scores,
        "closeup": close,
        "tried": [
            {"id": "t1", "params": {"depth": 3}, "scores": folds, "seconds": 4.5},
            {"id": "t2", "params": {"depth": 4}, "scores": folds[:1], "seconds": 1.5},
        ],
    }


def made(values: bool) -> Made:
    names = ("trees", "net", "rivals")
    families = [
        family(name, k + 1, 0.4 - 0.1 * k, values=values, baseline=name == "rivals") for k, name in enumerate(names)
    ]
    metric = families[0]["metric"]
    held = {"confidence": 0.95, "rows": 500, "start": "2024-09-01T00:00:00+00:00", "end": "2025-01-30T00:00:00+00:00"}
    ours, theirs = ({metric: {"value": at, "low": at - 0.02, "high": at + 0.02}} for at in (0.37, 0.2))
    contract = {
        "family": "trees",
        "params": {"depth": 3, "rate": 0.012345},
        "metrics": {"holdout": held | {"scores": ours}},
        "baselines": {"rivals": {"holdout": held | {"scores": theirs}}},
        "verdict": {
            "passed": True,
            "reason": "trees beats every baseline.",
            "metric": metric,
            "champion": 0.37,
            "baseline": 0.2,
            "baseline_family": "rivals",
            "confidence": 0.99,
            "directional": {"value": 0.1, "low": 0.05, "high": 0.15},
            "against": [{"family": "rivals", "score": 0.2, "lift": 0.17, "low": 0.1, "high": 0.2}],
        },
        "classes": [] if values else ["down", "flat", "up"],
        "target": "direction",
        "horizon": 12,
        "train_start": "2020-01-02T14:30:00Z",
        "calibration": {},
        "conformal": {},
    }
    return families, contract


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


def test_plotly_is_there_once_and_the_page_is_not_much_larger():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plotly.offline, "get_plotlyjs", plotly_script)
        html = page("demo", "run-1", *made(False))
    assert html.count(plotly_script()) == 1
    assert len(html.encode()) < len(plotly_script().encode()) + 200_000


def test_a_large_sweep_stays_below_eight_megabytes():
    families = [family(f"f{k}", k + 1, 0.4 - 0.01 * k, values=False, baseline=k > 22) for k in range(25)]
    rng = np.random.default_rng(0)
    for one in families:
        folds = rng.random(50).tolist()
        one["folds"] = folds
        one["scores"] = [one["scores"][0] | {"epochs": rng.random((20, 4)).tolist()} for _ in folds]
        one["symbols"] = dict(zip((f"s{k}" for k in range(100)), rng.random(100).tolist(), strict=True))
        one["tried"] = [{"id": f"t{k}", "params": {"depth": k}, "scores": folds, "seconds": 1.0} for k in range(100)]
        one["closeup"]["truth"] = [(k * 10**15, f"s{k % 100}", *rng.random(2).tolist()) for k in range(400)]
    assert len(page("demo", "run-1", families, made(False)[1]).encode()) + len(plotly_script().encode()) < 8_000_000


def test_a_family_that_diverged_is_off_the_scale_and_counted():
    families, contract = made(True)
    families.append(family("lost", 4, -50.0, values=True))
    shown_ = read(families, contract)
    assert "Far worse and not drawn: 1." in shown_.text
    low, high = shown_.figures[0]["layout"]["xaxis"]["range"]
    assert -1.0 < low < 0.2
    assert 0.4 < high < 1.0


def test_many_symbols_are_cut_to_those_on_which_families_differ():
    families, contract = made(False)
    for k, one in enumerate(families):
        one["symbols"] = {f"s{j:03d}": 0.3 + k * (j >= 60) * 0.01 for j in range(100)}
    figure = next(f for f in read(families, contract).figures if f["layout"]["xaxis"]["title"]["text"] == "symbol")
    assert figure["data"][0]["x"] == [f"s{j:03d}" for j in range(60, 100)]
    assert len(figure["data"][0]["x"]) == SYMBOLS_SHOWN


def test_symbols_that_look_like_numbers_are_names():
    figures = [f for f in read(*made(False)).figures if "600519" in (f["data"][0].get("x") or [])]
    assert figures
    assert all(f["layout"]["xaxis"]["type"] == "category" for f in figures)


def test_times_keep_their_milliseconds():
    dated = [f for f in read(*made(True)).figures if f["layout"]["xaxis"].get("type") == "date"]
    assert dated[0]["data"][0]["x"][:2] == [1_700_000_000_000, 1_700_000_002_000]  # one symbol: every other second


def test_direction_alone_is_told_where_it_was_judged():
    assert "Direction alone, where 0 is what guessing scores: 0.1000 (0.0500 to 0.1500)." in read(*made(True)).text

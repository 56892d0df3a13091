"""The page of a sweep: complete, closed to the network, deaf to markup in data, and unmoved by what is missing."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import plotly.offline
import pytest

from tune.report import page
from tune.report_maps import SYMBOLS_SHOWN

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

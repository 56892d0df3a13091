"""The parts of the page about the champion: what was decided, the untouched segment, its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bellwether.validation.scores import SCORES
from tune.report_figures import Dot, dots
from tune.report_html import Html, behind, chart, joined, missing, section, table, tag
from tune.report_sections import off_scale, value
from tune.report_sweep import BASELINE, CHAMPION, GAP, Result, Sweep, mapping, number, shown

FACTS = {
    "recipe": "recipe",
    "universe": "universe",
    "interval": "interval",
    "target": "target",
    "horizon": "horizon, rows ahead",
    "classes": "classes",
    "steps": "steps",
    "feature_set": "feature set",
    "train_start": "first training row",
    "train_end": "last training row",
    "train_rows": "training rows",
    "seed": "seed",
    "calibration": "calibration of probabilities",
    "conformal": "conformal intervals",
}
"""What of the contract is shown, and as what."""

Bounds = tuple[float | None, float | None, float | None]


def verdict(sweep: Sweep) -> Html:
    """The champion and whether it may be used, in words."""
    found, name = mapping(sweep.contract.get("verdict")), sweep.contract.get("family")
    if not name:
        return tag("p", "The sweep has no champion.", class_="lead refused")
    passed = found.get("passed") is True
    searched = len(sweep.families) - len(sweep.baselines)
    first = f" is the best of {searched} searched {'family' if searched == 1 else 'families'} by {sweep.metric}. "
    decided = "passed" if passed else "refused" if found else "did not judge"
    reason = f": {found['reason']}" if found.get("reason") else "."
    return tag(
        "p",
        tag("strong", str(name)),
        joined(first, "The gate ", tag("strong", decided), " it", reason, _beside(sweep, found)),
        class_=f"lead {'passed' if passed else 'refused'}",
    )


def _beside(sweep: Sweep, found: Result) -> str | None:
    ours, theirs, rival = number(found.get("champion")), number(found.get("baseline")), found.get("baseline_family")
    if ours is None or theirs is None:
        return None
    metric = str(found.get("metric", sweep.metric))
    return f" On the rows that no search saw, its {metric} is {shown(ours)}; that of {rival} is {shown(theirs)}."


def holdout(sweep: Sweep) -> Html:
    """The champion against every baseline on the untouched segment."""
    found = mapping(sweep.contract.get("verdict"))
    metric = str(found.get("metric", sweep.metric))
    says = (
        "The newest stretch of time was kept back from the search and is looked at once, here. The champion and every "
        f"baseline are scored on it by {metric}, with the interval of each score."
    )
    own = str(sweep.contract.get("family"))
    models = {own: sweep.contract.get("metrics"), **mapping(sweep.contract.get("baselines"))}
    scores = {str(name): held_scores(mapping(figures), metric) for name, figures in models.items()}
    listed = [_dot(name, CHAMPION if name == own else BASELINE, s[metric]) for name, s in scores.items() if metric in s]
    figure, outside = dots(sweep, listed, metric, f"{metric} of champion and baselines on the untouched segment.")
    parts: list[Html | None] = [chart(figure, note=_span(sweep) + off_scale(outside)) if figure else None]
    if figure is None:
        parts = [missing("The contract has no figures of the untouched segment.")]
    return section("holdout", "The untouched segment", says, *parts, _against(found, metric), _all_scores(scores))


def held_scores(figures: Result, metric: str) -> dict[str, Bounds]:
    """Scores of the holdout with their bounds. A bound may stand beside the metric or with its own score.

    >>> held_scores({"holdout": {"macro_f1": 0.4, "low": 0.3, "high": 0.5, "accuracy": 0.6, "rows": 9}}, "macro_f1")
    {'macro_f1': (0.4, 0.3, 0.5), 'accuracy': (0.6, None, None)}
    >>> held_scores({"holdout": {"skill": {"value": 0.1, "low": 0.0, "high": 0.2}}}, "skill")
    {'skill': (0.1, 0.0, 0.2)}
    """
    held = mapping(figures.get("holdout"))
    inner = [mapping(inner) for name, inner in held.items() if name not in SCORES]
    found: dict[str, Bounds] = {}
    for place in (held, *inner):
        for name, score in place.items():
            if name in SCORES or name == metric:
                found.setdefault(str(name), _bounds(score))
    if metric in found and found[metric][1] is None:
        found[metric] = (found[metric][0], number(held.get("low")), number(held.get("high")))
    return {name: bounds for name, bounds in found.items() if bounds[0] is not None}


def _bounds(score: Any) -> Bounds:
    if isinstance(score, Mapping):
        return number(score.get("value")), number(score.get("low")), number(score.get("high"))
    return number(score), None, None


def _dot(name: str, role: str, bounds: Bounds) -> Dot:
    value, low, high = bounds
    return Dot(name=name, role=role, value=value, low=low, high=high)


def _span(sweep: Sweep) -> str:
    held = mapping(mapping(sweep.contract.get("metrics")).get("holdout"))
    rows = number(held.get("rows"))
    counted = f" {rows:,.0f} rows" if rows else ""
    dated = f", {_day(held['start'])} to {_day(held['end'])} (UTC)" if held.get("start") and held.get("end") else ""
    ends = "." if counted or dated else ""
    return f"Dots are scores, bars their intervals, dotted lines baselines.{counted}{dated}{ends}"


def _day(stamp: Any) -> str:
    return str(stamp)[:10]


def _against(found: Result, metric: str) -> Html | None:
    """The comparisons the gate made."""
    against = [mapping(one) for one in found.get("against") or ()]
    if not against:
        return None
    level = number(found.get("confidence"))
    head = ["baseline", f"its {metric}", "lift", "lift, low", "lift, high", "lift in the folds", "standard error"]
    rows = [
        [
            str(one.get("family", GAP)),
            shown(one.get("score", one.get(metric))),
            *(shown(one.get(name), sign=True) for name in ("lift", "low", "high", "folds_lift")),
            shown(one.get("folds_stderr")),
        ]
        for one in against
    ]
    beyond = f", bounds at one-sided confidence {level:.2%}" if level is not None else ""
    return table(f"How much better the champion is than each baseline{beyond}", head, rows)


def _all_scores(scores: Mapping[str, Mapping[str, Bounds]]) -> Html | None:
    names = list(dict.fromkeys(name for found in scores.values() for name in found))
    if not names:
        return None
    rows = [[model, *(_interval(found.get(name)) for name in names)] for model, found in scores.items()]
    return behind("Scores on the untouched segment, with their intervals", ["model", *names], rows)


def _interval(bounds: Bounds | None) -> str:
    if bounds is None:
        return GAP
    score, low, high = bounds
    return shown(score) if low is None or high is None else f"{shown(score)} ({shown(low)} to {shown(high)})"


def champion(sweep: Sweep) -> Html:
    """Parameters and facts of the champion."""
    name, params = sweep.contract.get("family"), mapping(sweep.contract.get("params"))
    says = f"The parameters that the best trial of {name} had, and what it was fitted to."
    if not name:
        return section("champion", "The champion", "What was found.", missing("The sweep has no champion."))
    chosen = [[str(key), value(found)] for key, found in params.items()]
    parts = [
        table(f"Parameters of {name}", ["parameter", "value"], chosen, words=["value"])
        if chosen
        else missing(f"{name} has no parameters to choose.")
    ]
    facts = [[title, _fact(sweep.contract[key])] for key, title in FACTS.items() if sweep.contract.get(key)]
    if facts:
        parts.append(table("What it was fitted to", ["fact", "value"], facts, words=["value"]))
    return section("champion", "The champion", says, tag("div", *parts, class_="row"))


def _fact(found: Any) -> str:
    if isinstance(found, Mapping):
        return ", ".join(f"{name}: {_short(inner)}" for name, inner in found.items())
    return ", ".join(map(str, found)) if isinstance(found, list | tuple) else str(found)


def _short(inner: Any) -> str:
    """A list of figures says little to a person: how many there are is enough."""
    return f"{len(inner)} values" if isinstance(inner, Mapping | list | tuple) else value(inner)

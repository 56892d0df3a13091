"""The parts of the page about the champion: what was decided, the untouched segment, its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune.report_figures import Dot, dots
from tune.report_html import Html, behind, chart, joined, missing, section, table, tag
from tune.report_sections import off_scale, value
from tune.report_sweep import BASELINE, CHAMPION, GAP, Result, Sweep, mapping, moment, number, records, shown, word

FACTS = {
    "recipe": "recipe",
    "universe": "universe",
    "interval": "interval",
    "target": "target",
    "horizon": "horizon, rows ahead",
    "classes": "classes",
    "steps": "steps",
    "feature_set": "feature set",
    "train_start": "first training row, UTC",
    "train_end": "last training row, UTC",
    "train_rows": "training rows",
    "seed": "seed",
    "calibration": "calibration of probabilities",
    "conformal": "conformal intervals",
}
"""What of the contract is shown, and as what."""

Bounds = tuple[float | None, float | None, float | None]


def verdict(sweep: Sweep) -> Html:
    """The champion and whether it may be used, in words."""
    found, name = sweep.verdict, word(sweep.contract.get("family"), "")
    if not name:
        return tag("p", "The sweep has no champion.", class_="lead refused")
    passed = found.get("passed") is True
    searched = len(sweep.families) - len(sweep.baselines)
    first = f" is the best of {searched} searched {'family' if searched == 1 else 'families'} by {sweep.metric}. "
    decided = "passed" if passed else "refused" if found else "did not judge"
    why = word(found.get("reason"), "")
    reason = f": {why}" if why else "."
    return tag(
        "p",
        tag("strong", name),
        joined(first, "The gate ", tag("strong", decided), " it", reason, _beside(sweep, found)),
        class_=f"lead {'passed' if passed else 'refused'}",
    )


def _beside(sweep: Sweep, found: Result) -> str | None:
    ours, theirs = number(found.get("champion")), number(found.get("baseline"))
    if ours is None or theirs is None:
        return None
    metric, rival = word(found.get("metric"), sweep.metric), word(found.get("baseline_family"), "the baseline")
    return f" On the rows that no search saw, its {metric} is {shown(ours)}; that of {rival} is {shown(theirs)}."


def holdout(sweep: Sweep) -> Html:
    """The champion against every baseline on the untouched segment."""
    metric = word(sweep.verdict.get("metric"), sweep.metric)
    says = (
        "The newest stretch of time was kept back from the search and is looked at once, here. The champion and every "
        f"baseline are scored on it by {metric}, with the interval of each score."
    )
    own = word(sweep.contract.get("family"), "champion")
    models = {own: sweep.contract.get("metrics"), **mapping(sweep.contract.get("baselines"))}
    scores = {str(name): held_scores(mapping(figures)) for name, figures in models.items()}
    listed = [_dot(name, CHAMPION if name == own else BASELINE, s[metric]) for name, s in scores.items() if metric in s]
    figure, outside = dots(sweep, listed, metric, f"{metric} of champion and baselines on the untouched segment.")
    parts: list[Html | None] = [chart(figure, note=_span(sweep) + off_scale(outside)) if figure else None]
    if figure is None:
        parts = [missing("The contract has no figures of the untouched segment.")]
    told = (
        _direction(sweep.verdict),
        _held(mapping(sweep.contract.get("conformal"))),
        _against(sweep.verdict, metric),
        _all_scores(scores),
    )
    return section("holdout", "The untouched segment", says, *parts, *told)


def held_scores(figures: Result) -> dict[str, Bounds]:
    """Scores of the holdout with their bounds, of the figures of one model (`tune.figures.figures_of`).

    >>> held_scores({"holdout": {"scores": {"skill": {"value": 0.1, "low": 0.0, "high": 0.2}}, "rows": 9}})
    {'skill': (0.1, 0.0, 0.2)}
    """
    scores = mapping(mapping(figures.get("holdout")).get("scores"))
    found = {str(name): _bounds(mapping(score)) for name, score in scores.items()}
    return {name: bounds for name, bounds in found.items() if bounds[0] is not None}


def _bounds(score: Result) -> Bounds:
    return number(score.get("value")), number(score.get("low")), number(score.get("high"))


def _direction(found: Result) -> Html | None:
    """Whether the champion knows more than how large moves are."""
    value, low, high = bounds = _bounds(mapping(found.get("directional")))
    if value is None or low is None or high is None:
        return None
    return tag("p", f"Direction alone, where 0 is what guessing scores: {_interval(bounds)}.")


def _held(conformal: Result) -> Html | None:
    """What the champion's intervals promised and how often they held, a row a step."""
    rows = []
    for step, one in enumerate(records(conformal.get("steps")), start=1):
        promised, bounds = number(one.get("promised")), _bounds(mapping(one.get("measured")))
        if promised is not None and bounds[0] is not None:
            rows.append([str(step), f"{promised:.0%}", _interval(bounds), shown(one.get("width"))])
    head = ["step", "share promised", "share held", "mean width"]
    return table("How often the intervals of its values held, on the untouched segment", head, rows) if rows else None


def _dot(name: str, role: str, bounds: Bounds) -> Dot:
    value, low, high = bounds
    return Dot(name=name, role=role, value=value, low=low, high=high)


def _span(sweep: Sweep) -> str:
    held = mapping(mapping(sweep.contract.get("metrics")).get("holdout"))
    rows = number(held.get("rows"))
    counted = f" {rows:,.0f} rows" if rows else ""
    start, end = (word(held.get(name), "")[:10] for name in ("start", "end"))
    dated = f", {start} to {end} (UTC)" if start and end else ""
    ends = "." if counted or dated else ""
    level = number(held.get("confidence"))
    bars = f"bars their {level:.0%} intervals" if level is not None else "bars their intervals"
    return f"Dots are scores, {bars}, dotted lines baselines.{counted}{dated}{ends}"


def _against(found: Result, metric: str) -> Html | None:
    """The comparisons the gate made."""
    against = records(found.get("against"))
    if not against:
        return None
    level = number(found.get("confidence"))
    head = ["baseline", f"its {metric}", "lift", "lift, low", "lift, high", "lift in the folds", "standard error"]
    rows = [
        [
            word(one.get("family")),
            shown(one.get("score")),
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
    name, params = word(sweep.contract.get("family"), ""), mapping(sweep.contract.get("params"))
    says = f"The parameters that the best trial of {name} had, and what it was fitted to."
    if not name:
        return section("champion", "The champion", "What was found.", missing("The sweep has no champion."))
    chosen = [[str(key), value(found)] for key, found in params.items()]
    parts = [
        table(f"Parameters of {name}", ["parameter", "value"], chosen, words=["value"])
        if chosen
        else missing(f"{name} has no parameters to choose.")
    ]
    facts = [[title, told] for key, title in FACTS.items() if (told := _fact(key, sweep.contract.get(key)))]
    if facts:
        parts.append(table("What it was fitted to", ["fact", "value"], facts, words=["value"]))
    return section("champion", "The champion", says, tag("div", *parts, class_="row"))


def _fact(key: str, found: Any) -> str:
    if key in ("train_start", "train_end"):
        return moment(found)
    if isinstance(found, Mapping):
        return ", ".join(f"{name}: {_short(inner)}" for name, inner in found.items())
    return ", ".join(map(word, found)) if isinstance(found, list | tuple) else word(found, "")


def _short(inner: Any) -> str:
    """A list of figures says little to a person: how many there are is enough."""
    return f"{len(inner)} values" if isinstance(inner, Mapping | list | tuple) else value(inner)

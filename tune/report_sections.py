"""The parts of the page that set families side by side."""

from __future__ import annotations

import numpy as np

from tune.report_figures import ROLES, Dot, cost, dots, trials
from tune.report_html import Html, behind, chart, chooser, joined, missing, section, table, tag
from tune.report_maps import SYMBOLS_SHOWN, folds_map, symbols_map
from tune.report_sweep import (
    BASELINE,
    CHAMPION,
    GAP,
    Result,
    Sweep,
    closeup_of,
    known,
    listed,
    mapping,
    name_of,
    number,
    numbers,
    records,
    shown,
    word,
)

COSTS = {
    "fit_seconds": "seconds of a fit",
    "latency_us": "microseconds to predict one row",
    "bytes": "bytes of the saved model",
}

TRIALS_LISTED = 10


def leaderboard(sweep: Sweep) -> Html:
    """Every family by its best trial: a table, and the same as dots."""
    says = (
        f"Each family by the best of its trials. The score is {sweep.metric} ({sweep.meaning}; {sweep.better}), the "
        "mean over the folds, with the 95 % interval of that mean. Lift is how much better it is than the best "
        "baseline."
    )
    if not sweep.families:
        return section("leaderboard", "Leaderboard", says, missing("The sweep has no families."))
    found = [
        Dot(
            name=sweep.label(f),
            role=sweep.role(f),
            value=sweep.score(f),
            low=number(f.get("low")),
            high=number(f.get("high")),
        )
        for f in sweep.families
    ]
    told = f"Mean {sweep.metric} of each family with its interval; the figures are in the table above."
    figure, outside = dots(sweep, found, f"mean {sweep.metric}", told)
    note = "A dot is a mean, its bar the interval, a dotted line the score of a baseline." + off_scale(outside)
    drawn = chart(figure, note=note) if figure else missing("No family has a score: the table says why.")
    return section("leaderboard", "Leaderboard", says, _ranks(sweep), drawn, _metrics(sweep))


def off_scale(outside: int) -> str:
    """What to say of those that a chart leaves out."""
    return f" Far worse and not drawn: {outside}." if outside else ""


def _ranks(sweep: Sweep) -> Html:
    head = ["family", "rank", sweep.metric, "95 % interval", "lift", "trials", "failed", "ended early", "seconds"]
    why = any(word(family.get("error"), "") for family in sweep.families)
    bar = sweep.score(sweep.best_baseline) if sweep.best_baseline else None
    rows = []
    for family in sweep.families:
        score, low, high = (number(family.get(name)) for name in ("score", "low", "high"))
        cells = [
            badged(sweep, family),
            word(family.get("rank")),
            shown(score),
            GAP if low is None and high is None else f"{shown(low)} to {shown(high)}",
            shown(sweep.lift(score, bar), sign=True),
            *(word(family.get(name)) for name in ("trials", "failed", "stopped")),
            _seconds(family.get("seconds")),
        ]
        rows.append([*cells, word(family.get("error"), "")] if why else cells)
    caption = f"Families by mean {sweep.metric} over the folds"
    return table(caption, [*head, "why not"] if why else head, rows, sortable=True, words=["why not"])


def badged(sweep: Sweep, family: Result) -> Html:
    """Its name, with its role where that is special."""
    role = sweep.role(family)
    badge = tag("span", ROLES[role], class_=f"badge {role}") if role in (CHAMPION, BASELINE) else None
    return joined(name_of(family), " " if badge else None, badge)


def _seconds(value: object) -> str:
    seconds = number(value)
    return GAP if seconds is None else f"{seconds:,.1f}"


def _metrics(sweep: Sweep) -> Html | None:
    """All scores of the task."""
    names = list(dict.fromkeys(str(name) for family in sweep.families for name in mapping(family.get("metrics"))))
    rows = [
        [sweep.label(family), *(shown(mapping(family.get("metrics")).get(name)) for name in names)]
        for family in sweep.families
    ]
    if not names:
        return None
    return behind("All scores, means over the folds", ["family", *names], rows)


def folds(sweep: Sweep) -> Html:
    """Scores by fold."""
    says = (
        "Folds are stretches of time: each model is fitted on what came before one and scored on it. A family that is "
        "better in one fold only was lucky there."
    )
    figure = folds_map(sweep)
    if figure is None:
        return section("folds", "Scores by fold", says, missing("No family has a score of a fold."))
    width = max(len(numbers(family.get("folds"))) for family in sweep.families)
    rows = []
    for family in sweep.families:
        scores = numbers(family.get("folds"))
        rows.append([sweep.label(family), *(shown(s) for s in [*scores, *[None] * (width - len(scores))])])
    aside = behind(f"{sweep.metric} by fold", ["family", *(f"fold {k + 1}" for k in range(width))], rows)
    return section("folds", "Scores by fold", says, chart(figure, note=_coloured(sweep), aside=aside))


def symbols(sweep: Sweep) -> Html:
    """Scores by symbol."""
    says = f"The same {sweep.metric} on the rows of each symbol: a good mean can hide symbols a family does badly on."
    figure, count = symbols_map(sweep)
    if figure is None:
        return section("symbols", "Scores by symbol", says, missing("No family has scores by symbol."))
    some = f" Shown are the {SYMBOLS_SHOWN} of {count} symbols on which families differ most."
    note = _coloured(sweep) + (some if count > SYMBOLS_SHOWN else "")
    columns = [str(name) for name in figure.traces[0]["x"]]
    rows = [[sweep.label(f), *(shown(mapping(f.get("symbols")).get(name)) for name in columns)] for f in sweep.families]
    aside = behind(f"Mean {sweep.metric} by symbol", ["family", *columns], rows)
    return section("symbols", "Scores by symbol", says, chart(figure, note=note, aside=aside))


def _coloured(sweep: Sweep) -> str:
    bar = "the best baseline" if sweep.best_baseline else "the mean of the families, as there is no baseline"
    return f"Blue is better than {bar}, orange worse, grey about the same; empty is not known."


def costs(sweep: Sweep) -> Html:
    """Score over what a family costs."""
    says = (
        "What a score costs: to fit once, to predict one row, and to keep. The horizontal axes are logarithmic: equal "
        "distances are equal ratios. Where scores are alike, the family further left is cheaper "
        f"({sweep.better})."
    )
    found = [cost(sweep, key, title) for key, title in COSTS.items()]
    drawn = [chart(figure, note=off_scale(outside).strip()) for figure, outside in found if figure]
    gone = [title for title, (figure, _) in zip(COSTS.values(), found, strict=True) if figure is None]
    lines = [missing(f"Not measured in this sweep: {', '.join(gone)}.")] if gone else []
    rows = [
        [sweep.label(f), shown(sweep.score(f)), *(_cost(closeup_of(f).get(key)) for key in COSTS)]
        for f in sweep.families
    ]
    aside = behind("Score and cost", ["family", sweep.metric, *COSTS.values()], rows) if drawn else None
    return section("cost", "Score and cost", says, tag("div", *drawn, class_="row"), *lines, aside)


def _cost(value: object) -> str:
    figure = number(value)
    return GAP if figure is None else f"{figure:,.3g}" if figure < 1000 else f"{figure:,.0f}"


def tried(sweep: Sweep) -> Html:
    """Every trial of each family."""
    says = (
        "Each dot is one set of parameters that was tried, by its mean score; the line is the best so far. A line that "
        "still rises at the end says that more trials might help."
        if sweep.greater_is_better
        else "Each dot is one set of parameters that was tried, by its mean score; the line is the best so far. A line "
        "that still falls at the end says that more trials might help."
    )
    panels = {sweep.label(f): _trials(sweep, f) for f in sweep.champion_first if sweep.role(f) != BASELINE}
    return section("trials", "All trials", says, chooser("trials", panels))


def _trials(sweep: Sweep, family: Result) -> Html:
    found, name = records(family.get("tried")), name_of(family)
    figure, outside = trials(sweep, found, f"Mean {sweep.metric} of {len(found)} trials of {name}, in order.")
    if figure is None:
        return missing(f"No trial of {name} has a score{_because(family)}.")
    scores = [known(numbers(trial.get("scores"))) for trial in found]
    most = max(len(listed(trial.get("scores"))) for trial in found)
    whole = [(float(np.mean(own)), k) for k, own in enumerate(scores) if own and len(own) == most]
    top = sorted(whole, key=lambda pair: (sweep.cost(pair[0]), pair[1]))[:TRIALS_LISTED]
    rows = [
        [str(k + 1), shown(mean), _seconds(found[k].get("seconds")), parameters(mapping(found[k].get("params")))]
        for mean, k in top
    ]
    head = ["trial", f"mean {sweep.metric}", "seconds", "parameters"]
    caption = f"The best trials of {name} that went through all folds"
    note = off_scale(outside).strip()
    return chart(figure, note=note, aside=behind(caption, head, rows, words=["parameters"]))


def _because(family: Result) -> str:
    why = word(family.get("error"), "")
    return f": {why}" if why else ""


def parameters(params: Result) -> str:
    """``name=value``, one after the other."""
    return ", ".join(f"{name}={value(found)}" for name, found in params.items()) or "none"


def value(found: object) -> str:
    """A parameter for people.

    >>> value(0.000123456), value(7), value(None), value(float("nan"))
    ('0.0001235', '7', 'None', '–')
    """
    if isinstance(found, float):
        return GAP if number(found) is None else f"{found:.4g}"
    return str(found)

"""The parts of the page that look at one family at a time."""

from __future__ import annotations

from collections.abc import Callable

import tune.report_closeups as look
import tune.report_truth as truth
from tune.report_html import Html, behind, chart, chooser, joined, missing, section, tag
from tune.report_sweep import (
    BASELINE,
    GAP,
    Result,
    Sweep,
    closeup_of,
    listed,
    name_of,
    number,
    numbers,
    records,
    shown,
    word,
)

LAST = "measured on the test rows of the last fold, which the model was not fitted on"


def confusions(sweep: Sweep) -> Html:
    """What each family takes for what."""
    says = (
        "Each row is a class that came; its cells say which share of its rows was predicted as each class, all folds "
        "together. A perfect model has 100 % on the diagonal."
    )
    return _of_classes(sweep, "confusion", "Confusion", says, _confusion)


def calibrations(sweep: Sweep) -> Html:
    """Whether each family is as sure as it should be."""
    says = (
        "When a model gives its answer 70 %, it should be right in 70 % of cases: then its dots lie on the dotted "
        f"line. Below it, the model is too sure. Larger dots stand for more rows; {LAST}."
    )
    return _of_classes(sweep, "calibration", "Calibration", says, _calibration)


def _of_classes(sweep: Sweep, key: str, title: str, says: str, draw: Callable[[Sweep, Result], Html]) -> Html:
    if not sweep.classes and not any(look.confusion_counts(family) is not None for family in sweep.families):
        return section(key, title, "The target is a value, so there are no classes to look at here.")
    return section(key, title, says, chooser(key, {sweep.label(f): draw(sweep, f) for f in sweep.champion_first}))


def _confusion(sweep: Sweep, family: Result) -> Html:
    counts = look.confusion_counts(family)
    if counts is None:
        return _none(family, "no confusion counts")
    names = look.class_names(len(counts), sweep.classes)
    share = [[GAP if s is None else f"{s:.1%}" for s in row] for row in look.confusion_share(counts)]
    rows = [
        [name, *cells, f"{total:,.0f}"] for name, cells, total in zip(names, share, counts.sum(axis=1), strict=True)
    ]
    head = ["true class", *(f"as {name}" for name in names), "rows"]
    figure = look.confusion_map(counts, names, f"Confusion of {name_of(family)}; the figures are in the table.")
    return tag("div", chart(figure, aside=behind(f"Confusion of {name_of(family)}", head, rows)), class_="narrow")


def _calibration(sweep: Sweep, family: Result) -> Html:
    bins = listed(closeup_of(family).get("calibration"))
    told = f"Share of right answers of {name_of(family)} over the probability it gave them."
    figure = look.calibration(bins, told)
    if figure is None:
        return _none(family, "no probabilities that were kept")
    rows = [[shown(p), shown(right), f"{number(rows) or 0:.0f}"] for p, right, rows in map(_three, bins)]
    head = ["mean probability", "share right", "rows"]
    return tag("div", chart(figure, aside=behind("Calibration by bin", head, rows)), class_="narrow")


def _three(found: object) -> tuple[float | None, float | None, float | None]:
    p, right, rows = (*numbers(found), None, None, None)[:3]
    return p, right, rows


def learnings(sweep: Sweep) -> Html:
    """How fits went."""
    says = (
        "A line is the fit of one fold; the newest fold is strong, older ones are pale. Validation loss is on rows "
        "kept back from the fit: where it rises while training loss falls, the model learns by heart."
    )
    told = [f for f in sweep.champion_first if any(score.get("epochs") for score in records(f.get("scores")))]
    if not told:
        why = "No family of this sweep is fitted step by step, so there are no learning curves."
        return section("learning", "Learning curves", says, missing(why))
    panels = {sweep.label(family): _learning(family) for family in told}
    return section("learning", "Learning curves", says, chooser("learning", panels))


def _learning(family: Result) -> Html:
    name = name_of(family)
    losses = look.learning(family, rate=False, label=f"Training and validation loss of {name} by fold.")
    rates = look.learning(family, rate=True, label=f"Learning rate of {name} by fold.")
    return tag(
        "div",
        chart(losses, note="Loss.") if losses else missing(f"{name} reports no loss."),
        chart(rates, note="Learning rate.") if rates else missing(f"{name} reports no learning rate."),
        class_="row",
    )


def predictions(sweep: Sweep) -> Html:
    """What was predicted beside what came."""
    says = (
        "What came, above what was predicted: a column is one row of data, a colour a class. "
        if sweep.classes
        else "Each dot is a row: a perfect model has all of them on the dashed line; one that knows nothing has them "
        "on the dotted line, 'no change'. "
    ) + f"A sample of rows, {LAST}."
    panels = {sweep.label(family): _truth(sweep, family) for family in sweep.champion_first}
    return section(
        "predictions", "Predictions and truth", says, chooser("predictions", panels), _champion_over_time(sweep)
    )


def _truth(sweep: Sweep, family: Result) -> Html:
    rows, name = truth.truths(closeup_of(family)), name_of(family)
    if not rows:
        return _none(family, "no predictions that were kept")
    if not sweep.classes:
        figure = truth.scatter(rows, f"{len(rows)} predicted values of {name} over those that came.")
        return tag("div", chart(figure), class_="narrow")
    own, symbol = truth.of_one_symbol(rows)
    figure = truth.strip(own, sweep.classes, f"Classes that came and that {name} predicted, in time order.")
    return chart(figure, note=f"Rows of {symbol}." if symbol else "Rows of all symbols.")


def _champion_over_time(sweep: Sweep) -> Html | None:
    champion = sweep.champion
    if sweep.classes or champion is None:
        return None
    rows, symbol = truth.of_one_symbol(truth.truths(closeup_of(champion)))
    if not rows:
        return None
    figure = truth.over_time(rows, f"Values that came and those that {name_of(champion)} predicted, over time.")
    note = f"The champion's predictions over time, {f'rows of {symbol}' if symbol else 'rows of all symbols'}."
    return joined(tag("h3", "The champion over time"), chart(figure, note=note))


def importances(sweep: Sweep) -> Html:
    """What each family looks at."""
    says = (
        f"Which features matter, at most {look.FEATURES_SHOWN}, the greatest first. Permutation: how much "
        f"{sweep.metric} is lost when the feature is shuffled, with the standard deviation of the shuffles as a bar; "
        "near 0 means that the model does not need it. Gain and SHAP are there for trees only. Permutation and SHAP "
        f"are {LAST}."
    )
    panels = {sweep.label(f): _importance(f) for f in sweep.champion_first if sweep.role(f) != BASELINE}
    return section("importance", "Feature importance", says, chooser("importance", panels))


def _importance(family: Result) -> Html:
    close, name = closeup_of(family), name_of(family)
    found = {kind: look.ranked(close, kind) for kind in look.IMPORTANCE}
    drawn = []
    for kind, (short, axis, meaning) in look.IMPORTANCE.items():
        if rows := found[kind][: look.FEATURES_SHOWN]:
            figure = look.importance(rows, axis, f"{short} importance of the features of {name}.")
            cells = [[feature, shown(mean), shown(spread)] for feature, mean, spread in rows]
            aside = behind(f"{short} of {name}", ["feature", axis, "standard deviation"], cells)
            drawn.append(chart(figure, note=f"{short}: {meaning}.", aside=aside))
    return tag("div", *drawn, class_="row") if drawn else _none(family, "no importance of single features")


def _none(family: Result, what: str) -> Html:
    unseen = "" if closeup_of(family) else "it was not looked at closely"
    why = word(family.get("error"), unseen)
    return missing(f"{name_of(family)} has {what}{f': {why}' if why else ''}.")

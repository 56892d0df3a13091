"""The page a person looks at after a sweep: one file that needs no other, on any screen, without a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import tune.report_champion as champion
import tune.report_families as families_of
import tune.report_sections as sections
from tune.report_html import Html, data, joined, script, tag
from tune.report_script import SCRIPT
from tune.report_sweep import Sweep, moment
from tune.report_theme import THEMES, style

PARTS = {
    "leaderboard": ("Leaderboard", sections.leaderboard),
    "folds": ("By fold", sections.folds),
    "symbols": ("By symbol", sections.symbols),
    "confusion": ("Confusion", families_of.confusions),
    "calibration": ("Calibration", families_of.calibrations),
    "learning": ("Learning curves", families_of.learnings),
    "predictions": ("Predictions and truth", families_of.predictions),
    "importance": ("Feature importance", families_of.importances),
    "cost": ("Score and cost", sections.costs),
    "trials": ("All trials", sections.tried),
    "holdout": ("The untouched segment", champion.holdout),
    "champion": ("The champion", champion.champion),
}
"""The page, from top to bottom: the name of a section in the contents, and what makes it."""


def page(recipe: str, run_id: str, families: Sequence[Mapping[str, Any]], contract: Mapping[str, Any]) -> str:
    """Return the HTML of a sweep; the same arguments make the same bytes.

    Scripts and styles are in it, and its content policy forbids the browser to load anything or to run another script.
    What is not known (None, NaN, an empty list) leaves its chart out, with a line that says so.

    Parameters
    ----------
    recipe, run_id : str
        What was swept, and the name of the sweep.
    families : sequence of mapping
        One a family, best first, as `pipelines.report.family_result` makes them.
    contract : mapping
        The champion's, as `bellwether.models.artefact.Contract` writes it.

    Examples
    --------
    >>> text = page("demo", "run-1", [], {})
    >>> text[:15], "The sweep has no champion." in text
    ('<!doctype html>', True)
    """
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped, unused-ignore]

    sweep = Sweep(recipe=recipe, run_id=run_id, families=tuple(families), contract=contract)
    scripts = get_plotlyjs(), SCRIPT
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag(
            "div",
            _head(sweep),
            tag("main", *(make(sweep) for _, make in PARTS.values()), id="content"),
            class_="layout",
        ),
        script(data(THEMES), type="application/json", id="themes"),
        *(script(text) for text in scripts),
    )
    whole = tag("html", _document_head(f"{recipe}: sweep {run_id}", scripts), body, lang="en")
    return f"<!doctype html>\n{whole}\n"


def _head(sweep: Sweep) -> Html:
    entries = [tag("li", tag("a", title, href=f"#{key}")) for key, (title, _) in PARTS.items()]
    searched, made = len(sweep.families) - len(sweep.baselines), moment(sweep.contract.get("created_at"))
    counted = f"Sweep {sweep.run_id}: {searched} families searched beside {len(sweep.baselines)} baselines"
    return joined(
        tag(
            "header",
            tag("h1", f"{sweep.recipe}: models compared"),
            tag("p", counted, f", champion made {made} (UTC)." if made else ".", class_="meta"),
            champion.verdict(sweep),
        ),
        tag("nav", tag("ol", *entries), aria_label="Contents"),
        tag("noscript", tag("p", "Charts need scripts, which are off; all tables are here.", class_="missing")),
    )


def _document_head(title: str, scripts: Sequence[str]) -> Html:
    """Only scripts with these hashes run: text from data never becomes one, even if it were not escaped."""
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style())),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

"""Parts of a page: tags that escape what they are given, tables, charts and choosers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from tune.report_sweep import number

TEMPLATES = ("hovertemplate", "texttemplate")
"""Keys of a figure whose value is markup that this project wrote. All other text is data."""

VOID = ("meta", "br")


class Html(str):
    """Text that is markup already. Whatever is not is escaped where it enters a tag."""


def tag(kind: str, *inner: str | None, **attributes: str | int | bool | None) -> Html:
    """An element. Attributes are spelt ``class_`` and ``aria_label``; True stands alone, None and False are left out.

    >>> tag("p", "1 < 2 ", tag("b", "sure"), class_="note")
    '<p class="note">1 &lt; 2 <b>sure</b></p>'
    """
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    spelt = [
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in given.items()
        if value is not None and value is not False
    ]
    return Html(f"<{kind}{''.join(spelt)}>" + ("" if kind in VOID else f"{joined(*inner)}</{kind}>"))


def joined(*inner: str | None) -> Html:
    """Parts one after the other, escaped unless they are markup."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in inner if part is not None))


def script(text: str, **attributes: str) -> Html:
    """A script or its data, as it is."""
    return Html(tag("script", None, **attributes).removesuffix("</script>") + text + "</script>")


def data(value: Any) -> str:
    """JSON that can stand in a script element: no markup, no NaN, figures to six digits."""
    text = json.dumps(plain(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plain(value: Any, key: str = "") -> Any:
    """What JSON can say. Text is escaped, since plotly reads some markup in names, unless a template of ours.

    >>> plain({"name": "<b>", "y": [0.12345678, float("nan")]})
    {'name': '&lt;b&gt;', 'y': [0.123457, None]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner, key) for inner in value]
    if isinstance(value, str):
        return value if key in TEMPLATES else escape(value, quote=False)
    if value is None or isinstance(value, bool | int):
        return value
    figure = number(value)
    return None if figure is None else float(f"{figure:.6g}")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart as plotly takes it. Colours may be ``@name``: that of the reader's theme.

    Parameters
    ----------
    traces, layout
        Plain data.
    height : int
        Pixels.
    label : str
        What it shows, for those who cannot see it.
    """

    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict)
    height: int = 320
    label: str


def chart(figure: Figure, *, note: str = "", aside: Html | None = None) -> Html:
    """A figure with a sentence under it and its numbers behind a button."""
    drawn = tag("div", None, class_="plot", role="img", aria_label=figure.label, style=f"height:{figure.height}px")
    source = script(data({"data": figure.traces, "layout": figure.layout}), type="application/json")
    caption = tag("figcaption", note) if note else None
    return tag("figure", drawn, source, caption, aside, class_="chart")


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    *,
    sortable: bool = False,
    words: Sequence[str] = (),
) -> Html:
    """A table whose first cell of each row heads it; wide ones scroll on their own. ``words`` are columns set left."""
    left = ["words" if name in words else None for name in head]
    top = tag("tr", *(tag("th", name, scope="col", class_=kind) for name, kind in zip(head, left, strict=True)))
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", cell, class_=kind) for cell, kind in zip(row[1:], left[1:], strict=True)),
        )
        for row in rows
    ]
    drawn = tag(
        "table",
        tag("caption", caption),
        tag("thead", top),
        tag("tbody", *body),
        class_="sortable" if sortable else None,
    )
    return tag("div", drawn, class_="scroll", role="region", aria_label=caption, tabindex=0)


def behind(caption: str, head: Sequence[str], rows: Sequence[Sequence[str | None]], words: Sequence[str] = ()) -> Html:
    """A table that is there when asked for."""
    return tag("details", tag("summary", f"Table: {caption}"), table(caption, head, rows, words=words))


def missing(why: str) -> Html:
    """Stands where a chart has nothing to show."""
    return tag("p", why, class_="missing")


def section(key: str, title: str, says: str, *parts: str | None) -> Html:
    """A part of the page with a heading and one sentence that says how to read it."""
    heading = tag("h2", title, id=f"{key}-title")
    return tag("section", heading, tag("p", says), *parts, id=key, aria_labelledby=f"{key}-title")


def chooser(key: str, panels: Mapping[str, Html]) -> Html:
    """One panel at a time, chosen by name; all of them where scripts do not run."""
    if not panels:
        return missing("No family has anything to show here.")
    options = [tag("option", name, value=name) for name in panels]
    select = tag("select", *options, id=f"{key}-choice", class_="choice")
    label = tag("label", "Family ", select, for_=f"{key}-choice", class_="chooser")
    shown = [tag("div", tag("h3", name), inner, class_="panel", data_name=name) for name, inner in panels.items()]
    return tag("div", label, *shown, class_="panels")

"""How the page looks, in light and dark: colours of Okabe and Ito, "Color universal design" (2008)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

THEMES: Mapping[str, Mapping[str, Any]] = {
    "light": {
        "ink": "#1b1f23",
        "muted": "#57606a",
        "line": "#d8dee4",
        "surface": "#ffffff",
        "raised": "#f6f8fa",
        "link": "#005a9c",
        "champion": "#d55e00",
        "family": "#0072b2",
        "baseline": "#7b838b",
        "sequential": [[0, "#f4f6f8"], [1, "#0072b2"]],
        "diverging": [[0, "#d55e00"], [0.5, "#eceff1"], [1, "#0072b2"]],
    },
    "dark": {
        "ink": "#e6e8ea",
        "muted": "#a4adb6",
        "line": "#343c44",
        "surface": "#14181c",
        "raised": "#1c2126",
        "link": "#7cc4f5",
        "champion": "#e69f00",
        "family": "#56b4e9",
        "baseline": "#8f98a1",
        "sequential": [[0, "#1c2126"], [1, "#56b4e9"]],
        "diverging": [[0, "#e69f00"], [0.5, "#2b3239"], [1, "#56b4e9"]],
    },
}
"""The champion is orange, other families blue and baselines grey; worse is orange and better blue."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def style() -> str:
    """The style sheet, with the colours of both themes."""
    dark = f"@media (prefers-color-scheme: dark) {{ {_variables('dark')} }}"
    return f"{_variables('light')}\n{dark}\n{_STYLE}"


def _variables(theme: str) -> str:
    spelt = "; ".join(f"--{name}: {value}" for name, value in THEMES[theme].items() if isinstance(value, str))
    return f":root {{ {spelt} }}"


_STYLE = f"""
:root {{ color-scheme: light dark; }}
* {{ box-sizing: border-box; }}
html {{ scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }}
body {{ margin: 0; background: var(--surface); color: var(--ink); font: 16px/1.55 {FONT}; }}
.skip {{ position: absolute; left: -999px; padding: .5rem 1rem; background: var(--raised); z-index: 2; }}
.skip:focus {{ left: 0; top: 0; }}
a {{ color: var(--link); }}
:focus-visible {{ outline: 3px solid var(--link); outline-offset: 2px; }}
.layout {{ max-width: 78rem; margin: 0 auto; padding: 1rem; }}
h1, h2, h3 {{ line-height: 1.25; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.7rem; margin: .5rem 0; }}
h2 {{ font-size: 1.25rem; margin: 0 0 .25rem; }}
h3 {{ font-size: 1rem; margin: .75rem 0 .25rem; }}
p {{ max-width: 46rem; margin: .25rem 0 .75rem; overflow-wrap: anywhere; }}
.lead {{ font-size: 1.1rem; border-left: 4px solid var(--family); padding: .25rem 0 .25rem .9rem; }}
.lead.passed {{ border-color: var(--family); }}
.lead.refused {{ border-color: var(--champion); }}
.missing, figcaption, .meta {{ color: var(--muted); font-size: .9rem; }}
.missing {{ padding: .5rem .75rem; background: var(--raised); border-radius: 6px; }}
section {{ padding: 1.25rem 0; border-top: 1px solid var(--line); scroll-margin-top: .5rem; }}
nav ol {{ margin: .25rem 0 1rem; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .15rem .9rem; }}
nav a {{ display: inline-block; padding: .2rem 0; }}
figure {{ margin: .5rem 0 1rem; min-width: 0; }}
figcaption {{ max-width: 46rem; overflow-wrap: anywhere; }}
.plot {{ width: 100%; }}
.narrow {{ max-width: 36rem; }}
.row {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 0 1.5rem; }}
.row > * {{ min-width: 0; }}
.scroll {{ overflow-x: auto; margin: .5rem 0; }}
table {{ border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: var(--muted); padding: .25rem 0; }}
th, td {{ padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }}
thead th {{ vertical-align: bottom; }}
tbody th, th:first-child, .words {{ text-align: left; }}
tbody th {{ font-weight: 400; }}
td.words {{ white-space: normal; min-width: 6rem; max-width: 30rem; overflow-wrap: anywhere; }}
.badge {{ font-size: .75rem; padding: .05rem .45rem; border: 1px solid currentColor; border-radius: 1rem; }}
.badge.champion {{ color: var(--champion); font-weight: 700; }}
.badge.baseline {{ color: var(--muted); }}
th button {{ all: unset; cursor: pointer; font-weight: 600; }}
th button:focus-visible {{ outline: 3px solid var(--link); }}
th[aria-sort=ascending] button::after {{ content: " ▲"; }}
th[aria-sort=descending] button::after {{ content: " ▼"; }}
summary {{ cursor: pointer; color: var(--link); padding: .25rem 0; font-size: .9rem; }}
select {{ font: inherit; padding: .35rem .5rem; max-width: 100%; color: inherit; background: var(--raised);
  border: 1px solid var(--muted); border-radius: 6px; }}
[hidden] {{ display: none; }}
@media (prefers-reduced-motion: reduce) {{ html {{ scroll-behavior: auto; }} }}
@media (max-width: 40rem) {{
  .layout {{ padding: .75rem; }}
  nav ol {{ display: block; columns: 2; }}
}}
"""

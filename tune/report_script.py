"""What the page does: draw what comes into view, follow the reader's theme, choose a family, sort a table."""

from __future__ import annotations

SCRIPT = """
"use strict";
(() => {
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  const touch = matchMedia("(pointer: coarse)");
  const hover = matchMedia("(hover: hover)");
  const theme = () => (dark.matches ? themes.dark : themes.light);

  // Colours of a figure may be names of the theme's. Only keys that hold colours are looked at: data may start with @.
  const holdsColour = (key) => /color$|^colorscale$/.test(key);
  const dressed = (value, key) => {
    if (Array.isArray(value)) return value.map((inner) => dressed(inner, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, dressed(inner, name)]));
    }
    const named = typeof value === "string" && value[0] === "@" && holdsColour(key);
    return named ? theme()[value.slice(1)] : value;
  };

  const base = () => {
    const t = theme();
    const axis = { gridcolor: t.line, linecolor: t.muted, zeroline: false, automargin: true, ticks: "" };
    axis.fixedrange = touch.matches;
    return {
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 12, color: t.ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 12, t: 12, b: 8 },
      hoverlabel: { bgcolor: t.raised, bordercolor: t.muted, font: { color: t.ink } },
      legend: { orientation: "h", yref: "container", yanchor: "top", y: 1, x: 0, xanchor: "left" },
      modebar: { bgcolor: t.surface, color: t.muted, activecolor: t.ink },
      dragmode: touch.matches ? false : "zoom",
      xaxis: axis,
      yaxis: axis,
    };
  };

  const config = {
    responsive: true,
    displaylogo: false,
    plotlyServerURL: "",
    displayModeBar: hover.matches ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };

  const draw = (plot) => {
    const figure = dressed(JSON.parse(plot.parentElement.querySelector("script").textContent), "");
    // Numbers in the cells of a heat map need room.
    if (narrow.matches) figure.data.filter((d) => d.x && d.x.length > 6).forEach((d) => delete d.texttemplate);
    const layout = { ...figure.layout, template: { layout: base() } };
    Plotly.react(plot, figure.data, layout, config);
    plot.dataset.drawn = "yes";
  };

  const plots = [...document.querySelectorAll(".plot")];
  const seen = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => { seen.unobserve(e.target); draw(e.target); }),
    { rootMargin: "300px" },
  );
  plots.forEach((plot) => seen.observe(plot));
  const again = () => plots.filter((plot) => plot.dataset.drawn).forEach(draw);
  dark.addEventListener("change", again);
  narrow.addEventListener("change", again);
  addEventListener("beforeprint", () => plots.filter((p) => !p.dataset.drawn && p.offsetParent).forEach(draw));

  const choosers = [...document.querySelectorAll(".panels")];
  const choose = (name) => choosers.forEach((chooser) => {
    const panels = [...chooser.querySelectorAll(".panel")];
    if (!panels.some((panel) => panel.dataset.name === name)) return;
    chooser.querySelector("select").value = name;
    panels.forEach((panel) => { panel.hidden = panel.dataset.name !== name; });
    chooser.querySelectorAll(".panel:not([hidden]) .plot[data-drawn]").forEach((plot) => Plotly.Plots.resize(plot));
  });
  choosers.forEach((chooser) => {
    const select = chooser.querySelector("select");
    select.addEventListener("change", () => choose(select.value));
    chooser.querySelectorAll(".panel").forEach((panel, k) => { panel.hidden = k > 0; });
  });

  const worth = (cell) => {
    const text = cell.textContent.trim(), figure = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(figure) ? text : figure;
  };
  // What is not known stays last, whichever way is up.
  const compare = (a, b, sign) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => compare(worth(a.cells[k]), worth(b.cells[k]), down ? -1 : 1));
        table.tBodies[0].append(...rows);
      });
    });
  });
})();
"""
"""Runs after plotly. Without it the page shows every table and every family, and no chart."""

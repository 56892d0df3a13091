// The signal at each bar beside the index, by plotly, and the same as a table.

import { byId, el, fill, table } from "./dom.js";
import { day, fixed, moment, percent, points, signed } from "./format.js";

let drawn = null;
let loading = null;

/** Plotly is large: it is loaded when there is something to draw, and the browser keeps it. */
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = el("script", { src: `page/plotly.js?v=${document.documentElement.dataset.plotly}` });
    script.addEventListener("load", () => resolve(globalThis.Plotly));
    script.addEventListener("error", () => { loading = null; reject(new Error("the chart's script could not be loaded")); });
    document.head.append(script);
  });
  return loading;
}

export async function showHistory(history, problem) {
  if (history === null || history.bars.length === 0) {
    byId("history-text").textContent = `No history: ${problem ?? "the lake has no bars with a signal yet"}.`;
    return;
  }
  drawn = history;
  byId("history-text").textContent = summary(history);
  fill(byId("history-table"), listed(history));
  await redraw();
}

/** What the chart shows, for those who do not see it. */
function summary({ bars, train_end: end }) {
  const trained = bars.filter((bar) => bar.in_training).length;
  const counts = ["BUY", "HOLD", "SELL"].map((name) => `${bars.filter((bar) => bar.signal === name).length} ${name}`);
  const known = bars.some((bar) => bar.index_close !== null) ? "" : " The lake has no bars of the index itself.";
  const told = trained ? ` The model was fitted on what followed the ${trained} shaded bars, up to ${day(end)}: there it is no forecast.` : "";
  return `${bars.length} bars from ${day(bars[0].ts_event)} to ${day(bars.at(-1).ts_event)}: ${counts.join(", ")}.${told}${known}`;
}

function listed({ bars }) {
  const heads = [{ title: "Bar" }, { title: "Signal" }, { title: "Sum", kind: "number" }, { title: "Coverage", kind: "number" },
    { title: "Index", kind: "number" }, { title: "Return after", kind: "number" }, { title: "In training" }];
  const rows = [...bars].reverse().map((bar) => [moment(bar.ts_event), bar.signal, signed(bar.wss, 3), percent(bar.coverage),
    fixed(bar.index_close), points(bar.index_return), bar.in_training ? "yes" : "no"]);
  const caption = "The signal at each bar, newest first";
  return el("div", { class: "scroll tall", role: "region", "aria-label": caption, tabindex: "0" }, table(caption, heads, rows));
}

export async function redraw() {
  if (drawn === null) return;
  try {
    const library = await plotly();
    byId("chart").dataset.drawn = drawn.bars.at(-1).ts_event;
    await library.react(byId("chart"), traces(drawn), layout(drawn), {
      responsive: true, displaylogo: false, displayModeBar: false, plotlyServerURL: "", scrollZoom: false, showTips: false,
    });
  } catch (error) {
    byId("history-text").textContent = `${summary(drawn)} No chart: ${error.message}.`;
  }
}

/** A colour of the style sheet as it is now, light or dark. */
function colour(name) {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Bars stand side by side, whatever nights and weekends lie between them: the axis counts bars and names days. */
function traces({ bars }) {
  const x = bars.map((_, k) => k);
  const named = { BUY: colour("up"), SELL: colour("down"), HOLD: colour("flat") };
  const text = bars.map((bar) => `${moment(bar.ts_event)}${bar.in_training ? " (in training)" : ""}`);
  const index = {
    type: "scatter", mode: "lines", name: "Index", x, y: bars.map((bar) => bar.index_close), text, yaxis: "y2",
    line: { color: colour("ink"), width: 1.5 }, hovertemplate: "%{text}<br>index %{y:.2f}<extra></extra>",
  };
  const sum = {
    type: "bar", name: "Weighted sum", x, y: bars.map((bar) => bar.wss), text: bars.map((bar, k) => `${text[k]}<br>${bar.signal}`),
    textposition: "none", marker: { color: bars.map((bar) => named[bar.signal]), line: { width: 0 } },
    hovertemplate: "%{text} %{y:+.3f}<extra></extra>",
  };
  return bars.some((bar) => bar.index_close !== null) ? [index, sum] : [sum];
}

function layout({ bars, thresholds: { buy, sell } }) {
  const narrow = matchMedia("(max-width: 40rem)").matches;
  const alone = bars.every((bar) => bar.index_close === null);
  const axis = { gridcolor: colour("line"), zeroline: false, fixedrange: true, automargin: true, tickfont: { color: colour("muted") } };
  const most = Math.max(Math.abs(buy), Math.abs(sell), ...bars.map((bar) => Math.abs(bar.wss))) * 1.1;
  const still = matchMedia("(pointer: coarse)").matches;
  return {
    height: narrow ? 340 : 400,
    margin: { l: 44, r: narrow ? 8 : 64, t: 18, b: 28 },
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12, color: colour("ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, bargap: 0.25, hovermode: "x",
    dragmode: still ? false : "zoom",
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("ink") } },
    xaxis: { ...axis, ...days(bars, narrow ? 3 : 8), showgrid: false, anchor: "y", range: [-0.5, bars.length - 0.5], fixedrange: still },
    yaxis: { ...axis, domain: alone ? [0, 1] : [0, 0.4], range: [-most, most], nticks: 5, title: title("sum") },
    yaxis2: { ...axis, domain: [0.48, 1], nticks: 5, title: title("index") },
    shapes: [...training(bars), ...[buy, sell].map((y) => threshold(y)), { ...threshold(0), line: { color: colour("muted"), width: 1 } }],
    annotations: [...trained(bars), ...(narrow ? [] : [note(`buy ${signed(buy)}`, buy), note(`sell ${signed(sell)}`, sell)])],
  };
}

const title = (text) => ({ text, font: { color: colour("muted"), size: 11 }, standoff: 6 });

const threshold = (y) => ({
  type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: y, y1: y, line: { color: colour("muted"), width: 1, dash: "dot" },
});

const note = (text, y) => ({
  text, xref: "paper", x: 1, xanchor: "left", xshift: 4, yref: "y", y, showarrow: false, font: { color: colour("muted"), size: 11 },
});

/** The first bars of days, the newest one first, with room for a label between any two. */
function days(bars, most) {
  const first = bars.map((bar, k) => k).filter((k) => k > 0 && day(bars[k].ts_event) !== day(bars[k - 1].ts_event));
  const tickvals = [];
  for (const k of first.reverse()) if (!tickvals.length || tickvals.at(-1) - k >= bars.length / most) tickvals.push(k);
  return { tickvals, ticktext: tickvals.map((k) => day(bars[k].ts_event).replace(/ \d{4}$/, "")), tickangle: 0 };
}

const lastTrained = (bars) => bars.reduce((found, bar, k) => (bar.in_training ? k : found), -1);

function training(bars) {
  const end = lastTrained(bars);
  if (end < 0) return [];
  return [{ type: "rect", layer: "below", xref: "x", x0: -0.5, x1: end + 0.5, yref: "paper", y0: 0, y1: 1, fillcolor: colour("shade"), line: { width: 0 } }];
}

function trained(bars) {
  if (lastTrained(bars) < 0) return [];
  return [{ text: "in training: no forecast", xref: "x", x: -0.5, xanchor: "left", xshift: 4, yref: "paper", y: 1, yanchor: "bottom", showarrow: false, font: { color: colour("muted"), size: 11 } }];
}

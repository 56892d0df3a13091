// The signal now: the call, the sum it is made of, and how much of the index said it.

import { byId, el } from "./dom.js";
import { duration, moment, percent, points, signed } from "./format.js";

const LIMIT = 2; // the scores run from -2 to 2, and so does their weighted sum
let last = null;

/** Where a sum lies on the gauge, as a share of its width. */
const place = (value) => `${(100 * (Math.min(LIMIT, Math.max(-LIMIT, value)) + LIMIT)) / (2 * LIMIT)}%`;

export function showSignal(signal) {
  announce(signal);
  byId("signal").setAttribute("aria-busy", "false");
  byId("universe-name").textContent = signal.universe;
  byId("call").dataset.call = signal.signal;
  byId("call").replaceChildren(el("i", { class: "mark", "aria-hidden": "true" }), signal.signal);
  byId("why").textContent = signal.reason ?? because(signal);
  byId("wss").textContent = signed(signal.wss, 3);
  byId("sum-note").replaceChildren(el("i", { class: "soft", "aria-hidden": "true" }),
    `${signed(signal.wss_probability, 3)} where each score is its expectation`);
  gauge(signal);
  byId("facts").replaceChildren(...facts(signal));
  document.title = `${signal.signal} ${signed(signal.wss)} · ${signal.universe} · Bellwether`;
  last = signal;
  tick();
}

/** What the thresholds alone decide. */
function because({ signal, thresholds: { buy, sell } }) {
  if (signal === "BUY") return `The sum is at or above ${signed(buy)}.`;
  if (signal === "SELL") return `The sum is at or below ${signed(sell)}.`;
  return `The sum lies between ${signed(sell)} and ${signed(buy)}.`;
}

/** Only a change of the call is read out: a number that moves every second would drown everything else. */
function announce(signal) {
  if (last === null || (last.signal === signal.signal && last.universe === signal.universe)) return;
  byId("announcement").textContent =
    `${signal.universe}: the signal is ${signal.signal}, it was ${last.signal}. Sum ${signed(signal.wss)}. ${signal.reason ?? ""}`;
}

function gauge({ wss, wss_probability: softer, thresholds: { buy, sell } }) {
  const label = `Weighted sum ${signed(wss)} on a scale from −2 to +2. Sell at ${signed(sell)} or below, ` +
    `buy at ${signed(buy)} or above.`;
  byId("gauge").setAttribute("aria-label", label);
  byId("gauge").replaceChildren(
    el("div", { class: "track", "--sell": place(sell), "--buy": place(buy) }, el("i", { class: "soft", "--at": place(softer) }),
      el("i", { class: "needle", "--at": place(wss) })),
    el("div", { class: "scale" }, [
      ["−2", -LIMIT, "end"], [`sell ${signed(sell)}`, sell, "sell"], [`buy ${signed(buy)}`, buy, "buy"], ["+2", LIMIT, "end"],
    ].map(([text, at, kind]) => el("span", { class: kind, "--at": place(at) }, text))),
  );
}

function facts(signal) {
  return [
    fact("Coverage", percent(signal.coverage), `of the weight answered; below ${percent(signal.thresholds.coverage_floor)} it is HOLD`,
      { "--share": percent(signal.coverage).replace(" ", ""), class: "coverage" }),
    expected(signal),
    fact("Age of the newest bar", el("span", { id: "age" }), closed(signal)),
    fact("Model", `${signal.model.name} ${signal.model.version}`, signal.model.alias),
  ];
}

/** Where time is that of the data (history, simulation), a bar of last year may be as fresh as can be. */
const closed = ({ bar_time: at, as_of: now }) =>
  `closed ${moment(at)}${at !== null && at === now ? "; freshness is counted from there" : ""}`;

function expected({ expected_return: found, expected_return_reason: reason }) {
  if (!found) return fact("Expected return", "not known", reason ?? "");
  const over = found.horizon_bars === 1 ? "over the next bar" : `over the next ${found.horizon_bars} bars`;
  const covers = found.covers < 0.9995 ? `, of ${percent(found.covers)} of the weight` : "";
  return fact("Expected return", points(found.mean),
    `${percent(found.coverage_level)} interval ${points(found.low)} to ${points(found.high)}, ${over}${covers}`);
}

function fact(term, value, note, attributes = {}) {
  return el("div", attributes, el("dt", {}, term), el("dd", {}, value), note ? el("dd", { class: "note" }, note) : null);
}

/** Ages grow between answers. */
export function tick() {
  const age = byId("age");
  if (age === null || last === null) return;
  const seconds = (Date.now() - new Date(last.bar_time ?? NaN)) / 1000;
  age.textContent = last.bar_time === null ? "none" : duration(seconds);
}

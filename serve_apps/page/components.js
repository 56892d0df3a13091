// The table of components: what each says, how much it counts, and how fresh it is. Sorted by the buttons of its head.

import { byId, el, row, table, unseen } from "./dom.js";
import { duration, percent, signed, words } from "./format.js";

const CLASSES = ["strong_sell", "sell", "hold", "buy", "strong_buy"];
const SCORES = ["−2", "−1", "0", "+1", "+2"];
const STATUS = ["fresh", "stale", "late", "missing"];

const COLUMNS = [
  { key: "symbol", label: "Component", of: (c) => c.symbol, cell: (c) => c.symbol },
  { key: "action", label: "Action", of: (c) => c.score, cell: action },
  { key: "probability", label: "Probabilities", of: expectation, cell: probabilities },
  { key: "weight", label: "Weight", kind: "number", of: (c) => c.weight, cell: (c) => percent(c.weight, 1) },
  { key: "share", label: "Share", kind: "number", of: (c) => c.share, cell: (c) => percent(c.share, 1) },
  { key: "contribution", label: "Contribution", kind: "number", of: (c) => c.contribution, cell: contribution },
  { key: "status", label: "Freshness", of: (c) => STATUS.indexOf(c.status), cell: freshness },
];

const order = { key: null, down: false };
let shown = [];

export function showComponents(components) {
  shown = components;
  const place = byId("components");
  if (place.querySelector("table") === null) {
    const caption = "Components of the index; the buttons in the first row sort them";
    place.replaceChildren(table(caption, COLUMNS.map(head), [], { class: "components" }));
  }
  const largest = Math.max(...components.map((c) => Math.abs(c.contribution)), 1e-9);
  place.querySelector("tbody").replaceChildren(...sorted().map((c) => line(c, largest)));
}

const heads = COLUMNS.map((column) => ({ kind: `of-${column.key} ${column.kind ?? ""}`.trim(), label: column.label }));

function head(column, k) {
  const button = el("button", { type: "button" }, column.label);
  button.addEventListener("click", () => sortBy(column.key));
  const scores = el("span", { class: "scores", "aria-hidden": "true" }, SCORES.map((text) => el("span", {}, text)));
  return { ...heads[k], title: column.key === "probability" ? el("span", {}, button, scores) : button };
}

function line(component, largest) {
  const made = row(heads, COLUMNS.map((column) => column.cell(component, largest)));
  made.dataset.status = component.status;
  return made;
}

function sortBy(key) {
  order.down = order.key === key ? !order.down : false;
  order.key = key;
  const cells = byId("components").querySelectorAll("thead th");
  cells.forEach((cell, k) => {
    if (COLUMNS[k].key === key) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
  showComponents(shown);
}

/** What is not known stays last, whichever way is up. */
function sorted() {
  const column = COLUMNS.find(({ key }) => key === order.key);
  if (column === undefined) return shown;
  const sign = order.down ? -1 : 1;
  return [...shown].sort((a, b) => {
    const [x, y] = [column.of(a), column.of(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y);
  });
}

function action({ action: name, score }) {
  if (name === null) return unseen("none");
  return el("span", { class: "action", "data-score": score },
    el("span", { class: "marks", "aria-hidden": "true" }, Array.from({ length: Math.abs(score) || 1 }, () => el("i", { class: "mark" }))),
    words(name));
}

/** Five small columns with their figures, which are text. */
function probabilities({ probabilities: given }) {
  if (given === null) return el("span", { class: "none" }, "no prediction");
  const likeliest = Math.max(...CLASSES.map((name) => given[name]));
  return el("ul", { class: "probabilities", role: "list" }, CLASSES.map((name, k) =>
    el("li", { "data-score": k - 2, "data-likeliest": given[name] === likeliest, "--p": given[name].toFixed(4) },
      unseen(`${words(name)} `), (100 * given[name]).toFixed(0), unseen(" %"))));
}

function expectation({ probabilities: given }) {
  return given === null ? null : CLASSES.reduce((sum, name, k) => sum + (k - 2) * given[name], 0);
}

function contribution({ contribution: value, share }, largest) {
  if (share === 0) return el("span", { class: "none" }, "0");
  const size = Math.abs(value) / largest;
  return el("span", { class: "contribution", "data-side": Math.sign(value), "--size": size.toFixed(4) },
    el("i", { "aria-hidden": "true" }), signed(value, 3));
}

function freshness({ status, reason, age_seconds: age }) {
  const old = age === null || age < 60 ? null : duration(age);
  return [
    el("span", { class: "status", "data-status": status }, el("i", { "aria-hidden": "true" }), status,
      old ? el("span", { class: "age" }, old) : null),
    reason ? el("small", {}, reason) : null,
  ];
}

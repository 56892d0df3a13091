// Elements from data. Text becomes text nodes and never markup, whatever is in it.

/** An element. `attributes` are set as they are; None-like values and false are left out, true stands alone. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("--")) made.style.setProperty(name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Text that is read out and not shown. */
export const unseen = (text) => el("span", { class: "unseen" }, text);

/** A line that says why something is not there. */
export const empty = (text) => el("p", { class: "empty" }, text);

/**
 * Replaces everything after the heading of a section. A reader who is in it, by keyboard or by scrolling, stays there; where
 * the place has gone, the keyboard is at the heading.
 */
export function fill(section, ...children) {
  const before = stops(section).map((one) => ({ left: one.scrollLeft, top: one.scrollTop, focused: one === document.activeElement }));
  const heading = section.firstElementChild;
  while (heading.nextSibling) heading.nextSibling.remove();
  section.append(...children.flat().filter(Boolean));
  const after = stops(section);
  before.forEach(({ left, top, focused }, k) => {
    after[k]?.scrollTo({ left, top, behavior: "instant" });
    if (focused) stay(after[k] ?? heading);
  });
}

function stay(place) {
  if (place.tabIndex < 0) place.tabIndex = -1; // a heading takes the keyboard when it is given, and is no stop on its way
  place.focus({ preventScroll: true });
}

/** What a reader may be at in a section: what folds, and what scrolls. Drawn again they come in the same order. */
const stops = (section) => [...section.querySelectorAll("summary, .scroll")];

/**
 * A table whose roles are spelt out: on a narrow screen its rows are laid out as cards, and a browser may then forget
 * that they are rows.
 */
export function table(caption, heads, rows, attributes = {}) {
  const head = el("tr", { role: "row" }, heads.map(headCell));
  return el(
    "table",
    { role: "table", ...attributes },
    el("caption", {}, el("span", {}, caption)),
    el("thead", { role: "rowgroup" }, head),
    el("tbody", { role: "rowgroup" }, rows.map((cells) => row(heads, cells))),
  );
}

function headCell(head) {
  return el("th", { role: "columnheader", scope: "col", class: head.kind, "aria-sort": head.sort }, head.title);
}

/** A row; its first cell heads it. */
export function row(heads, cells) {
  return el("tr", { role: "row" }, cells.map((cell, k) => {
    const attributes = { class: heads[k].kind, "data-label": heads[k].label ?? heads[k].title };
    if (k === 0) return el("th", { role: "rowheader", scope: "row", ...attributes }, cell);
    return el("td", { role: "cell", ...attributes }, cell);
  }));
}

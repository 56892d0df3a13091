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

/** Replaces everything after the heading of a section. */
export function fill(section, ...children) {
  section.replaceChildren(section.firstElementChild, ...children.flat().filter(Boolean));
}

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

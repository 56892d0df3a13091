// Whether the features of the last bars still look like those the model was trained on.

import { byId, el, empty, fill, table } from "./dom.js";
import { fixed, moment, percent } from "./format.js";

const SAID = {
  usual: ["As usual. ", "look like those the model was trained on, as far as each feature alone can tell."],
  moved: ["Moved. ", "do not look like those the model was trained on."],
};

let open = null;

export function showDrift(found, problem) {
  open = byId("drift").querySelector("details")?.open ?? open;
  if (found === null) return fill(byId("drift"), empty(`Drift is not known: ${problem}.`));
  if (found.state === "unknown") return fill(byId("drift"), el("p", { class: "verdict" }, el("strong", {}, "Not known. "), `${found.reason}.`));
  const [state, told] = SAID[found.state];
  const said = el("p", { class: "verdict" }, el("strong", {}, state), `The features of the last ${found.bars} bars ${told}`);
  fill(byId("drift"), said, figures(found), features(found));
}

function figures({ psi, usual, level, windows, rows, in_training: trained, from, to }) {
  const often = `what ${percent(level)} at most of ${windows} windows of the training rows exceed`;
  const overlap = trained ? `; ${trained} of them no later than the training rows` : "";
  return el("dl", { class: "drifted" }, [
    ["Stability index", fixed(psi, 3), "mean over the features"],
    ["Usual, at most", fixed(usual, 3), often],
    ["Window", `${moment(from)} to ${moment(to)}`, `${rows} rows${overlap}`],
  ].map(([term, value, note]) => el("div", {}, el("dt", {}, term), el("dd", {}, value), el("dd", { class: "note" }, note))));
}

/** How many times the usual a feature strayed; one that never strays, such as a constant, is infinitely beyond or not at all. */
const beyond = ({ psi, usual, moved }) => (usual > 0 ? psi / usual : moved ? Number.MAX_VALUE : 0);

/** The table is open where there is room for it, until the reader opens or closes it. */
function features({ features: all, chance }) {
  const above = all.filter((one) => one.moved).length;
  const heads = [{ title: "Feature" }, { title: "Index", kind: "number" }, { title: "Usual, at most", kind: "number" }, { title: "State" }];
  const rows = [...all].sort((a, b) => beyond(b) - beyond(a))
    .map((one) => [one.name, fixed(one.psi, 3), fixed(one.usual, 3), one.moved ? el("strong", {}, "beyond") : "usual"]);
  const caption = "Features, the furthest beyond what is usual first";
  return el("details", { open: open ?? !matchMedia("(max-width: 40rem)").matches },
    el("summary", {}, `${above} of ${all.length} features beyond what is usual; by chance it would be ${fixed(chance, 1)}`),
    el("div", { class: "scroll tall", role: "region", "aria-label": caption, tabindex: "0" }, table(caption, heads, rows)));
}

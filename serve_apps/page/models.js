// What stands behind the signal: the families that were compared, the versions there are, and who moved the aliases.

import { byId, el, empty, fill, table } from "./dom.js";
import { day, fixed, moment, words } from "./format.js";

export function showLeaderboard(found, problem) {
  if (found === null) return fill(byId("leaderboard"), empty(`No leaderboard: ${problem}.`));
  if (found.rows.length === 0) return fill(byId("leaderboard"), empty("No family was compared."));
  const rows = found.rows.map((one) => [[one.family, ...badges(one)], whisker(one, bounds(found.rows)), held(one.holdout), one.trials ?? "–"]);
  const heads = [{ title: "Family" }, { title: words(found.metric) }, { title: "Untouched segment", kind: "number" }, { title: "Trials", kind: "number" }];
  const caption = `${words(found.metric)} over folds with its interval, and on the segment that selection never saw`;
  const { passed, reason } = found.verdict ?? {};
  const verdict = reason ? el("p", { class: "verdict" }, el("strong", {}, passed ? "Passed the gate. " : "Did not pass the gate. "), reason) : null;
  fill(byId("leaderboard"), verdict, scroll(caption, table(caption, heads, rows, { class: "cards" })));
}

const badges = (one) => [
  one.champion ? [" ", el("span", { class: "badge strong" }, "champion")] : [],
  one.baseline ? [" ", el("span", { class: "badge" }, "baseline")] : [],
  one.error ? [" ", el("small", {}, one.error)] : [],
].flat();

function bounds(rows) {
  const all = rows.flatMap((one) => [one.low, one.high, one.score]).filter((value) => value !== null);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  return (value) => `${(100 * (value - low)) / (high - low || 1)}%`;
}

/** A figure, and a line as long as its interval. */
function whisker({ score, low, high, champion }, place) {
  if (score === null) return el("span", { class: "none" }, "not known");
  const [from, to] = [low ?? score, high ?? score];
  const line = el("span", { class: "whisker", "aria-hidden": "true", "data-champion": champion, "--from": place(from), "--to": place(to), "--at": place(score) });
  const interval = low === null ? null : el("small", {}, `${fixed(low, 3)} to ${fixed(high, 3)}`);
  return el("span", { class: "figure" }, fixed(score, 3), line, interval);
}

const held = (one) => (one === null ? "–" : [fixed(one.value, 3), el("small", {}, `${fixed(one.low, 3)} to ${fixed(one.high, 3)}`)]);

export function showVersions(found, problem) {
  if (found === null) return fill(byId("versions"), empty(`No versions: ${problem}.`));
  const rows = found.versions.map((one) => [
    [`${one.version}`, ...one.aliases.flatMap((name) => [" ", el("span", { class: "badge strong" }, name)]),
      ...(one.answering ? [" ", el("span", { class: "badge" }, "answering")] : [])],
    one.family, fixed(one.score, 3), one.passed ? "passed" : "not passed", day(one.created_at),
  ]);
  const heads = [{ title: "Version" }, { title: "Family" }, { title: words(found.versions[0]?.metric || "score"), kind: "number" }, { title: "Gate" }, { title: "Made" }];
  const caption = `Versions of ${found.name}, newest first`;
  const moves = found.moves.length ? el("ol", { class: "moves" }, found.moves.map(move)) : empty("No alias has been moved.");
  fill(byId("versions"), scroll(caption, table(caption, heads, rows, { class: "cards" })), el("h4", {}, "Moves of aliases"), moves);
}

const DONE = { promote: "promoted", rollback: "rolled back", settle: "settled" };

function move({ ts, who, action, alias, version, previous, why }) {
  const target = version === null ? `${alias} to nothing` : `${alias} to version ${version}`;
  const before = previous === null ? "" : `, before ${previous}`;
  return el("li", {}, el("time", { datetime: ts }, moment(ts)), el("span", {}, `${who} ${DONE[action] ?? words(action)} ${target}${before}`),
    why ? el("q", {}, why) : null);
}

const scroll = (label, inner) => el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, inner);

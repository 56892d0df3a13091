// Starts the page: what is asked for, when, and where it is shown.

import { get, key } from "./api.js";
import { showComponents } from "./components.js";
import { byId, el } from "./dom.js";
import { showDrift } from "./drift.js";
import { clock } from "./format.js";
import { redraw, showHistory } from "./history.js";
import { follow } from "./live.js";
import { showLeaderboard, showVersions } from "./models.js";
import { showSignal, tick } from "./signal.js";

const chosen = { universe: null };
const seen = { bars: null, model: null }; // what the parts that are asked for now and then were last asked for
let stop = () => {};

const STATES = {
  live: () => "Live",
  polling: () => "Asking every few seconds",
  disconnected: (since) => `Disconnected since ${clock(since)}`,
  refused: () => "Needs a key",
};

function tell(state, since = null, message = "") {
  byId("link").dataset.state = state;
  byId("link").title = message;
  byId("link-text").textContent = STATES[state](since);
}

function show(signal) {
  showSignal(signal);
  showComponents(signal.components);
  const model = JSON.stringify(signal.model);
  const bars = JSON.stringify([model, ...signal.components.map((one) => one.ts_event)]);
  if (seen.bars !== bars) { history(); drift(); }
  if (seen.model !== model) showModels();
  Object.assign(seen, { bars, model });
}

/** Ask for one part and show it; a part that cannot be had says why, and the others go on. */
async function part(path, query, showPart) {
  try {
    await showPart(await get(path, query), null);
  } catch (error) {
    if (error.wantsKey) refused(error);
    else await showPart(null, error.message);
  }
}

/** Run one at a time; calls that come meanwhile make it run once more. */
function serial(work) {
  let running = false, again = false;
  return async () => {
    again = running;
    if (running) return;
    for (running = true; running; running = again) { again = false; await work(); }
  };
}

const history = serial(async () => {
  const { universe } = chosen;
  await part("signal/index/history", { universe }, (found, problem) => {
    if (universe === chosen.universe) return showHistory(found, problem);
  });
});

const drift = serial(() => part("drift", {}, showDrift));

/** Ages alone are no event of the stream. */
const refresh = serial(async () => {
  const { universe } = chosen;
  if (byId("link").dataset.state !== "live") return;
  await part("signal/index", { universe }, (found) => { if (found && universe === chosen.universe) show(found); });
});

function showModels() {
  part("leaderboard", {}, showLeaderboard);
  part("versions", {}, showVersions);
}

async function universes() {
  await part("universes", {}, (found) => {
    const names = (found?.universes ?? []).map((one) => one.name);
    byId("universe").hidden = names.length < 2;
    byId("universe-choice").replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    byId("universe-choice").value = chosen.universe ?? found?.universes.find((one) => one.own)?.name ?? "";
  });
}

function refused(error) {
  stop();
  tell("refused", null, error.message);
  byId("key-open").hidden = false;
  openKey(true, key.get() ? `The server said: ${error.message}` : null);
}

function openKey(open, note = null) {
  byId("key").hidden = !open;
  if (note) byId("key-note").textContent = note;
  if (open) byId("key-text").focus();
}

function start() {
  stop();
  stop = follow(chosen.universe, { show, tell, refused });
}

function again() {
  Object.assign(seen, { bars: null, model: null });
  start();
}

byId("universe-choice").addEventListener("change", (event) => { chosen.universe = event.target.value; again(); });
byId("key-open").addEventListener("click", () => openKey(byId("key").hidden));
byId("key-forget").addEventListener("click", () => { key.set(""); byId("key-text").value = ""; });
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(byId("key-text").value.trim());
  byId("key-text").value = "";
  openKey(false);
  universes().then(again);
});
document.addEventListener("themechange", redraw);
matchMedia("(max-width: 40rem)").addEventListener("change", redraw);
setInterval(tick, 15_000);
setInterval(refresh, 60_000);
byId("key-open").hidden = !key.get();
start();
universes();

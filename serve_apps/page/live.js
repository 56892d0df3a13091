// Keeps the page up to date: the event stream while there is one, asking again and again while there is none.

import { events, get, Refused } from "./api.js";

const LONGEST = 10_000; // milliseconds between two tries

/**
 * Follow the signal of a universe until `stop` is called.
 *
 * `show(signal)` gets each answer. `tell(state, since, message)` hears how they come: `live`, `polling`, or
 * `disconnected` since a time; `refused(error)` hears of a refusal that only a key can mend, and following ends.
 */
export function follow(universe, { show, tell, refused }) {
  const run = { over: false, id: null, since: null, tries: 0, wake: () => {}, end: new AbortController() };
  const loop = async () => {
    while (!run.over) {
      try {
        const begun = Date.now();
        await streamed(universe, run, { show, tell });
        if (Date.now() - begun > LONGEST) continue; // streams end now and then, so that none lasts for ever
        lost(run);
      } catch (error) {
        if (run.over) return;
        if (error instanceof Refused && error.wantsKey) return void refused(error);
        lost(run, error);
      }
      if (!run.over) await polled(universe, run, { show, tell, refused });
    }
  };
  loop();
  return () => { run.over = true; run.end.abort(); run.wake(); };
}

/** From now on the page is not up to date. What no server said is a mistake of ours, and is not hidden. */
function lost(run, error = null) {
  run.since ??= new Date();
  if (error !== null && !(error instanceof Refused)) console.error(error);
}

async function streamed(universe, run, { show, tell }) {
  const opened = () => { run.since = null; run.tries = 0; tell("live"); };
  for await (const event of events("signal/index/stream", { universe }, run.id, { opened, until: run.end.signal })) {
    if (run.over) return;
    if (event.id) run.id = event.id;
    if (event.event === "signal") show(JSON.parse(event.data));
  }
}

/** One answer without the stream, and a pause before the next try. */
async function polled(universe, run, { show, tell, refused }) {
  try {
    const signal = await get("signal/index", { universe });
    if (run.over) return;
    show(signal);
    tell("polling", run.since);
  } catch (error) {
    if (run.over) return;
    if (error.wantsKey) { run.over = true; return void refused(error); }
    lost(run, error);
    tell("disconnected", run.since, error.message);
  }
  run.tries += 1;
  const pause = Math.min(LONGEST, 1_000 * 2 ** (run.tries - 1));
  await new Promise((resolve) => { run.wake = resolve; setTimeout(resolve, pause); });
}


// Requests to this server, with the reader's key where there is one.

const KEY = "bellwether-key";

let held = ""; // where the browser forbids storage

export const key = {
  get: () => { try { return sessionStorage.getItem(KEY) ?? ""; } catch { return held; } },
  set: (text) => {
    held = text;
    try { if (text) sessionStorage.setItem(KEY, text); else sessionStorage.removeItem(KEY); } catch { /* held is enough */ }
  },
};
/** A refusal of the server, or none at all; `status` is 0 where it did not answer. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether a (different) key would help. */
  get wantsKey() { return this.status === 401 || this.status === 403; }
}

const headers = (more) => (key.get() ? { ...more, Authorization: `Bearer ${key.get()}` } : more);

const address = (path, query) => {
  const asked = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return asked.length ? `${path}?${new URLSearchParams(asked)}` : path;
};

async function ask(path, query, options, accept) {
  let reply;
  try {
    // without credentials the browser does not ask for a password by itself: the page has a field for the key
    const how = { ...options, headers: headers({ Accept: accept, ...options.headers }), cache: "no-store", credentials: "omit" };
    reply = await fetch(address(path, query), how);
  } catch (error) {
    throw new Refused(0, error.name === "AbortError" ? "aborted" : "the server does not answer");
  }
  if (!reply.ok) throw new Refused(reply.status, await why(reply));
  return reply;
}

/** The reason in a problem document. */
async function why(reply) {
  try {
    const body = await reply.json();
    const said = body.detail?.message ?? body.detail ?? body.title;
    return typeof said === "string" ? said : reply.statusText;
  } catch {
    return reply.statusText || `status ${reply.status}`;
  }
}

export async function get(path, query) {
  const reply = await ask(path, query, { signal: AbortSignal.timeout(20_000) }, "application/json");
  return reply.json();
}

/**
 * Server-sent events by `fetch`, since `EventSource` cannot send a key. Yields `{event, id, data}` until the server ends
 * the stream; throws where it refuses, goes away, or says nothing, not even its heartbeat, for `silence` milliseconds.
 * `until` is a signal that ends it from here.
 */
export async function* events(path, query, lastId, { silence = 40_000, opened = () => {}, until = null } = {}) {
  const stop = new AbortController();
  until?.addEventListener("abort", () => stop.abort());
  let timer = setTimeout(() => stop.abort(), silence);
  const again = () => { clearTimeout(timer); timer = setTimeout(() => stop.abort(), silence); };
  try {
    const sent = lastId ? { "Last-Event-ID": lastId } : {};
    const reply = await ask(path, query, { signal: stop.signal, headers: sent }, "text/event-stream");
    opened();
    const text = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "", part = await text.read(); !part.done; part = await text.read()) {
      again();
      const blocks = (rest + part.value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      yield* blocks.map(parsed).filter((one) => one.data !== "");
    }
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(0, "the stream broke off");
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

function parsed(block) {
  const found = { event: "message", id: null, data: [] };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
    if (name === "data") found.data.push(value ?? "");
    else if (name === "event" || name === "id") found[name] = value ?? "";
  }
  return { ...found, data: found.data.join("\n") };
}

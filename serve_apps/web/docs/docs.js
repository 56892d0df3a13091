// The page at /docs: openapi.json as text, with no script or style of another host, and the reader's key where one is needed.
"use strict";

const KEY = "bellwether-key"; // under which the page of the index signal keeps it, too: in this tab alone

const METHODS = ["get", "put", "post", "delete", "patch"];

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function resolved(spec, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((at, part) => at[part], spec);
}

function typeOf(spec, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((one) => typeOf(spec, one)).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(spec, schema.items) || "anything"}`;
  return schema.type || "anything";
}

function table(heads, rows) {
  const head = element("tr", "", ...heads.map((text) => {
    const cell = element("th", text);
    cell.scope = "col";
    return cell;
  }));
  const body = rows.map((row) => element("tr", "", ...row.map((text, k) => element("td", "", k ? text : element("code", text)))));
  return element("table", "", element("thead", "", head), element("tbody", "", ...body));
}

function fields(spec, schema) {
  const found = resolved(spec, schema);
  const required = new Set(found.required || []);
  return Object.entries(found.properties || {}).map(([name, one]) => [
    name, typeOf(spec, one), required.has(name) ? "required" : "", one.description || "",
  ]);
}

function message(spec, title, content) {
  const [type, media] = Object.entries(content || {})[0] || [];
  if (!media) return [];
  const parts = [element("h3", `${title} (${type})`)];
  const rows = fields(spec, media.schema);
  if (rows.length) parts.push(table(["field", "type", "", "meaning"], rows));
  const example = media.example ?? (resolved(spec, media.schema).examples || [])[0];
  if (example !== undefined) parts.push(element("pre", JSON.stringify(example, null, 2)));
  return parts;
}

function operation(spec, path, method, described) {
  const parts = [element("h2", "", element("code", `${method.toUpperCase()} ${path}`))];
  if (described.description) parts.push(element("p", described.description));
  const more = element("details", "", element("summary", "Parameters, body and answers"));
  const parameters = (described.parameters || []).map((one) => [
    one.name, `${one.in}, ${typeOf(spec, one.schema)}`, one.required ? "required" : "", one.description || "",
  ]);
  if (parameters.length) more.append(element("h3", "Parameters"), table(["name", "type", "", "meaning"], parameters));
  more.append(...message(spec, "Body", (described.requestBody || {}).content));
  const answers = Object.entries(described.responses);
  more.append(...message(spec, "Answer", (described.responses["200"] || {}).content));
  more.append(element("h3", "Statuses"), table(["status", "meaning"], answers.map(([code, one]) => [code, one.description])));
  return element("section", "", ...parts, more);
}

let held = ""; // where the browser forbids storage

const key = () => { try { return sessionStorage.getItem(KEY) ?? held; } catch { return held; } };

function keep(text) {
  held = text;
  try { sessionStorage.setItem(KEY, text); } catch { /* held is enough */ }
}

/** The description as text; null where the server asks for a (different) key, which is then asked for. */
async function description(address) {
  const reply = await fetch(address, { headers: key() ? { Authorization: `Bearer ${key()}` } : {}, cache: "no-store" });
  if (reply.status === 401 || reply.status === 403) {
    askForKey(key() ? (await reply.json()).detail : "");
    return null;
  }
  if (!reply.ok) throw new Error(`${address} answered ${reply.status}`);
  return reply.text();
}

function askForKey(refusal) {
  document.getElementById("key").hidden = false;
  if (refusal) document.getElementById("key-note").textContent = `The server said: ${refusal}`;
  document.getElementById("key-text").focus();
}

/** Opening the address would send no key: with one, the link saves what came. */
function source(address, text) {
  const made = element("a", "openapi.json");
  made.href = key() ? URL.createObjectURL(new Blob([text], { type: "application/json" })) : address;
  if (key()) made.download = "openapi.json";
  return made;
}

function show(main, text) {
  const spec = JSON.parse(text);
  document.title = spec.info.title;
  const sections = Object.entries(spec.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => operation(spec, path, method, methods[method])));
  const link = element("p", "", source(main.dataset.openapi, text));
  main.replaceChildren(element("h1", spec.info.title), element("p", spec.info.summary || ""), link, ...sections);
}

async function draw() {
  const main = document.getElementById("api");
  try {
    const text = await description(main.dataset.openapi);
    if (text === null) main.replaceChildren();
    else show(main, text);
  } catch (error) {
    main.replaceChildren(element("p", `No description of the API: ${error.message}`));
    if (key()) askForKey(""); // it may be one that no request can carry
  }
  main.setAttribute("aria-busy", "false");
}

document.getElementById("key").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("key-text");
  keep(field.value.trim());
  field.value = "";
  document.getElementById("key").hidden = true;
  draw();
});
draw();

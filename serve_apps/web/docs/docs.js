// The page at /docs: openapi.json as text, with no script or style of another host.
"use strict";

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

async function draw() {
  const main = document.getElementById("api");
  try {
    const reply = await fetch(main.dataset.openapi);
    if (!reply.ok) throw new Error(`${main.dataset.openapi} answered ${reply.status}`);
    const spec = await reply.json();
    document.title = spec.info.title;
    const sections = Object.entries(spec.paths).flatMap(([path, methods]) =>
      METHODS.filter((method) => methods[method]).map((method) => operation(spec, path, method, methods[method])));
    const source = element("a", "openapi.json");
    source.href = main.dataset.openapi;
    main.replaceChildren(element("h1", spec.info.title), element("p", spec.info.summary || ""), element("p", "", source), ...sections);
  } catch (error) {
    main.replaceChildren(element("p", `No description of the API: ${error.message}`));
  }
  main.setAttribute("aria-busy", "false");
}

draw();

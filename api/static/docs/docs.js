// Draws openapi.json as a page to read and try. Everything is built as nodes with text, never as HTML.
"use strict";

const TEXTS = {
  en: {
    key: "API key", other: "中文", parameters: "Parameters", body: "Body", answers: "Answers", tryIt: "Try it",
    send: "Send", field: "Field", type: "Type", meaning: "Meaning", required: "required", example: "Example",
    open: "no key needed", scope: "scope", failed: "The service did not answer", noDocument: "openapi.json cannot be read",
  },
  zh: {
    key: "API 密钥", other: "English", parameters: "参数", body: "请求体", answers: "响应", tryIt: "试一试",
    send: "发送", field: "字段", type: "类型", meaning: "含义", required: "必填", example: "示例",
    open: "无需密钥", scope: "权限", failed: "服务没有响应", noDocument: "无法读取 openapi.json",
  },
};
let language = sessionStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");
let api = null;

const text = (name) => TEXTS[language][name];

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Text with `code` and empty lines between paragraphs, as the descriptions use them.
function prose(written) {
  return (written || "").split(/\n\n+/).map((paragraph) =>
    node("p", {}, ...paragraph.split("`").map((part, at) => (at % 2 ? node("code", {}, part) : part))));
}

const resolve = (schema) => (schema && schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema || {});

function typeName(schema) {
  if (schema.$ref) return typeName(resolve(schema));
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `[${typeName(schema.items || {})}]`;
  const limits = [];
  if ("minimum" in schema) limits.push(`≥ ${schema.minimum}`);
  if ("maximum" in schema) limits.push(`≤ ${schema.maximum}`);
  if ("maxLength" in schema) limits.push(`≤ ${schema.maxLength} chars`);
  return [schema.format || schema.type || "any", ...limits].join(" ");
}

// The object inside a schema, through lists and alternatives with null; null if there is none.
function objectInside(schema) {
  const found = resolve(schema);
  if (found.properties) return found;
  if (found.type === "array") return objectInside(found.items);
  for (const part of found.anyOf || []) {
    const inside = objectInside(part);
    if (inside) return inside;
  }
  return null;
}

function fieldRows(schema, prefix = "", depth = 0) {
  const found = objectInside(schema);
  if (!found || depth > 4) return [];
  return Object.entries(found.properties).flatMap(([name, part]) => {
    const needed = (found.required || []).includes(name) ? ` (${text("required")})` : "";
    const list = resolve(part).type === "array" ? "[]" : "";
    return [
      node("tr", {}, node("td", {}, node("code", {}, prefix + name), needed), node("td", {}, typeName(part)),
        node("td", {}, part.description || resolve(part).description || "")),
      ...fieldRows(part, `${prefix}${name}${list}.`, depth + 1),
    ];
  });
}

function table(rows) {
  const head = ["field", "type", "meaning"].map((name) => node("th", {}, text(name)));
  return node("table", {}, node("thead", {}, node("tr", {}, ...head)), node("tbody", {}, ...rows));
}

function answerDetails(status, answer) {
  const [mediaType, content] = Object.entries(answer.content || {})[0] || ["", {}];
  const examples = Object.entries(content.examples || {}).map(([name, example]) =>
    node("pre", { title: name }, JSON.stringify(example.value, null, 2)));
  return node("details", { class: "answer" },
    node("summary", {}, node("code", {}, status), ` ${answer.description} `, node("span", { class: "quiet" }, mediaType)),
    status < 400 ? table(fieldRows(content.schema)) : null, ...examples);
}

function curlLine(method, url, headers, body) {
  const quote = (value) => `'${value.replaceAll("'", "'\\''")}'`;
  const parts = ["curl", method === "GET" ? "" : `-X ${method}`, quote(url)];
  for (const [name, value] of Object.entries(headers)) parts.push("-H", quote(`${name}: ${value}`));
  if (body !== undefined) parts.push("-d", quote(body));
  return parts.filter(Boolean).join(" ");
}

function requestOf(path, method, operation, inputs, bodyInput) {
  const headers = {}, query = new URLSearchParams();
  let filled = path;
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (parameter.in === "header") headers[parameter.name] = input.value;
    else if (resolve(parameter.schema).type === "array") {
      input.value.split(",").forEach((value) => query.append(parameter.name, value.trim()));
    } else query.append(parameter.name, input.value);
  }
  const key = document.getElementById("key").value.trim();
  if (operation["x-scope"] && key) headers.Authorization = `Bearer ${key}`;
  if (bodyInput) headers["Content-Type"] = "application/json";
  const found = query.toString();
  const url = new URL(filled.slice(1) + (found ? `?${found}` : ""), new URL("./", location.href));
  return { url: url.href, method, headers, body: bodyInput ? bodyInput.value : undefined };
}

async function send(request, output) {
  output.replaceChildren();
  const curl = node("pre", {}, curlLine(request.method, request.url, request.headers, request.body));
  const started = performance.now();
  try {
    const { url, ...options } = request;
    const response = await fetch(url, options);
    const received = await response.text();
    const took = Math.round(performance.now() - started);
    let shown = received;
    try { shown = JSON.stringify(JSON.parse(received), null, 2); } catch { /* plain text is shown as it came */ }
    const kind = response.ok ? "status" : "status bad";
    output.append(curl, node("p", {}, node("span", { class: kind }, `${response.status} ${response.statusText}`),
      ` ${took} ms, X-Request-Id: ${response.headers.get("X-Request-Id") || "-"}`), node("pre", {}, shown));
  } catch (error) {
    output.append(curl, node("p", { class: "status bad" }, `${text("failed")}: ${error.message}`));
  }
}

function tryForm(path, method, operation) {
  const inputs = (operation.parameters || []).map((parameter) =>
    [parameter, node("input", { placeholder: parameter.example || typeName(parameter.schema) })]);
  const rows = inputs.map(([parameter, input]) =>
    node("tr", {}, node("td", {}, node("code", {}, parameter.name)), node("td", {}, input)));
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const examples = Object.values((content && content.examples) || {});
  const written = (number) => JSON.stringify((examples[number] || { value: {} }).value, null, 2);
  const bodyInput = content ? node("textarea", { spellcheck: "false" }, written(0)) : null;
  const choice = examples.length > 1
    ? node("select", { onchange: (event) => { bodyInput.value = written(event.target.value); } },
      ...examples.map((_, at) => node("option", { value: at }, `${text("example")} ${at + 1}`)))
    : null;
  const output = node("div");
  const onsubmit = (event) => {
    event.preventDefault();
    send(requestOf(path, method, operation, inputs, bodyInput), output);
  };
  return node("form", { onsubmit }, rows.length ? node("table", {}, node("tbody", {}, ...rows)) : null, choice,
    bodyInput, node("p", {}, node("button", { class: "send" }, text("send"))), output);
}

function operationDetails(path, method, operation) {
  const scope = operation["x-scope"];
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const parameters = (operation.parameters || []).map((parameter) =>
    node("tr", {}, node("td", {}, node("code", {}, parameter.name), parameter.required ? ` (${text("required")})` : ""),
      node("td", {}, typeName(parameter.schema)), node("td", {}, parameter.description || parameter.in)));
  const inside = node("div", { class: "inside" }, ...prose(operation.description),
    ...(parameters.length ? [node("h3", {}, text("parameters")), table(parameters)] : []),
    ...(content ? [node("h3", {}, text("body")), table(fieldRows(content.schema))] : []),
    node("h3", {}, text("tryIt")), tryForm(path, method, operation),
    node("h3", {}, text("answers")),
    ...Object.entries(operation.responses).map(([status, answer]) => answerDetails(status, answer)));
  return node("details", { class: "operation", id: operation.operationId },
    node("summary", {}, node("span", { class: `method ${method.toLowerCase()}` }, method), node("code", {}, path),
      node("span", {}, operation.summary),
      node("span", { class: "scope" }, scope ? `${text("scope")}: ${scope}` : text("open"))), inside);
}

function draw() {
  document.documentElement.lang = language;
  document.getElementById("language").textContent = text("other");
  document.querySelectorAll("[data-text]").forEach((found) => { found.textContent = text(found.dataset.text); });
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [path, method.toUpperCase(), operation]));
  const contents = [], sections = prose(api.info.description);
  for (const tag of api.tags) {
    const own = operations.filter(([, , operation]) => operation.tags.includes(tag.name));
    contents.push(node("strong", {}, tag.name), ...own.map(([path, method, operation]) =>
      node("a", { href: `#${operation.operationId}` }, `${method} ${path}`)));
    sections.push(node("section", {}, node("h2", {}, tag.name), ...prose(tag.description),
      ...own.map((parts) => operationDetails(...parts))));
  }
  document.getElementById("contents").replaceChildren(...contents);
  document.getElementById("operations").replaceChildren(...sections);
  openTarget();
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}

async function start() {
  const key = document.getElementById("key");
  key.value = sessionStorage.getItem("key") || "";
  key.addEventListener("change", () => sessionStorage.setItem("key", key.value.trim()));
  document.getElementById("language").addEventListener("click", () => {
    language = language === "en" ? "zh" : "en";
    sessionStorage.setItem("language", language);
    draw();
  });
  window.addEventListener("hashchange", openTarget);
  try {
    api = await (await fetch("openapi.json")).json();
    draw();
  } catch (error) {
    document.getElementById("operations").textContent = `${text("noDocument")}: ${error.message}`;
  }
}

start();

import { html } from "hono/html";
import type { Content, OpenApiDocument, Operation, ResponseObject } from "./document.ts";
import { fields, row, typeOf } from "./schema.ts";

/** What the page tells besides the OpenAPI document. */
export interface Guide {
  /** addresses of the document and the stylesheet, on this origin */
  documentPath: string;
  stylePath: string;
  /** an example that can be typed at once */
  example: string;
  /** what holds for every request: a title and a sentence or two */
  conventions: readonly { title: string; text: string }[];
  problems: readonly { code: string; status: number; title: string }[];
}

const NEEDS: Record<string, string> = {
  apiKey: "an API key",
  adminToken: "the admin token",
  bridgeToken: "a bridge token",
  session: "a session",
};

/** The API reference as one page: no script, nothing from another origin, every route on it. */
export function referencePage(document: OpenApiDocument, guide: Guide) {
  const operations = operationsOf(document);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${document.info.title} API reference</title>
<link rel="stylesheet" href="${guide.stylePath}">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<div class="frame">
<nav aria-label="Contents"><details>
  <summary>Contents</summary>
  <ul>
    <li><a href="#conventions">Conventions</a></li>
    <li><a href="#problems">Errors</a></li>
    <li><a href="#schemas">Objects</a></li>
    <li><a href="${guide.documentPath}">OpenAPI document</a></li>
  </ul>
  ${document.tags.map(
    ({ name }) =>
      html`<h2>${name}</h2><ul>${operations
        .filter(({ operation }) => operation.tags.includes(name))
        .map(({ operation }) => html`<li><a href="#${operation.operationId}">${operation.summary}</a></li>`)}</ul>`,
  )}
</details></nav>
<main id="content">
  <h1>${document.info.title} API</h1>
  <p>${document.info.description}</p>
  <pre tabindex="0">${guide.example}</pre>
  <section class="about" id="conventions">
    <h2>Conventions</h2>
    ${guide.conventions.map(({ title, text }) => html`<h4>${title}</h4><p>${text}</p>`)}
  </section>
  <section id="problems">
    <h2>Errors</h2>
    <table>
      <thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
      <tbody>${guide.problems.map(
        ({ code, status, title }) =>
          html`<tr id="${code}"><th scope="row"><code>${code}</code></th><td>${status}</td><td>${title}</td></tr>`,
      )}</tbody>
    </table>
  </section>
  ${document.tags.map(
    ({ name, description }) => html`<section><h2>${name}</h2><p>${description}</p>
      ${operations.filter(({ operation }) => operation.tags.includes(name)).map(article)}</section>`,
  )}
  <section id="schemas">
    <h2>Objects</h2>
    ${Object.entries(document.components.schemas).map(
      ([name, schema]) => html`<article id="schema-${name}"><h3>${name}</h3>${fields(schema)}</article>`,
    )}
  </section>
</main>
</div>
</body>
</html>`;
}

interface Listed {
  path: string;
  method: string;
  operation: Operation;
}

function operationsOf(document: OpenApiDocument): Listed[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

function article({ path, method, operation }: Listed) {
  const { parameters = [], requestBody, responses } = operation;
  return html`<article id="${operation.operationId}">
    <h3>${operation.summary}</h3>
    <p><span class="verb ${method}">${method.toUpperCase()}</span><code class="path">${path}</code></p>
    <p class="needs">Needs ${needs(operation)}</p>
    ${operation.description === undefined ? "" : html`<p>${operation.description}</p>`}
    ${
      parameters.length === 0
        ? ""
        : html`<h4>Parameters</h4><table>
      <thead><tr><th scope="col">Name</th><th scope="col">Value</th><th scope="col">Meaning</th></tr></thead>
      <tbody>${parameters.map(({ name, schema, description, required }) =>
        row(name, description === undefined ? schema : { ...schema, description }, required),
      )}</tbody></table>`
    }
    ${
      requestBody === undefined
        ? ""
        : html`<h4>Body</h4><p>${requestBody.description ?? ""}</p>
      ${Object.values(requestBody.content).map(({ schema }) => fields(schema))}`
    }
    <h4>Answers</h4>
    <table>
      <thead><tr><th scope="col">Status</th><th scope="col">Body</th><th scope="col">Meaning</th></tr></thead>
      <tbody>${Object.entries(responses).map(([status, answer]) => answerRow(status, answer))}</tbody>
    </table>
  </article>`;
}

function needs({ security }: Operation): string {
  if (security.length === 0) return "nothing";
  return security
    .flatMap((entry) => Object.entries(entry))
    .map(([name, roles]) => `${NEEDS[name] ?? name}${roles.length > 0 ? ` (${roles.join(", ")})` : ""}`)
    .join(" or ");
}

function answerRow(status: string, answer: ResponseObject | { $ref: string }) {
  if ("$ref" in answer) {
    const code = answer.$ref.split("/").at(-1) ?? "";
    return html`<tr><th scope="row">${status}</th><td><a href="#schema-Problem">Problem</a></td>
      <td><a href="#${code}">${code}</a></td></tr>`;
  }
  return html`<tr><th scope="row">${status}</th><td>${bodyTypes(answer.content)}</td><td>${answer.description}</td></tr>`;
}

function bodyTypes(content: Content = {}) {
  return Object.entries(content).map(
    ([type, { schema }]) =>
      html`<code>${type}</code> ${Object.keys(schema).length === 0 ? "" : answerType(schema)}<br>`,
  );
}

/** Lists answer {data, nextCursor}: what counts is what they list. */
function answerType(schema: Content[string]["schema"]) {
  return typeOf(schema.properties?.data ?? schema);
}

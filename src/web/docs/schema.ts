import { html } from "hono/html";
import type { JsonSchema } from "./document.ts";

type Html = ReturnType<typeof html> | string;

/** What a value may be, in words: "integer from 1 to 1000", "text", "list of Device". */
export function typeOf(schema: JsonSchema): Html {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (schema.enum !== undefined)
    return html`one of ${schema.enum.map((value) => html`<code>${String(value)}</code> `)}`;
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined)
    return either.map((option, at) => html`${at === 0 ? "" : " or "}${typeOf(option)}`) as never;
  if (schema.type === "array") {
    return typeof schema.items === "object" ? html`list of ${typeOf(schema.items)}` : "list";
  }
  const name = schema.format ?? (schema.type === "string" ? "text" : (schema.type ?? "anything"));
  return `${name}${range(schema)}`;
}

function range({ minimum, maximum, multipleOf, minLength, maxLength }: JsonSchema): string {
  const parts = [
    minimum === undefined ? "" : ` from ${minimum}`,
    maximum === undefined ? "" : ` to ${maximum}`,
    multipleOf === undefined ? "" : ` in steps of ${multipleOf}`,
    maxLength === undefined ? "" : `, ${minLength ?? 0} to ${maxLength} characters`,
  ];
  return parts.join("");
}

/** The fields of an object as a table, and of the objects within it. */
export function fields(schema: JsonSchema): Html {
  const options = schema.oneOf ?? schema.anyOf;
  if (options !== undefined && schema.properties === undefined) return html`${options.map(option)}`;
  if (schema.properties === undefined || Object.keys(schema.properties).length === 0) return "";
  const required = schema.required ?? [];
  return html`<table>
    <thead><tr><th scope="col">Field</th><th scope="col">Value</th><th scope="col">Meaning</th></tr></thead>
    <tbody>${Object.entries(schema.properties).map(([name, field]) => row(name, field, required.includes(name)))}</tbody>
  </table>`;
}

function option(schema: JsonSchema): Html {
  const code = schema.properties?.code?.const;
  if (code === undefined) return fields(schema);
  return html`<details><summary><code>${String(code)}</code> ${(schema as { title?: string }).title ?? ""}</summary>
    ${fields(schema)}</details>`;
}

export function row(name: string, field: JsonSchema, required: boolean): Html {
  const inner = field.type === "array" && typeof field.items === "object" ? field.items : field;
  return html`<tr>
    <th scope="row"><code>${name}</code>${required ? "" : html` <span class="soft">optional</span>`}</th>
    <td>${typeOf(field)}</td>
    <td>${field.description ?? ""}${field.default === undefined ? "" : html` Default <code>${JSON.stringify(field.default)}</code>.`}
      ${inner.properties === undefined ? "" : fields(inner)}</td>
  </tr>`;
}

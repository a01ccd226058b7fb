import { readFileSync, writeFileSync } from "node:fs";
import { COMMANDS, type CommandParameter, DANGERS } from "../codec/commands.ts";
import { MODELS } from "../codec/models.ts";
import { ACCESS } from "../src/access.ts";
import { ROUTES } from "../src/http/app.ts";
import { JOBS } from "../src/jobs.ts";
import { SETTINGS } from "./settings.ts";

// Writes the parts of README.md that a table in the source already says. `node tools/readme.ts` mends them, and a test
// compares.

const code = (text: string) => `\`${text}\``;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function argument(parameter: CommandParameter): string {
  const name = code(parameter.name) + (parameter.optional === true ? " (optional)" : "");
  if (parameter.type === "integer") return `${name} ${parameter.min} to ${parameter.max} ${parameter.unit}`;
  if (parameter.type === "text") return `${name} ${parameter.minLength} to ${parameter.maxLength} characters`;
  return `${name} ${parameter.values.map(({ value, meaning }) => `${value} ${meaning}`).join(", ")}`;
}

/** Each generated part by the name that its markers in README.md carry. */
export const PARTS: Readonly<Record<string, () => string>> = {
  settings: () =>
    table(
      ["variable", "default", "what", "a good value is"],
      Object.values(SETTINGS).map(({ name, default: value, what, must }) => [
        code(name),
        value === null ? "" : code(value),
        what,
        must,
      ]),
    ),
  api: () =>
    table(
      ["request", "what", "needs"],
      ROUTES.map(({ method, path, summary, access }) => [code(`${method} ${path}`), summary, ACCESS[access].needs]),
    ),
  commands: () =>
    table(
      ["code", "name", "arguments", "note", "source"],
      COMMANDS.map(({ code: name, name: what, parameters, danger, source }) => [
        code(name),
        what,
        parameters.map(argument).join("; ") || "none",
        danger === null ? "" : DANGERS[danger],
        source,
      ]),
    ),
  jobs: () =>
    table(
      ["job", "cron (UTC)", "what"],
      JOBS.map(({ name, cron, summary }) => [code(name), code(cron), summary]),
    ),
  models: () => `${MODELS.map(({ name }) => code(name)).join(", ")}.`,
};

/** README text with every generated part as the tables say now. */
export function withParts(text: string): string {
  return text.replace(/(<!-- table: (\w+) -->\n)(?:[\s\S]*?\n)??(<!-- end -->)/g, (_, start, name, end) => {
    const part = PARTS[name];
    if (part === undefined) throw new Error(`README.md names a part that does not exist: ${name}`);
    return `${start}${part()}\n${end}`;
  });
}

if (import.meta.main) {
  const path = new URL("../README.md", import.meta.url);
  writeFileSync(path, withParts(readFileSync(path, "utf8")));
}

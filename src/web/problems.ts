import type { AppError } from "../errors.ts";
import type { Text } from "../text/index.ts";

/** What is wrong with a form, beside the field that it is wrong with; `field` is "" for the form as a whole. */
export interface FormProblem {
  field: string;
  message: string;
}

/** Stands for the label of the field at fault, which only the page knows. */
const LABEL = "\ue000";

/**
 * The sentence of a rule as the catalogue has it: a number is "#", and the name of the field that it begins with "%".
 * What a role lacks is one sentence: credentials that would do are for who writes programs.
 */
function keyOf(message: string, field: string): string {
  if (/^(Your role is|This needs) /.test(message)) return "Your role does not do";
  const names = [field, field.split(".").at(-1)];
  const name = names.find((name) => name && message.startsWith(`${name} `));
  return (name === undefined ? message : `%${message.slice(name.length)}`).replaceAll(/\d+/g, "#");
}

/** What a rule says, in the words of the page's language; undefined where the catalogue has none. */
export function wordsOf({ common, problems }: Text, error: AppError): string | undefined {
  const { code, message, field = "", retryAfterS = 60 } = error;
  if (code === "rate_limited") return common.wait(Math.ceil(retryAfterS / 60));
  const key = keyOf(message, field);
  const numbers = message.match(/\d+/g) ?? [];
  return (Object.hasOwn(problems, key) ? problems[key] : undefined)
    ?.replace("%", LABEL)
    .replaceAll("#", () => numbers.shift() ?? "");
}

/** What a rule refuses, as the form shows it: what the catalogue does not have is in English, as the API says it. */
export function problemOf(t: Text, error: AppError): FormProblem {
  const { message, field = "" } = error;
  const isNamed = keyOf(message, field).startsWith("%");
  const plain = isNamed ? `“${LABEL}”${message.slice(message.indexOf(" "))}` : message;
  return { field, message: wordsOf(t, error) ?? plain };
}

export const idOf = (field: string) => field.replaceAll(/[^\w-]/g, "-");

/** A page with the labels that its own fields have, where a message names them. */
export function labelled(page: string, field: string): string {
  const [, label = field] = new RegExp(`(?:for|id)="f-${idOf(field)}">(?:<legend>)?([^<]*)`).exec(page) ?? [];
  return page.replaceAll(LABEL, () => label.trim());
}

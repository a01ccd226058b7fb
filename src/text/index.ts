import { en, type Text } from "./en.ts";
import { zh } from "./zh.ts";

export type { Text } from "./en.ts";

/** Every language, with its own name for itself. */
export const LANGUAGES: Readonly<Record<string, { name: string; text: Text }>> = {
  en: { name: "English", text: en },
  zh: { name: "中文", text: zh },
};

/** The texts of a language. @param code as a user has it stored; one that is not there is English */
export const textFor = (code: string): Text => (LANGUAGES[code] ?? LANGUAGES.en!).text;

/**
 * The language to show.
 * @param asked what the person chose, if anything
 * @param accepted Accept-Language of the browser
 */
export function languageFor(asked: string | undefined, accepted: string): { language: string; text: Text } {
  const wanted = accepted
    .split(",")
    .map((part) => {
      const [range = "", ...rest] = part.trim().split(";");
      const q = rest.map((text) => /^\s*q=([\d.]+)\s*$/.exec(text)?.[1]).find((value) => value !== undefined);
      return { code: range.toLowerCase().split("-")[0] ?? "", q: q === undefined ? 1 : Number(q) };
    })
    .filter(({ code, q }) => q > 0 && Object.hasOwn(LANGUAGES, code))
    .sort((a, b) => b.q - a.q);
  const language = asked !== undefined && Object.hasOwn(LANGUAGES, asked) ? asked : (wanted[0]?.code ?? "en");
  return { language, text: textFor(language) };
}

import { toHex } from "./seal.ts";

// What happens to a text when it is published, here and when a database is seeded (tools/migrate.ts).

/** What a statement leaves to the operator: {{operatorName}} and the others in its text. */
export interface PlaceholderValues {
  operatorName: string;
  contactEmail: string;
  governingLaw: string;
  retentionMonths: number;
}

/** What stands for a value that the operator has not set, by language; the empty text is the default of all of them. */
const UNSET: Readonly<Record<string, Omit<PlaceholderValues, "retentionMonths">>> = {
  en: {
    operatorName: "the operator of this installation",
    contactEmail: "the address under which you know the operator",
    governingLaw: "the People's Republic of China",
  },
  zh: {
    operatorName: "本平台的运营者",
    contactEmail: "运营者告知您的联系方式",
    governingLaw: "中华人民共和国",
  },
};

/**
 * Fills a text before it is hashed and stored: what people accept is exactly what is served, so that a later change of
 * the settings changes no published text. The operator publishes a new version then.
 */
export function fillPlaceholders(body: string, language: string, values: PlaceholderValues): string {
  const unset = UNSET[language] ?? UNSET.en!;
  return body.replaceAll(/\{\{(operatorName|contactEmail|governingLaw|retentionMonths)\}\}/g, (_, name: string) => {
    if (name === "retentionMonths") return String(values.retentionMonths);
    const key = name as keyof typeof unset;
    // The settings' own defaults are English.
    const value = values[key].trim();
    return value === "" || value.toLowerCase() === UNSET.en![key].toLowerCase() ? unset[key] : value;
  });
}

/** SHA-256 of a text's UTF-8 bytes, hex. */
export async function sha256Of(text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

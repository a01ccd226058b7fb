import { COOKIES, FILES, KEY_OBJECTS } from "./elsewhere.ts";
import {
  CATEGORY_WORDS,
  MEASURES,
  PURPOSE_WORDS,
  RECIPIENTS,
  RETENTION_WORDS,
  TABLE_WORDS,
  VERBS,
} from "./privacy-words.ts";
import {
  type Category,
  DATA_MAP,
  describe,
  eraseOf,
  exportOf,
  type Mapped,
  type MappedTable,
  PURPOSES,
  type Purpose,
  type Retention,
} from "./store/personal.ts";

// What the installation says publicly, and its operator to an authority, about what it does with personal data: read from
// the data map.

/** One kind of thing that is stored about somebody. */
export interface Stored {
  /** As the data map or elsewhere.ts names it. */
  name: string;
  what: string;
  purpose: Purpose;
  categories: Category[];
  subjects: Subject[];
  retain: Retention;
  /** What an erasure of an account does to it, in words. */
  erase: string;
  /** Its file in an export, or why it has none. */
  exportAs: string;
}

export const SUBJECTS = {
  user: "people who use an account",
  carrier: "people who carry a tracker or drive with one",
  staff: "the operator's own people",
} as const;
export type Subject = keyof typeof SUBJECTS;

/** Whether a table says something about somebody, or holds what opens that. */
export const isAboutSomebody = ({ columns }: Pick<MappedTable, "columns">): boolean =>
  Object.values(columns).some((entry) => describe(entry).class !== "none");

const ERASE_WORDS = {
  root: "deleted",
  cascade: "deleted",
  engine: "deleted",
  time: "goes by itself",
  keep: "stays",
  operator: "stays",
} as const;

function eraseWords(entry: MappedTable): string {
  const reason = entry.erase.split(": ")[1];
  return ERASE_WORDS[eraseOf(entry)] + (reason === undefined ? "" : `: ${reason}`);
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];

function categoriesOf({ columns }: Pick<MappedTable, "columns">): Category[] {
  const described = Object.values(columns).map(describe);
  return unique(described.flatMap(({ class: cls, category }) => (cls === "none" ? [] : [category])));
}

function subjectsOf({ of, purpose }: Pick<MappedTable, "of" | "purpose">): Subject[] {
  if (of === "device" || purpose === "tracking") return ["user", "carrier"];
  return of === "platform" && (purpose === "publishing" || purpose === "operation") ? ["staff"] : ["user"];
}

/** Everything that is stored about somebody, wherever it is. @param map the data map; a test gives an altered one */
export function storedAbout(map: Mapped = DATA_MAP): Stored[] {
  const words: Readonly<Record<string, string | undefined>> = TABLE_WORDS;
  const tables = Object.entries(map).flatMap(([name, entry]): Stored[] => {
    if (!isAboutSomebody(entry)) return [];
    const { purpose, retain, exportAs } = entry;
    const erase = eraseWords(entry);
    const categories = categoriesOf(entry);
    return [
      { name, what: words[name] ?? name, purpose, categories, subjects: subjectsOf(entry), retain, erase, exportAs },
    ];
  });
  const places = Object.entries({ ...KEY_OBJECTS, ...FILES, ...COOKIES }).flatMap(([name, place]): Stored[] => {
    const { what, purpose, retain, is } = place;
    const { class: cls, category } = describe(is);
    if (cls === "none" || category === "operation") return [];
    const erase = "erase" in place ? place.erase : "stays: it is in the person's own browser";
    const subjects = subjectsOf({ of: "account", purpose });
    return [
      { name, what, purpose, categories: [category], subjects, retain, erase, exportAs: "no: not in the database" },
    ];
  });
  return [...tables, ...places];
}

/** An activity of processing: all that is stored for one purpose. */
export interface ProcessingActivity {
  id: Purpose;
  what: string;
  verbs: readonly string[];
  categories: Category[];
  subjects: Subject[];
  retention: Retention[];
  recipients: readonly string[];
  data: string[];
}

export function activities(map: Mapped = DATA_MAP): ProcessingActivity[] {
  const ofPurpose = Map.groupBy(storedAbout(map), ({ purpose }) => purpose);
  return PURPOSES.flatMap((id) => {
    const stored = ofPurpose.get(id);
    if (stored === undefined) return [];
    return [
      {
        id,
        ...PURPOSE_WORDS[id],
        categories: unique(stored.flatMap(({ categories }) => categories)),
        subjects: unique(stored.flatMap(({ subjects }) => subjects)),
        retention: unique(stored.map(({ retain }) => retain)),
        data: stored.map(({ what }) => what),
      },
    ];
  });
}

/** Those of some words that are used, by name. */
const pick = <K extends string>(words: Readonly<Record<K, string>>, used: readonly K[]) =>
  Object.fromEntries(unique(used).map((name) => [name, words[name]]));

/** What is at /.well-known/privacy.json but for who the operator is: that is a setting. */
export function privacyDocument(map: Mapped = DATA_MAP) {
  const all = activities(map);
  return {
    verbs: VERBS,
    activities: all,
    categories: pick(
      CATEGORY_WORDS,
      all.flatMap(({ categories }) => categories),
    ),
    subjects: pick(
      SUBJECTS,
      all.flatMap(({ subjects }) => subjects),
    ),
    retention: pick(
      RETENTION_WORDS,
      all.flatMap(({ retention }) => retention),
    ),
    recipients: pick(RECIPIENTS, all.flatMap(({ recipients }) => recipients) as (keyof typeof RECIPIENTS)[]),
  };
}

/** Who the operator is, as the settings say. */
export interface Controller {
  operator: string;
  contact: string | null;
}

/** The record of processing activities (GDPR Art. 30 (1)). What the law asks for beyond it is the operator's to add. */
export function recordOfProcessing(controller: Controller, map: Mapped = DATA_MAP) {
  const stored = Map.groupBy(storedAbout(map), ({ purpose }) => purpose);
  return {
    controller,
    activities: activities(map).map(({ id, what, categories, subjects, recipients, verbs }) => ({
      id,
      purpose: what,
      verbs,
      dataSubjects: subjects.map((subject) => SUBJECTS[subject]),
      personalData: categories.map((category) => CATEGORY_WORDS[category]),
      recipients: recipients.map((recipient) => RECIPIENTS[recipient as keyof typeof RECIPIENTS]),
      transfers: verbs.includes("transfer") ? "where the operator's databases or mail service are abroad" : "none",
      records: stored.get(id)!.map(({ name, what, retain, erase, exportAs }) => ({
        ...{ name, what, timeLimit: RETENTION_WORDS[retain], onErasure: erase },
        export: exportOf({ exportAs }) ?? exportAs,
      })),
    })),
    measures: MEASURES,
  };
}

/** What keeps an installation from saying what it must: sentences, none when all is well. */
export function privacyProblems({ operator, contact }: Controller, map: Mapped = DATA_MAP): string[] {
  const all = activities(map);
  const said = new Set(all.flatMap(({ verbs }) => verbs));
  return [
    ...(contact === null || contact === ""
      ? ["Nobody can ask about their data: the setting contactEmail is empty."]
      : []),
    ...(operator.startsWith("The operator of this")
      ? ["Nobody is told who runs this: the setting operatorName is not set."]
      : []),
    ...VERBS.filter((verb) => !said.has(verb)).map((verb) => `No activity says what is done to ${verb} data.`),
    ...all
      .filter((each) => each.categories.length === 0 || each.retention.length === 0 || each.recipients.length === 0)
      .map(({ id }) => `The activity ${id} lacks a category, a period or a recipient.`),
  ];
}

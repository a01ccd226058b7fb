import { afterAll, beforeAll, expect, test } from "vitest";
import { activities, privacyProblems, recordOfProcessing, storedAbout } from "../../src/privacy.ts";
import { PURPOSE_WORDS, RECIPIENTS, RETENTION_WORDS, TABLE_WORDS, VERBS } from "../../src/privacy-words.ts";
import { DATA_MAP, type Mapped } from "../../src/store/personal.ts";
import { writeSetting } from "../../src/store/settings.ts";
import { COMMANDS } from "../../tools/admin-commands.ts";
import { NOON } from "../database.ts";
import { type Api, anApi } from "./http/api.ts";

const MAP: Mapped = DATA_MAP;
let api: Api;
beforeAll(async () => {
  api = await anApi();
});
afterAll(() => api.close());

interface Published {
  operator: string;
  contact: string | null;
  retentionMonths: number;
  verbs: string[];
  activities: (Record<"id" | "what", string> &
    Record<"verbs" | "categories" | "subjects" | "retention" | "recipients" | "data", string[]>)[];
  categories: Record<string, string>;
  subjects: Record<string, string>;
  retention: Record<string, string>;
  recipients: Record<string, string>;
}
const published = async () => (await (await api.call("GET", "/.well-known/privacy.json")).json()) as Published;

test("/.well-known/privacy.json has a purpose, a category, a period and recipients of each activity, and every verb", async () => {
  const document = await published();
  expect(document.activities.length).toBeGreaterThan(10);
  for (const { what, categories, subjects, retention, recipients, data, verbs } of document.activities) {
    expect(what).toMatch(/^[A-Z]/);
    for (const list of [categories, subjects, retention, recipients, data, verbs])
      expect(list.length).toBeGreaterThan(0);
    // Whatever is named is explained.
    expect(Object.keys(document.categories)).toEqual(expect.arrayContaining(categories));
    expect(Object.keys(document.subjects)).toEqual(expect.arrayContaining(subjects));
    expect(Object.keys(document.retention)).toEqual(expect.arrayContaining(retention));
    expect(Object.keys(document.recipients)).toEqual(expect.arrayContaining(recipients));
  }
  expect(new Set(document.activities.flatMap(({ verbs }) => verbs))).toEqual(new Set(VERBS));
  expect(document.retentionMonths).toBe(3);
});

test("/.well-known/privacy.json says who runs this and where to ask, as the settings say", async () => {
  expect((await published()).contact).toBeNull();
  await writeSetting(api.base.db, "contactEmail", "privacy@edge.test", NOON);
  await writeSetting(api.base.db, "operatorName", "Edge Ltd", NOON);
  expect(await published()).toMatchObject({ contact: "privacy@edge.test", operator: "Edge Ltd" });
});

test("whatever says something about somebody is in an activity, in words", () => {
  const stored = storedAbout();
  const said = new Set(activities().flatMap(({ data }) => data));
  for (const { name, what } of stored) {
    expect(said).toContain(what);
    expect({ name, what }).not.toEqual({ name, what: name });
  }
  const about = new Set(stored.map(({ name }) => name));
  expect(Object.keys(TABLE_WORDS).filter((name) => !about.has(name))).toEqual([]);
});

test("a table that begins to say something appears, with its category", () => {
  const before = activities().find(({ id }) => id === "operation")!;
  expect(before.categories).not.toContain("location");
  const { jobRuns } = MAP;
  const map: Mapped = {
    ...MAP,
    jobRuns: { ...jobRuns!, columns: { ...jobRuns!.columns, error: "sensitive location" } },
  };
  const after = activities(map).find(({ id }) => id === "operation")!;
  expect(after.categories).toContain("location");
  expect(after.retention).toContain("jobRuns");
});

test("recordOfProcessing() has what Art. 30 asks for, of every activity", () => {
  const record = recordOfProcessing({ operator: "Edge Ltd", contact: "privacy@edge.test" });
  expect(record.controller).toEqual({ operator: "Edge Ltd", contact: "privacy@edge.test" });
  expect(record.measures.length).toBeGreaterThan(3);
  for (const activity of record.activities) {
    for (const list of [activity.dataSubjects, activity.personalData, activity.recipients, activity.records]) {
      expect(list.length).toBeGreaterThan(0);
    }
    for (const { timeLimit, onErasure } of activity.records) expect([timeLimit, onErasure].every(Boolean)).toBe(true);
  }
  const names = record.activities.flatMap(({ records }) => records.map(({ name }) => name));
  expect(names.toSorted()).toEqual(
    storedAbout()
      .map(({ name }) => name)
      .toSorted(),
  );
});

test("privacyProblems() finds an empty contact and a nameless operator", () => {
  expect(privacyProblems({ operator: "Edge Ltd", contact: "privacy@edge.test" })).toEqual([]);
  expect(privacyProblems({ operator: "Edge Ltd", contact: null })).toHaveLength(1);
  expect(privacyProblems({ operator: "The operator of this installation", contact: "" })).toHaveLength(2);
  expect(Object.values(PURPOSE_WORDS).every(({ recipients }) => recipients.every((each) => each in RECIPIENTS))).toBe(
    true,
  );
  expect(Object.values(RETENTION_WORDS).every((words) => words.length > 3)).toBe(true);
});

test("admin privacy check fails when something is missing, and privacy record prints it all", async () => {
  const command = (words: string) => COMMANDS.find((each) => each.words === words)!;
  const good = { operator: "Edge Ltd", contact: "privacy@edge.test" };
  expect(command("privacy check").text!(good, {})).toContain("is said");
  expect(command("privacy check").json!(good, {})).toEqual({ complete: true });
  for (const format of ["text", "json"] as const) {
    expect(() => command("privacy check")[format]!({ ...good, contact: null }, {})).toThrow("contactEmail is empty");
  }
  const text = command("privacy record").text!(good, {});
  expect(text).toContain("Edge Ltd, privacy@edge.test");
  for (const { what } of storedAbout()) expect(text).toContain(what);
});

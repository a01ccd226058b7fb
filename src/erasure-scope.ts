import type { Category } from "./store/personal.ts";

/** What a request is about, in numbers of rows and names of columns: it outlives what it names. */
export type ErasureScope =
  /** Everything of the account, and the account. */
  | { kind: "account" }
  /** These devices and everything that they sent. */
  | { kind: "devices"; devices: number[] }
  /** What one device sent with a fix from `from` up to `to` (Unix ms, `to` not included). */
  | { kind: "range"; device: number; from: number; to: number }
  /** What all devices sent; the devices stay. */
  | { kind: "tracks" }
  /** What is held of the person in some categories, and may be missing from an account that lives. */
  | { kind: "categories"; categories: Category[] }
  /** Some fields of the person, as "table.column" of the data map. */
  | { kind: "fields"; fields: string[] };

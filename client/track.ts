import { decodeStoredInto, StoredPositions } from "../codec/segment.ts";
import { type StoredPosition, storedPosition } from "../codec/stored-position.ts";
import { fromBase64, toBase64Url } from "./base64.ts";
import { SealError } from "./errors.ts";
import type { OpeningKey } from "./key-file.ts";
import { type FixHead, fixBinding, openSealed, type SegmentHead, segmentBinding } from "./sealed.ts";
import { segmentKey, unwrapSecret } from "./wrap.ts";

/** What both kinds of sealed rows have beside their head. */
interface SealedContent {
  /** The customer's half of the key, by name. */
  customerKid: number;
  /** The platform's half, base64. */
  share: string;
  /** What is sealed, base64. */
  sealed: string;
}

/** A segment in an answer; its account is the answer's. */
export type SealedSegment = Omit<SegmentHead, "accountId" | "customerKid"> &
  SealedContent & {
    /** Positions whose retention time lies before this are past their period, Unix ms. */
    keptFrom: number;
  };
export type SealedFix = Omit<FixHead, "customerKid"> & SealedContent;

/** The customer's half of the keys of one settling of a day. */
export interface WrappedSecret {
  kid: number;
  /** UTC day since 1970. */
  day: number;
  /** For each key that it was wrapped to: the key as base64url, and what is wrapped as base64. */
  wrapped: { publicKey: string; wrapped: string }[];
}

/** What the API answers with where positions are sealed to the account's own keys. */
export interface SealedAnswer {
  sealed: true;
  accountId: number;
  /**
   * What was asked for, as the content of a segment may reach beyond it. Times are Unix ms: `from` and `to` of the fixes,
   * `after` and `upTo` of the ids; `to` is not included.
   */
  wanted: {
    order: "fix" | "newest fix first" | "arrival" | "device" | "as given";
    from: number | null;
    to: number | null;
    after: number | null;
    upTo: number | null;
    /** Event codes; "alarms": every event that is not in `routine`; null: all. */
    events: readonly number[] | "alarms" | null;
    routine: readonly number[];
  };
  /** Positions that wait to be sealed, or were stored before the key was registered: the platform can read them. */
  data: StoredPosition[];
  segments: SealedSegment[];
  /** Newest fixes of devices. */
  fixes: SealedFix[];
  secrets: WrappedSecret[];
  nextCursor: string | null;
}

export interface OpenedTrack {
  /** In the order that was asked for, each once; like the API's own, without a key. */
  positions: StoredPosition[];
  /** What this key did not open, and why. */
  unopened: { what: string; why: string }[];
  nextCursor: string | null;
}

const ALL = { order: "as given", from: null, to: null, after: null, upTo: null, events: null, routine: [] } as const;
const NOTHING = { accountId: 0, wanted: ALL, segments: [], fixes: [], secrets: [], nextCursor: null };

/** Reads an answer's JSON; of a page on which nothing is sealed the positions are taken as they are. @throws {SealError} answer */
export function readAnswer(text: string): SealedAnswer {
  let answer: Partial<SealedAnswer> | null;
  try {
    answer = JSON.parse(text) as Partial<SealedAnswer> | null;
  } catch {
    throw new SealError("answer", "Cannot read answer: it is not JSON");
  }
  const isList = (value: unknown) => Array.isArray(value);
  const { data, segments, fixes, secrets } = answer ?? {};
  if (answer?.sealed === true && [data, segments, fixes, secrets].every(isList)) return answer as SealedAnswer;
  if (answer?.sealed === undefined && isList(data)) return { ...NOTHING, ...(answer as SealedAnswer), sealed: true };
  throw new SealError("answer", "Cannot read answer: it has no positions, neither open nor sealed");
}

/**
 * Opens an answer with a private key. Nothing leaves this function's memory but its result.
 * @param answers pages of one question, in whatever order
 */
export async function openTrack(
  answers: SealedAnswer | readonly SealedAnswer[],
  key: OpeningKey,
): Promise<OpenedTrack> {
  const pages = Array.isArray(answers) ? (answers as readonly SealedAnswer[]) : [answers as SealedAnswer];
  const opened = new Opened();
  for (const page of pages) await openPage(page, key, opened);
  return {
    positions: inOrder(
      opened.once(),
      pages.find(({ wanted }) => wanted.order !== ALL.order)?.wanted.order ?? ALL.order,
    ),
    unopened: opened.unopened,
    nextCursor: pages.at(-1)?.nextCursor ?? null,
  };
}

async function openPage(page: SealedAnswer, key: OpeningKey, opened: Opened): Promise<void> {
  for (const position of page.data) opened.add(position);
  const secrets = new Map<number, Uint8Array | SealError>();
  for (const secret of page.secrets) secrets.set(secret.kid, await secretOf(page.accountId, secret, key));
  const contentOf = async (row: SealedContent, binding: Uint8Array<ArrayBuffer>) => {
    const secret = secrets.get(row.customerKid) ?? new SealError("secret", "Cannot open: its secret is not there");
    if (secret instanceof SealError) throw secret;
    return openSealed(await segmentKey(secret, fromBase64(row.share)), binding, fromBase64(row.sealed));
  };
  const { accountId } = page;
  for (const segment of page.segments) {
    await opened.tryTo(`segment ${segment.id}`, async () => {
      const stored = new StoredPositions(segment.positions);
      decodeStoredInto(stored, await contentOf(segment, segmentBinding({ ...segment, accountId })));
      for (let row = 0; row < stored.count; row++) {
        if (isWanted(page, segment.keptFrom, stored, row)) opened.add(storedPosition(stored, row));
      }
    });
  }
  for (const fix of page.fixes) {
    await opened.tryTo(`newest fix of device ${fix.deviceId}`, async () => {
      const stored = new StoredPositions(1);
      decodeStoredInto(stored, await contentOf(fix, fixBinding(accountId, fix)));
      opened.add(storedPosition(stored, 0));
    });
  }
}

async function secretOf(accountId: number, secret: WrappedSecret, key: OpeningKey): Promise<Uint8Array | SealError> {
  const { kid, day, wrapped } = secret;
  const mine = toBase64Url(key.publicKey);
  const own = wrapped.find(({ publicKey }) => publicKey === mine);
  if (own === undefined) return new SealError("secret", `Cannot open secret ${kid}: it was not wrapped to this key`);
  try {
    return await unwrapSecret(key.privateKey, { accountId, day, kid }, fromBase64(own.wrapped));
  } catch (error) {
    if (error instanceof SealError) return error;
    throw error;
  }
}

/** A fix that is further from its receipt than this does not count for retention: the receipt does. */
const PLAUSIBLE_MS = 400 * 86_400_000;
const PLAUSIBLE_AHEAD_MS = 10 * 60_000;

function isWanted({ wanted }: SealedAnswer, keptFrom: number, stored: StoredPositions, row: number): boolean {
  const fix = stored.fixTimeAt(row);
  const received = stored.receivedAt[row];
  const id = stored.ids[row];
  const isPlausible = fix >= received - PLAUSIBLE_MS && fix <= received + PLAUSIBLE_AHEAD_MS;
  if ((isPlausible ? fix : received) < keptFrom) return false;
  if (fix < (wanted.from ?? fix) || fix >= (wanted.to ?? Number.POSITIVE_INFINITY)) return false;
  if (id <= (wanted.after ?? -1) || id > (wanted.upTo ?? id)) return false;
  if (wanted.events === null) return true;
  const event = stored.table.eventAt(row);
  return wanted.events === "alarms" ? !wanted.routine.includes(event) : wanted.events.includes(event);
}

/** What was opened, each position once. */
class Opened {
  readonly unopened: OpenedTrack["unopened"] = [];
  readonly #positions = new Map<string, StoredPosition>();

  /**
   * A tracker may send a record twice, and the platform cannot compare with what is sealed: of the same record the one
   * that arrived first stays.
   */
  add(position: StoredPosition): void {
    const { id, receivedAt, fixTime, ...said } = position;
    // Without a usable clock the fix time is that of receipt.
    const clockless = said.readings?.deviceTime !== undefined;
    const record = JSON.stringify([clockless ? null : fixTime, said]);
    const known = this.#positions.get(record);
    if (known === undefined || id < known.id) this.#positions.set(record, position);
  }

  once(): StoredPosition[] {
    return [...this.#positions.values()];
  }

  async tryTo(what: string, open: () => Promise<void>): Promise<void> {
    try {
      await open();
    } catch (error) {
      this.unopened.push({ what, why: error instanceof Error ? error.message : String(error) });
    }
  }
}

function inOrder(positions: StoredPosition[], order: SealedAnswer["wanted"]["order"]): StoredPosition[] {
  const byFix = (a: StoredPosition, b: StoredPosition) => Date.parse(a.fixTime) - Date.parse(b.fixTime) || a.id - b.id;
  switch (order) {
    case "fix":
      return positions.sort(byFix);
    case "newest fix first":
      return positions.sort((a, b) => byFix(b, a));
    case "arrival":
      return positions.sort((a, b) => a.id - b.id);
    case "device":
      return positions.sort((a, b) => a.deviceId - b.deviceId);
    case "as given":
      return positions;
  }
}

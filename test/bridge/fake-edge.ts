import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Downlink,
  encodeResponse,
  type Offer,
  OUTCOMES,
  type RequestEntry,
  readRequest,
} from "../../codec/envelope.ts";
import { parseFrame } from "../../codec/frame.ts";
import { aReply, numberOf } from "./frames.ts";

export type FrameEntry = Extract<RequestEntry, { kind: "frame" }>;

/** What the edge does with one request instead of storing it: answer in another way, or not at all. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;

/**
 * An edge over real HTTP. It stores every frame once, by its bytes, answers each with an `AFF` reply, and offers and
 * hands out commands. `misbehave` decides per request whether it does something else instead.
 */
export class FakeEdge {
  url = new URL("http://127.0.0.1");
  /** Frames in the order they were stored first. */
  readonly stored: FrameEntry[] = [];
  /** Number of entries of each request that was looked at. */
  readonly requests: RequestEntry[][] = [];
  readonly times: number[] = [];
  duplicates = 0;
  misbehave: (entries: RequestEntry[], nth: number) => Misbehaviour | null = () => null;
  offers: Offer[] = [];
  /** Bytes of commands by id; given to whoever claims them. */
  readonly commands = new Map<number, Uint8Array>();
  readonly released: number[] = [];
  private readonly known = new Set<string>();
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("error", () => {});
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => this.answer(request, response, Buffer.concat(chunks)));
    });
  }

  async listen(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.url = new URL(`http://127.0.0.1:${(this.server.address() as AddressInfo).port}`);
    return this;
  }

  close(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  get numbers(): number[] {
    return this.stored.map(({ bytes }) => numberOf(bytes));
  }

  private answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const entries = readRequest(body);
    this.requests.push(entries);
    this.times.push(performance.now());
    const other = this.misbehave(entries, this.requests.length);
    if (other === null) response.end(this.take(entries));
    else other(request, response, body);
  }

  /** Stores the frames. @returns the answer */
  take(entries: RequestEntry[]): Uint8Array {
    const frames = [];
    const downlinks: Downlink[] = [];
    for (const entry of entries) {
      if (entry.kind === "frame") frames.push(this.store(entry));
      else if (entry.kind === "release") this.released.push(entry.commandId);
      else {
        const bytes = this.commands.get(entry.commandId);
        this.offers = this.offers.filter((offer) => offer.commandId !== entry.commandId);
        if (bytes !== undefined) downlinks.push({ ...entry, bytes });
      }
    }
    return encodeResponse({ frames, downlinks, offers: this.offers });
  }

  private store(entry: FrameEntry): { outcome: number; reply: Uint8Array } {
    const text = Buffer.from(entry.bytes).toString("latin1");
    const reply = aReply(parseFrame(entry.bytes).imei, String(numberOf(entry.bytes)));
    if (this.known.has(text)) {
      this.duplicates += 1;
      return { outcome: OUTCOMES.duplicate, reply };
    }
    this.known.add(text);
    this.stored.push({ ...entry, bytes: Buffer.from(entry.bytes) });
    return { outcome: OUTCOMES.stored, reply };
  }
}

export const status =
  (code: number, headers: Record<string, string> = {}): Misbehaviour =>
  (_request, response) =>
    response.writeHead(code, headers).end();

import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";
import { OFFLINE } from "../tools/bundle.ts";

const CODEC = join(import.meta.dirname, "..", "codec");

// `rounds`: finds, checks and decodes the frames of an envelope so many times, as the app does, and does nothing with
// them. `bytes`: reads the envelope and sends so many bytes on to `sink`, which is what no app could do without.
const WORKER = `
import { PositionTable } from "./codec/columns.ts";
import { decodePositionsInto } from "./codec/decode.ts";
import { forEachEntry } from "./codec/envelope.ts";
import { locateFrame, newBounds } from "./codec/frame.ts";
const table = new PositionTable(2048);
const bounds = newBounds();
const options = { scale: 1 };
export default {
  async fetch(request) {
    const body = new Uint8Array(await request.arrayBuffer());
    let rows = 0;
    const visitor = {
      frame(connection, receivedAt, start, end) {
        table.reset();
        if (locateFrame(body, start, end, bounds) === 0) rows += decodePositionsInto(table, body, bounds, options);
      },
      claim() {},
      release() {},
    };
    const { searchParams } = new URL(request.url);
    const bytes = Number(searchParams.get("bytes"));
    if (bytes > 0) {
      const answer = await fetch(searchParams.get("sink"), { method: "POST", body: "x".repeat(bytes) });
      return new Response(await answer.arrayBuffer());
    }
    const rounds = Number(searchParams.get("rounds"));
    for (let round = 0; round < rounds; round++) forEachEntry(body, visitor);
    return new Response(String(rows / rounds));
  },
};`;

export interface CodecWorker {
  pid: number;
  /** Decodes an envelope so many times; returns the positions in it. */
  decode(body: Uint8Array, rounds: number): Promise<number>;
  /** Receives an envelope and sends so many bytes on. */
  relay(body: Uint8Array, bytes: number, sink: string): Promise<void>;
  close(): Promise<void>;
}

/** The codec alone in a workerd of its own, of the version that runs the app. */
export async function startCodecWorker(): Promise<CodecWorker> {
  Object.assign(process.env, OFFLINE);
  const modules: Record<string, { type: "esm"; contents: string }> = { "worker.js": { type: "esm", contents: WORKER } };
  for (const name of readdirSync(CODEC)) {
    const contents = stripTypeScriptTypes(readFileSync(join(CODEC, name), "utf8"));
    modules[`codec/${name}`] = { type: "esm", contents };
  }
  const before = new Set(childrenOfThis());
  const miniflare = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    cf: false,
    telemetry: { enabled: false },
    log: new Log(LogLevel.WARN),
    workers: [
      {
        config: {
          name: "codec",
          compatibilityDate: "2026-10-20",
          manifest: { mainModule: "worker.js", modules },
          env: {},
        },
        dev: { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] },
      },
    ],
  });
  await miniflare.ready;
  const url = await miniflare.unsafeGetDirectURL();
  const pid = childrenOfThis().find((child) => !before.has(child));
  if (pid === undefined) throw new Error("Cannot find workerd among the child processes");
  const post = async (query: string, body: Uint8Array) => {
    const response = await fetch(`${url}?${query}`, { method: "POST", body: body as Uint8Array<ArrayBuffer> });
    const text = await response.text();
    if (!response.ok) throw new Error(`The codec's worker failed: ${text}`);
    return text;
  };
  return {
    pid,
    decode: async (body, rounds) => Number(await post(`rounds=${rounds}`, body)),
    async relay(body, bytes, sink) {
      await post(`bytes=${bytes}&sink=${encodeURIComponent(sink)}`, body);
    },
    close: () => miniflare.dispose(),
  };
}

function childrenOfThis(): number[] {
  return readdirSync("/proc/self/task").flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
  );
}
